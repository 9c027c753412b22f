//! One segment: every record of it, and whether it is all there.

use std::io;
use std::path::Path;
use std::sync::Arc;

use pubsub_disk::{File, Open};
use pubsub_envelope::binary::{SEGMENT_HEADER_BYTES, SegmentHeader};
use pubsub_envelope::{Kind, jsonl};
use pubsub_types::{ChannelName, Format};
use uuid::Uuid;

use super::{Diagnosis, Inspector, Problem};
use crate::index::SlotSet;
use crate::manifest::{self, ActiveInfo, Manifest, SegmentInfo, Written};
use crate::reader::push_gaps;
use crate::scan::{Encoding, Found, SEQUENTIAL_BLOCK_BYTES, Scan};

/// A segment, as far as something says that it is.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// The manifest says that it is whole.
    Sealed(SegmentInfo),
    /// The manifest says that it grows.
    Active(ActiveInfo),
    /// It is there.
    Unlisted { file: String, number: u64, format: Format },
}

impl Given {
    pub(super) fn file(&self) -> &str {
        match self {
            Self::Sealed(info) => &info.file,
            Self::Active(info) => &info.file,
            Self::Unlisted { file, .. } => file,
        }
    }

    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Sealed(info) => info.first_index,
            Self::Active(info) => info.first_index,
            Self::Unlisted { number, .. } => *number,
        }
    }

    pub(super) fn first_seq(&self) -> Option<u64> {
        match self {
            Self::Sealed(info) => Some(info.first_seq),
            Self::Active(info) => Some(info.first_seq),
            Self::Unlisted { .. } => None,
        }
    }

    pub(super) fn sealed(&self) -> Option<&SegmentInfo> {
        match self {
            Self::Sealed(info) => Some(info),
            Self::Active(_) | Self::Unlisted { .. } => None,
        }
    }

    fn written(&self) -> Written {
        match self {
            Self::Sealed(info) => info.written,
            Self::Active(info) => info.written,
            Self::Unlisted { format, .. } => (*format).into(),
        }
    }
}

/// What was seen of a segment.
#[derive(Debug, Default)]
pub(super) struct SegmentSeen {
    pub(super) there: bool,
    pub(super) records: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) first_seq: Option<u64>,
    pub(super) last_seq: Option<u64>,
    /// Sequence that the next segment should begin with.
    pub(super) next_seq: Option<u64>,
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug)]
struct Bad {
    at: u64,
    len: u64,
    /// Log index that the first record in them had.
    index: u64,
    /// Messages missing between the records around them.
    seqs: Option<(u64, u64)>,
}

/// A walk over a segment.
#[derive(Debug)]
struct Walk {
    seen: SegmentSeen,
    bad: Vec<Bad>,
    /// The last of `bad` has no record behind it yet.
    open: bool,
    /// Sequences that are missing where no byte is bad: before which byte, and which.
    holes: Vec<(u64, u64, u64)>,
    /// Where batches do not follow each other.
    breaks: Vec<u64>,
    expected: Option<u64>,
    next_index: u64,
    durable_index: u64,
    previous: Option<u32>,
    end: u64,
    /// A sequence that is not there was deleted, unless bytes are bad where it should be: what was
    /// left out is not on record.
    sparse: bool,
    /// What is known to be deleted, counted from `first_seq`.
    deleted: SlotSet,
    first_seq: u64,
    /// The last record says what a compaction left out.
    compacted: bool,
}

