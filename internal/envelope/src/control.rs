//! What happened to a channel besides messages, as the payload of control records.
//!
//! The payloads are JSON in both formats: they are rare, and an operator who reads the file should
//! understand them.

use serde::{Deserialize, Serialize};

use crate::record::{Kind, Record};

/// One thing that happened to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Messages were deleted one by one.
    Tombstone(Tombstone),
    /// Everything before a sequence was deleted.
    Trim(Trim),
    /// The segment that this record ends was compacted.
    Compaction(Compaction),
}

/// Messages that were deleted one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// First and last sequence of each run, ascending.
    pub seqs: Vec<(u64, u64)>,
}

/// Everything before a sequence was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trim {
    /// First sequence that stays.
    pub first: u64,
    /// Why, for those who read the file: `max_messages`, `max_bytes`, `max_age`, `consumed`, `purge`.
    #[serde(default)]
    pub why: Box<str>,
}

/// What a compaction left of a segment. It is the last record of the segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    /// Messages left.
    pub messages: u64,
    /// Log index after the last record that the segment had.
    pub next_index: u64,
    /// Sequence after the last message that the segment had.
    pub next_seq: u64,
    /// Records left that change what is deleted.
    #[serde(default)]
    pub controls: u64,
}

impl Control {
    /// The kind of record that says this.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Tombstone(_) => Kind::Tombstone,
            Self::Trim(_) => Kind::Trim,
            Self::Compaction(_) => Kind::Compaction,
        }
    }

    /// The record's payload.
    ///
    /// # Panics
    /// Never: these values are always JSON.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let json = match self {
            Self::Tombstone(body) => serde_json::to_vec(body),
            Self::Trim(body) => serde_json::to_vec(body),
            Self::Compaction(body) => serde_json::to_vec(body),
        };
        json.expect("plain values are always JSON")
    }

    /// What `record` says, or `None` when it is a message, of a kind that changes nothing here, or
    /// written by a later version.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let payload = record.payload();
        match record.kind {
            Kind::Tombstone => serde_json::from_slice(payload).ok().map(Self::Tombstone),
            Kind::Trim => serde_json::from_slice(payload).ok().map(Self::Trim),
            Kind::Compaction => serde_json::from_slice(payload).ok().map(Self::Compaction),
            Kind::Message
            | Kind::Purge
            | Kind::ConsumerDelta
            | Kind::Configuration
            | Kind::Noop => None,
        }
    }
}
