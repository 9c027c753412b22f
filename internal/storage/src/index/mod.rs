//! Which message has which subject: one small index per segment, and none of them is the truth.
//!
//! ```text
//!   push ──▶ ActiveIndex ──seal──▶ <first>.idx ──open──▶ SealedIndex
//!            in memory             written once           a filter and a directory in memory,
//!            exact                 checked everywhere     the rest read when asked for
//! ```
//!
//! An index answers in sequences and in places to start reading; the messages themselves stay in the
//! segment. Whatever is wrong with an index file is an error that says so, and the owner builds the
//! file again from the segment. It never is a wrong answer.
//!
//! Messages are deleted by number, in a [`SlotSet`] beside the segment: an index file never changes.

mod active;
mod bits;
mod blocks;
mod bloom;
mod build;
mod chains;
mod chunked;
mod cursor;
#[cfg(test)]
mod damage_tests;
mod error;
mod format;
mod messages;
#[cfg(test)]
mod model;
mod order;
mod points;
mod postings;
mod sealed;
#[cfg(test)]
mod sealed_tests;
mod slots;
mod subjects;
mod table;
mod varint;
mod verify;

use pubsub_types::{Filter, Seq, Timestamp};

pub use active::{ActiveIndex, ActiveSubjects, PushError};
pub use build::SealedIndexBuilder;
pub use cursor::SealedSubjects;
pub use error::IndexError;
pub use format::{SegmentDigest, SegmentId};
pub use messages::Matches;
pub use sealed::SealedIndex;
pub use slots::{SlotSet, SlotSetError};

/// Where in a segment to find a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The message.
    pub seq: Seq,
    /// Byte of the segment file where it, or the batch that it is in, starts.
    pub offset: u64,
}

/// The messages of one subject in one segment, without the deleted ones. There is at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub first: Seq,
    /// The last of them.
    pub last: Seq,
    /// How many there are.
    pub count: u64,
}

/// What a segment holds, deleted or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages found in the segment.
    pub messages: u64,
    /// Their bytes, as they were given when they were added.
    pub bytes: u64,
    /// The first message; `None` when there is none.
    pub first: Option<Seq>,
    /// The last message.
    pub last: Option<Seq>,
    /// Time of the first message.
    pub first_time: Timestamp,
    /// Time of the last message.
    pub last_time: Timestamp,
    /// The greatest time of any message, as clocks may step back; `Timestamp(i64::MIN)` when there
    /// is none.
    pub max_time: Timestamp,
}

/// Which subjects a question is about.
///
/// Messages with the channel's own name as subject are stored with an empty one, so a filter alone
/// cannot tell whether they are meant.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    filter: &'a Filter,
    own: bool,
}

impl<'a> Wanted<'a> {
    /// The subjects that `filter` matches, in a channel where the empty subject means `own`.
    #[must_use]
    pub fn new(filter: &'a Filter, own: &str) -> Self {
        Self { filter, own: filter.matches(own) }
    }

    /// Whether a message stored with this subject is meant.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        if subject.is_empty() { self.own } else { self.filter.matches(subject) }
    }

    fn is_all(&self) -> bool {
        self.own && self.filter.is_all()
    }

    /// The only subject besides the empty one that can match, if there is only one.
    fn literal(&self) -> Option<&'a str> {
        self.filter.is_literal().then(|| self.filter.as_str())
    }
}

/// Subjects of one segment in byte order, one at a time, so that segments can be merged.
///
/// The empty subject, where it is wanted, comes first. Subjects without messages that are not
/// deleted do not come.
pub trait SubjectCursor {
    /// Goes to the next subject; false when there is none.
    ///
    /// # Errors
    /// Reading the index failed; there is nothing more to be had from this cursor.
    fn advance(&mut self) -> Result<bool, IndexError>;

    /// The subject that the cursor is at and its messages. `None` before the first
    /// [`Self::advance`] and after one that was not `Ok(true)`.
    fn current(&self) -> Option<(&str, Span)>;
}
