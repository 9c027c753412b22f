//! How the links are doing, for operators: everything that answers "why is it stuck, refused or slow?".

use std::time::Duration;

use pubsub_federation::{LinkStatus, Phase};
use serde::{Deserialize, Serialize};

use super::shard::{LinkEntry, Shard};

/// A hub that is dialled.
#[derive(Clone, Debug)]
pub(crate) struct DialState {
    pub(crate) addr: String,
    pub(crate) phase: DialPhase,
    /// Failures in a row.
    pub(crate) failures: u32,
    pub(crate) last_error: Option<String>,
    /// Connections that were established.
    pub(crate) reconnects: u64,
}

/// What the dialer of a hub does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialPhase {
    Connecting,
    Connected,
    /// Waits to dial again.
    Waiting {
        /// Until when, since the start of the process.
        until: Duration,
    },
}

impl DialState {
    pub(crate) fn new(addr: &str) -> Self {
        Self {
            addr: addr.to_owned(),
            phase: DialPhase::Connecting,
            failures: 0,
            last_error: None,
            reconnects: 0,
        }
    }
}

/// The links of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinksStatus {
    /// This node's name.
    pub name: String,
    /// The listener; `None` when there is none.
    pub hub: Option<HubStatus>,
    /// Every link that is up or shaking hands, and every hub that is dialled and not connected.
    pub links: Vec<LinkReport>,
    /// This node's certificate; `None` without TLS.
    pub certificate: Option<CertificateStatus>,
    /// Lines of the audit log dropped since the start.
    pub audit_dropped: u64,
    /// Why the audit log could not be written last, if it could not.
    pub audit_failure: Option<String>,
}

/// The listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubStatus {
    /// The address listened on.
    pub addr: String,
    /// Connections of peers now.
    pub connections: u64,
    /// Connections that shake hands now.
    pub greeting: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections refused since the start.
    pub rejected: u64,
    /// Peers that may connect.
    pub allowed_peers: Vec<String>,
}

/// A certificate, by its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Whose it is.
    pub name: String,
    /// Seconds until it ends; negative when it has.
    pub ends_in_seconds: i64,
    /// The same of the authority that signed it.
    pub authority_ends_in_seconds: i64,
    /// What should be seen to.
    pub warnings: Vec<String>,
}

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Number of the link; 0 for a hub that is not connected.
    pub id: u64,
    /// The peer's name, once it is known.
    pub peer: String,
    /// Its address; of a hub, as configured.
    pub addr: String,
    /// Whether the peer dialled us.
    pub inbound: bool,
    /// In what state it is.
    pub state: LinkState,
    /// Seconds since it began.
    pub up_seconds: u64,
    /// Milliseconds until the hub is dialled again.
    pub retry_in_ms: Option<u64>,
    /// Failures to connect in a row.
    pub failures: u32,
    /// Why it last failed or ended.
    pub last_error: Option<String>,
    /// Connections to this hub that were established before.
    pub reconnects: u64,
    /// Time of a heartbeat there and back, in microseconds.
    pub round_trip_us: Option<u64>,
    /// Bytes sent that the peer has yet to acknowledge.
    pub unacked_bytes: u64,
    /// Limit of that.
    pub window_bytes: u64,
    /// What crossed it.
    pub traffic: Traffic,
    /// Channels sent.
    pub sending: Vec<ChannelFlow>,
    /// Channels received.
    pub receiving: Vec<ChannelFlow>,
}

/// In what state a link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It is being made.
    #[default]
    Connecting,
    /// Names and lists are exchanged.
    Greeting,
    /// Channels flow.
    Established,
    /// It waits to be dialled again.
    Waiting,
}

/// What crossed a link since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Messages sent.
    pub messages_sent: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Messages not sent because the peer had been through them.
    pub echoes_dropped: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Of those, messages stored.
    pub stored: u64,
    /// Of those, messages that were here already.
    pub duplicates: u64,
    /// Of those, messages that had been here before: a loop.
    pub looped: u64,
    /// Of those, messages that the peer may not send.
    pub refused: u64,
    /// Messages that were lost before they could be sent or received.
    pub gaps: u64,
}

/// One channel on a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelFlow {
    /// The channel.
    pub channel: String,
    /// Whether it flows; else it waits for the other side.
    pub flowing: bool,
    /// Whether it waits at a message that is too large for the peer.
    pub held: bool,
    /// Sequence in the sender's log up to which it was sent or received.
    pub position: u64,
    /// The same, stored by the receiver.
    pub committed: u64,
    /// The same, synced by the receiver.
    pub durable: u64,
    /// Messages behind the end of the sender's log; of what we send.
    pub lag_messages: Option<u64>,
    /// Milliseconds since the oldest of them was published.
    pub lag_ms: Option<u64>,
}

