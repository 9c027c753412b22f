//! What a configuration means to the links of a node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pubsub_config::{
    Compression, Config, Insecure, LinkProtocol, LinkStart, TlsConfig, TlsVersion,
};
use pubsub_federation::{
    Backoff, FRAME_MAX_BYTES, InvalidNodeName, Lists, NodeName, PeerPolicy, Policy, SessionConfig,
};
use pubsub_tls::MinVersion;
use pubsub_types::Filter;

use super::socket::Spoken;

/// Everything that the links of a node are told.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    pub(crate) hub: Option<HubSettings>,
    pub(crate) hubs: Vec<DialSettings>,
    pub(crate) tls: Option<pubsub_tls::Settings>,
    pub(crate) session: SessionConfig,
    pub(crate) reconnect: (Duration, Duration, f64),
    /// Ids of messages remembered.
    pub(crate) seen_ids: usize,
    pub(crate) audit: pubsub_audit::Limits,
    /// Whether every message is logged.
    pub(crate) audit_forwards: bool,
    /// The file that the list of allowed peers came from, to be looked at again.
    pub(crate) file: Option<PathBuf>,
}

/// The listener, and who may connect.
#[derive(Clone, Debug)]
pub(crate) struct HubSettings {
    /// As configured: host:port, [IPv6]:port or :port.
    pub(crate) listen_addr: String,
    pub(crate) peers: Peers,
    pub(crate) max_connections: usize,
    pub(crate) plain: bool,
    /// Time until the position of a peer that stays away is forgotten; `None` never forgets.
    pub(crate) forget_after: Option<Duration>,
}

/// A hub to dial.
#[derive(Clone, Debug)]
pub(crate) struct DialSettings {
    /// host:port or [IPv6]:port.
    pub(crate) addr: String,
    pub(crate) lists: Lists,
    /// Name wanted in its certificate.
    pub(crate) name: Option<String>,
    pub(crate) start: LinkStart,
    pub(crate) spoken: Spoken,
    pub(crate) plain: bool,
}

/// The allowlist, and what else is said of each peer in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peers {
    pub(crate) policy: Policy,
    pub(crate) shares: std::collections::BTreeMap<NodeName, Share>,
}

/// What a peer may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    pub(crate) start: LinkStart,
    pub(crate) max_connections: usize,
    /// Messages a second; `None` is no limit.
    pub(crate) rate: Option<u64>,
}

/// Links cannot be made of this configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The name of this instance, or of a peer, cannot be one on a link.
    #[error(transparent)]
    Name(#[from] InvalidNodeName),
}

impl LinkSettings {
    /// What `config` says of links, or `None` when there are none. `config` must be valid.
    ///
    /// # Errors
    /// A name is none that can be said on a link.
    pub fn from_config(config: &Config) -> Result<Option<Self>, SettingsError> {
        if !config.hub.enabled && !config.client.enabled {
            return Ok(None);
        }
        let hub = if config.hub.enabled { Some(hub(config)?) } else { None };
        let hubs: Vec<DialSettings> = match config.client.enabled {
            true => config.client.hubs.iter().map(dial).collect(),
            false => Vec::new(),
        };
        let needs_tls =
            hub.as_ref().is_some_and(|hub| !hub.plain) || hubs.iter().any(|hub| !hub.plain);
        let federation = &config.federation;
        let limit = usize::try_from(config.storage.max_record_bytes).unwrap_or(usize::MAX);
        let session = SessionConfig {
            batch_bytes: usize::try_from(federation.max_batch_bytes)
                .map_or(FRAME_MAX_BYTES, |bytes| bytes.min(FRAME_MAX_BYTES)),
            message_max_bytes: limit,
            window_bytes: federation.window_bytes,
            heartbeat: Duration::from_millis(federation.heartbeat_ms),
            lz4: federation.compression == Compression::Lz4,
            ..SessionConfig::new(NodeName::new(&config.name)?)
        };
        Ok(Some(Self {
            hub,
            hubs,
            tls: needs_tls.then(|| tls(&config.tls, &config.name)),
            session,
            reconnect: (
                Duration::from_millis(federation.reconnect_base_ms),
                Duration::from_millis(federation.reconnect_max_ms),
                federation.reconnect_jitter,
            ),
            seen_ids: usize::try_from(config.dedup.seen_id_lru_size).unwrap_or(usize::MAX),
            audit_forwards: config.audit.forwards,
            audit: pubsub_audit::Limits {
                max_size_bytes: config.audit.max_size_mb.saturating_mul(1 << 20),
                max_files: config.audit.max_files,
            },
            file: None,
        }))
    }

