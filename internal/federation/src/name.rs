//! The name of a node, as it stands in certificates, allowlists and routes.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name of a node, in bytes: `link:` and the name make a subscriber id of 255.
pub const NODE_NAME_MAX_BYTES: usize = 250;

/// Name of a node: 1 to 250 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Checks `name` and keeps it.
    ///
    /// # Errors
    /// Says which rule `name` breaks.
    pub fn new(name: &str) -> Result<Self, InvalidNodeName> {
        match fault(name) {
            None => Ok(Self(name.into())),
            Some(reason) => Err(InvalidNodeName { name: name.into(), reason }),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rule of [`NodeName`] that `name` breaks.
pub(crate) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > NODE_NAME_MAX_BYTES {
        Some("it is longer than 250 bytes")
    } else if name.chars().any(char::is_control) {
        Some("it has a control character")
    } else {
        None
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for NodeName {
    type Err = InvalidNodeName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for NodeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name breaks a rule of [`NodeName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid node name {name:?}: {reason}")]
pub struct InvalidNodeName {
    /// The name as given.
    pub name: Box<str>,
    /// The rule it breaks.
    pub reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::NodeName;

    #[test]
    fn names_that_would_garble_a_route_or_a_log_are_refused() {
        for name in ["", "a\nb", "a\0", "\u{7f}", "\u{85}", &"x".repeat(251)] {
            NodeName::new(name).unwrap_err();
        }
        for name in ["hub", "host:7740", "grüße", &"x".repeat(250)] {
            assert_eq!(NodeName::new(name).unwrap().as_str(), name);
        }
    }
}
