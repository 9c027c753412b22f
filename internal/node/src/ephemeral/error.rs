//! What can go wrong with a client without files.

use std::io;

use pubsub_federation::InvalidNodeName;
use pubsub_tls::TlsError;
use pubsub_types::ChannelName;

/// A client could not be started. Nothing was dialled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The instance's name is none.
    #[error(transparent)]
    Name(#[from] InvalidNodeName),
    /// The certificates are not usable, or are another instance's.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The operating system gives no more threads or files.
    #[error("start a thread")]
    Thread(#[source] io::Error),
}

/// A channel cannot be received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The hub was told at the connection which channels are wanted, and this was not one of them.
    #[error(
        "channel {channel} was not asked for when the hub was connected; subscribe before connecting"
    )]
    TooLate {
        /// The channel.
        channel: ChannelName,
    },
    /// The client was closed.
    #[error("the client is closed; build a new one")]
    Closed,
}

/// The hub refuses this client, and will until somebody changes that: its name, its certificate, or the
/// hub's list of allowed peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hub {hub} refuses this client: {reason}")]
#[non_exhaustive]
pub struct Rejected {
    /// The hub's address, as configured.
    pub hub: String,
    /// Why, in its words.
    pub reason: String,
}

/// There is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The hub could not be reached, or sent us away for now.
    #[error("hub {hub} is not connected: {reason}")]
    Unreachable {
        /// The hub's address, as configured.
        hub: String,
        /// What happened.
        reason: String,
    },
    /// The hub refuses this client.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The client was closed.
    #[error("the client is closed; build a new one")]
    Closed,
}

/// A message was not published, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is no connection to the hub, or it ended before the hub acknowledged the message.
    #[error("{}: {reason}", lost(*.sent))]
    ConnectionLost {
        /// Whether the message was sent: the hub may have it. Otherwise it has not.
        sent: bool,
        /// What became of the connection.
        reason: String,
    },
    /// The hub takes no messages of this channel from us. It has not got it.
    #[error("the hub takes nothing for channel {channel} from this client: {reason}")]
    NotAllowed {
        /// The channel.
        channel: ChannelName,
        /// Why.
        reason: String,
    },
    /// The hub could not store the message, or stopped to take the channel before it said so. It may
    /// have it or not.
    #[error("the hub did not store a message of channel {channel}: {reason}")]
    NotStored {
        /// The channel.
        channel: ChannelName,
        /// Why, in its words.
        reason: String,
    },
    /// The message is longer than the hub takes. It was not sent.
    #[error("message of {len} bytes exceeds the hub's limit of {limit}")]
    TooLarge {
        /// Its length with subject and headers, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The client was closed. Unless it was before the call, the hub may have the message or not.
    #[error("the client is closed; build a new one")]
    Closed,
}

const fn lost(sent: bool) -> &'static str {
    if sent {
        "the connection was lost before the hub acknowledged the message, which it may have or not"
    } else {
        "the message was not sent, as the hub is not connected"
    }
}