impl Inspector<'_> {
    /// Looks at a segment.
    pub(super) fn segment(
        &mut self,
        name: &ChannelName,
        dir: &Path,
        given: &Given,
        manifest: Option<&Manifest>,
        newest: bool,
        deleted: Option<&SlotSet>,
    ) -> io::Result<SegmentSeen> {
        let path = dir.join(given.file());
        let file = match self.disk.open(&path, Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.missing_segment(name, dir, given, manifest);
            }
            Err(error) => {
                self.unreadable(Some(name), path, &error);
                return Ok(SegmentSeen::default());
            }
        };
        let len = file.len()?;
        let sealed = given.sealed();
        let end = sealed.map_or(len, |info| info.bytes.min(len));
        let (encoding, first_seq) = self.encoding(name, &path, &*file, given, manifest)?;
        let mut walk = Walk::new(given, first_seq, deleted);
        if let Err(error) = self.walk(&file, encoding, given.written(), end, &mut walk) {
            self.unreadable(Some(name), path.clone(), &error);
        }
        if let Some(info) = sealed {
            let just_compacted =
                walk.compacted && walk.bad.is_empty() && len != info.bytes && info.removed == 0;
            walk.sparse |= just_compacted;
            walk.close(info.next_seq, end);
            let unexplained = walk.sparse
                && !just_compacted
                && walk.bad.is_empty()
                && walk.seen.messages + info.removed < info.messages;
            if unexplained {
                self.find(Diagnosis::new(Problem::SequencesMissing, Some(name), path.clone()));
            }
            if just_compacted {
                let found = Diagnosis::new(Problem::Unlisted, Some(name), path.clone());
                self.find(found.noted(
                    "compacted, and the manifest does not say so yet",
                    "nothing; the next start takes note",
                ));
            } else if len < info.bytes {
                let lost = walk.bad.pop().filter(|bad| bad.at + bad.len >= end);
                let seqs = lost.and_then(|bad| bad.seqs);
                let short = Diagnosis::new(Problem::SegmentShort, Some(name), path.clone());
                self.find(short.at(len, info.bytes - len).losing(seqs));
            } else if len > info.bytes {
                let trailing = Diagnosis::new(Problem::TrailingBytes, Some(name), path.clone());
                let trailing = trailing.at(info.bytes, len - info.bytes);
                self.find(if info.suspect {
                    trailing.noted("its end was set aside after a failed sync", "nothing")
                } else {
                    trailing
                });
            }
        } else if newest {
            let durable = manifest.map_or(0, |manifest| manifest.durable_index);
            if let Some(tail) = walk.take_torn(given.written(), durable) {
                let torn = Diagnosis::new(Problem::TornTail, Some(name), path.clone());
                let torn = torn.at(tail.at, len - tail.at).losing(tail.seqs);
                self.find(if self.live {
                    torn.noted("the node is writing here", "nothing")
                } else {
                    torn
                });
            }
            // What was once durable does not end before this.
            let last = manifest.map_or(0, |manifest| manifest.last_seq);
            walk.close(last + 1, end);
        }
        self.report(name, &path, &walk);
        let mut seen = walk.seen;
        seen.there = true;
        seen.bytes = end;
        seen.next_seq = walk.expected.or_else(|| sealed.map(|info| info.next_seq));
        Ok(seen)
    }

    fn missing_segment(
        &mut self,
        name: &ChannelName,
        dir: &Path,
        given: &Given,
        manifest: Option<&Manifest>,
    ) -> io::Result<SegmentSeen> {
        if self.live
            && let manifest::Read::Whole(now) = manifest::load(self.disk, dir)?
            && !now.sealed.iter().any(|info| info.file == given.file())
        {
            // Trimmed since we looked.
            return Ok(SegmentSeen::default());
        }
        let (first, next) = match given {
            Given::Sealed(info) => (info.first_seq, info.next_seq),
            Given::Active(info) => {
                (info.first_seq, manifest.map_or(0, |manifest| manifest.last_seq) + 1)
            }
            Given::Unlisted { .. } => return Ok(SegmentSeen::default()),
        };
        let seqs = (next > first).then(|| (first, next - 1));
        let missing = Diagnosis::new(Problem::SegmentMissing, Some(name), dir.join(given.file()));
        self.find(missing.losing(seqs));
        Ok(SegmentSeen { next_seq: Some(next.max(first)), ..SegmentSeen::default() })
    }

    /// How to read the segment, and the sequence of its first message, where something says so.
    fn encoding(
        &mut self,
        name: &ChannelName,
        path: &Path,
        file: &dyn File,
        given: &Given,
        manifest: Option<&Manifest>,
    ) -> io::Result<(Encoding, Option<u64>)> {
        let mut written = given.written();
        let mut first_seq = given.first_seq();
        let first_index = given.number();
        let mut log_id = manifest.map_or(Uuid::nil(), |manifest| manifest.log_id);
        if written == Written::Binary {
            let mut bytes = [0; SEGMENT_HEADER_BYTES];
            let got = file.read_at(&mut bytes, 0)?;
            let header = SegmentHeader::decode(&bytes[..got]);
            let fits = header.as_ref().is_some_and(|header| {
                header.first_index == first_index
                    && first_seq.is_none_or(|first| first == header.first_seq)
                    && manifest.is_none_or(|manifest| manifest.log_id.as_u128() == header.log_id)
            });
            if !fits {
                let bad = Diagnosis::new(Problem::HeaderDamaged, Some(name), path.to_owned());
                self.find(bad.at(0, SEGMENT_HEADER_BYTES as u64));
            }
            if let Some(header) = header {
                first_seq = first_seq.or(Some(header.first_seq));
                if manifest.is_none() {
                    log_id = Uuid::from_u128(header.log_id);
                }
            }
        } else if matches!(given, Given::Unlisted { .. }) && is_legacy(file)? {
            written = Written::Legacy;
            first_seq = first_seq.or(Some(1));
        }
        let encoding =
            manifest::encoding(written, log_id, first_index, first_seq.unwrap_or_default());
        Ok((encoding, first_seq))
    }

    fn walk(
        &mut self,
        file: &Arc<dyn File>,
        encoding: Encoding,
        written: Written,
        end: u64,
        walk: &mut Walk,
    ) -> io::Result<()> {
        let start = written.header_bytes();
        let mut scan =
            Scan::new(file.clone(), encoding, start, end.max(start), SEQUENTIAL_BLOCK_BYTES);
        let mut told = 0;
        while let Some(found) = scan.next()? {
            walk.take(found);
            if walk.end - told >= SEQUENTIAL_BLOCK_BYTES as u64 {
                self.advance(walk.end - told);
                told = walk.end;
            }
        }
        self.advance(end.saturating_sub(told));
        Ok(())
    }

    fn report(&mut self, name: &ChannelName, path: &Path, walk: &Walk) {
        for bad in &walk.bad {
            let found = Diagnosis::new(Problem::RecordDamaged, Some(name), path.to_owned());
            self.find(found.at(bad.at, bad.len).losing(bad.seqs));
        }
        for (at, first, last) in &walk.holes {
            let found = Diagnosis::new(Problem::SequencesMissing, Some(name), path.to_owned());
            self.find(found.at(*at, 0).losing(Some((*first, *last))));
        }
        for at in &walk.breaks {
            let found = Diagnosis::new(Problem::ChainBroken, Some(name), path.to_owned());
            self.find(found.at(*at, 0));
        }
    }
}

