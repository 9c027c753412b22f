//! What goes into a link and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pubsub_envelope::Record;
use pubsub_types::{ChannelName, Filter};
use uuid::Uuid;

use crate::batch::Batch;
use crate::close::{Closed, RefuseCode};
use crate::name::NodeName;

/// A WebSocket message. Pings, pongs and close frames of WebSocket itself are the shell's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A binary one.
    Binary(Bytes),
    /// A text one; only the predecessor's wire has them.
    Text(String),
}

impl Message {
    /// Length of its content, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Binary(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        }
    }

    /// Whether it has no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A channel that we send, on one link. Never used again on that link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutSub(pub u32);

/// A channel that we receive, on one link. Never used again on that link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InSub(pub u32);

/// A position in the log of the node that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Identity of that log.
    pub log: Uuid,
    /// Epoch of the log when the position was said.
    pub epoch: u64,
    /// Everything up to here was read; 0 for nothing.
    pub seq: u64,
}

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// After this position: everything up to it is stored here, durably.
    After(Position),
    /// There is no position yet: at the end of the channel, or from where the sender holds messages
    /// back for us.
    New,
    /// There is no position yet: with everything the channel has, or from where the sender holds
    /// messages back for us.
    All,
    /// With what comes from now on, whatever was before, and nothing is remembered: ephemeral.
    Live,
}

/// An epoch of a log: sequences that were given out and lost are given out again in a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Its number; what comes before the first in a list has number 0.
    pub number: u64,
    /// First sequence of it.
    pub first_seq: u64,
}

/// A log of ours, as an offer describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// Its identity.
    pub log: Uuid,
    /// Its epochs, oldest first. They do not change while the log is open.
    pub epochs: Arc<[Epoch]>,
    /// First sequence it still has; one more than [`Self::last`] when it has none.
    pub first: u64,
    /// Last sequence it has; 0 when it never had one.
    pub last: u64,
}

impl LogInfo {
    /// The epoch that is written now.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epochs.last().map_or(0, |epoch| epoch.number)
    }

    /// The epoch in which `seq` was given out.
    #[must_use]
    pub fn epoch_of(&self, seq: u64) -> Epoch {
        let later = self.epochs.partition_point(|epoch| epoch.first_seq <= seq);
        match later.checked_sub(1) {
            Some(nth) => self.epochs[nth],
            None => Epoch { number: 0, first_seq: 1 },
        }
    }

    /// Where a position that was `seq` in `epoch` stands now: not beyond what a later epoch gave out
    /// again.
    #[must_use]
    pub fn clamp(&self, seq: u64, epoch: u64) -> u64 {
        let later = self.epochs.iter().filter(|later| later.number > epoch);
        later.map(|later| later.first_seq.saturating_sub(1)).fold(seq.min(self.last), u64::min)
    }
}

/// Messages that are missing from a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// First sequence missing.
    pub first: u64,
    /// Last sequence missing.
    pub last: u64,
    /// Why.
    pub why: MissingReason,
}

/// Why messages are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingReason {
    /// Retention deleted them before they were sent.
    Retention,
    /// Their records are damaged.
    Damage,
}

/// Where a reader stands for a subscription: the answer to [`Action::Open`]. See [`resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What comes after this sequence is read next.
    pub after: u64,
    /// What the subscription should have had and no longer can.
    pub missing: Option<Missing>,
}

/// Where to read on for a subscription that starts at `start`.
///
/// `retained` is the position up to which the peer acknowledged durably, as the sender kept it, if it
/// keeps one. Too early is harmless, because the receiver knows what it has; too late would be loss.
#[must_use]
pub fn resume(start: Start, log: &LogInfo, retained: Option<u64>) -> Opened {
    let oldest = log.first.saturating_sub(1);
    let wanted = match start {
        Start::After(position) if position.log == log.log => {
            log.clamp(position.seq, position.epoch)
        }
        // Another log of that name: what it held for the peer, or everything.
        Start::After(_) | Start::All => retained.unwrap_or(oldest),
        Start::New => retained.unwrap_or(log.last),
        Start::Live => log.last,
    }
    .min(log.last);
    let missing = (wanted < oldest).then_some(Missing {
        first: wanted + 1,
        last: oldest,
        why: MissingReason::Retention,
    });
    Opened { after: wanted.max(oldest), missing }
}

/// One thing read from a log, in its order.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// A message.
    Record(&'a Record),
    /// Messages that can no longer be read.
    Missing(Missing),
}

