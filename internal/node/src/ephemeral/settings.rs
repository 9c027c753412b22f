//! What a client without files is told.

use std::time::Duration;

use pubsub_config::{LinkStart, TlsConfig};
use pubsub_federation::{Backoff, InvalidNodeName, Lists, NodeName, SessionConfig};
use pubsub_types::Filter;
use uuid::Uuid;

use crate::link::settings::{DialSettings, tls};
use crate::link::socket::Spoken;

/// What a client without files is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the hub: host:port or `[IPv6]:port`.
    pub hub: String,
    /// Name wanted in the hub's certificate; any name of the authority's when there is none.
    pub hub_name: Option<String>,
    /// This instance's name, as in its certificate.
    pub name: String,
    /// Certificate, key and authority; `None` connects without TLS.
    pub tls: Option<TlsConfig>,
    /// How a lost connection is made again; `None` leaves it lost.
    pub reconnect: Option<Reconnect>,
    /// Bytes of a batch, about; 1 KiB to 256 KiB (clamped).
    pub batch_bytes: usize,
    /// Largest message taken from the hub, in bytes.
    pub message_max_bytes: usize,
    /// Messages that may wait to be sent; at least one.
    pub queue_messages: usize,
    /// Bytes that they may have together.
    pub queue_bytes: usize,
}

/// How a lost connection is made again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reconnect {
    /// First wait; doubled for each further one.
    pub base: Duration,
    /// Longest wait.
    pub max: Duration,
    /// Part of each wait that is random; 0 to 1.
    pub jitter: f64,
}

impl Settings {
    pub(super) fn tls(&self) -> Option<pubsub_tls::Settings> {
        self.tls.as_ref().map(|files| tls(files, &self.name))
    }

    pub(super) fn dial(&self) -> DialSettings {
        DialSettings {
            addr: self.hub.clone(),
            lists: Lists::default(),
            name: self.hub_name.clone(),
            start: LinkStart::New,
            spoken: Spoken::Pubsub,
            plain: self.tls.is_none(),
        }
    }

    pub(super) fn session(&self) -> Result<SessionConfig, InvalidNodeName> {
        Ok(SessionConfig {
            node: Uuid::nil(),
            ephemeral: true,
            batch_bytes: self.batch_bytes,
            message_max_bytes: self.message_max_bytes,
            // Whether it is used is the hub's choice.
            lz4: true,
            ..SessionConfig::new(NodeName::new(&self.name)?)
        })
    }

    pub(super) fn backoff(&self) -> Backoff {
        let never = Reconnect { base: Duration::ZERO, max: Duration::ZERO, jitter: 0.0 };
        let Reconnect { base, max, jitter } = self.reconnect.unwrap_or(never);
        Backoff::new(base, max, jitter)
    }
}

/// Every channel: what may be published is for the hub to say.
pub(super) fn everything() -> Vec<Filter> {
    vec![Filter::new(">").expect("a filter that matches everything")]
}
