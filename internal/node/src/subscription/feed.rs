//! Reads ahead for one subscriber, and tells a delivery what it missed.
//!
//! What the log has no more is told as a gap, never passed in silence: retention may have overtaken a
//! slow subscriber, and who counts messages wants to know.

use std::collections::VecDeque;

use pubsub_envelope::Record;
use pubsub_messenger::Missing;
use pubsub_storage::{Item, ReadError, Reader};
use pubsub_types::Timestamp;

/// Messages read at once. Enough to make the reading cheap, few enough to be held by every subscriber.
const READ_RECORDS: usize = 256;
/// Bytes read at once, give or take one message.
const READ_BYTES: usize = 256 << 10;

/// Reads ahead for one subscriber.
#[derive(Debug)]
pub(super) struct Feed {
    reader: Reader,
    ahead: VecDeque<Item>,
    /// Last sequence that was given out.
    given: u64,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Record(Record),
    Gap(u64, u64, Missing),
    /// Nothing more for now.
    End,
}

impl Feed {
    pub(super) fn new(reader: Reader) -> Self {
        let given = reader.position();
        Self { reader, ahead: VecDeque::new(), given }
    }

    /// What comes next. What has expired at `now` counts as deleted.
    ///
    /// # Errors
    /// A file could not be read; ask again later.
    pub(super) fn next(&mut self, now: Timestamp) -> Result<Next, ReadError> {
        let mut expired_to = 0;
        loop {
            if self.ahead.is_empty() {
                self.ahead = self.reader.read(READ_RECORDS, READ_BYTES)?.into();
            }
            let next = match self.ahead.front() {
                Some(Item::Record(record)) if has_expired(record, now) => {
                    expired_to = record.seq;
                    self.ahead.pop_front();
                    continue;
                }
                Some(Item::Record(record)) => record.seq,
                Some(Item::Gap { first, .. }) => *first,
                None => self.reader.position().max(expired_to) + 1,
            };
            if next > self.given + 1 {
                let first = self.given + 1;
                self.given = next - 1;
                return Ok(Next::Gap(first, next - 1, Missing::Deleted));
            }
            return Ok(match self.ahead.pop_front() {
                None => Next::End,
                Some(Item::Record(record)) => {
                    self.given = record.seq;
                    Next::Record(record)
                }
                Some(Item::Gap { first, last }) => {
                    self.given = last;
                    Next::Gap(first, last, Missing::Damaged)
                }
            });
        }
    }

    /// Whether everything read was given out.
    pub(super) fn is_drained(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Last sequence that was given out.
    pub(super) fn given(&self) -> u64 {
        self.given
    }
}

fn has_expired(record: &Record, now: Timestamp) -> bool {
    record.meta().expires.is_some_and(|expires| expires <= now)
}
