//! What can go wrong, one enum per operation, and [`ErrorKind`] for those who only want to know whose
//! turn it is.

use std::fmt;
use std::io;
use std::path::PathBuf;

use pubsub_config::{ConfigErrors, LoadError, UnbuiltPart};
use pubsub_messenger::EncodeError;
use pubsub_node::link::LinksError;
use pubsub_node::subscription::SubscribeError as NodeError;
use pubsub_node::{Claimed, StartError};
use pubsub_storage::{AppendError, ChannelError, CommitError};
use pubsub_types::{ChannelName, InvalidChannelName, InvalidSubscriberId, SubscriberId};

use crate::outgoing::{HeaderError, Unsealed};

/// What sort of error it is. Match on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The channel's name breaks a rule.
    InvalidChannelName,
    /// Channels that end in `.dead-letter` take no publishes.
    ReservedChannelName,
    /// The subscriber's id breaks a rule.
    InvalidSubscriberId,
    /// A header breaks a rule.
    InvalidHeader,
    /// The payload cannot be written as JSON.
    Encode,
    /// The message is longer than the channel takes.
    TooLarge,
    /// The payload type is registered already.
    PayloadTypeAlreadyRegistered,
    /// A subscriber of this id runs already.
    AlreadySubscribed,
    /// There is no such subscriber.
    NotSubscribed,
    /// The messenger was shut down.
    MessengerClosed,
    /// The channel was closed or removed.
    ChannelClosed,
    /// The configuration is wrong.
    Config,
    /// The configuration uses what this version does not have.
    Unbuilt,
    /// There is no tokio runtime here.
    NoRuntime,
    /// The links to other nodes cannot be made.
    Links,
    /// The hub is not connected, or the connection was lost.
    ConnectionLost,
    /// The hub refuses this client.
    Rejected,
    /// The hub does not allow it.
    NotAllowed,
    /// The hub could not store it.
    NotStored,
    /// Another process has the data directory open.
    DataDirInUse,
    /// The data directory cannot be used.
    DataDir,
    /// There is no room on the device.
    NoRoom,
    /// The device or the file system failed.
    Io,
}

/// A messenger could not be opened. The data directory is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The configuration file cannot be read, or is wrong.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The configuration uses what this version does not have.
    #[error("{0}")]
    Unbuilt(Unbuilt),
    /// A messenger runs on the tokio runtime that it is opened in, and there is none.
    #[error("open a messenger inside a tokio runtime, or use pubsub::blocking")]
    NoRuntime,
    /// The data directory or a thread is not to be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The links to other nodes cannot be made: certificates, or the address to listen on.
    #[error(transparent)]
    Links(#[from] LinksError),
}

impl OpenError {
    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::Load(_) => ErrorKind::Config,
            Self::Unbuilt(_) => ErrorKind::Unbuilt,
            Self::NoRuntime => ErrorKind::NoRuntime,
            Self::Links(_) => ErrorKind::Links,
            Self::Start(StartError::Open {
                source: pubsub_storage::OpenError::Locked { .. },
                ..
            }) => ErrorKind::DataDirInUse,
            Self::Start(StartError::Open { .. } | StartError::DataDir { .. }) => ErrorKind::DataDir,
            Self::Start(_) => ErrorKind::Io,
        }
    }
}

/// Parts of a configuration that are used and that this version does not have. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbuilt(pub Vec<UnbuiltPart>);

/// One part per line, and what to do.
impl fmt::Display for Unbuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            writeln!(f, "{part}")?;
        }
        f.write_str("remove these keys, or start without their parts: --ignore-unbuilt, in a program Builder::ignore_unbuilt")
    }
}

/// A message was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The channel's name breaks a rule.
    #[error(transparent)]
    InvalidChannelName(#[from] InvalidChannelName),
    /// Only the messenger itself writes dead letters.
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
        channel: Box<str>,
        /// Why not.
        source: EncodeError,
    },
    /// A header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The messenger was shut down.
    #[error("the messenger is closed; open a new one")]
    Closed,
    /// The channel could not be opened.
    #[error(transparent)]
    Channel(ChannelError),
    /// The message was not taken. Nothing was written.
    #[error(transparent)]
    Refused(AppendError),
    /// The message was taken and could not be stored. It may or may not be found later.
    #[error(transparent)]
    NotStored(CommitError),
}

