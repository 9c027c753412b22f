//! One handshake: its configuration, the judge of the peer, and what became of it.
//!
//! ```text
//!   Handshake ── config ──▶ rustls ──▶ judge ──▶ verdict ─────╮
//!        ╰──────────── peer(), explain() ◀────────────────────╯
//! ```
//!
//! Each handshake has a configuration of its own, so that the judge can leave behind why it refused:
//! rustls has room for a kind only, which is what the peer is told.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    AlertDescription, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use thiserror::Error as ThisError;

use crate::certificate::Certificate;
use crate::refused::{Refusal, Refused};
use crate::trust::{Peer, Trust};

/// The configuration of one connection, and afterwards what is known of its peer.
///
/// Keep it as long as the connection: under TLS 1.3 a dialer learns only from its first read that it
/// was refused, and [`Handshake::explain`] knows the text for it.
pub struct Handshake<C> {
    config: Arc<C>,
    server_name: Option<ServerName<'static>>,
    judge: Arc<Judge>,
}

/// Why there is no connection.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum HandshakeError {
    /// We refuse the peer.
    #[error("we refuse the peer: {0}")]
    Refused(#[from] Refused),
    /// The peer refuses us.
    #[error("the peer refuses us: {text}")]
    RefusedByPeer {
        /// A word for it, for logs, audit and metrics.
        code: &'static str,
        /// What the peer says.
        text: String,
    },
    /// There is no version of TLS that both speak.
    #[error("the peer speaks no TLS that we speak: {0}")]
    Version(String),
    /// What came is not TLS, or was damaged on its way.
    #[error("the peer does not speak TLS: {0}")]
    NotTls(String),
    /// The peer broke the rules of TLS, or the library failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(Arc<io::Error>),
}

impl HandshakeError {
    /// A word for it, for logs, audit and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.kind.as_str(),
            Self::RefusedByPeer { code, .. } => code,
            Self::Version(_) => "tls_version",
            Self::NotTls(_) => "not_tls",
            Self::Tls(_) => "tls",
            Self::Io(_) => "connection",
        }
    }

    /// What to do about it; empty when nothing is known to help.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.advice(),
            Self::RefusedByPeer { code, .. } => advice_when_refused(code),
            Self::Version(_) => "let the peer speak TLS 1.3, or set tls.min_version to \"1.2\"",
            Self::NotTls(_) => "check the address, and that TLS is on at both ends",
            Self::Tls(_) | Self::Io(_) => "",
        }
    }
}

impl<C> Handshake<C> {
    pub(crate) fn new(config: C, host: Option<&str>, judge: Arc<Judge>) -> Self {
        Self { config: Arc::new(config), server_name: host.map(server_name), judge }
    }

    /// The configuration, for this connection and no other.
    #[must_use]
    pub fn config(&self) -> Arc<C> {
        self.config.clone()
    }

    /// Who the peer is, once the handshake is done.
    ///
    /// # Errors
    /// The handshake is not done, or the peer was refused.
    pub fn peer(&self, connection: &CommonState) -> Result<Peer, HandshakeError> {
        if let Some(refused) = self.judge.verdict.get() {
            return Err(refused.clone().into());
        }
        if connection.is_handshaking() {
            return Err(HandshakeError::Tls("the handshake is not done".to_owned()));
        }
        Ok(Peer::of(connection.peer_certificates().unwrap_or_default())?)
    }

    /// Why reading, writing or shaking hands failed: the cause, where TLS is the cause.
    #[must_use]
    pub fn explain(&self, error: io::Error) -> HandshakeError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(inner) => self.explain_tls(inner),
            None => HandshakeError::Io(Arc::new(error)),
        }
    }

    /// The same for an error of rustls itself.
    #[must_use]
    pub fn explain_tls(&self, error: &Error) -> HandshakeError {
        match (self.judge.verdict.get(), error) {
            (Some(refused), _) => refused.clone().into(),
            (None, Error::NoCertificatesPresented) => {
                Refused::new(Refusal::NoCertificate, "a peer", "it showed none").into()
            }
            (None, Error::AlertReceived(alert)) => refused_by_peer(*alert),
            (None, Error::InvalidMessage(what)) => HandshakeError::NotTls(format!("{what:?}")),
            (None, Error::PeerIncompatible(what)) => incompatible(what),
            (None, error) => HandshakeError::Tls(error.to_string()),
        }
    }
}

impl Handshake<ClientConfig> {
    /// What rustls has to be given as the name of the peer. It plays no part in the judgement.
    #[must_use]
    pub fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone().unwrap_or_else(|| server_name(""))
    }
}

impl<C> fmt::Debug for Handshake<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("judge", &self.judge).finish_non_exhaustive()
    }
}

