//! What can happen on a link that somebody may ask about later.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::Ids;

/// Something that happened.
///
/// Texts may come from a stranger: they are escaped and cut to [`TEXT_MAX_BYTES`] when written.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A listener let a peer in.
    ClientConnected {
        /// Who.
        peer: Peer,
        /// The channels it will be sent, as granted.
        subscribe: Vec<String>,
        /// The channels it may send to, as granted.
        publish: Vec<String>,
    },
    /// A listener turned a peer away.
    ClientRejected {
        /// Who; without a name when it did not prove one.
        peer: Peer,
        /// Why.
        reason: String,
    },
    /// A dialer reached a hub, or failed to do so.
    PeerConnected {
        /// Whom.
        peer: Peer,
        /// `None` when it succeeded.
        failed: Option<Attempt>,
    },
    /// A link ended; both ends log it.
    PeerDisconnected {
        /// To whom.
        peer: Peer,
        /// How long it was up.
        up: Duration,
        /// Bytes sent whose acknowledgement never came; `None` on the side that did not send.
        unacked_bytes: Option<u64>,
        /// Why; empty when it ended in order.
        reason: String,
    },
    /// Messages crossed: logged by the receiver when they are committed, by the sender when they are
    /// acknowledged. One line a message.
    Forward {
        /// Which.
        messages: Messages,
        /// From the send to the acknowledgement of their batch; `None` inbound.
        send_duration: Option<Duration>,
    },
    /// Messages came back to where they had been, and were dropped. One line a message.
    LoopDropped(Messages),
    /// Messages were refused that the peer may not send. One line a message.
    PolicyViolation {
        /// Which.
        messages: Messages,
        /// The rule.
        reason: String,
    },
    /// A peer that was let in before was cut: it is no longer allowed, or its certificate is revoked.
    PeerRevoked {
        /// Who.
        peer: Peer,
        /// Why.
        reason: String,
    },
    /// A changed list of allowed peers is in force.
    PolicyReloaded {
        /// What changed.
        detail: String,
    },
    /// A changed list of allowed peers was not understood; the old one stays in force.
    PolicyReloadFailed {
        /// Why.
        error: String,
    },
    /// Messages that a peer should have had are gone: damaged, or deleted before it came back.
    ReplayGap {
        /// Who misses them.
        peer: Peer,
        /// The channel.
        channel: Arc<str>,
        /// Outbound on the side that should have sent them.
        direction: Direction,
        /// First sequence in the sender's log.
        first: u64,
        /// Last sequence in the sender's log.
        last: u64,
        /// Why.
        reason: String,
    },
    /// A node that stops asked a peer to finish what is in flight and go.
    ClientDrain {
        /// Whom.
        peer: Peer,
        /// Why.
        reason: String,
    },
    /// Events were dropped, as they came faster than they could be written. The log writes it by
    /// itself.
    EventsDropped {
        /// How many since the last such line.
        count: u64,
    },
}

/// Longest text of a field that is written, in bytes before escaping; what is longer is cut.
pub const TEXT_MAX_BYTES: usize = 4096;

/// The other end of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its name by its certificate; empty when it is not known. The predecessor's dialers log the
    /// hub's address here.
    pub name: Arc<str>,
    /// Its address; empty when it is not known.
    pub addr: Arc<str>,
}

/// An attempt to reach a hub that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The how manieth in a row, from 1.
    pub number: u64,
    /// What went wrong.
    pub error: String,
}

/// Messages of one channel that had the same fate at the same time: one entry in the queue however
/// many they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    /// From whom, or to whom.
    pub peer: Peer,
    /// The channel.
    pub channel: Arc<str>,
    /// Which way.
    pub direction: Direction,
    /// Their ids, in order.
    pub ids: Ids,
}

/// Which way a message went, seen from the node that logs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Inbound,
    /// To the peer.
    Outbound,
}

