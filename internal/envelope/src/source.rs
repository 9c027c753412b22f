//! Where a message was published first, and which way it came.
//!
//! ```text
//!   source   log · epoch · sequence · the one before it    in the log of the node that published it
//!   route    alice ▸ hub ▸ berlin                          the nodes it went through, that one first
//! ```
//!
//! A message that was published here has neither: its source is its own place in the log, and its
//! route is its origin.

use uuid::Uuid;

/// Bytes of an encoded [`Source`].
pub(crate) const SOURCE_BYTES: usize = 40;

/// The place of a message in the log of the node that published it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Identity of that log.
    pub log: Uuid,
    /// The log's epoch; sequences are unique within one.
    pub epoch: u64,
    /// The message's sequence there, 1 or more.
    pub seq: u64,
    /// Sequence of the message before it of the same log and epoch, below [`Self::seq`]; 0 for none.
    /// Nothing that the log still has lies between the two.
    pub previous: u64,
}

impl Source {
    pub(crate) fn encode(&self) -> [u8; SOURCE_BYTES] {
        let mut out = [0; SOURCE_BYTES];
        out[..16].copy_from_slice(self.log.as_bytes());
        for (part, number) in [self.epoch, self.seq, self.previous].into_iter().enumerate() {
            out[16 + 8 * part..][..8].copy_from_slice(&number.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SOURCE_BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |it| u64::from_le_bytes(*it));
        let log = Uuid::from_slice(&bytes[..16]).ok()?;
        Self { log, epoch: number(16), seq: number(24), previous: number(32) }.checked()
    }

    /// The source, if its numbers can be true: sequences count from 1, and what comes before is below.
    pub(crate) fn checked(self) -> Option<Self> {
        (self.previous < self.seq).then_some(self)
    }
}

/// The names of the nodes that a message went through, its origin first. Empty for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Route<'a>(&'a str);

impl<'a> Route<'a> {
    /// The route that `text` spells: names joined by line breaks; empty text is the empty route.
    ///
    /// `None` when a name is empty or has a control character in it.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        (text.is_empty() || text.split('\n').all(is_name)).then_some(Self(text))
    }

    /// The names joined by line breaks.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The names, the origin first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a str> {
        // Splitting the empty text would give one empty name.
        self.0.split('\n').filter(|name| !name.is_empty())
    }

    /// Whether the message went through `name`.
    #[must_use]
    pub fn contains(self, name: &str) -> bool {
        self.iter().any(|other| other == name)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// A route that is being put together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteBuf(String);

impl RouteBuf {
    /// The route without a name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the name of the next node.
    ///
    /// # Errors
    /// It is empty or has a control character in it; the route is as it was.
    pub fn push(&mut self, name: &str) -> Result<(), NotARouteName> {
        if !is_name(name) {
            return Err(NotARouteName(name.into()));
        }
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(name);
        Ok(())
    }

    /// The route so far.
    #[must_use]
    pub fn as_route(&self) -> Route<'_> {
        Route(&self.0)
    }
}

impl From<Route<'_>> for RouteBuf {
    fn from(route: Route<'_>) -> Self {
        Self(route.0.to_owned())
    }
}

/// A name that cannot stand in a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node name {0:?} cannot stand in a route: it is empty or has control characters in it")]
pub struct NotARouteName(pub Box<str>);

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

    #[test]
    fn a_source_that_cannot_be_true_is_none() {
        let source = Source { log: LOG, epoch: 3, seq: 57, previous: 55 };
        assert_eq!(Source::decode(&source.encode()), Some(source));
        assert_eq!(Source::decode(&source.encode()[1..]), None);
        for (seq, previous) in [(0, 0), (57, 57), (57, u64::MAX)] {
            assert_eq!(Source::decode(&Source { seq, previous, ..source }.encode()), None);
        }
    }

    #[test]
    fn a_route_knows_whole_names_only() {
        let mut route = RouteBuf::new();
        assert_eq!((route.as_route().iter().count(), route.as_route().contains("")), (0, false));
        for name in ["alice", "hub:7", "grüße"] {
            route.push(name).unwrap();
        }
        assert_eq!(route.as_route().iter().collect::<Vec<_>>(), ["alice", "hub:7", "grüße"]);
        assert!(route.as_route().contains("hub:7"));
        for other in ["hub", "lice", "", "alice\nhub:7"] {
            assert!(!route.as_route().contains(other), "{other:?}");
        }
    }

    #[test]
    fn a_name_that_would_read_as_two_is_refused() {
        let mut route = RouteBuf::new();
        route.push("alice").unwrap();
        for name in ["", "a\nb", "a\0", "\u{85}"] {
            route.push(name).unwrap_err();
        }
        assert_eq!(route.as_route().as_str(), "alice");
        for text in ["\n", "a\n", "\na", "a\n\nb", "a\tb"] {
            assert_eq!(Route::parse(text), None, "{text:?}");
        }
        assert_eq!(Route::parse(""), Some(Route::default()));
        assert_eq!(Route::parse("a\nb").map(|route| route.iter().count()), Some(2));
    }
}
