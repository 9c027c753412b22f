//! What is said through the control socket.
//!
//! ```text
//!   client                                   node
//!   Hello{version} ─────────────────────────▶
//!   ◀───────────────────────────────── Hello{…}      or a failure that names both versions
//!   Publish{heads} + payloads ──────────────▶
//!   ◀───────────────────────────── Published{…}
//!   Subscribe{…} ───────────────────────────▶
//!   ◀──────── Subscribed, Messages + payloads, …     until the client says Stop or hangs up
//!   Handled{seq} ───────────────────────────▶        at any time in between
//! ```
//!
//! Heads are JSON; payloads follow their frame's head as they are, one behind the other.

use std::time::Duration;

use pubsub_envelope::Source;
use pubsub_storage::{ChannelConfig, ChannelStats, Chosen};
use pubsub_types::{ChannelName, SubscriberId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::link::LinksStatus;

/// Version of what is said; client and node must have the same.
pub const PROTOCOL_VERSION: u32 = 1;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// The first thing said on a connection.
    Hello {
        /// Version that the client speaks.
        version: u32,
        /// Program and version of the client, for the log.
        client: String,
    },
    /// Appends messages, whose headers and payloads are the body.
    Publish {
        /// The channel, made when there is none.
        channel: ChannelName,
        /// One for each message.
        messages: Vec<NewMessage>,
    },
    /// Sends messages from now on. Nothing else can be asked on the connection until [`Self::Stop`].
    Subscribe {
        /// The channel, made when there is none.
        channel: ChannelName,
        /// Keeps the position under this name; `None` keeps none.
        id: Option<SubscriberId>,
        /// Where to begin when there is no position yet.
        start: StartFrom,
    },
    /// Everything up to this message is dealt with. For subscribers with an id; not answered.
    Handled {
        /// The message's sequence.
        seq: u64,
    },
    /// Ends the subscription; answered with [`Response::Done`] when the position is written.
    Stop,
    /// Makes a channel.
    ChannelAdd {
        /// Its name.
        channel: ChannelName,
        /// What is chosen for it; the node configures the rest.
        #[serde(default)]
        chosen: Chosen,
    },
    /// Lists all channels.
    ChannelList,
    /// Tells everything about one channel.
    ChannelInfo {
        /// Its name.
        channel: ChannelName,
    },
    /// Deletes what every subscriber of a channel has consumed, or everything before a sequence.
    ChannelCompact {
        /// Its name.
        channel: ChannelName,
        /// First sequence that stays; `None` keeps what a subscriber has not consumed.
        before: Option<u64>,
        /// Only says what would be done.
        dry_run: bool,
    },
    /// Removes a channel with its subscribers.
    ChannelRemove {
        /// Its name.
        channel: ChannelName,
        /// Only says what would be done.
        dry_run: bool,
    },
    /// Lists the subscribers of a channel, or of all.
    SubscriberList {
        /// The channel.
        channel: Option<ChannelName>,
    },
    /// Tells where one subscriber stands.
    SubscriberInfo {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
    },
    /// Moves a subscriber's position.
    SubscriberSeek {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
        /// Where to.
        to: SeekTo,
        /// Only says what would be done.
        dry_run: bool,
    },
    /// Forgets a subscriber.
    SubscriberRemove {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
        /// Only says what would be done.
        dry_run: bool,
    },
    /// Lists the channels that have dead letters, or had some.
    DlqChannels,
    /// Lists dead letters.
    DlqList {
        /// The channel that the messages failed on.
        channel: ChannelName,
        /// Most letters listed, from 1.
        limit: u64,
        /// Only letters after this sequence of the dead-letter channel.
        after: u64,
    },
    /// One dead letter; its payload is the body.
    DlqShow {
        /// The channel that the message failed on.
        channel: ChannelName,
        /// The letter's sequence in the dead-letter channel.
        seq: u64,
    },
    /// Publishes dead letters to their channel again and deletes them.
    DlqReplay {
        /// The channel that the messages failed on.
        channel: ChannelName,
        /// The letters' sequences; empty for all.
        seqs: Vec<u64>,
        /// Only says what would be done.
        dry_run: bool,
    },
    /// How the links to other nodes are doing.
    Links,
    /// Who the node is and what it does.
    NodeInfo,
}

/// Where to begin reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartFrom {
    /// With what is published from now on.
    #[default]
    New,
    /// With the oldest message there is.
    FromStart,
    /// With the newest message there is.
    Last,
    /// With the message after this sequence.
    After(u64),
    /// With the first message published at this time or later.
    Since(Timestamp),
}