impl Direction {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl Event {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::ClientConnected { .. } => EventKind::ClientConnected,
            Self::ClientRejected { .. } => EventKind::ClientRejected,
            Self::PeerConnected { .. } => EventKind::PeerConnected,
            Self::PeerDisconnected { .. } => EventKind::PeerDisconnected,
            Self::Forward { .. } => EventKind::Forward,
            Self::LoopDropped(_) => EventKind::LoopDropped,
            Self::PolicyViolation { .. } => EventKind::PolicyViolation,
            Self::PeerRevoked { .. } => EventKind::PeerRevoked,
            Self::PolicyReloaded { .. } => EventKind::PolicyReloaded,
            Self::PolicyReloadFailed { .. } => EventKind::PolicyReloadFailed,
            Self::ReplayGap { .. } => EventKind::ReplayGap,
            Self::ClientDrain { .. } => EventKind::ClientDrain,
            Self::EventsDropped { .. } => EventKind::EventsDropped,
        }
    }

    /// The messages it is about, where there is a line for each.
    pub(crate) const fn messages(&self) -> Option<&Messages> {
        match self {
            Self::Forward { messages, .. }
            | Self::LoopDropped(messages)
            | Self::PolicyViolation { messages, .. } => Some(messages),
            _ => None,
        }
    }

    /// How many lines it makes.
    pub(crate) fn lines(&self) -> u64 {
        self.messages().map_or(1, |messages| messages.ids.len())
    }

    /// About how many bytes it keeps from others, what it shares included.
    pub(crate) fn weight(&self) -> usize {
        let texts = |texts: &[String]| -> usize {
            texts.iter().map(|text| text.len() + size_of::<String>()).sum()
        };
        let more = match self {
            Self::ClientConnected { peer, subscribe, publish } => {
                peer.weight() + texts(subscribe) + texts(publish)
            }
            Self::ClientRejected { peer, reason }
            | Self::PeerDisconnected { peer, reason, .. }
            | Self::PeerRevoked { peer, reason }
            | Self::ClientDrain { peer, reason } => peer.weight() + reason.len(),
            Self::PeerConnected { peer, failed } => {
                peer.weight() + failed.as_ref().map_or(0, |attempt| attempt.error.len())
            }
            Self::Forward { messages, .. } | Self::LoopDropped(messages) => messages.weight(),
            Self::PolicyViolation { messages, reason } => messages.weight() + reason.len(),
            Self::PolicyReloaded { detail: text } | Self::PolicyReloadFailed { error: text } => {
                text.len()
            }
            Self::ReplayGap { peer, channel, reason, .. } => {
                peer.weight() + channel.len() + reason.len()
            }
            Self::EventsDropped { .. } => 0,
        };
        size_of::<Self>() + more
    }
}

impl Peer {
    fn weight(&self) -> usize {
        self.name.len() + self.addr.len()
    }
}

impl Messages {
    fn weight(&self) -> usize {
        self.peer.weight() + self.channel.len() + self.ids.weight()
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// The kinds of events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventKind {
            $($(#[$doc])* $kind,)*
        }

        impl EventKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// As it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// See [`Event::ClientConnected`].
    ClientConnected = "client_connected",
    /// See [`Event::ClientRejected`].
    ClientRejected = "client_rejected",
    /// See [`Event::PeerConnected`].
    PeerConnected = "peer_connected",
    /// See [`Event::PeerDisconnected`].
    PeerDisconnected = "peer_disconnected",
    /// See [`Event::Forward`].
    Forward = "forward",
    /// See [`Event::LoopDropped`].
    LoopDropped = "loop_dropped",
    /// See [`Event::PolicyViolation`].
    PolicyViolation = "policy_violation",
    /// See [`Event::PeerRevoked`].
    PeerRevoked = "peer_revoked",
    /// See [`Event::PolicyReloaded`].
    PolicyReloaded = "policy_reloaded",
    /// See [`Event::PolicyReloadFailed`].
    PolicyReloadFailed = "policy_reload_failed",
    /// See [`Event::ReplayGap`].
    ReplayGap = "replay_gap",
    /// See [`Event::ClientDrain`].
    ClientDrain = "client_drain",
    /// See [`Event::EventsDropped`].
    EventsDropped = "events_dropped",
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// There is no such kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvent(pub Box<str>);

impl fmt::Display for UnknownEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no event; events are", self.0)?;
        for (nth, kind) in EventKind::ALL.iter().enumerate() {
            write!(f, "{} {kind}", if nth == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownEvent {}

impl FromStr for EventKind {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found.copied().ok_or_else(|| UnknownEvent(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        let error = "forwarded".parse::<EventKind>().unwrap_err().to_string();
        assert!(error.starts_with("\"forwarded\" is no event; events are client_connected, "));
    }
}
