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
use pubsub_envelope::{Kind, Record, RecordRef, binary, jsonl};
use pubsub_types::{Seq, Timestamp};

use crate::channel::{Channel, count};
use crate::contents::{Contents, SegmentView, slot};
use crate::error::ReadError;
use crate::index::SlotSet;
use crate::manifest::{SegmentInfo, Written};
use crate::report::Finding;
use crate::scan::{self, Encoding, Found, SEQUENTIAL_BLOCK_BYTES, Scan, Verdict};

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
    /// Sequence that follows what the walk came by, or that it began with; `None` behind damage, which
    /// says itself why something is missing.
    expected: Option<u64>,
    deleted: SlotSet,
    /// State of the channel's deletes and files that `deleted` and `source` were taken from.
    version: u64,
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
    /// A file could not be read, and nothing before that place was. The reader stands there, and may be
    /// asked again.
    pub fn read(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Item>, ReadError> {
        self.read_blocks(max_records, max_bytes, SEQUENTIAL_BLOCK_BYTES)
    }

    /// As [`Self::read`], but touches no file and never waits for a disk: what of the next messages is
    /// in memory. `None` when none of them is, though there are more: then [`Self::read`] is to be
    /// called where a thread may wait for milliseconds.
    ///
    /// At the head everything is in memory. Behind it, a file is read for one call of many.
    pub fn read_near(&mut self, max_records: usize, max_bytes: usize) -> Option<Vec<Item>> {
        let how = How { block_bytes: SEQUENTIAL_BLOCK_BYTES, near: true };
        // Nothing is read, so nothing fails to be.
        let items = self.read_how(max_records, max_bytes, how).ok()?;
        (!items.is_empty() || self.after >= self.channel.last_seq()).then_some(items)
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
        self.read_how(max_records, max_bytes, How { block_bytes, near: false })
    }

    fn read_how(
        &mut self,
        max_records: usize,
        max_bytes: usize,
        how: How,
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
            if self.cursor.is_none() {
                match self.position_cursor(how, &mut items) {
                    Ok(true) => (),
                    Ok(false) => break,
                    Err(error) => return some_or(items, error),
                }
            }
            let Some(cursor) = &mut self.cursor else { continue };
            let room = Room { records: max_records - items.len(), bytes: max_bytes - bytes };
            let before = self.after;
            bytes += cursor.run(&mut self.after, last, room, &mut items);
            if self.after > before {
                continue;
            }
            if how.near && !cursor.is_near() {
                break;
            }
            let found = match cursor.next() {
                Ok(found) => found,
                Err(source) if source.kind() == io::ErrorKind::NotFound => None,
                Err(source) => {
                    let (channel, file) = (self.channel.name.clone(), cursor.file.clone());
                    self.cursor = None;
                    return some_or(items, ReadError::Io { channel, file, source });
                }
            };
            match found {
                None => self.leave_segment(&mut items),
                Some(Found::Batch(_)) => (),
                Some(Found::Damaged { at, len }) => {
                    let (file, version) = (cursor.file.clone(), cursor.version);
                    cursor.expected = None;
                    if self.is_current(version) {
                        self.channel.report(Finding::Damaged { file, at, bytes: len });
                    } else {
                        self.cursor = None;
                    }
                }
                Some(Found::Record { record, .. }) => {
                    if record.kind != Kind::Message {
                        continue;
                    }
                    if record.seq <= self.after {
                        let expected = cursor.expected.unwrap_or(0).max(record.seq + 1);
                        cursor.expected = Some(expected);
                        continue;
                    }
                    if record.seq > last {
                        // It came while we read, and is for the next time.
                        self.cursor = None;
                        break;
                    }
                    if record.seq > self.after + 1 && !self.pass_gap(record.seq, &mut items) {
                        continue;
                    }
                    let Some(cursor) = &mut self.cursor else { continue };
                    cursor.expected = Some(record.seq + 1);
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
    fn position_cursor(&mut self, how: How, items: &mut Vec<Item>) -> Result<bool, ReadError> {
        let channel = self.channel.clone();
        let contents = channel.contents.read();
        // What was deleted with all before it is passed at once.
        self.after = self.after.max(contents.first_seq - 1);
        let wanted = self.after + 1;
        if wanted >= contents.next_seq {
            return Ok(false);
        }
        let cursor = match contents.segment_at(wanted) {
            SegmentView::Active(_) => active_cursor(&contents, wanted, how.block_bytes),
            SegmentView::Sealed(_) if how.near => return Ok(false),
            SegmentView::Sealed(sealed) => {
                let sealed = sealed.clone();
                let deleted =
                    contents.deleted_in(sealed.info.first_seq).cloned().unwrap_or_default();
                let (log_id, version) = (contents.log_id, contents.deletes_version);
                drop(contents);
                let io = |source| ReadError::Io {
                    channel: self.channel.name.clone(),
                    file: sealed.info.file.clone(),
                    source,
                };
                let file = match sealed.file(self.channel.place()) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        let SegmentInfo { first_seq, next_seq, file, .. } = &sealed.info;
                        if self.pass(version, *next_seq, *first_seq, &deleted, items) {
                            let (file, first, last) = (file.clone(), *first_seq, next_seq - 1);
                            self.channel.report(Finding::MissingSegment { file, first, last });
                        }
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
                Cursor {
                    file: info.file.clone(),
                    written: info.written,
                    first_seq: info.first_seq,
                    next_seq: Some(info.next_seq),
                    source: Source::File(Scan::new(
                        file,
                        encoding,
                        at,
                        info.bytes,
                        how.block_bytes,
                    )),
                    expected: Some(start.map_or(info.first_seq, |location| location.seq.get())),
                    deleted,
                    version,
                }
            }
        };
        self.cursor = Some(cursor);
        Ok(true)
    }

    /// At the end of what the cursor can see.
    fn leave_segment(&mut self, items: &mut Vec<Item>) {
        // Whatever of it did not come by is not there, unless deleted.
        if let Some(next_seq) = self.cursor.as_ref().and_then(|cursor| cursor.next_seq) {
            self.pass_gap(next_seq, items);
        }
        self.cursor = None;
    }

    /// Goes up to `next`, telling of what is missing before it; false, and without a cursor, when that
    /// must be looked for again.
    fn pass_gap(&mut self, next: u64, items: &mut Vec<Item>) -> bool {
        let Some(cursor) = self.cursor.take() else { return false };
        let passed = self.pass(cursor.version, next, cursor.first_seq, &cursor.deleted, items);
        if passed {
            // What a walk begins behind, another one comes by.
            if let Some(expected) = cursor.expected {
                let (segment, deleted) = (cursor.first_seq, &cursor.deleted);
                push_gaps(expected..next, segment, deleted, |first, last| {
                    self.channel.report(Finding::Lost { first, last });
                });
            }
            self.cursor = Some(cursor);
        }
        passed
    }

    /// Goes up to `next`, telling of what is missing before it in the segment that starts at `segment`.
    /// Sequences are dense: whatever was not deleted and does not come by was lost, whether or not
    /// bytes are left in its place. False when what was known is of the past.
    fn pass(
        &mut self,
        version: u64,
        next: u64,
        segment: u64,
        deleted: &SlotSet,
        items: &mut Vec<Item>,
    ) -> bool {
        let first = self.after + 1;
        if first >= next {
            return true;
        }
        if !self.is_current(version) {
            return false;
        }
        push_gaps(first..next, segment, deleted, |first, last| {
            count(&self.channel.counters.gaps);
            items.push(Item::Gap { first, last });
        });
        self.after = next - 1;
        true
    }

    /// Whether nothing was deleted since `version` was current, and no file took another's place: what
    /// was cut off a suspect segment is missing there, and stands in the one that was begun after it.
    fn is_current(&self, version: u64) -> bool {
        self.channel.contents.read().deletes_version == version
    }
}

/// What was read before something could not be; whoever asks again is told of that.
fn some_or(items: Vec<Item>, error: ReadError) -> Result<Vec<Item>, ReadError> {
    if items.is_empty() { Err(error) } else { Ok(items) }
}

/// Gives `push` the runs of `seqs` that are not deleted, in a segment that starts at `segment`. Takes
/// as long as there are runs, however many sequences.
pub(crate) fn push_gaps(
    seqs: Range<u64>,
    segment: u64,
    deleted: &SlotSet,
    mut push: impl FnMut(u64, u64),
) {
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
        expected: if wanted <= active.info.first_seq {
            Some(active.info.first_seq)
        } else {
            located.map(|location| location.seq.get())
        },
        deleted: active.deleted(),
        version: contents.deletes_version,
    }
}

/// How to read.
#[derive(Clone, Copy, Debug)]
struct How {
    /// Bytes that are read of a file at once.
    block_bytes: usize,
    /// Only what is in memory.
    near: bool,
}

/// What may still be given out.
#[derive(Clone, Copy, Debug)]
struct Room {
    records: usize,
    bytes: usize,
}

impl Cursor {
    /// Gives out messages from where `after` says, one behind the other, as long as none is missing;
    /// moves `after`. How many bytes of content they have.
    fn run(&mut self, after: &mut u64, last: u64, mut room: Room, items: &mut Vec<Item>) -> usize {
        let Self { source, deleted, first_seq, written, expected, .. } = self;
        let (start, mut bytes) = (*after, 0);
        // Nothing is deleted before this one.
        let mut clear = 0;
        let judge = |record: &RecordRef<'_>| {
            if record.kind != Kind::Message || record.seq <= *after {
                return Verdict::Pass;
            }
            if record.seq != *after + 1
                || *after == last
                || room.records == 0
                || bytes >= room.bytes
            {
                return Verdict::Leave;
            }
            *after = record.seq;
            if record.seq >= clear {
                let at = slot(*first_seq, record.seq);
                let next = at.and_then(|at| deleted.next_in(at));
                clear = next.map_or(u64::MAX, |next| *first_seq + u64::from(next));
                if clear == record.seq {
                    return Verdict::Pass;
                }
            }
            room.records -= 1;
            bytes += record.content_bytes();
            Verdict::Take
        };
        let take = |record| items.push(Item::Record(record));
        match source {
            Source::File(scan) => scan.run(judge, take),
            Source::Memory { bytes, offset, .. } if *written == Written::Binary => {
                scan::run(bytes, offset, None, judge, take);
            }
            Source::Memory { .. } => (),
        }
        if *after > start {
            *expected = Some(*after + 1);
        }
        bytes
    }

    /// Whether [`Self::next`] touches no file.
    fn is_near(&self) -> bool {
        match &self.source {
            Source::Memory { .. } => true,
            Source::File(scan) => scan.is_near(),
        }
    }

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
