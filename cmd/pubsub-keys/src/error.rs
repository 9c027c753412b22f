//! Why a key or certificate was not made, found or taken back.

use std::io;
use std::path::PathBuf;

use pubsub_tls::NameError;
use thiserror::Error;

/// What went wrong. Nothing was changed, unless it says so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A file would be replaced.
    #[error("file \"{}\" already exists; use --force to overwrite", .0.display())]
    Exists(PathBuf),
    /// The system refuses to read or write.
    #[error("{what} {}: {source}", file.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// With which file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no authority.
    #[error("there is no certificate authority in {}", .0.display())]
    NoAuthority(PathBuf),
    /// A name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An alternative name is none.
    #[error("`{}` is neither a DNS name nor an address", pubsub_tls::printable(.0))]
    AlternativeName(String),
    /// Files of this name are the authority's own.
    #[error("`{name}` would overwrite the files of the authority in {}", file.display())]
    Reserved {
        /// The name.
        name: String,
        /// The authority's certificate.
        file: PathBuf,
    },
    /// The same name was given twice.
    #[error("`{0}` is named twice")]
    Twice(String),
    /// Nothing that the authority signs now would be valid.
    #[error("the certificate authority in {} ended {}", file.display(), pubsub_tls::date(*.not_after))]
    AuthorityEnded {
        /// Its certificate.
        file: PathBuf,
        /// When.
        not_after: pubsub_tls::UnixTime,
    },
    /// Certificate and key of the authority do not belong together.
    #[error("the private key in {} is not the one of the authority in {}", key.display(), cert.display())]
    WrongKey {
        /// File of the certificate.
        cert: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// Nothing is known of this name or serial number.
    #[error("no certificate of {wanted} is in {}", index.display())]
    Unknown {
        /// What was looked for.
        wanted: String,
        /// Where.
        index: PathBuf,
    },
    /// The certificate was taken back, and must not be made new as if nothing had been.
    #[error("the certificate of {name} is revoked (serial {serial})")]
    Revoked {
        /// Whose.
        name: String,
        /// Which.
        serial: String,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", file.display())]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The certificate cannot be made.
    #[error("make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

impl KeysError {
    /// A failure of the system.
    pub(crate) fn io(what: &'static str, file: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { what, file: file.into(), source }
    }

    pub(crate) fn malformed(file: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Malformed { file: file.into(), reason: reason.into() }
    }

    /// What to do next; may be empty.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::NoAuthority(dir) => {
                format!("pubsub-keys ca init --ca {}, or say where it is with --ca", dir.display())
            }
            Self::AuthorityEnded { .. } => {
                "make a new one in another directory: pubsub-keys ca init --ca DIR".to_owned()
            }
            Self::Unknown { .. } => "pubsub-keys ls".to_owned(),
            Self::Revoked { name, .. } => format!("pubsub-keys issue {name} --force"),
            Self::Reserved { .. } => {
                "choose another name, or another directory with --out".to_owned()
            }
            Self::WrongKey { .. } => "say both of one authority".to_owned(),
            Self::Exists(_)
            | Self::Io { .. }
            | Self::Name(_)
            | Self::AlternativeName(_)
            | Self::Twice(_)
            | Self::Malformed { .. }
            | Self::Make(_) => String::new(),
        }
    }
}
