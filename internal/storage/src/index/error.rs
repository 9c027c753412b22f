//! What can be wrong with an index file.

use std::io;

use pubsub_types::{LogIndex, Seq};

/// An index file gives no answer. Except for [`IndexError::Io`], building it again from its segment
/// helps.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The device's fault; the file may be fine.
    #[error("read {len} bytes at {at} of the index")]
    Io {
        /// Byte of the index file.
        at: u64,
        /// How many bytes were asked for.
        len: usize,
        /// What the file system said.
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("the index is damaged, {what} at byte {at}; build it again from its segment")]
    Damaged {
        /// What was found damaged.
        what: &'static str,
        /// Byte of the index file.
        at: u64,
    },
    /// A sound index of some other segment.
    #[error(
        "the index is of another segment, log {log_id:032x} from {first_index} and {first_seq:?}; \
         build it again from its own"
    )]
    Foreign {
        /// The log it belongs to.
        log_id: u128,
        /// First log index of the segment it belongs to.
        first_index: LogIndex,
        /// The sequence its slots count from.
        first_seq: Seq,
    },
    /// Written by another version of this software.
    #[error("the index has format version {found}; build it again from its segment")]
    Version {
        /// The version found.
        found: u32,
    },
}

impl IndexError {
    /// Whether building the index again from its segment helps.
    #[must_use]
    pub fn wants_rebuild(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}