/// The host as TLS may name it. An address is not told to the peer; neither is what is no host.
fn server_name(host: &str) -> ServerName<'static> {
    let nobody = ServerName::from(IpAddr::from([0, 0, 0, 0]));
    ServerName::try_from(host.to_owned()).unwrap_or(nobody)
}

fn refused_by_peer(alert: AlertDescription) -> HandshakeError {
    let (code, text) = match alert {
        AlertDescription::CertificateExpired => {
            ("peer_says_expired", "our certificate has ended, or not begun, by its clock")
        }
        AlertDescription::CertificateRevoked => {
            ("peer_says_revoked", "our certificate was revoked")
        }
        AlertDescription::UnknownCA => {
            ("peer_says_other_authority", "our certificate is from an authority it does not know")
        }
        AlertDescription::UnsupportedCertificate => {
            ("peer_says_wrong_usage", "our certificate is not for connections of instances")
        }
        AlertDescription::AccessDenied => {
            ("peer_says_wrong_name", "our certificate names somebody it does not want")
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => {
            ("peer_says_bad_certificate", "our certificate is not acceptable")
        }
        AlertDescription::CertificateRequired => {
            ("peer_says_no_certificate", "we showed no certificate")
        }
        AlertDescription::ProtocolVersion => {
            return HandshakeError::Version("it says so".to_owned());
        }
        other => return HandshakeError::Tls(format!("the peer sent the alert {other:?}")),
    };
    HandshakeError::RefusedByPeer { code, text: text.to_owned() }
}

fn advice_when_refused(code: &str) -> &'static str {
    match code {
        "peer_says_expired" => {
            "renew our certificate (`pubsub-keys renew NAME`), check both clocks"
        }
        "peer_says_revoked" => "issue a new certificate: `pubsub-keys issue NAME --force`",
        "peer_says_other_authority" => "use the same tls.ca on both sides",
        "peer_says_wrong_name" => "let the name that the peer wants agree with our certificate",
        _ => "issue our certificate again: `pubsub-keys issue NAME --force`",
    }
}

fn incompatible(what: &PeerIncompatible) -> HandshakeError {
    match what {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired => {
            HandshakeError::Version(format!("{what:?}"))
        }
        other => HandshakeError::Tls(format!("nothing in common: {other:?}")),
    }
}

/// Judges the peer of one handshake, and remembers why not.
pub(crate) struct Judge {
    trust: Arc<Trust>,
    wanted: Option<String>,
    algorithms: WebPkiSupportedAlgorithms,
    verdict: OnceLock<Refused>,
}

impl Judge {
    pub(crate) fn new(
        trust: Arc<Trust>,
        wanted: Option<String>,
        provider: &CryptoProvider,
    ) -> Arc<Self> {
        let algorithms = provider.signature_verification_algorithms;
        Arc::new(Self { trust, wanted, algorithms, verdict: OnceLock::new() })
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain: Vec<_> = [leaf].into_iter().chain(intermediates).cloned().collect();
        self.find(&chain, now).map_err(|refused| {
            let alert = refused.kind.alert();
            self.verdict.get_or_init(|| refused);
            Error::InvalidCertificate(alert)
        })
    }

    /// The outcome of the proof that the peer has the key of its certificate.
    fn noted(
        &self,
        proven: Result<HandshakeSignatureValid, Error>,
        cert: &CertificateDer<'_>,
    ) -> Result<HandshakeSignatureValid, Error> {
        proven.inspect_err(|error| {
            let claimed = Certificate::read(cert).map(|facts| facts.shown_name());
            let text = format!("who showed it did not prove to have its key: {error}");
            let claimed = claimed.unwrap_or_default();
            self.verdict.get_or_init(|| Refused::new(Refusal::WrongKey, claimed, text));
        })
    }

    fn find(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Refused> {
        let peer = self.trust.check(chain, now)?;
        match &self.wanted {
            Some(wanted) if *wanted != peer.name => {
                let text = format!("wanted the instance {wanted}, found {}", peer.name);
                Err(Refused::new(Refusal::WrongPeer, peer.name, text))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Judge");
        shown.field("wanted", &self.wanted).field("verdict", &self.verdict).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Judge {
    /// None: the names of our authorities are nobody's business before the handshake.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let proven = verify_tls12_signature(message, cert, dss, &self.algorithms);
        self.noted(proven, cert)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let proven = verify_tls13_signature(message, cert, dss, &self.algorithms);
        self.noted(proven, cert)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let proven = verify_tls12_signature(message, cert, dss, &self.algorithms);
        self.noted(proven, cert)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let proven = verify_tls13_signature(message, cert, dss, &self.algorithms);
        self.noted(proven, cert)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
