//! What is wrong with a configuration: every mistake, each with its place.

use std::path::PathBuf;
use std::{fmt, io};

use crate::{Origin, Place};

/// How many errors one [`ConfigErrors`] keeps; the rest are counted.
pub const ERRORS_MAX: usize = 100;

/// What sort of mistake it is. Match on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not YAML, or uses parts of it that a configuration does not.
    Syntax,
    /// The text is too long, too deep or expands to too much.
    Limit,
    /// A key is given twice.
    Duplicate,
    /// No such key.
    UnknownKey,
    /// The value is of another type.
    WrongType,
    /// The value is of the right type and not allowed.
    OutOfRange,
    /// A key that another one needs is not given.
    Missing,
    /// Two values, each allowed, do not go together.
    Contradiction,
    /// A `${VARIABLE}` cannot be filled in.
    Environment,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    kind: ErrorKind,
    origin: Origin,
    key: String,
    message: String,
}

impl ConfigError {
    pub(crate) fn new(kind: ErrorKind, origin: Origin, key: &str, message: String) -> Self {
        Self { kind, origin, key: key.to_owned(), message }
    }

    /// What sort of mistake it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The key, dotted from the root: `storage.sync_policy`. Empty when the file as a whole is meant.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Who gave the value.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// File, line and column, where a file is to blame.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.origin.place()
    }

    /// What is wrong and what is allowed, without place and key.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// `file:line:column: key: message`; what is unknown is left out.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, self.place()) {
            (_, Some(place)) => write!(f, "{place}: ")?,
            (Origin::Env { variable, .. }, None) => {
                write!(f, "environment variable {variable}: ")?;
            }
            (Origin::Flag, None) => f.write_str("command line: ")?,
            (Origin::Default | Origin::File(_) | Origin::Program, None) => (),
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong with one configuration, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    omitted: usize,
}

impl ConfigErrors {
    /// `Ok` when there are no errors.
    pub(crate) fn check(mut errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() {
            return Ok(());
        }
        // Errors without a place come last: they are about what is absent from the file.
        errors.sort_by(|a, b| {
            (a.place().is_none(), a.place()).cmp(&(b.place().is_none(), b.place()))
        });
        let omitted = errors.len().saturating_sub(ERRORS_MAX);
        errors.truncate(ERRORS_MAX);
        Err(Self { errors, omitted })
    }

    /// The errors, at most [`ERRORS_MAX`].
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    /// How many more there were.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self { errors: vec![error], omitted: 0 }
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for ConfigErrors {
    type Item = ConfigError;
    type IntoIter = std::vec::IntoIter<ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

/// One error per line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        match self.omitted {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// Why a configuration file gives no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The operator's: it cannot be read. A missing file is `source.kind() == NotFound`.
    #[error("read config {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The author's: it says something that is not allowed.
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
}

impl LoadError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
