//! Queue groups: of each group, one member gets a message.

use std::fmt;

/// Longest name of a queue group, in bytes: what a subject may have.
pub const QUEUE_GROUP_MAX_BYTES: usize = 4096;

/// The name of a queue group: not empty, no byte below 0x21, no DEL.
///
/// Dots and wildcards mean nothing in it: NATS servers take any name too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueGroup<'a>(&'a str);

impl<'a> QueueGroup<'a> {
    /// Checks `name`.
    ///
    /// # Errors
    /// Says which rule `name` breaks.
    pub fn new(name: &'a str) -> Result<Self, InvalidQueueGroup> {
        let reason = if name.is_empty() {
            "it is empty"
        } else if name.len() > QUEUE_GROUP_MAX_BYTES {
            "it is longer than 4096 bytes"
        } else if name.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            "it has a space or a control character"
        } else {
            return Ok(Self(name));
        };
        Err(InvalidQueueGroup { name: name.into(), reason })
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for QueueGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for QueueGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// The text breaks a rule of [`QueueGroup`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid queue group {name:?}: {reason}")]
pub struct InvalidQueueGroup {
    /// The name as given.
    pub name: Box<str>,
    /// The rule it breaks.
    pub reason: &'static str,
}

/// Where a subscriber is, seen from this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Place {
    /// On this node.
    #[default]
    Local,
    /// On another node of the cluster.
    Near {
        /// How many members it stands for there: 1 to 2^31 − 1; other numbers become the nearest.
        weight: u32,
    },
    /// Beyond a leaf link or a gateway.
    Far {
        /// How many members it stands for there: 1 to 2^31 − 1; other numbers become the nearest.
        weight: u32,
    },
}

/// Marks what is far; the rest of the word is the weight. Zero is local.
const FAR: u32 = 1 << 31;

impl Place {
    /// How many members it stands for: 1 when it is local.
    #[must_use]
    pub const fn weight(self) -> u32 {
        match self {
            Self::Local => 1,
            Self::Near { weight } | Self::Far { weight } => weight,
        }
    }

    /// The nearer, the lower.
    pub(crate) const fn rank(self) -> usize {
        match self {
            Self::Local => 0,
            Self::Near { .. } => 1,
            Self::Far { .. } => 2,
        }
    }

    pub(crate) fn to_word(self) -> u32 {
        match self {
            Self::Local => 0,
            Self::Near { weight } => weight.clamp(1, FAR - 1),
            Self::Far { weight } => weight.clamp(1, FAR - 1) | FAR,
        }
    }

    pub(crate) const fn from_word(word: u32) -> Self {
        match word {
            0 => Self::Local,
            word if word & FAR == 0 => Self::Near { weight: word },
            word => Self::Far { weight: word & !FAR },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_control_bytes_are_refused() {
        for bad in ["", "a b", "a\u{1}", "\u{7f}", "a\r\n"] {
            assert!(QueueGroup::new(bad).is_err(), "{bad:?}");
        }
        assert!(QueueGroup::new(&"a".repeat(4097)).is_err());
        assert_eq!(QueueGroup::new("work.*").unwrap().as_str(), "work.*");
    }

    #[test]
    fn weights_beyond_the_range_become_the_nearest() {
        let through = |place: Place| Place::from_word(place.to_word());
        assert_eq!(through(Place::Local), Place::Local);
        assert_eq!(through(Place::Near { weight: 7 }), Place::Near { weight: 7 });
        assert_eq!(through(Place::Far { weight: 7 }), Place::Far { weight: 7 });
        assert_eq!(through(Place::Near { weight: 0 }), Place::Near { weight: 1 });
        assert_eq!(through(Place::Far { weight: u32::MAX }), Place::Far { weight: FAR - 1 });
    }
}
