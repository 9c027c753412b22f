//! What goes into a link and what comes out of it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use pubsub_envelope::Record;
use pubsub_types::{ChannelName, Filter};
use uuid::Uuid;

use crate::batch::Batch;
use crate::close::{Closed, RefuseCode};
use crate::name::NodeName;

/// A WebSocket message. Pings, pongs and close frames of WebSocket itself are the shell's.
#[derive(Clone, PartialEq, Eq)]
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

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Payloads are nobody's business.
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
        }
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
    /// Identity of that log; nil for a peer that has no positions, where nothing is to be written down.
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

/// Where a reader stands for a subscription: the answer to [`Action::Open`]. See [`crate::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What comes after this sequence is read next.
    pub after: u64,
    /// What the subscription should have had and no longer can.
    pub missing: Option<Missing>,
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

    /// The peer wants a channel of ours. Open a reader ([`crate::resume`] says where) and answer with
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
    /// The peer does not take a channel of ours, or took its offer back; or there is no room for it on
    /// the link.
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
    /// Something the peer sent was passed over; only the predecessor's wire has no better answer.
    Skipped {
        /// Its size, in bytes.
        bytes: usize,
        /// Why.
        reason: &'static str,
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
