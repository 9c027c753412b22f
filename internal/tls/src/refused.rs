//! Why a peer is refused: a kind to count, a text to read, and what to do about it.

use rustls::CertificateError;
use thiserror::Error;

/// The kinds of refusal, each with a word for logs, audit and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It showed no certificate.
    NoCertificate,
    /// What it showed cannot be read.
    Unreadable,
    /// No authority of ours signed it.
    OtherAuthority,
    /// It has ended.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// The authority that signed it has ended, or has not begun.
    AuthorityExpired,
    /// The authority has taken it back.
    Revoked,
    /// It is for something else than connections.
    WrongUsage,
    /// It is the certificate of an authority.
    CaAsLeaf,
    /// It names nobody, or nobody that could be.
    BadName,
    /// It is fine, and somebody else's.
    WrongPeer,
    /// It is fine, and who showed it has not its key.
    WrongKey,
}

impl Refusal {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Unreadable => "unreadable",
            Self::OtherAuthority => "other_authority",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::AuthorityExpired => "authority_expired",
            Self::Revoked => "revoked",
            Self::WrongUsage => "wrong_usage",
            Self::CaAsLeaf => "ca_as_leaf",
            Self::BadName => "bad_name",
            Self::WrongPeer => "wrong_peer",
            Self::WrongKey => "wrong_key",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NoCertificate => "give the peer tls.cert and tls.key: `pubsub-keys issue NAME`",
            Self::Unreadable => "issue the peer's certificate again: `pubsub-keys issue NAME`",
            Self::OtherAuthority => {
                "use the same tls.ca on both sides, or issue the peer's certificate with this \
                 authority: `pubsub-keys issue NAME`"
            }
            Self::Expired => "renew the peer's certificate: `pubsub-keys renew NAME`",
            Self::NotYetValid => "check the clocks of both machines",
            Self::AuthorityExpired => {
                "make a new authority and put both into tls.ca: `pubsub-keys ca init`"
            }
            Self::Revoked => {
                "if that is a mistake, issue a new one: `pubsub-keys issue NAME --force`"
            }
            Self::WrongUsage | Self::CaAsLeaf | Self::BadName => {
                "issue a certificate for the instance: `pubsub-keys issue NAME`"
            }
            Self::WrongKey => "find out who it is: somebody shows a certificate that is not theirs",
            Self::WrongPeer => "correct the name of the hub in the configuration, or its address",
        }
    }

    /// What the peer is told: the kind, as far as TLS has a word for it.
    pub(crate) fn alert(self) -> CertificateError {
        match self {
            Self::NoCertificate | Self::Unreadable => CertificateError::BadEncoding,
            Self::OtherAuthority | Self::AuthorityExpired => CertificateError::UnknownIssuer,
            Self::Expired => CertificateError::Expired,
            Self::NotYetValid => CertificateError::NotValidYet,
            Self::Revoked => CertificateError::Revoked,
            Self::WrongUsage | Self::CaAsLeaf => CertificateError::InvalidPurpose,
            Self::WrongKey => CertificateError::BadSignature,
            Self::BadName | Self::WrongPeer => CertificateError::ApplicationVerificationFailure,
        }
    }
}

/// A peer's certificate was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("certificate of {claimed}: {text}")]
pub struct Refused {
    /// Which kind of refusal.
    pub kind: Refusal,
    /// Whom the certificate names, fit to be shown. Nobody vouches for it.
    pub claimed: String,
    /// What was wanted and what was found.
    pub text: String,
}

impl Refused {
    pub(crate) fn new(kind: Refusal, claimed: impl Into<String>, text: impl Into<String>) -> Self {
        Self { kind, claimed: claimed.into(), text: text.into() }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        self.kind.advice()
    }
}