/// What the peer said of itself, and its certificate of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name; the certificate's where there is one.
    pub name: NodeName,
    /// Identity of its data directory; nil when it has none or does not say.
    pub node: Uuid,
    /// Grows with each start of the peer; 0 when it does not say.
    pub incarnation: u64,
    /// Program and version, as it says.
    pub agent: String,
    /// It keeps no files: nothing is kept for it either.
    pub ephemeral: bool,
}

/// What the shell is to do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send this to the peer.
    Send(Message),
    /// Listener only. Look the peer up in the allowlist and answer with `admit` or `reject`.
    Admit {
        /// Who wants in.
        peer: Peer,
    },
    /// The handshake is done.
    Established {
        /// Who it is.
        peer: Peer,
        /// Channels that the peer receives from us.
        sends: Vec<Filter>,
        /// Channels that we receive from the peer.
        receives: Vec<Filter>,
        /// Whether batches may be compressed.
        lz4: bool,
    },
    /// Call `channel` for each channel there is; those nobody asked for are passed over. New ones are
    /// told as they appear.
    ListChannels,

    /// The peer wants a channel of ours. Open a reader ([`resume`] says where) and answer with
    /// `opened`, or with `withdraw`. Where the start is no position and nothing is retained for
    /// the peer, keep the opened position for it from now on (unless it is ephemeral).
    Open {
        /// Which.
        sub: OutSub,
        /// Its channel.
        channel: ChannelName,
        /// Where the peer wants to start.
        start: Start,
    },
    /// Read on and answer with `read`. One is open at a time for each subscription.
    Read {
        /// Which.
        sub: OutSub,
        /// Read at least one message, and no more than about this many bytes of content.
        max_bytes: usize,
    },
    /// The peer has everything up to here of the log that was offered. Both never go back.
    Acked {
        /// Which.
        sub: OutSub,
        /// Its channel.
        channel: ChannelName,
        /// As the peer's policy says: what a publisher who waits for the peer waits for.
        committed: u64,
        /// Synced there: what we hold back for the peer may go.
        durable: u64,
    },
    /// This subscription is over; close its reader.
    Stopped {
        /// Which.
        sub: OutSub,
        /// Its channel.
        channel: ChannelName,
    },

    /// The peer has a channel that we asked for. Answer with `subscribe` or `refuse`.
    Offered {
        /// Which.
        sub: InSub,
        /// Its channel.
        channel: ChannelName,
        /// Identity of the peer's log, and its epoch; `seq` is the last it has.
        end: Position,
        /// First sequence the peer still has.
        first: u64,
    },
    /// Messages of the peer. Judge each ([`crate::Inbound`]), append what is accepted, and answer with
    /// `committed` and `synced`, or with `failed`.
    ///
    /// Once `batch.position()` is synced it may be written down as the position of (peer, channel):
    /// that is, when everything the channel held when the batch was judged is synced, duplicates
    /// dropped included. They may have come over another link a moment ago.
    Receive {
        /// Which.
        sub: InSub,
        /// Its channel.
        channel: ChannelName,
        /// The messages; none, when only the position moves on.
        batch: Batch,
    },
    /// This subscription is over; nothing more comes, and what is not yet appended need not be.
    Ended {
        /// Which.
        sub: InSub,
        /// Its channel.
        channel: ChannelName,
    },

    /// Something for the log and the audit.
    Event(Event),
    /// Send a WebSocket close frame with this code, if the connection still stands, and end it. The
    /// last action.
    Close(Closed),
}

/// Something worth a line in the log or the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer offered or asked for a channel that it may not have.
    PolicyViolation {
        /// The channel, as the peer spelled it.
        channel: String,
        /// Whether it wanted to send it to us; else, to receive it.
        inbound: bool,
    },
    /// The peer does not take a channel of ours, or took its offer back.
    Refused {
        /// The channel.
        channel: ChannelName,
        /// Why.
        code: RefuseCode,
        /// The same for people, in the peer's words.
        text: String,
    },
    /// The peer never gets these: `replay_gap` in the audit.
    ReplayGap {
        /// The channel.
        channel: ChannelName,
        /// Which.
        missing: Missing,
    },
    /// A message is larger than the peer takes. Its channel waits here, and nothing is skipped, until a
    /// link with a higher limit.
    Held {
        /// The channel.
        channel: ChannelName,
        /// The message.
        seq: u64,
        /// Its size on the wire, in bytes.
        bytes: usize,
        /// The peer's limit, in bytes.
        limit: usize,
    },
    /// What may flow changed while the link was up.
    ListsChanged {
        /// Channels that the peer receives from us.
        sends: Vec<Filter>,
        /// Channels that we receive from the peer.
        receives: Vec<Filter>,
    },
}

