//! Our own material: certificate, key and authority, read together and checked against each other.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ConfigBuilder, ConfigSide, InconsistentKeys, ServerConfig, WantsVerifier,
    WantsVersions,
};
use rustls_pki_types::UnixTime;

use crate::certificate::Certificate;
use crate::error::TlsError;
use crate::files::{self, Contents, Part};
use crate::handshake::{Handshake, Judge};
use crate::identity::{Identity, Warning};
use crate::refused::{Refusal, Refused};
use crate::text::{days_between, printable};
use crate::trust::{Peer, Trust};

/// Oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2, for peers that know no better.
    V1_2,
    /// TLS 1.3.
    #[default]
    V1_3,
}

/// Where the files are, and what is wanted of them. The files are PEM, and may be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our certificate, and those between it and the authority if there are any.
    pub cert: PathBuf,
    /// Our private key, not encrypted.
    pub key: PathBuf,
    /// The authorities that peers' certificates must be from; several while one takes over.
    pub ca: PathBuf,
    /// The authorities' lists of revoked certificates.
    pub crl: Option<PathBuf>,
    /// The name that our certificate must have; any when `None`.
    pub name: Option<String>,
    /// Oldest version of TLS that is spoken.
    pub min_version: MinVersion,
    /// Days before an end from which [`Tls::warnings`] speaks of it.
    pub expiry_warn_days: u32,
}

/// Everything a handshake needs. It never changes; see [`Reloading`] for what does.
///
/// [`Reloading`]: crate::Reloading
pub struct Tls {
    settings: Settings,
    identity: Identity,
    own: Arc<CertifiedKey>,
    resolver: Arc<SingleCertAndKey>,
    trust: Arc<Trust>,
    provider: Arc<CryptoProvider>,
    key_is_open: bool,
}

impl Tls {
    /// Reads the files and checks that they fit together: the key is the certificate's, an authority
    /// of ours signed it, it is for connections, and it has the name that is wanted.
    ///
    /// A certificate that has ended, has not begun or was revoked is taken all the same, with a
    /// [`Warning`]: the node works without links until there is a better one.
    ///
    /// # Errors
    /// What does not fit, in which file, and what to do.
    pub fn load(settings: &Settings) -> Result<Self, TlsError> {
        Self::from_contents(settings, &Contents::read(settings)?)
    }

    pub(crate) fn from_contents(
        settings: &Settings,
        contents: &Contents,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let lists = settings.crl.as_deref().zip(contents.crl.as_deref());
        let trust = Trust::from_pem(&settings.ca, &contents.ca, lists)?;
        let own = own_key(settings, contents, &provider)?;
        let identity = identity(settings, &own, &trust)?;
        Ok(Self {
            settings: settings.clone(),
            identity,
            resolver: Arc::new(SingleCertAndKey::from(own.clone())),
            own,
            trust: Arc::new(trust),
            provider,
            key_is_open: contents.key_is_open,
        })
    }

    /// Who we are.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whom we believe.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What one connection that comes in needs.
    #[must_use]
    pub fn accept(&self) -> Handshake<ServerConfig> {
        let judge = Judge::new(self.trust.clone(), None, &self.provider);
        let builder = ServerConfig::builder_with_provider(self.provider.clone());
        let mut config = with_versions(builder, self.settings.min_version)
            .with_client_cert_verifier(judge.clone())
            .with_cert_resolver(self.resolver.clone());
        // A session that is resumed would not be judged again, and might outlive a revocation.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.require_ems = true;
        Handshake::new(config, None, judge)
    }

    /// What one connection to `host` needs; `wanted` is the name that the peer's certificate must
    /// have, any when `None`. The host is told to the peer, and checked against nothing.
    #[must_use]
    pub fn dial(&self, host: &str, wanted: Option<&str>) -> Handshake<ClientConfig> {
        let judge = Judge::new(self.trust.clone(), wanted.map(str::to_owned), &self.provider);
        let builder = ClientConfig::builder_with_provider(self.provider.clone());
        let mut config = with_versions(builder, self.settings.min_version)
            .dangerous()
            .with_custom_certificate_verifier(judge.clone())
            .with_client_cert_resolver(self.resolver.clone());
        config.resumption = Resumption::disabled();
        config.require_ems = true;
        Handshake::new(config, Some(host), judge)
    }

    /// Judges the peer of a living link again: after the authority, its list or the time has changed.
    ///
    /// # Errors
    /// Why it is trusted no longer.
    pub fn is_still_trusted(&self, peer: &Peer, now: UnixTime) -> Result<(), Refused> {
        self.trust.check(peer.chain(), now).map(drop)
    }

