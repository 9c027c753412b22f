//! Reads a channel's messages in order, from memory at the head and from the files behind it.
//!
//! A reader keeps a position and nothing else of the channel; any number of them read at the same time
//! as the channel is written, rolled, trimmed and compacted.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::Bytes;
use pubsub_envelope::{Kind, Record, binary, jsonl};
use pubsub_types::{Seq, Timestamp};

use crate::channel::{Channel, count};
use crate::contents::{Contents, SegmentView, slot};
use crate::error::ReadError;
use crate::index::SlotSet;
use crate::manifest::Written;
use crate::report::Finding;
use crate::scan::{Encoding, Found, SEQUENTIAL_BLOCK_BYTES, Scan};

/// Read at once for a single message: the sparse index leads this close to it.
const LOOKUP_BLOCK_BYTES: usize = 16 << 10;

/// What a reader comes upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A message.
    Record(Record),
    /// Messages that were stored and can no longer be read.
    Gap {
        /// First sequence.
        first: u64,
        /// Last sequence.
        last: u64,
    },
}

/// A position in a channel, and what is needed to go on from there.
#[derive(Debug)]
pub struct Reader {
    channel: Arc<Channel>,
    /// Sequence of the last message given out or passed.
    after: u64,
    cursor: Option<Cursor>,
    /// State of the channel's deletes that the cursor knows.
    deletes_version: u64,
}

/// Where in the files the reader stands.
#[derive(Debug)]
struct Cursor {
    file: String,
    written: Written,
    /// First sequence of the segment.
    first_seq: u64,
    /// Sequence after the last one that the source goes up to; `None` for memory, which goes on at the
    /// next block.
    next_seq: Option<u64>,
    source: Source,
    /// Bytes that are no record were passed since the last record.
    damaged: bool,
    deleted: SlotSet,
}

#[derive(Debug)]
enum Source {
    Memory { bytes: Bytes, at: u64, offset: usize },
    File(Scan),
}

impl Channel {
    /// A reader of what comes after the message `after`; 0 for all there is.
    #[must_use]
    pub fn reader(self: &Arc<Self>, after: u64) -> Reader {
        Reader { channel: self.clone(), after, cursor: None, deletes_version: 0 }
    }

    /// The message with this sequence.
    ///
    /// # Errors
    /// There is none yet, it was deleted, it is damaged, or the file could not be read.
    pub fn get(self: &Arc<Self>, seq: Seq) -> Result<Record, ReadError> {
        let (number, channel) = (seq.get(), self.name.clone());
        let last = self.last_seq();
        if number > last {
            return Err(ReadError::Beyond { channel, seq: number, last });
        }
        if self.contents.read().is_deleted(number) {
            return Err(ReadError::Deleted { channel, seq: number });
        }
        let mut reader = self.reader(number - 1);
        match reader.read_blocks(1, usize::MAX, LOOKUP_BLOCK_BYTES)?.into_iter().next() {
            Some(Item::Record(record)) if record.seq == number => Ok(record),
            Some(Item::Gap { first, last }) if (first..=last).contains(&number) => {
                Err(ReadError::Damaged { channel, seq: number })
            }
            // It was deleted while we looked.
            _ => Err(ReadError::Deleted { channel, seq: number }),
        }
    }

    /// Sequence before the first message at or after `time`; [`Self::last_seq`] when all are earlier.
    ///
    /// Where a clock stepped back, the first message counts whose time, or that of one before it, is
    /// not earlier.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn before_time(self: &Arc<Self>, time: Timestamp) -> Result<u64, ReadError> {
        let from = {
            let contents = self.contents.read();
            let nth = contents.sealed.partition_point(|sealed| sealed.info.last_time < time);
            contents
                .sealed
                .get(nth)
                .map_or(contents.active.info.first_seq, |sealed| sealed.info.first_seq)
        };
        let mut reader = self.reader(from - 1);
        loop {
            let items = reader.read(1024, SEQUENTIAL_BLOCK_BYTES)?;
            if items.is_empty() {
                return Ok(self.last_seq());
            }
            for item in items {
                if let Item::Record(record) = item
                    && record.time >= time
                {
                    return Ok(record.seq - 1);
                }
            }
        }
    }
}

