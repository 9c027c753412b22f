//! What can go wrong with a messenger without files.

use std::io;

use pubsub_envelope::TooLarge;
use pubsub_messenger::EncodeError;
use pubsub_node::ephemeral::{
    PublishError as NodePublishError, StartError, SubscribeError as NodeSubscribeError,
};
use pubsub_types::{ChannelName, InvalidChannelName};

use crate::ErrorKind;
use crate::outgoing::{HeaderError, Unsealed};

/// A messenger could not be made of its configuration. Nothing was dialled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The hub's address is none.
    #[error("hub_addr {addr:?}: needed is host:port of the hub, such as hub.example:7740")]
    HubAddr {
        /// As given.
        addr: String,
    },
    /// There are no certificates, and nobody said that none are needed.
    #[error(
        "tls: needed are cert, key and ca; make them with pubsub-keys quickstart, or set insecure for \
         a hub on this machine"
    )]
    NoTls,
    /// Without TLS a hub on another machine would take anybody for this instance.
    #[error(
        "insecure: {addr} is on another machine; allowed: a loopback address, or certificates, or \
         Insecure::Anywhere"
    )]
    Insecure {
        /// The hub's address.
        addr: String,
    },
    /// The name of a channel breaks a rule.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// Nobody would hear that the hub refuses this instance.
    #[error("auto_reconnect: needs on_fatal, which hears it when the hub refuses this instance")]
    NoOnFatal,
    /// The waits between two attempts make no sense.
    #[error("reconnect: {reason}")]
    Reconnect {
        /// Which rule they break.
        reason: &'static str,
    },
    /// A limit of zero lets nothing through.
    #[error("{key}: 0 lets nothing through; allowed: 1 and more")]
    Zero {
        /// Which limit.
        key: &'static str,
    },
    /// The name is none, or the certificates are not usable, or another instance's.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Handlers run on the tokio runtime that the messenger is built in, and there is none.
    #[error("build an ephemeral messenger inside a tokio runtime, or use pubsub::blocking")]
    NoRuntime,
}

impl BuildError {
    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRuntime => ErrorKind::NoRuntime,
            Self::Subscribe(error) => error.kind(),
            Self::Start(StartError::Tls(_)) => ErrorKind::Links,
            Self::Start(StartError::Thread(_)) => ErrorKind::Io,
            _ => ErrorKind::Config,
        }
    }
}

/// A channel cannot be heard.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The channel's name breaks a rule.
    #[error(transparent)]
    InvalidChannelName(#[from] InvalidChannelName),
    /// Dead letters stay on the hub.
    #[error("channel {channel} has dead letters, which stay on the hub")]
    DeadLetters {
        /// The channel.
        channel: ChannelName,
    },
    /// The hub was told at the connection which channels are wanted, and this was not one of them.
    #[error(
        "channel {channel} was not asked for when the hub was connected; subscribe before connecting, \
         or list it in EphemeralConfig::subscribe"
    )]
    TooLate {
        /// The channel.
        channel: ChannelName,
    },
    /// The messenger was closed.
    #[error("the messenger is closed; build a new one")]
    Closed,
    /// The operating system gives no more threads.
    #[error("start a thread for the handlers of channel {channel}")]
    Thread {
        /// The channel.
        channel: ChannelName,
        /// What the system said.
        source: io::Error,
    },
}

impl SubscribeError {
    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidChannelName(_) => ErrorKind::InvalidChannelName,
            Self::DeadLetters { .. } => ErrorKind::ReservedChannelName,
            Self::TooLate { .. } => ErrorKind::NotSubscribed,
            Self::Closed => ErrorKind::MessengerClosed,
            Self::Thread { .. } => ErrorKind::Io,
        }
    }
}

impl From<NodeSubscribeError> for SubscribeError {
    fn from(error: NodeSubscribeError) -> Self {
        match error {
            NodeSubscribeError::TooLate { channel } => Self::TooLate { channel },
            _ => Self::Closed,
        }
    }
}

/// A message was not published, or nobody knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The channel's name breaks a rule.
    #[error(transparent)]
    InvalidChannelName(#[from] InvalidChannelName),
    /// Only a hub itself writes its dead letters.
    #[error("channel {channel} takes dead letters only; publish to {of} instead")]
    ReservedChannelName {
        /// The channel.
        channel: ChannelName,
        /// The channel whose dead letters it takes.
        of: ChannelName,
    },
    /// The payload cannot be written as JSON.
    #[error("publish to {channel}")]
    Encode {
        /// The channel.
        channel: ChannelName,
        /// Why not.
        source: EncodeError,
    },
    /// A header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The envelope is longer than any record has room for. It was not sent.
    #[error(transparent)]
    TooLong(#[from] TooLarge),
    /// The message is longer than the hub takes. It was not sent.
    #[error("message of {len} bytes exceeds the hub's limit of {limit}")]
    TooLarge {
        /// Its length with headers, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// There is no connection to the hub, or it ended before the hub acknowledged the message.
    #[error("{}: {reason}", lost(*.sent))]
    ConnectionLost {
        /// Whether the message was sent: then the hub may have it or not. Else it has not.
        sent: bool,
        /// What became of the connection.
        reason: String,
    },
    /// The hub takes no messages of this channel from this instance. It does not have this one.
    #[error("the hub takes nothing for channel {channel} from this instance: {reason}")]
    NotAllowed {
        /// The channel.
        channel: ChannelName,
        /// Why.
        reason: String,
    },
    /// The hub could not store the message, or stopped taking the channel before it said so. It may
    /// have it or not.
    #[error("the hub did not store a message of channel {channel}: {reason}")]
    NotStored {
        /// The channel.
        channel: ChannelName,
        /// Why, in its words.
        reason: String,
    },
    /// The messenger was closed. Unless that was before the call, the hub may have the message or not.
    #[error("the messenger is closed; build a new one")]
    Closed,
}

const fn lost(sent: bool) -> &'static str {
    if sent {
        "the connection was lost before the hub acknowledged the message, which it may have or not"
    } else {
        "the message was not sent, as the hub is not connected"
    }
}

impl PublishError {
    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidChannelName(_) => ErrorKind::InvalidChannelName,
            Self::ReservedChannelName { .. } => ErrorKind::ReservedChannelName,
            Self::Encode { .. } => ErrorKind::Encode,
            Self::Header(_) => ErrorKind::InvalidHeader,
            Self::TooLong(_) | Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::ConnectionLost { .. } => ErrorKind::ConnectionLost,
            Self::NotAllowed { .. } => ErrorKind::NotAllowed,
            Self::NotStored { .. } => ErrorKind::NotStored,
            Self::Closed => ErrorKind::MessengerClosed,
        }
    }

    pub(crate) fn unsealed(channel: &ChannelName, error: Unsealed) -> Self {
        match error {
            Unsealed::Encode(source) => Self::Encode { channel: channel.clone(), source },
            Unsealed::Header(error) => Self::Header(error),
        }
    }
}

impl From<NodePublishError> for PublishError {
    fn from(error: NodePublishError) -> Self {
        match error {
            NodePublishError::ConnectionLost { sent, reason } => {
                Self::ConnectionLost { sent, reason }
            }
            NodePublishError::NotAllowed { channel, reason } => {
                Self::NotAllowed { channel, reason }
            }
            NodePublishError::NotStored { channel, reason } => Self::NotStored { channel, reason },
            NodePublishError::TooLarge { len, limit } => Self::TooLarge { len, limit },
            _ => Self::Closed,
        }
    }
}