impl Shard {
    /// How everything is doing.
    pub(crate) fn status(&self) -> LinksStatus {
        let mut links: Vec<LinkReport> =
            self.entries().iter().map(|entry| self.report(entry)).collect();
        for state in self.dials.borrow().iter() {
            let state = state.borrow();
            if state.phase == DialPhase::Connected {
                continue;
            }
            let (phase, retry) = match state.phase {
                DialPhase::Waiting { until } => {
                    let left = until.saturating_sub(Self::now());
                    (LinkState::Waiting, Some(millis(left)))
                }
                DialPhase::Connecting | DialPhase::Connected => (LinkState::Connecting, None),
            };
            links.push(LinkReport {
                addr: state.addr.clone(),
                state: phase,
                retry_in_ms: retry,
                failures: state.failures,
                last_error: state.last_error.clone(),
                reconnects: state.reconnects,
                ..LinkReport::default()
            });
        }
        let audit = self.audit.stats();
        LinksStatus {
            name: self.settings.session.name.to_string(),
            hub: self.settings.hub.as_ref().map(|hub| self.hub_status(&hub.listen_addr)),
            links,
            certificate: self.certificate(),
            audit_dropped: audit.dropped,
            audit_failure: audit.failure,
        }
    }

    fn hub_status(&self, addr: &str) -> HubStatus {
        let links = self.links.borrow();
        let peers = self.peers.borrow();
        HubStatus {
            addr: addr.to_owned(),
            connections: links.values().filter(|link| link.inbound).count() as u64,
            greeting: self.counters.greeting.get() as u64,
            accepted: self.counters.accepted.get(),
            rejected: self.counters.rejected.get(),
            allowed_peers: peers.policy.peers().map(|(name, _)| name.to_string()).collect(),
        }
    }

    fn certificate(&self) -> Option<CertificateStatus> {
        let tls = self.tls.as_ref()?.current();
        let now = super::watch::unix_now();
        let identity = tls.identity();
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        let seconds =
            |end: pubsub_tls::UnixTime| signed(end.as_secs()).saturating_sub(signed(now.as_secs()));
        Some(CertificateStatus {
            name: identity.name.clone(),
            ends_in_seconds: seconds(identity.not_after),
            authority_ends_in_seconds: seconds(identity.ca_not_after),
            warnings: tls.warnings(now).iter().map(ToString::to_string).collect(),
        })
    }

    fn report(&self, entry: &LinkEntry) -> LinkReport {
        let status = entry.machine.borrow().status();
        let dial = entry.hub.as_ref().and_then(|hub| {
            let dials = self.dials.borrow();
            let state = dials.iter().find(|state| state.borrow().addr == *hub)?;
            let state = state.borrow().clone();
            Some(state)
        });
        let counters = &entry.counters;
        LinkReport {
            id: entry.id.0,
            peer: entry.peer.borrow().as_ref().map(ToString::to_string).unwrap_or_default(),
            addr: entry.hub.clone().unwrap_or_else(|| entry.addr.clone()),
            inbound: entry.inbound,
            state: match status.phase {
                Phase::Established => LinkState::Established,
                Phase::Greeting | Phase::Closed => LinkState::Greeting,
            },
            up_seconds: Self::now().saturating_sub(entry.since).as_secs(),
            retry_in_ms: None,
            failures: 0,
            last_error: dial.as_ref().and_then(|dial| dial.last_error.clone()),
            reconnects: dial.as_ref().map_or(0, |dial| dial.reconnects),
            round_trip_us: status
                .round_trip
                .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            unacked_bytes: status.in_flight_bytes,
            window_bytes: status.window_bytes,
            traffic: Traffic {
                messages_sent: status.counters.messages_sent,
                bytes_sent: status.counters.bytes_sent,
                echoes_dropped: status.counters.echoes_dropped,
                messages_received: status.counters.messages_received,
                bytes_received: status.counters.bytes_received,
                stored: counters.stored.get(),
                duplicates: counters.duplicates.get(),
                looped: counters.looped.get(),
                refused: counters.refused.get(),
                gaps: counters.gaps.get(),
            },
            sending: self.sending(&status),
            receiving: receiving(&status),
        }
    }

    fn sending(&self, status: &LinkStatus) -> Vec<ChannelFlow> {
        let now = crate::clock::now();
        let flow = |sending: &pubsub_federation::Sending| {
            let channel = self.existing(&sending.channel).ok();
            let lag = channel.as_ref().map(|it| it.last_seq().saturating_sub(sending.committed));
            // One message is read, of those that nobody acknowledged.
            let oldest = channel.filter(|_| lag.is_some_and(|lag| lag > 0)).and_then(|channel| {
                let mut reader = channel.reader(sending.committed);
                match reader.read(1, 1).ok()?.into_iter().next()? {
                    pubsub_storage::Item::Record(record) => Some(record.time),
                    pubsub_storage::Item::Gap { .. } => None,
                }
            });
            ChannelFlow {
                channel: sending.channel.to_string(),
                flowing: sending.subscribed,
                held: sending.held,
                position: sending.sent,
                committed: sending.committed,
                durable: sending.durable,
                lag_messages: lag,
                lag_ms: oldest.map(|time| millis(now.since(time))),
            }
        };
        status.sending.iter().map(flow).collect()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn receiving(status: &LinkStatus) -> Vec<ChannelFlow> {
    let flow = |receiving: &pubsub_federation::Receiving| ChannelFlow {
        channel: receiving.channel.to_string(),
        flowing: receiving.subscribed,
        position: receiving.received,
        committed: receiving.committed,
        durable: receiving.durable,
        ..ChannelFlow::default()
    };
    status.receiving.iter().map(flow).collect()
}