/// Where to move a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeekTo {
    /// Before the oldest message there is.
    Start,
    /// Behind the newest message there is.
    End,
    /// Behind this message.
    After(u64),
    /// Before the first message published at this time or later.
    Time(Timestamp),
}

/// A message to be published. Its headers and its payload are in the body of the frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewMessage {
    /// Its id; empty has the node make one.
    pub id: String,
    /// Its subject; empty is the channel's own name.
    pub subject: String,
    /// Type of its payload.
    pub payload_type: String,
    /// Groups the messages of one process.
    pub correlation_id: String,
    /// Service that publishes it.
    pub service_name: String,
    /// Time from its publishing after which it is no longer delivered.
    pub expires_in: Option<Duration>,
    /// Bytes of its header block.
    pub headers_len: u32,
    /// Bytes of its payload.
    pub payload_len: u32,
}

/// A message as sent to a subscriber. Its headers and its payload are in the body of the frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageHead {
    /// Its sequence. In a gap, the first one missing.
    pub seq: u64,
    /// In a gap, the last sequence missing; `None` in a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_to: Option<u64>,
    /// When it was published.
    pub time: Timestamp,
    /// Its id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Instance that published it first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// Its subject; empty is the channel's own name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Type of its payload.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub payload_type: String,
    /// Groups the messages of one process.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub correlation_id: String,
    /// Service that published it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_name: String,
    /// From when on it is no longer delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The nodes it went through, its origin first; empty when it was published at this node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<String>,
    /// Its place in the log of the node that published it first; `None` when that is this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MessageSource>,
    /// What its envelope had besides, `"key":value` with commas between.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub members: String,
    /// Bytes of its header block.
    pub headers_len: u32,
    /// Bytes of its payload.
    pub payload_len: u32,
}

/// The place of a message in the log of the node that published it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSource {
    /// Identity of that log.
    pub log: uuid::Uuid,
    /// The log's epoch.
    pub epoch: u64,
    /// The message's sequence there.
    pub seq: u64,
    /// Sequence of the message before it there; 0 for none.
    pub previous: u64,
}

impl From<Source> for MessageSource {
    fn from(source: Source) -> Self {
        let Source { log, epoch, seq, previous } = source;
        Self { log, epoch, seq, previous }
    }
}

impl From<MessageSource> for Source {
    fn from(source: MessageSource) -> Self {
        let MessageSource { log, epoch, seq, previous } = source;
        Self { log, epoch, seq, previous }
    }
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// The connection is open.
    Hello {
        /// Version that the node speaks.
        version: u32,
        /// The node's name.
        node: String,
        /// Its process.
        pid: u32,
    },
    /// The request failed; nothing else is known to have changed.
    Failed(Failure),
    /// The messages are stored, as the channel's sync policy says.
    Published(Published),
    /// Messages follow.
    Subscribed {
        /// Sequence after which they start.
        after: u64,
        /// Whether the channel was made for this.
        made: bool,
    },
    /// Messages, whose headers and payloads are the body.
    Messages {
        /// One for each message or gap.
        messages: Vec<MessageHead>,
    },
    /// It is done.
    Done {
        /// What was done, or would be, as a sentence.
        what: String,
    },
    /// The channels, sorted by name.
    Channels {
        /// One for each.
        channels: Vec<ChannelRow>,
    },
    /// A channel.
    Channel(Box<ChannelInfo>),
    /// Subscribers, sorted by channel and id.
    Subscribers {
        /// One for each.
        subscribers: Vec<SubscriberRow>,
    },
    /// A subscriber.
    Subscriber(SubscriberInfo),
    /// The channels that have dead letters, or had some, sorted by name.
    DeadLetterChannels {
        /// One for each.
        channels: Vec<DeadLettersRow>,
    },
    /// Dead letters, oldest first.
    DeadLetters {
        /// One for each.
        letters: Vec<DeadLetterRow>,
        /// Whether there are more.
        more: bool,
    },
    /// One dead letter; the body is its payload.
    DeadLetter(Box<DeadLetterRow>),
    /// Dead letters were published again.
    Replayed(DlqReplayed),
    /// The links to other nodes.
    Links(Box<LinksStatus>),
    /// The node.
    Node(Box<NodeReport>),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure it is, for programs.
    pub code: ErrorCode,
    /// What went wrong and where.
    pub message: String,
    /// What to do next; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request makes no sense.
    Invalid,
    /// What it is about does not exist.
    NotFound,
    /// It is not allowed.
    Denied,
    /// Somebody else uses it, or it exists already.
    Conflict,
    /// There is no room on the disk.
    NoRoom,
    /// The node has as many clients as it takes.
    Busy,
    /// The node is stopping, and did not do it; another one may.
    Stopping,
    /// Anything else.
    Failed,
}