impl Reader {
    /// Sequence of the last message given out or passed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.after
    }

    /// Goes on after the message `after`.
    pub fn seek(&mut self, after: u64) {
        self.after = after;
        self.cursor = None;
    }

    /// The channel that is read.
    #[must_use]
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The next messages: at most `max_records`, and no more once their content exceeds `max_bytes`.
    /// Nothing means that there are no more yet; see [`Self::ready`].
    ///
    /// Deleted messages are passed silently, damaged ones are told of and passed.
    ///
    /// # Errors
    /// A file could not be read. The reader stands where it stood, and may be asked again.
    pub fn read(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Item>, ReadError> {
        self.read_blocks(max_records, max_bytes, SEQUENTIAL_BLOCK_BYTES)
    }

    /// Resolves when there may be messages after the position.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + use<> {
        let (channel, after) = (self.channel.clone(), self.after);
        std::future::poll_fn(move |context| {
            if channel.watch(after, context.waker()) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    fn read_blocks(
        &mut self,
        max_records: usize,
        max_bytes: usize,
        block_bytes: usize,
    ) -> Result<Vec<Item>, ReadError> {
        let mut items = Vec::new();
        let mut bytes = 0;
        let last = self.channel.last_seq();
        let version = self.channel.deletes_version.load(Ordering::Acquire);
        if self.deletes_version != version {
            // What was deleted since must not be given out.
            self.deletes_version = version;
            self.cursor = None;
        }
        while self.after < last && items.len() < max_records && bytes < max_bytes {
            if self.cursor.is_none() && !self.position_cursor(block_bytes, &mut items)? {
                break;
            }
            let Some(cursor) = &mut self.cursor else { continue };
            let found = match cursor.next() {
                Ok(found) => found,
                Err(source) if source.kind() == io::ErrorKind::NotFound => None,
                Err(source) => {
                    let (channel, file) = (self.channel.name.clone(), cursor.file.clone());
                    self.cursor = None;
                    return Err(ReadError::Io { channel, file, source });
                }
            };
            match found {
                None => self.leave_segment(&mut items),
                Some(Found::Batch(_)) => (),
                Some(Found::Damaged { at, len }) => {
                    cursor.damaged = true;
                    let file = cursor.file.clone();
                    self.channel.report(Finding::Damaged { file, at, bytes: len });
                }
                Some(Found::Record { record, .. }) => {
                    if record.kind != Kind::Message || record.seq <= self.after {
                        continue;
                    }
                    if record.seq > last {
                        break;
                    }
                    self.pass_gap(record.seq, &mut items);
                    let Some(cursor) = &mut self.cursor else { continue };
                    cursor.damaged = false;
                    let at = slot(cursor.first_seq, record.seq);
                    self.after = record.seq;
                    if at.is_none_or(|at| !cursor.deleted.contains(at)) {
                        bytes += record.content_bytes();
                        items.push(Item::Record(record));
                    }
                }
            }
        }
        Ok(items)
    }

    /// Finds where the next message is; false when there is none.
    fn position_cursor(
        &mut self,
        block_bytes: usize,
        items: &mut Vec<Item>,
    ) -> Result<bool, ReadError> {
        let channel = self.channel.clone();
        let contents = channel.contents.read();
        // What was deleted with all before it is passed at once.
        self.after = self.after.max(contents.first_seq - 1);
        let wanted = self.after + 1;
        if wanted >= contents.next_seq {
            return Ok(false);
        }
        let cursor = match contents.segment_at(wanted) {
            SegmentView::Active(_) => active_cursor(&contents, wanted, block_bytes),
            SegmentView::Sealed(sealed) => {
                let sealed = sealed.clone();
                let deleted =
                    contents.deleted_in(sealed.info.first_seq).cloned().unwrap_or_default();
                let log_id = contents.log_id;
                drop(contents);
                let io = |source| ReadError::Io {
                    channel: self.channel.name.clone(),
                    file: sealed.info.file.clone(),
                    source,
                };
                let file = match sealed.file(self.channel.place()) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        self.pass_missing(sealed.info.first_seq, sealed.info.next_seq, items);
                        return Ok(true);
                    }
                    Err(error) => return Err(io(error)),
                };
                let info = &sealed.info;
                let encoding = info.encoding(log_id);
                let start = self.channel.start_of(&sealed, log_id, wanted).map_err(io)?;
                let (at, encoding) = match start {
                    Some(location) => (location.offset, encoding.starting_at(location.seq.get())),
                    None => (info.written.header_bytes(), encoding),
                };
                // The walk starts behind what is missing, and does not come upon the damage.
                let damaged = start.is_some_and(|location| location.seq.get() > wanted);
                Cursor {
                    file: info.file.clone(),
                    written: info.written,
                    first_seq: info.first_seq,
                    next_seq: Some(info.next_seq),
                    source: Source::File(Scan::new(file, encoding, at, info.bytes, block_bytes)),
                    damaged,
                    deleted,
                }
            }
        };
        self.cursor = Some(cursor);
        Ok(true)
    }

    /// At the end of what the cursor can see.
    fn leave_segment(&mut self, items: &mut Vec<Item>) {
        let Some(cursor) = self.cursor.take() else { return };
        if let Some(next_seq) = cursor.next_seq {
            // Whatever of it did not come by is not there, unless deleted.
            self.cursor = Some(Cursor { damaged: true, ..cursor });
            self.pass_gap(next_seq, items);
            self.cursor = None;
            self.after = self.after.max(next_seq - 1);
        }
    }

    /// Goes up to `next`, telling of what is missing before it when damage is the reason.
    fn pass_gap(&mut self, next: u64, items: &mut Vec<Item>) {
        let first = self.after + 1;
        if first >= next {
            return;
        }
        let Some(cursor) = &self.cursor else { return };
        if cursor.damaged {
            push_gaps(first..next, cursor.first_seq, &cursor.deleted, |first, last| {
                count(&self.channel.counters.gaps);
                items.push(Item::Gap { first, last });
            });
        }
        self.after = next - 1;
    }

    fn pass_missing(&mut self, first: u64, next: u64, items: &mut Vec<Item>) {
        let first = first.max(self.after + 1);
        if first < next {
            count(&self.channel.counters.gaps);
            items.push(Item::Gap { first, last: next - 1 });
        }
        self.after = self.after.max(next - 1);
    }
}

