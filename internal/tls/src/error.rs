//! Why our own files cannot be used.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::refused::Refused;

/// Certificates, key or lists that do not make a whole. All of it is for the operator to mend.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("read the {what} {}: {source}", file.display())]
    Read {
        /// What it should hold.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// A file holds something else.
    #[error("{} holds no {what}: wanted PEM with `{wanted}`, found {found}", file.display())]
    NotThere {
        /// What it should hold.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// The line that begins such a thing.
        wanted: &'static str,
        /// What is in it, in short.
        found: String,
    },
    /// A file holds the right thing, damaged or of a kind that is not supported.
    #[error("the {what} in {} cannot be used: {reason}", file.display())]
    Malformed {
        /// What it should hold.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The key is not that of the certificate.
    #[error("the private key in {} is not the one of the certificate in {}", key.display(), cert.display())]
    KeyMismatch {
        /// File of the certificate.
        cert: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// The certificate is somebody else's.
    #[error("the certificate in {} is for `{found}`, but this instance is `{wanted}`", file.display())]
    NameMismatch {
        /// File of the certificate.
        file: PathBuf,
        /// Whom the certificate names.
        found: String,
        /// The configured name.
        wanted: String,
    },
    /// No peer could accept our certificate.
    #[error("the certificate in {} does not fit the authority in {}: {}", file.display(), ca.display(), refused.text)]
    Unfit {
        /// File of the certificate.
        file: PathBuf,
        /// File of the authority.
        ca: PathBuf,
        /// Why a peer would refuse it.
        refused: Refused,
    },
    /// The file of the authority holds certificates, but of no authority.
    #[error("{} holds no certificate of an authority (a CA certificate), only that of {found}", file.display())]
    NotAnAuthority {
        /// Which file.
        file: PathBuf,
        /// Whose certificate is in it.
        found: String,
    },
    /// A list of revoked certificates is not from one of our authorities.
    #[error("the revocation list in {} is from {found}, and not from the authority in {}", file.display(), ca.display())]
    ForeignList {
        /// Which file.
        file: PathBuf,
        /// File of the authority.
        ca: PathBuf,
        /// Who issued the list.
        found: String,
    },
}

impl TlsError {
    /// The file that it is about.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Read { file, .. }
            | Self::NotThere { file, .. }
            | Self::Malformed { file, .. }
            | Self::NameMismatch { file, .. }
            | Self::Unfit { file, .. }
            | Self::NotAnAuthority { file, .. }
            | Self::ForeignList { file, .. } => file,
            Self::KeyMismatch { key, .. } => key,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that runs pubsub own the file"
            }
            Self::Read { .. } => {
                "correct the path under tls, or make the file: `pubsub-keys quickstart` or \
                 `pubsub-keys issue NAME`"
            }
            Self::NotThere { .. } | Self::Malformed { .. } => {
                "correct the path under tls, or make the file again: `pubsub-keys issue NAME --force`"
            }
            Self::KeyMismatch { .. } => {
                "tls.cert and tls.key come in pairs: `pubsub-keys issue NAME --force` makes a new one"
            }
            Self::NameMismatch { .. } => {
                "set name to what the certificate says, or issue one for this name: \
                 `pubsub-keys issue NAME`"
            }
            Self::Unfit { .. } => {
                "set tls.ca to the authority that issued it, or issue it again: \
                 `pubsub-keys issue NAME --force`"
            }
            Self::NotAnAuthority { .. } => "set tls.ca to ca.crt, as `pubsub-keys ca init` made it",
            Self::ForeignList { .. } => {
                "set tls.crl to the ca.crl beside the authority, as `pubsub-keys revoke` writes it"
            }
        }
    }
}