/// Messages were stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Sequence of the first.
    pub first: u64,
    /// Sequence of the last.
    pub last: u64,
    /// Id of the last.
    pub id: String,
    /// File that they are in, from the data directory.
    pub file: String,
    /// Whether the channel was made for them.
    pub made: bool,
}

/// A line of the list of channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRow {
    /// Its name.
    pub channel: ChannelName,
    /// How its records are written.
    pub format: String,
    /// What an acknowledgement means.
    pub sync: String,
    /// Messages that are not deleted.
    pub messages: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// First sequence.
    pub first_seq: u64,
    /// Last sequence.
    pub last_seq: u64,
    /// Time of the newest message.
    pub last_time: Option<Timestamp>,
    /// Subscribers that have a position.
    pub subscribers: u64,
    /// Things found wrong with its files since it was opened.
    pub findings: u64,
    /// Why nothing more is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// Its name.
    pub channel: ChannelName,
    /// Its directory, from the data directory.
    pub directory: String,
    /// How it is configured.
    pub config: ChannelConfig,
    /// Its figures.
    pub stats: ChannelStats,
    /// Things found wrong with its files since it was opened, as sentences.
    pub findings: Vec<String>,
    /// Its subscribers.
    pub subscribers: Vec<SubscriberRow>,
    /// Messages in its dead-letter channel.
    pub dead_letters: u64,
}

/// A line of the list of subscribers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberRow {
    /// The channel.
    pub channel: ChannelName,
    /// The subscriber.
    pub id: SubscriberId,
    /// Everything up to here is dealt with; `None` when its file says nothing usable.
    pub position: Option<u64>,
    /// Messages behind the position.
    pub pending: u64,
    /// Whether somebody reads as it: a client of the control socket, a handler or a link.
    pub connected: bool,
}

/// A subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberInfo {
    /// As in the list.
    #[serde(flatten)]
    pub row: SubscriberRow,
    /// Last sequence of the channel.
    pub last_seq: u64,
    /// When the next message for it was published; `None` when there is none.
    pub next_time: Option<Timestamp>,
}

/// A line of the list of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterRow {
    /// Sequence in the dead-letter channel.
    pub seq: u64,
    /// The channel that the message failed on.
    pub channel: String,
    /// Its sequence there; 0 when the letter does not say.
    pub original_seq: u64,
    /// The message's id.
    pub id: String,
    /// Type of its payload.
    pub payload_type: String,
    /// When it was published.
    pub published: Timestamp,
    /// When the last attempt failed.
    pub failed_at: Timestamp,
    /// Attempts made; `None` when the letter does not say.
    pub attempts: Option<u32>,
    /// Why the last one failed.
    pub last_error: String,
    /// Why the letter cannot be read; the other fields are then empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// The dead letters of one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettersRow {
    /// The channel that the messages failed on.
    pub channel: ChannelName,
    /// How many there are.
    pub letters: u64,
    /// When the first of them was written; `None` when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// When the last one was written; `None` when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// Why they could not be counted, if they could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Dead letters were published again, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DlqReplayed {
    /// Letters published to their channel again.
    pub replayed: u64,
    /// Letters that cannot be read and stay.
    pub unreadable: u64,
    /// First and last sequence that they got, when any was published.
    pub seqs: Option<(u64, u64)>,
}

/// The node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// Identity of the data directory.
    pub id: String,
    /// The data directory.
    pub data_dir: String,
    /// How often the directory was opened.
    pub incarnation: u64,
    /// Channels in it.
    pub channels: u64,
    /// Channels that are open.
    pub open_channels: u64,
}

impl Failure {
    /// A failure with advice.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { code, message: message.into(), advice: advice.into() }
    }
}

impl From<StartFrom> for pubsub_storage::Start {
    fn from(start: StartFrom) -> Self {
        match start {
            StartFrom::New => Self::New,
            StartFrom::FromStart => Self::FromStart,
            StartFrom::Last => Self::Last,
            StartFrom::After(seq) => Self::After(seq),
            StartFrom::Since(time) => Self::Since(time),
        }
    }
}
