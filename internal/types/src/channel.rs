//! Who a log is and who reads it.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest channel name, in bytes: 255, less room for [`DEAD_LETTER_SUFFIX`].
pub const CHANNEL_NAME_MAX_BYTES: usize = 243;

/// Ends the name of the channel that takes another channel's undeliverable messages.
pub const DEAD_LETTER_SUFFIX: &str = ".dead-letter";

/// Longest subscriber id, in bytes.
pub const SUBSCRIBER_ID_MAX_BYTES: usize = 255;

/// Name of a channel: 1 to 243 bytes of `[A-Za-z0-9._-]`, no empty token between dots.
///
/// So a channel name is always a literal NATS subject and can never leave its directory. The name of
/// a dead-letter channel is its channel's plus [`DEAD_LETTER_SUFFIX`], and may be that much longer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Checks `name` and keeps it.
    ///
    /// # Errors
    /// Says which rule `name` breaks.
    pub fn new(name: &str) -> Result<Self, InvalidChannelName> {
        let stem = name.strip_suffix(DEAD_LETTER_SUFFIX).unwrap_or(name);
        let because = |reason| InvalidChannelName { name: name.into(), reason };
        if name.is_empty() {
            return Err(because("it is empty"));
        }
        if stem.len() > CHANNEL_NAME_MAX_BYTES {
            return Err(because("it is longer than 243 bytes"));
        }
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return Err(because("only A-Z, a-z, 0-9, '.', '_' and '-' are allowed"));
        }
        if name.split('.').any(str::is_empty) {
            return Err(because("it has an empty token: no leading, trailing or double dots"));
        }
        if stem.ends_with(DEAD_LETTER_SUFFIX) {
            return Err(because("a dead-letter channel has no dead-letter channel of its own"));
        }
        if stem == "dead-letter" && name.len() > stem.len() {
            return Err(because("it is a dead-letter suffix without a channel"));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this channel takes another's undeliverable messages. Publishing to one is refused.
    #[must_use]
    pub fn is_dead_letter(&self) -> bool {
        self.0.ends_with(DEAD_LETTER_SUFFIX)
    }

    /// The channel that takes this one's undeliverable messages, or `None` when this is one already.
    #[must_use]
    pub fn dead_letter(&self) -> Option<Self> {
        (!self.is_dead_letter()).then(|| Self(format!("{}{DEAD_LETTER_SUFFIX}", self.0).into()))
    }

    /// The channel whose undeliverable messages this one takes.
    #[must_use]
    pub fn dead_letter_of(&self) -> Option<Self> {
        self.0.strip_suffix(DEAD_LETTER_SUFFIX).map(|stem| Self(stem.into()))
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for ChannelName {
    type Err = InvalidChannelName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl AsRef<str> for ChannelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for ChannelName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ChannelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

/// The name breaks a rule of [`ChannelName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid channel name {name:?}: {reason}")]
pub struct InvalidChannelName {
    /// The name as given.
    pub name: Box<str>,
    /// The rule it breaks.
    pub reason: &'static str,
}

/// Name under which a subscriber's position is kept: 1 to 255 bytes of UTF-8 without control
/// characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(Arc<str>);

impl SubscriberId {
    /// Checks `id` and keeps it.
    ///
    /// # Errors
    /// Says which rule `id` breaks.
    pub fn new(id: &str) -> Result<Self, InvalidSubscriberId> {
        let because = |reason| InvalidSubscriberId { id: id.into(), reason };
        if id.is_empty() {
            return Err(because("it is empty"));
        }
        if id.len() > SUBSCRIBER_ID_MAX_BYTES {
            return Err(because("it is longer than 255 bytes"));
        }
        if id.chars().any(char::is_control) {
            return Err(because("it has a control character"));
        }
        Ok(Self(id.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for SubscriberId {
    type Err = InvalidSubscriberId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::new(id)
    }
}

impl Serialize for SubscriberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SubscriberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&id).map_err(serde::de::Error::custom)
    }
}

/// The id breaks a rule of [`SubscriberId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid subscriber id {id:?}: {reason}")]
pub struct InvalidSubscriberId {
    /// The id as given.
    pub id: Box<str>,
    /// The rule it breaks.
    pub reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::{ChannelName, SubscriberId};

    #[test]
    fn names_that_could_leave_a_directory_or_break_a_subject_are_refused() {
        for bad in ["", ".", "..", "a..b", ".a", "a.", "a/b", "a b", "a*", ">", "é", "a\n"] {
            assert!(ChannelName::new(bad).is_err(), "{bad:?}");
        }
        assert!(ChannelName::new(&"x".repeat(243)).is_ok());
        assert!(ChannelName::new(&"x".repeat(244)).is_err());
    }

    #[test]
    fn a_dead_letter_channel_knows_its_channel_and_has_none_itself() {
        let orders = ChannelName::new(&"o".repeat(243)).unwrap();
        let dead = orders.dead_letter().unwrap();
        assert_eq!(ChannelName::new(dead.as_str()).unwrap(), dead);
        assert_eq!(dead.dead_letter_of(), Some(orders));
        assert_eq!(dead.dead_letter(), None);
        assert!(ChannelName::new("a.dead-letter.dead-letter").is_err());
    }

    #[test]
    fn subscriber_ids_are_any_printable_text() {
        assert!(SubscriberId::new("../../evil").is_ok());
        assert!(SubscriberId::new("").is_err());
        assert!(SubscriberId::new("a\0").is_err());
    }
}