impl Walk {
    fn new(given: &Given, first_seq: Option<u64>, deleted: Option<&SlotSet>) -> Self {
        let removed = given.sealed().map_or(0, |info| info.removed);
        let deleted = deleted.cloned().unwrap_or_default();
        Self {
            seen: SegmentSeen::default(),
            bad: Vec::new(),
            open: false,
            holes: Vec::new(),
            breaks: Vec::new(),
            expected: first_seq,
            next_index: given.number(),
            durable_index: 0,
            previous: Some(0),
            end: given.written().header_bytes(),
            sparse: deleted.count() < removed,
            deleted,
            first_seq: first_seq.unwrap_or_default(),
            compacted: false,
        }
    }

    fn take(&mut self, found: Found) {
        match found {
            Found::Batch(header) => {
                if self.previous.is_some_and(|previous| previous != header.previous) {
                    self.breaks.push(self.end);
                }
                self.previous = Some(header.crc);
                self.end += pubsub_envelope::binary::BATCH_HEADER_BYTES as u64;
                self.durable_index = self.durable_index.max(header.durable_index);
                self.next_index = self.next_index.max(header.index);
            }
            Found::Damaged { at, len } => {
                self.end = at + len;
                // A header may be among the bytes.
                self.previous = None;
                match self.bad.last_mut().filter(|bad| bad.at + bad.len == at) {
                    Some(bad) => bad.len += len,
                    None => {
                        self.bad.push(Bad { at, len, index: self.next_index, seqs: None });
                    }
                }
                self.open = true;
            }
            Found::Record { at, len, record } => {
                self.end = at + u64::from(len);
                self.next_index += 1;
                self.seen.records += 1;
                self.compacted = record.kind == Kind::Compaction;
                if record.kind == Kind::Message {
                    self.message(at, record.seq);
                }
            }
        }
    }

