//! What can go wrong, sorted by who must act.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use pubsub_envelope::TooLarge;
use pubsub_types::ChannelName;

/// A record was not taken. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The caller's: payload and headers are longer than the channel takes.
    #[error(
        "message of {len} bytes exceeds the limit of {limit} bytes of channel {channel}; raise storage.max_record_bytes or send less"
    )]
    MessageTooLarge {
        /// The channel.
        channel: ChannelName,
        /// Payload and headers, in bytes.
        len: u64,
        /// The channel's limit, in bytes.
        limit: u64,
    },
    /// The caller's: the envelope does not fit the format.
    #[error(transparent)]
    Envelope(#[from] TooLarge),
    /// The caller's: so much waits to be written that no more is taken. Wait for [`crate::Channel::room`].
    #[error("{waiting_bytes} bytes wait to be written to channel {channel}; slow down")]
    Backlogged {
        /// The channel.
        channel: ChannelName,
        /// Bytes waiting.
        waiting_bytes: usize,
    },
    /// The channel or its store was closed.
    #[error("channel {0} is closed")]
    Closed(ChannelName),
}

/// A batch was not committed. Its records may or may not be found later; none was acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The operator's: there is no room. Writing goes on as soon as there is.
    #[error(
        "no room to write channel {channel}: free space or raise the quota; writing goes on by itself"
    )]
    Full {
        /// The channel.
        channel: ChannelName,
        /// What the file system said.
        source: Arc<io::Error>,
    },
    /// The operator's: the device failed. The channel goes on in a fresh segment when it can.
    #[error("{what} of channel {channel} failed; the segment is set aside and a fresh one begun")]
    Device {
        /// The channel.
        channel: ChannelName,
        /// What was being done.
        what: &'static str,
        /// What the file system said.
        source: Arc<io::Error>,
    },
    /// An earlier batch failed, and this one could not stand without it.
    #[error("a message before this one was not written to channel {0}; publish again")]
    Predecessor(ChannelName),
    /// The channel was closed before the batch was written.
    #[error("channel {0} was closed before the message was written")]
    Closed(ChannelName),
}

impl CommitError {
    /// Whether there was no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

/// A message could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No message has this sequence yet.
    #[error("channel {channel} has no message {seq} yet; its last is {last}")]
    Beyond {
        /// The channel.
        channel: ChannelName,
        /// The sequence asked for.
        seq: u64,
        /// The last one there is.
        last: u64,
    },
    /// The message was deleted, or displaced by a limit.
    #[error("message {seq} of channel {channel} was deleted")]
    Deleted {
        /// The channel.
        channel: ChannelName,
        /// The sequence asked for.
        seq: u64,
    },
    /// The message is damaged on disk.
    #[error("message {seq} of channel {channel} is damaged on disk; `pubsub doctor` says where")]
    Damaged {
        /// The channel.
        channel: ChannelName,
        /// The sequence asked for.
        seq: u64,
    },
    /// The file could not be read.
    #[error("read segment {file} of channel {channel}")]
    Io {
        /// The channel.
        channel: ChannelName,
        /// The segment's file.
        file: String,
        /// What the file system said.
        source: io::Error,
    },
}

/// A channel could not be opened, made or removed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// There is no such channel.
    #[error("there is no channel {0}")]
    NotFound(ChannelName),
    /// There is one already.
    #[error("channel {0} exists already")]
    Exists(ChannelName),
    /// The store was closed.
    #[error("the data directory is closed")]
    Closed,
    /// Files of the channel could not be read or written.
    #[error("{what} of channel {channel}")]
    Io {
        /// The channel.
        channel: ChannelName,
        /// What was being done.
        what: &'static str,
        /// What the file system said.
        source: io::Error,
    },
    /// The channel was written by a later version.
    #[error(
        "channel {channel} has format version {found}, and this program knows up to {known}; use a newer one"
    )]
    Version {
        /// The channel.
        channel: ChannelName,
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
}

/// A data directory could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("data directory is in use{}; stop that process, or talk to it through its control socket", .pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// The owner, where it is known.
        pid: Option<u32>,
    },
    /// It was written by a later version.
    #[error(
        "data directory has format version {found}, and this program knows up to {known}; use a newer one"
    )]
    Version {
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
    /// It holds files that are not ours.
    #[error(
        "directory is not a data directory of pubsub: it holds {found:?} and no NODE file; give an empty directory or the right one"
    )]
    NotOurs {
        /// Something that was found in it.
        found: String,
    },
    /// Its identity is damaged in both copies.
    #[error("both copies of NODE are damaged; `pubsub doctor` says more")]
    NodeDamaged,
    /// It could not be read or written.
    #[error("{what} {path:?}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which path beneath the directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// A message was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It was not taken.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It was not committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}