/// Gives `push` the runs of `seqs` that are not deleted, in a segment that starts at `segment`. Takes
/// as long as there are runs, however many sequences.
fn push_gaps(seqs: Range<u64>, segment: u64, deleted: &SlotSet, mut push: impl FnMut(u64, u64)) {
    let mut from = seqs.start;
    while from < seqs.end {
        // Nothing is deleted before the first slot, nor behind the last.
        let first = match slot(segment, from) {
            Some(at) => segment + deleted.next_live(at).map_or(1 << 32, u64::from),
            None => from,
        };
        if first >= seqs.end {
            break;
        }
        let end = slot(segment, first.max(segment))
            .and_then(|at| deleted.next_in(at))
            .map_or(seqs.end, |at| seqs.end.min(segment + u64::from(at)));
        push(first, end - 1);
        from = end;
    }
}

fn active_cursor(contents: &Contents, wanted: u64, block_bytes: usize) -> Cursor {
    let active = &contents.active;
    let located = active
        .index
        .first_at_or_after(crate::contents::seq(wanted))
        .and_then(|seq| active.index.locate(seq));
    let at = located.map_or(active.end, |location| location.offset);
    let (source, next_seq) = match contents.tail.get(active.info.first_index, at) {
        Some(bytes) => (Source::Memory { bytes, at, offset: 0 }, None),
        None => {
            let (file, encoding) = (active.file.clone(), contents.active_encoding());
            let scan = Scan::new(file, encoding, at, active.end, block_bytes);
            (Source::File(scan), Some(contents.next_seq))
        }
    };
    let lost = located.is_none_or(|location| location.seq.get() > wanted);
    let file = match &source {
        // Memory is not damaged, and what is not reported needs no name.
        Source::Memory { .. } => String::new(),
        Source::File(_) => active.info.file.clone(),
    };
    Cursor {
        file,
        written: active.info.written,
        first_seq: active.info.first_seq,
        next_seq,
        source,
        damaged: lost,
        deleted: active.index.deletes().clone(),
    }
}

