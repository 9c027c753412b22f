//! Where a value came from: the default, a line, a variable, a flag.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::rule::Value;

/// A position in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file's name, as it was given.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

/// `file:line:column`, as compilers and editors write it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Who gave a value.
///
/// Stronger origins are applied later: flag over environment over file over default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody did; it is the documented default.
    Default,
    /// A configuration file.
    File(Place),
    /// An environment variable.
    Env {
        /// Its name.
        variable: Arc<str>,
        /// Where a file refers to it as `${variable}`; `None` when it was read by itself.
        place: Option<Place>,
    },
    /// A command-line flag.
    Flag,
    /// The program that embeds pubsub, by assigning a field.
    Program,
}

impl Origin {
    /// The position in a file, where there is one.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::File(place) => Some(place),
            Self::Env { place, .. } => place.as_ref(),
            Self::Default | Self::Flag | Self::Program => None,
        }
    }
}

/// `default`, `pubsub.yaml:12`, `env DATA_DIR (pubsub.yaml:12)`, `flag` or `program`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File(place) => f.pad(&format!("{}:{}", place.file, place.line)),
            Self::Env { variable, place: None } => f.pad(&format!("env {variable}")),
            Self::Env { variable, place: Some(place) } => {
                f.pad(&format!("env {variable} ({}:{})", place.file, place.line))
            }
            Self::Flag => f.pad("flag"),
            Self::Program => f.pad("program"),
        }
    }
}

/// The origin of each value that somebody gave, by key.
///
/// Where a value came from is not part of what it says: any two `Origins` are equal, so that two
/// configurations with the same values are.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Who gave a key, and what, so that a field assigned later does not pass for what was given.
    given: BTreeMap<String, (Origin, Value)>,
    /// A key that follows from another one's value, and that other key.
    derived: BTreeMap<String, String>,
}

impl Origins {
    pub(crate) fn give(&mut self, key: &str, origin: Origin, value: Value) {
        self.derived.remove(key);
        self.given.insert(key.to_owned(), (origin, value));
    }

    pub(crate) fn derive(&mut self, key: &str, from: &str) {
        self.derived.insert(key.to_owned(), from.to_owned());
    }

    /// Forgets that `key` followed from another; says whether it did.
    pub(crate) fn underive(&mut self, key: &str) -> bool {
        self.derived.remove(key).is_some()
    }

    /// Who gave `key`, or the key it follows from.
    pub(crate) fn of(&self, key: &str) -> Option<&Origin> {
        let given = self.given.get(key).or_else(|| self.given.get(self.derived.get(key)?));
        given.map(|(origin, _)| origin)
    }

    /// Who gave `key` the value that it still has.
    pub(crate) fn of_value(&self, key: &str, value: &Value) -> Option<&Origin> {
        match self.given.get(key) {
            Some((origin, given)) => (given == value).then_some(origin),
            None => self.of(key),
        }
    }

    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }
}

impl PartialEq for Origins {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