    fn message(&mut self, at: u64, seq: u64) {
        let expected = self.expected.unwrap_or(seq);
        // Written twice: by a batch that failed and was given again. The first one stands.
        if seq < expected {
            return;
        }
        self.missing(expected, seq, at);
        self.seen.messages += 1;
        self.seen.first_seq = self.seen.first_seq.or(Some(seq));
        self.seen.last_seq = Some(seq);
        self.expected = Some(seq + 1);
        self.open = false;
    }

    /// Notes that the messages from `first` to before `next` are not there.
    fn missing(&mut self, first: u64, next: u64, at: u64) {
        if first >= next {
            return;
        }
        let Self { bad, holes, .. } = self;
        let mut bad = bad.last_mut().filter(|_| self.open);
        push_gaps(first..next, self.first_seq, &self.deleted, |first, last| match &mut bad {
            Some(bad) => bad.seqs = Some((bad.seqs.map_or(first, |(first, _)| first), last)),
            None if self.sparse => (),
            None => holes.push((at, first, last)),
        });
    }

    /// Takes in that the segment should have ended before `next_seq`.
    fn close(&mut self, next_seq: u64, end: u64) {
        let expected = self.expected.unwrap_or(next_seq);
        let mut lost = false;
        push_gaps(expected..next_seq, self.first_seq, &self.deleted, |_, _| lost = true);
        if lost && (self.open || !self.sparse) {
            if self.bad.last().is_none_or(|bad| !self.open || bad.at + bad.len < end) {
                self.bad.push(Bad { at: end, len: 0, index: self.next_index, seqs: None });
                self.open = true;
            }
            self.missing(expected, next_seq, end);
        }
        self.expected = Some(expected.max(next_seq));
    }

    /// Takes out what a crash tore off, as an opening of the channel would cut it.
    fn take_torn(&mut self, written: Written, durable_index: u64) -> Option<Bad> {
        let durable = self.durable_index.max(durable_index);
        let nth = match written {
            Written::Binary => self.bad.iter().position(|bad| bad.index > durable)?,
            Written::Jsonl | Written::Legacy => {
                let last = self.bad.len().checked_sub(1)?;
                let bad = self.bad[last];
                (bad.at + bad.len >= self.end && bad.index > durable).then_some(last)?
            }
        };
        let torn = self.bad[nth];
        self.bad.truncate(nth);
        Some(torn)
    }
}

/// Whether the predecessor wrote the file: its first whole line has no checksum, and parses.
fn is_legacy(file: &dyn File) -> io::Result<bool> {
    let mut bytes = vec![0; 64 << 10];
    let got = file.read_at(&mut bytes, 0)?;
    let Some(end) = memchr::memchr(b'\n', &bytes[..got]) else { return Ok(false) };
    let line = &bytes[..end];
    Ok(jsonl::verified(line).is_none() && jsonl::decode_legacy_line(line, 1).is_ok())
}