impl Cursor {
    #[inline]
    fn next(&mut self) -> io::Result<Option<Found>> {
        match &mut self.source {
            Source::File(scan) => scan.next(),
            Source::Memory { bytes, at, offset } => {
                let rest = &bytes[*offset..];
                let (record, len) = match self.written {
                    Written::Binary => {
                        let rest = if binary::looks_like_batch(rest) {
                            *offset += binary::BATCH_HEADER_BYTES;
                            &bytes[*offset..]
                        } else {
                            rest
                        };
                        match binary::parse_record(rest) {
                            Some((record, len)) => (record.share(bytes), len),
                            None => return Ok(None),
                        }
                    }
                    Written::Jsonl | Written::Legacy => {
                        let Some(len) = memchr::memchr(b'\n', rest) else { return Ok(None) };
                        match jsonl::decode_line(&rest[..len]) {
                            Ok(record) => (record, len + 1),
                            Err(_) => return Ok(None),
                        }
                    }
                };
                let found_at = *at + *offset as u64;
                *offset += len;
                let len = u32::try_from(len).unwrap_or(u32::MAX);
                Ok(Some(Found::Record { at: found_at, len, record }))
            }
        }
    }
}

impl Encoding {
    /// The same, for a walk that starts at a message with this sequence.
    pub(crate) fn starting_at(self, seq: u64) -> Self {
        match self {
            Self::Legacy { .. } => Self::Legacy { first_seq: seq },
            Self::Binary(_) | Self::Jsonl => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_in_runs_of_what_was_not_deleted() {
        for deleted in [vec![], vec![0], vec![2, 3, 7], vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]] {
            let set: SlotSet = deleted.iter().copied().collect();
            for (first, next) in
                [(95, 99), (95, 100), (98, 105), (100, 110), (103, 108), (105, 120)]
            {
                let mut told = Vec::new();
                push_gaps(first..next, 100, &set, |first, last| told.push((first, last)));
                let gone = |seq: u64| deleted.iter().any(|at| 100 + u64::from(*at) == seq);
                let expected: Vec<u64> = (first..next).filter(|seq| !gone(*seq)).collect();
                let seqs: Vec<u64> = told.iter().flat_map(|(from, to)| *from..=*to).collect();
                assert_eq!(seqs, expected, "{first}..{next} without {deleted:?}");
                assert!(told.windows(2).all(|two| two[0].1 + 1 < two[1].0), "{told:?}");
            }
        }
    }

    #[test]
    fn a_gap_of_any_length_is_told_at_once() {
        let mut told = Vec::new();
        let mut deleted = SlotSet::new();
        deleted.insert(u32::MAX);
        push_gaps(1..u64::MAX, 1, &deleted, |first, last| told.push((first, last)));
        assert_eq!(told, [(1, (1 << 32) - 1), ((1 << 32) + 1, u64::MAX - 1)]);
    }
}
