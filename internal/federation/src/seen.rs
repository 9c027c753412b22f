//! The ids of messages seen lately: the second net, for messages that do not say where they come from.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;

use foldhash::fast::FixedState;
use lru::LruCache;
use pubsub_envelope::MessageId;
use uuid::Uuid;

/// Ids remembered unless said otherwise.
pub const SEEN_IDS_DEFAULT: usize = 100_000;

/// The ids of messages seen lately, on all channels of a node. In memory only.
///
/// A message without a source is known by its id alone. One with a source is known by its source, and
/// by its id only if that came in without one: by way of a peer that drops what it does not know.
pub struct SeenIds {
    /// Whether the message came with a source. Being asked for does not keep an id longer.
    ids: LruCache<Id, bool, FixedState>,
}

#[derive(Clone, Debug)]
enum Id {
    Uuid(Uuid),
    Text(Box<str>),
}

/// An id, whoever owns its text.
trait AsId {
    fn as_id(&self) -> MessageId<'_>;
}

impl AsId for Id {
    fn as_id(&self) -> MessageId<'_> {
        match self {
            Self::Uuid(uuid) => MessageId::Uuid(*uuid),
            Self::Text(text) => MessageId::Text(text),
        }
    }
}

impl AsId for MessageId<'_> {
    fn as_id(&self) -> MessageId<'_> {
        *self
    }
}

impl<'a> Borrow<dyn AsId + 'a> for Id {
    fn borrow(&self) -> &(dyn AsId + 'a) {
        self
    }
}

impl Hash for dyn AsId + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_id().hash(state);
    }
}

impl PartialEq for dyn AsId + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.as_id() == other.as_id()
    }
}

impl Eq for dyn AsId + '_ {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_id().hash(state);
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.as_id() == other.as_id()
    }
}

impl Eq for Id {}

impl SeenIds {
    /// Remembers the last `capacity` ids; at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // Unbounded first, so that no table of that size is made before it is needed.
        let mut ids = LruCache::unbounded_with_hasher(FixedState::default());
        ids.resize(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN));
        Self { ids }
    }

    /// Remembers the id of a message that is stored here, and whether it has a source: our own have.
    pub fn insert(&mut self, id: MessageId<'_>, sourced: bool) {
        let id = match id {
            MessageId::None => return,
            MessageId::Uuid(uuid) => Id::Uuid(uuid),
            MessageId::Text(text) => Id::Text(text.into()),
        };
        self.ids.push(id, sourced);
    }

    /// Forgets an id: its message was not stored after all.
    pub fn remove(&mut self, id: MessageId<'_>) {
        self.ids.pop(&id as &dyn AsId);
    }

    /// Whether a message with this id, with or without a source, is known by it.
    #[must_use]
    pub fn knows(&self, id: MessageId<'_>, sourced: bool) -> bool {
        match self.ids.peek(&id as &dyn AsId) {
            Some(came_sourced) => !sourced || !came_sourced,
            None => false,
        }
    }

    /// Number of ids remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl fmt::Debug for SeenIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenIds").field("len", &self.ids.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> MessageId<'static> {
        MessageId::Uuid(Uuid::from_u128(number))
    }

    #[test]
    fn only_the_last_ids_are_remembered() {
        let mut seen = SeenIds::new(2);
        for number in 1..=3 {
            seen.insert(id(number), false);
        }
        assert_eq!([1, 2, 3].map(|number| seen.knows(id(number), false)), [false, true, true]);
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn what_has_a_source_is_known_by_its_id_only_if_that_came_without_one() {
        let mut seen = SeenIds::new(9);
        seen.insert(id(1), true);
        seen.insert(MessageId::Text("two"), false);
        assert!(seen.knows(id(1), false) && !seen.knows(id(1), true));
        assert!(
            seen.knows(MessageId::Text("two"), false) && seen.knows(MessageId::Text("two"), true)
        );
    }

    #[test]
    fn an_id_is_forgotten_with_its_message_and_no_id_is_no_id() {
        let mut seen = SeenIds::new(9);
        seen.insert(id(1), false);
        seen.remove(id(1));
        seen.remove(id(1));
        seen.insert(MessageId::None, false);
        assert!(seen.is_empty());
        assert!(!seen.knows(MessageId::None, false) && !seen.knows(id(1), false));
    }
}