    /// Says which file the list of allowed peers came from: it is read again when it changes.
    #[must_use]
    pub fn with_file(self, file: Option<&Path>) -> Self {
        Self { file: file.map(Path::to_owned), ..self }
    }

    pub(crate) fn backoff(&self) -> Backoff {
        let (base, max, jitter) = self.reconnect;
        Backoff::new(base, max, jitter)
    }
}

impl Peers {
    /// The list of allowed peers of `config`.
    ///
    /// # Errors
    /// A name is none that can be said on a link.
    pub fn from_config(config: &Config) -> Result<Self, SettingsError> {
        let mut policies = Vec::new();
        let mut peers = Self::default();
        for peer in &config.hub.allowed_peers {
            let name = NodeName::new(&peer.name)?;
            let share = Share {
                start: peer.start,
                max_connections: usize::try_from(peer.max_connections).unwrap_or(usize::MAX),
                rate: (peer.max_messages_per_second > 0).then_some(peer.max_messages_per_second),
            };
            peers.shares.insert(name.clone(), share);
            let policy = PeerPolicy {
                subscribe: filters(&peer.subscribe),
                publish: filters(&peer.publish),
                ..PeerPolicy::default()
            };
            policies.push((name, policy));
        }
        peers.policy = Policy::new(policies);
        Ok(peers)
    }

    /// What a peer may use.
    pub(crate) fn share(&self, name: &NodeName) -> Share {
        let one = Share { start: LinkStart::New, max_connections: 1, rate: None };
        self.shares.get(name).copied().unwrap_or(one)
    }
}

impl HubSettings {
    /// The address to listen on, in the spelling of the system.
    pub(crate) fn bind_addr(&self) -> String {
        match self.listen_addr.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => self.listen_addr.clone(),
        }
    }
}

impl DialSettings {
    /// The host, without brackets.
    pub(crate) fn host(&self) -> &str {
        let host = self.addr.rsplit_once(':').map_or(self.addr.as_str(), |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

fn hub(config: &Config) -> Result<HubSettings, SettingsError> {
    Ok(HubSettings {
        listen_addr: config.hub.listen_addr.clone(),
        peers: Peers::from_config(config)?,
        max_connections: usize::try_from(config.hub.max_connections).unwrap_or(usize::MAX),
        plain: config.hub.insecure != Insecure::No,
        forget_after: Some(config.hub.fed_client_offset_ttl).filter(|ttl| !ttl.is_zero()),
    })
}

fn dial(hub: &pubsub_config::ClientHub) -> DialSettings {
    DialSettings {
        addr: hub.addr.clone(),
        lists: Lists { subscribe: filters(&hub.subscribe), publish: filters(&hub.publish) },
        name: (!hub.name.is_empty()).then(|| hub.name.clone()),
        start: hub.start,
        spoken: match hub.protocol {
            LinkProtocol::Pubsub => Spoken::Pubsub,
            LinkProtocol::Keyop => Spoken::Keyop,
        },
        plain: hub.insecure != Insecure::No,
    }
}

/// Where the instance called `name` has its certificate, and whom it trusts.
pub(crate) fn tls(tls: &TlsConfig, name: &str) -> pubsub_tls::Settings {
    pubsub_tls::Settings {
        cert: PathBuf::from(&tls.cert),
        key: PathBuf::from(&tls.key),
        ca: PathBuf::from(&tls.ca),
        crl: (!tls.crl.is_empty()).then(|| PathBuf::from(&tls.crl)),
        name: Some(name.to_owned()),
        min_version: match tls.min_version {
            TlsVersion::V1_2 => MinVersion::V1_2,
            TlsVersion::V1_3 => MinVersion::V1_3,
        },
        expiry_warn_days: tls.expiry_warn_days,
    }
}

/// The configuration was checked: what is no filter is not in it.
fn filters(texts: &[String]) -> Vec<Filter> {
    texts.iter().filter_map(|text| Filter::new(text).ok()).collect()
}
