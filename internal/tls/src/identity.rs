//! Who we are, how long that lasts, and what should be seen to before it ends.

use std::fmt;
use std::path::PathBuf;

use rustls_pki_types::UnixTime;

use crate::text::{date, days_between};

/// Our own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// Name of this instance.
    pub name: String,
    /// First instant at which the certificate is valid.
    pub not_before: UnixTime,
    /// Last instant at which the certificate is valid.
    pub not_after: UnixTime,
    /// Last instant at which the authority that signed it is valid.
    pub ca_not_after: UnixTime,
    /// Serial number, in lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 over the certificate, in lower-case hexadecimal.
    pub fingerprint: String,
}

impl Identity {
    /// Whole days until peers will refuse us, because the certificate or its authority has ended;
    /// negative when they do already.
    #[must_use]
    pub fn days_left(&self, now: UnixTime) -> i64 {
        days_between(now, self.not_after.min(self.ca_not_after))
    }
}

/// Something about our own files that works, or will again, but should be seen to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The certificate ends soon, or has ended: then every peer refuses us.
    Certificate {
        /// Whose it is.
        name: String,
        /// Its file.
        file: PathBuf,
        /// When it ends.
        not_after: UnixTime,
        /// Whole days until then; negative when it has passed.
        days_left: i64,
    },
    /// The authority ends soon, or has ended: then nobody accepts anybody.
    Authority {
        /// Its file.
        file: PathBuf,
        /// When it ends.
        not_after: UnixTime,
        /// Whole days until then; negative when it has passed.
        days_left: i64,
    },
    /// The certificate is not valid yet: it, or the clock, is wrong.
    NotYetValid {
        /// Its file.
        file: PathBuf,
        /// When it begins.
        not_before: UnixTime,
    },
    /// The certificate was revoked: every peer that knows refuses us.
    Revoked {
        /// Whose it is.
        name: String,
        /// Its file.
        file: PathBuf,
        /// Its serial number.
        serial: String,
    },
    /// Anybody on this machine may read the private key.
    OpenKey {
        /// Its file.
        file: PathBuf,
    },
    /// The revocation list should have been replaced by a newer one. It is believed all the same.
    OldList {
        /// Its file.
        file: PathBuf,
        /// When it should have been.
        until: UnixTime,
    },
}

impl Warning {
    /// Whether links fail over it already.
    #[must_use]
    pub const fn is_grave(&self) -> bool {
        match self {
            Self::Certificate { days_left, .. } | Self::Authority { days_left, .. } => {
                *days_left < 0
            }
            Self::NotYetValid { .. } | Self::Revoked { .. } => true,
            Self::OpenKey { .. } | Self::OldList { .. } => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Certificate { name, .. } => format!("pubsub-keys renew {name}"),
            Self::Authority { .. } => {
                "make a new authority (`pubsub-keys ca init`), put both into tls.ca everywhere, then \
                 renew the certificates with the new one"
                    .to_owned()
            }
            Self::NotYetValid { .. } => "check the clock of this machine".to_owned(),
            Self::Revoked { name, .. } => format!("pubsub-keys issue {name} --force"),
            Self::OpenKey { file } => format!("chmod 600 {}", file.display()),
            Self::OldList { .. } => "pubsub-keys crl".to_owned(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { name, file, not_after, days_left } => {
                write!(f, "certificate of {name} in {} ", file.display())?;
                ending(f, *not_after, *days_left)
            }
            Self::Authority { file, not_after, days_left } => {
                write!(f, "certificate authority in {} ", file.display())?;
                ending(f, *not_after, *days_left)
            }
            Self::NotYetValid { file, not_before } => {
                write!(f, "certificate in {} begins only {}", file.display(), date(*not_before))
            }
            Self::Revoked { name, file, serial } => {
                write!(
                    f,
                    "certificate of {name} in {} is revoked (serial {serial})",
                    file.display()
                )
            }
            Self::OpenKey { file } => {
                write!(f, "private key in {} can be read by everybody", file.display())
            }
            Self::OldList { file, until } => {
                write!(f, "revocation list in {} is old: due {}", file.display(), date(*until))
            }
        }
    }
}

fn ending(f: &mut fmt::Formatter<'_>, not_after: UnixTime, days: i64) -> fmt::Result {
    let s = if days.unsigned_abs() == 1 { "" } else { "s" };
    match days {
        0.. => write!(f, "is expiring: {days} day{s} left, until {}", date(not_after)),
        _ => write!(f, "expired {}", date(not_after)),
    }
}
