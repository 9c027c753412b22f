//! The ids of messages seen lately: the second net, for messages that do not say where they come from.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{Equivalent, HashMap};
use pubsub_envelope::MessageId;
use uuid::Uuid;

/// Ids remembered unless said otherwise.
pub const SEEN_IDS_DEFAULT: usize = 100_000;

/// The ids of messages seen lately, on all channels of a node. In memory only.
///
/// A message without a source is known by its id alone. One with a source is known by its source, and
/// by its id only if that came in without one: by way of a peer that drops what it does not know.
pub struct SeenIds {
    ids: HashMap<Id, Seen, FixedState>,
    /// The ids in the order in which they came; being asked for does not keep one longer.
    order: VecDeque<Id>,
    /// Number of the first of `order`.
    first: u64,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Whether the message came with a source.
    sourced: bool,
    /// Number of its place in `order`.
    number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    Uuid(Uuid),
    Text(Arc<str>),
}

impl Id {
    fn as_id(&self) -> MessageId<'_> {
        match self {
            Self::Uuid(uuid) => MessageId::Uuid(*uuid),
            Self::Text(text) => MessageId::Text(text),
        }
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Asked(self.as_id()).hash(state);
    }
}

/// An id that is asked for, so that asking allocates nothing.
struct Asked<'a>(MessageId<'a>);

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            MessageId::None => (),
            MessageId::Uuid(uuid) => state.write_u128(uuid.as_u128()),
            MessageId::Text(text) => text.hash(state),
        }
    }
}

impl Equivalent<Id> for Asked<'_> {
    fn equivalent(&self, id: &Id) -> bool {
        self.0 == id.as_id()
    }
}

impl SeenIds {
    /// Remembers the last `most` ids; at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            ids: HashMap::with_hasher(FixedState::default()),
            order: VecDeque::new(),
            first: 0,
            most: most.max(1),
        }
    }

    /// Remembers the id of a message that is stored here, and whether it has a source: our own have.
    pub fn insert(&mut self, id: MessageId<'_>, sourced: bool) {
        if let Some(seen) = self.ids.get_mut(&Asked(id)) {
            seen.sourced = sourced;
            return;
        }
        let id = match id {
            MessageId::None => return,
            MessageId::Uuid(uuid) => Id::Uuid(uuid),
            MessageId::Text(text) => Id::Text(text.into()),
        };
        let number = self.first + self.order.len() as u64;
        self.order.push_back(id.clone());
        self.ids.insert(id, Seen { sourced, number });
        if self.order.len() > self.most {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(id) = self.order.pop_front() else { return };
        let number = self.first;
        self.first += 1;
        // One that was taken back and came again has another place.
        if self.ids.get(&id).is_some_and(|seen| seen.number == number) {
            self.ids.remove(&id);
        }
    }

    /// Forgets an id: its message was not stored after all.
    pub fn remove(&mut self, id: MessageId<'_>) {
        self.ids.remove(&Asked(id));
    }

    /// Whether a message with this id, with or without a source, is known by it.
    #[must_use]
    pub fn knows(&self, id: MessageId<'_>, sourced: bool) -> bool {
        self.ids.get(&Asked(id)).is_some_and(|seen| !sourced || !seen.sourced)
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
    fn an_id_taken_back_and_seen_again_is_remembered_from_then() {
        let mut seen = SeenIds::new(2);
        seen.insert(id(1), false);
        seen.remove(id(1));
        seen.insert(id(2), false);
        seen.insert(id(1), false);
        assert!(seen.knows(id(1), false) && seen.knows(id(2), false));
        seen.insert(id(3), false);
        assert_eq!([1, 2, 3].map(|number| seen.knows(id(number), false)), [true, false, true]);
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
