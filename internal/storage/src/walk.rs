//! One pass over a segment that builds all there is to know about it.

use std::io;
use std::sync::Arc;

use pubsub_disk::File;
use pubsub_envelope::Kind;
use pubsub_envelope::control::{Compaction, Control};
use pubsub_types::Timestamp;

use crate::contents::seq;
use crate::index::ActiveIndex;
use crate::scan::{Encoding, Found, NUMBER_MAX, SEQUENTIAL_BLOCK_BYTES, Scan};

/// Bytes of a segment that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Where they start in the file.
    pub(crate) at: u64,
    /// How many.
    pub(crate) len: u64,
    /// Log index that the first record in them had.
    pub(crate) index: u64,
}

/// What a pass over a segment found.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) index: ActiveIndex,
    /// What happened besides messages, with the log index of each.
    pub(crate) controls: Vec<(u64, Control)>,
    /// What a compaction left, if the segment ends with it.
    pub(crate) compaction: Option<Compaction>,
    /// Where the last record, batch header or damage ends.
    pub(crate) end: u64,
    pub(crate) next_index: u64,
    pub(crate) next_seq: u64,
    pub(crate) messages: u64,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
    /// Checksum of the last batch header.
    pub(crate) previous: u32,
    /// Highest log index that a batch says was synced.
    pub(crate) durable_index: u64,
    pub(crate) damage: Vec<Damage>,
    /// Earliest expiry, or 0.
    pub(crate) next_expiry: i64,
}

/// Where a pass starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From {
    pub(crate) at: u64,
    pub(crate) first_index: u64,
    pub(crate) first_seq: u64,
}

/// Passes over `file` from `from` to `end`.
///
/// # Errors
/// The file could not be read.
pub(crate) fn walk(
    file: &Arc<dyn File>,
    encoding: Encoding,
    from: From,
    end: u64,
) -> io::Result<Walked> {
    let mut scan = Scan::new(file.clone(), encoding, from.at, end, SEQUENTIAL_BLOCK_BYTES);
    let mut walked = Walked {
        index: ActiveIndex::new(seq(from.first_seq)),
        controls: Vec::new(),
        compaction: None,
        end: from.at,
        next_index: from.first_index,
        next_seq: from.first_seq,
        messages: 0,
        first_time: Timestamp(0),
        last_time: Timestamp(0),
        previous: 0,
        durable_index: 0,
        damage: Vec::new(),
        next_expiry: 0,
    };
    while let Some(found) = scan.next()? {
        walked.take(found);
    }
    Ok(walked)
}

impl Walked {
    fn take(&mut self, found: Found) {
        match found {
            Found::Batch(header) => {
                self.end += pubsub_envelope::binary::BATCH_HEADER_BYTES as u64;
                self.previous = header.crc;
                self.durable_index = self.durable_index.max(header.durable_index);
                // Behind damage the count of records is a guess, and the header knows.
                self.next_index = self.next_index.max(header.index);
            }
            Found::Record { at, len, record } => {
                self.end = at + u64::from(len);
                let index = self.next_index;
                self.next_index += 1;
                if record.kind == Kind::Message {
                    self.message(at, len, &record);
                    self.compaction = None;
                    return;
                }
                // It carries the sequence of the last message before it. Should that be lost, the
                // sequence is not given out again: what is said here is not meant for another.
                self.next_seq = self.next_seq.max(record.seq + 1);
                match Control::of(&record) {
                    Some(Control::Compaction(left))
                        if left.next_index.max(left.next_seq) <= NUMBER_MAX =>
                    {
                        self.next_index = self.next_index.max(left.next_index);
                        self.next_seq = self.next_seq.max(left.next_seq);
                        self.compaction = Some(left);
                    }
                    Some(control) => self.controls.push((index, control)),
                    None => (),
                }
            }
            Found::Damaged { at, len } => {
                self.end = at + len;
                self.damage.push(Damage { at, len, index: self.next_index });
            }
        }
    }

    fn message(&mut self, at: u64, len: u32, record: &pubsub_envelope::Record) {
        // A sequence that does not grow was written twice: by a batch that failed and was given
        // again. The first one that was read stands.
        if record.seq < self.next_seq {
            return;
        }
        if self.index.push(seq(record.seq), record.time, at, len, record.subject()).is_err() {
            return;
        }
        if self.messages == 0 {
            self.first_time = record.time;
        }
        self.last_time = record.time;
        self.messages += 1;
        self.next_seq = record.seq + 1;
        if let Some(expires) = record.meta().expires {
            let expires = expires.as_nanos();
            let sooner = self.next_expiry == 0 || expires < self.next_expiry;
            self.next_expiry = if sooner { expires } else { self.next_expiry };
        }
    }
}