    /// What should be seen to, the gravest first.
    #[must_use]
    pub fn warnings(&self, now: UnixTime) -> Vec<Warning> {
        let (own, settings) = (&self.identity, &self.settings);
        let soon = |end| {
            let days_left = days_between(now, end);
            (now > end || days_left < i64::from(settings.expiry_warn_days)).then_some(days_left)
        };
        let certificate = soon(own.not_after).map(|days_left| Warning::Certificate {
            name: own.name.clone(),
            file: settings.cert.clone(),
            not_after: own.not_after,
            days_left,
        });
        let authority = soon(own.ca_not_after).map(|days_left| Warning::Authority {
            file: settings.ca.clone(),
            not_after: own.ca_not_after,
            days_left,
        });
        let early = (now < own.not_before).then(|| Warning::NotYetValid {
            file: settings.cert.clone(),
            not_before: own.not_before,
        });
        let open = self.key_is_open.then(|| Warning::OpenKey { file: settings.key.clone() });
        let old = self.trust.lists_until().filter(|until| *until < now);
        let old =
            old.zip(settings.crl.clone()).map(|(until, file)| Warning::OldList { file, until });
        let found = [self.revoked(now), certificate, authority, early, open, old];
        let mut found: Vec<_> = found.into_iter().flatten().collect();
        found.sort_by_key(|warning| !warning.is_grave());
        found
    }

    fn revoked(&self, now: UnixTime) -> Option<Warning> {
        // Asked at an instant at which nothing else can be said against it.
        let within = now.clamp(self.identity.not_before, self.identity.not_after);
        let refused = self.trust.check(&self.own.cert, within).err()?;
        (refused.kind == Refusal::Revoked).then(|| Warning::Revoked {
            name: self.identity.name.clone(),
            file: self.settings.cert.clone(),
            serial: self.identity.serial.clone(),
        })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// A configuration of the versions that are spoken.
fn with_versions<S: ConfigSide>(
    builder: ConfigBuilder<S, WantsVersions>,
    oldest: MinVersion,
) -> ConfigBuilder<S, WantsVerifier> {
    let versions: &[_] = match oldest {
        MinVersion::V1_3 => &[&TLS13],
        MinVersion::V1_2 => &[&TLS13, &TLS12],
    };
    builder.with_protocol_versions(versions).expect("the provider has both versions")
}

/// Our certificate with its key.
fn own_key(
    settings: &Settings,
    contents: &Contents,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let malformed = |part: Part, file: &PathBuf, reason: &dyn fmt::Display| TlsError::Malformed {
        what: part.what(),
        file: file.clone(),
        reason: printable(&reason.to_string()),
    };
    let mut chain = files::certificates(Part::Certificate, &settings.cert, &contents.cert)?;
    // The authority itself may stand in the same file. Peers have it, and need not be told.
    let authorities = files::certificates(Part::Authority, &settings.ca, &contents.ca)?;
    let leaf = chain.remove(0);
    chain.retain(|der| *der != leaf && !authorities.contains(der));
    chain.insert(0, leaf);
    let key = files::private_key(&settings.key, &contents.key)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| malformed(Part::Key, &settings.key, &error))?;
    let own = CertifiedKey::new(chain, key);
    match own.keys_match() {
        Ok(()) => Ok(Arc::new(own)),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let (cert, key) = (settings.cert.clone(), settings.key.clone());
            Err(TlsError::KeyMismatch { cert, key })
        }
        Err(error) => Err(malformed(Part::Certificate, &settings.cert, &error)),
    }
}

/// Who our certificate makes us, when it can make us somebody.
fn identity(settings: &Settings, own: &CertifiedKey, trust: &Trust) -> Result<Identity, TlsError> {
    let facts = Certificate::read(&own.cert[0]).map_err(|reason| TlsError::Malformed {
        what: Part::Certificate.what(),
        file: settings.cert.clone(),
        reason: printable(&reason),
    })?;
    let authority = trust.check_own(&facts, &own.cert).map_err(|refused| TlsError::Unfit {
        file: settings.cert.clone(),
        ca: settings.ca.clone(),
        refused,
    })?;
    let name = facts.name().expect("check_own has looked at it");
    if let Some(wanted) = settings.name.as_deref().filter(|wanted| *wanted != name) {
        return Err(TlsError::NameMismatch {
            file: settings.cert.clone(),
            found: name.to_owned(),
            wanted: wanted.to_owned(),
        });
    }
    Ok(Identity {
        name: name.to_owned(),
        not_before: facts.not_before,
        not_after: facts.not_after,
        ca_not_after: authority.not_after,
        serial: facts.serial,
        fingerprint: facts.fingerprint,
    })
}