/// How a link is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// Where it is in its life.
    pub phase: Phase,
    /// Who the peer is, once known.
    pub peer: Option<Peer>,
    /// Last measured time of a heartbeat there and back.
    pub round_trip: Option<Duration>,
    /// Bytes of batches that the peer has yet to consume.
    pub in_flight_bytes: u64,
    /// Limit of that.
    pub window_bytes: u64,
    /// Counted since the link began.
    pub counters: Counters,
    /// Channels that we send.
    pub sending: Vec<Sending>,
    /// Channels that we receive.
    pub receiving: Vec<Receiving>,
}

/// Where a link is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The handshake is under way.
    Greeting,
    /// Channels flow.
    Established,
    /// It is over.
    Closed,
}

/// Counted since a link began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// WebSocket messages sent.
    pub frames_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Batches sent.
    pub batches_sent: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages not sent because the peer had them already.
    pub echoes_dropped: u64,
    /// WebSocket messages received.
    pub frames_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Batches received.
    pub batches_received: u64,
    /// Messages received, duplicates included.
    pub messages_received: u64,
}

/// A channel that we send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Which.
    pub sub: OutSub,
    /// Its channel.
    pub channel: ChannelName,
    /// Whether the peer subscribed; else the offer stands.
    pub subscribed: bool,
    /// Whether it waits at a message that is too large for the peer.
    pub held: bool,
    /// Sequence up to which it was sent.
    pub sent: u64,
    /// Sequence up to which the peer acknowledged as its policy says.
    pub committed: u64,
    /// Sequence up to which the peer synced.
    pub durable: u64,
}

/// A channel that we receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiving {
    /// Which.
    pub sub: InSub,
    /// Its channel.
    pub channel: ChannelName,
    /// Whether we subscribed; else the offer waits for an answer.
    pub subscribed: bool,
    /// Sequence in the peer's log up to which it was received.
    pub received: u64,
    /// The same, committed.
    pub committed: u64,
    /// The same, synced.
    pub durable: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(first: u64, last: u64, epochs: &[(u64, u64)]) -> LogInfo {
        let epochs =
            epochs.iter().map(|&(number, first_seq)| Epoch { number, first_seq }).collect();
        LogInfo { log: Uuid::from_u128(1), epochs, first, last }
    }

    fn after(log: u128, epoch: u64, seq: u64) -> Start {
        Start::After(Position { log: Uuid::from_u128(log), epoch, seq })
    }

    #[test]
    fn sequences_given_out_again_are_read_again() {
        let log = log(1, 150, &[(1, 40), (2, 101)]);
        assert_eq!(resume(after(1, 2, 120), &log, None).after, 120);
        assert_eq!(resume(after(1, 1, 120), &log, None).after, 100);
        assert_eq!(resume(after(1, 0, 120), &log, None).after, 39);
        assert_eq!(resume(after(1, 2, 9_999), &log, None).after, 150);
    }

    #[test]
    fn another_log_starts_where_the_sender_held_back_or_with_everything() {
        let log = log(11, 50, &[]);
        assert_eq!(resume(after(2, 0, 30), &log, Some(20)).after, 20);
        assert_eq!(resume(after(2, 0, 30), &log, None).after, 10);
    }

    #[test]
    fn a_first_subscription_gets_what_was_held_back_before_new_or_all_count() {
        let log = log(11, 50, &[]);
        for (start, held, wanted) in [
            (Start::New, None, 50),
            (Start::New, Some(20), 20),
            (Start::All, None, 10),
            (Start::All, Some(20), 20),
            (Start::Live, Some(20), 50),
        ] {
            assert_eq!(resume(start, &log, held), Opened { after: wanted, missing: None });
        }
    }

    #[test]
    fn what_retention_took_is_named() {
        let log = log(11, 50, &[]);
        let opened = resume(after(1, 0, 4), &log, None);
        let missing = Missing { first: 5, last: 10, why: MissingReason::Retention };
        assert_eq!(opened, Opened { after: 10, missing: Some(missing) });
        assert_eq!(resume(after(1, 0, 10), &log, None).missing, None);
    }

    #[test]
    fn a_message_belongs_to_the_epoch_that_gave_its_sequence_out() {
        let log = log(1, 150, &[(1, 40), (2, 101)]);
        let number = |seq| log.epoch_of(seq).number;
        assert_eq!([number(39), number(40), number(100), number(101)], [0, 1, 1, 2]);
        assert_eq!(log.epoch(), 2);
    }
}