impl PublishError {
    pub(crate) fn unsealed(channel: &str, error: Unsealed) -> Self {
        match error {
            Unsealed::Encode(source) => Self::Encode { channel: channel.into(), source },
            Unsealed::Header(error) => Self::Header(error),
        }
    }

    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidChannelName(_) => ErrorKind::InvalidChannelName,
            Self::ReservedChannelName { .. } => ErrorKind::ReservedChannelName,
            Self::Encode { .. } => ErrorKind::Encode,
            Self::Header(_) => ErrorKind::InvalidHeader,
            Self::Closed => ErrorKind::MessengerClosed,
            Self::Channel(_) => ErrorKind::Io,
            Self::Refused(AppendError::Closed(_)) => ErrorKind::ChannelClosed,
            Self::Refused(_) => ErrorKind::TooLarge,
            Self::NotStored(error) if error.is_full() => ErrorKind::NoRoom,
            Self::NotStored(CommitError::Closed(_)) => ErrorKind::ChannelClosed,
            Self::NotStored(_) => ErrorKind::Io,
        }
    }
}

impl From<pubsub_storage::PublishError> for PublishError {
    fn from(error: pubsub_storage::PublishError) -> Self {
        match error {
            pubsub_storage::PublishError::Commit(error) => Self::NotStored(error),
            pubsub_storage::PublishError::Append(error) => Self::Refused(error),
            _ => Self::Closed,
        }
    }
}

/// A subscriber could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The channel's name breaks a rule.
    #[error(transparent)]
    InvalidChannelName(#[from] InvalidChannelName),
    /// The subscriber's id breaks a rule.
    #[error(transparent)]
    InvalidSubscriberId(#[from] InvalidSubscriberId),
    /// Somebody reads as it already: this program, a client of its control socket, or a link.
    #[error(
        "subscriber {id} of channel {channel} is in use by {by}; stop that first, or use another id"
    )]
    AlreadySubscribed {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
        /// Who has it.
        by: String,
    },
    /// The channel has no such subscriber.
    #[error("channel {channel} has no subscriber {id}")]
    NotSubscribed {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
    },
    /// The messenger was shut down.
    #[error("the messenger is closed; open a new one")]
    Closed,
    /// The channel or the position could not be opened.
    #[error("subscribe {id} to channel {channel}")]
    Files {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SubscribeError {
    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidChannelName(_) => ErrorKind::InvalidChannelName,
            Self::InvalidSubscriberId(_) => ErrorKind::InvalidSubscriberId,
            Self::AlreadySubscribed { .. } => ErrorKind::AlreadySubscribed,
            Self::NotSubscribed { .. } => ErrorKind::NotSubscribed,
            Self::Closed => ErrorKind::MessengerClosed,
            Self::Files { .. } => ErrorKind::Io,
        }
    }

    pub(crate) fn new(error: NodeError, channel: &ChannelName, id: &SubscriberId) -> Self {
        let (channel, id) = (channel.clone(), id.clone());
        match error {
            NodeError::AlreadySubscribed(Claimed { channel, id, by }) => {
                Self::AlreadySubscribed { channel, id, by: by.to_string() }
            }
            NodeError::NotSubscribed { channel, id } => Self::NotSubscribed { channel, id },
            NodeError::Closed | NodeError::Channel(ChannelError::Closed) => Self::Closed,
            error => Self::Files { channel, id, source: Box::new(error) },
        }
    }
}

/// Not everything could be written when the messenger was shut down. It is closed all the same.
#[derive(Debug, thiserror::Error)]
#[error("close data directory {data_dir:?}")]
pub struct ShutdownError {
    pub(crate) data_dir: PathBuf,
    pub(crate) source: io::Error,
}

impl ShutdownError {
    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Io
    }
}
