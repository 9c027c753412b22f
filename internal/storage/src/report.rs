//! What an opening found and did, for the log, the stats and the doctor.

use serde::Serialize;

/// Something about a channel's files that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// The end of the log was torn by a crash, and cut. A copy is in `quarantine/`.
    ///
    /// It was above everything known to be durable; it may hold records whose write was acknowledged
    /// under the `periodic` and `none` policies.
    TornTail {
        /// The segment's file.
        file: String,
        /// Where the cut was made, in bytes.
        at: u64,
        /// Bytes cut.
        bytes: u64,
    },
    /// Bytes that were once durable are no record any more. They stay where they are.
    Damaged {
        /// The segment's file.
        file: String,
        /// Where they start, in bytes.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// Messages that were once durable are not in any file.
    Lost {
        /// First sequence.
        first: u64,
        /// Last sequence.
        last: u64,
    },
    /// A segment that the manifest names is not there.
    MissingSegment {
        /// The segment's file.
        file: String,
        /// First sequence it held.
        first: u64,
        /// Last sequence it held.
        last: u64,
    },
    /// The manifest was damaged or missing and was rebuilt from the segments.
    ManifestRebuilt,
    /// What was deleted was not on record, and was worked out again from the segments.
    DeletesRebuilt,
    /// Files of the predecessor were taken over.
    Converted {
        /// How many.
        files: u64,
        /// Messages in them.
        messages: u64,
    },
    /// A file that the manifest does not name was taken in, as its content shows that it belongs.
    Adopted {
        /// The segment's file.
        file: String,
    },
}

impl Finding {
    /// Whether something that was stored is gone.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Lost { .. } | Self::MissingSegment { .. })
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TornTail { file, at, bytes } => write!(
                f,
                "{file}: {bytes} bytes at the end, from byte {at}, were torn by a crash; they were above everything known to be synced and were cut, with a copy in quarantine/"
            ),
            Self::Damaged { file, at, bytes } => {
                write!(f, "{file}: {bytes} bytes from byte {at} are damaged")
            }
            Self::Lost { first, last } => {
                write!(f, "messages {first} to {last} were stored and are in no file")
            }
            Self::MissingSegment { file, first, last } => {
                write!(f, "{file}: missing, with messages {first} to {last}")
            }
            Self::ManifestRebuilt => {
                f.write_str("the manifest was damaged or missing; rebuilt from the segments")
            }
            Self::DeletesRebuilt => f.write_str(
                "the record of deleted messages was damaged or missing; rebuilt from the segments",
            ),
            Self::Converted { files, messages } => {
                write!(f, "took over {files} files of the predecessor with {messages} messages")
            }
            Self::Adopted { file } => {
                write!(f, "{file}: not in the manifest, but it belongs; taken in")
            }
        }
    }
}
