//! Walks a segment file, record by record, believing nothing that does not prove itself.
//!
//! ```text
//!   │ batch header │ record │ record │ ▒▒▒▒▒▒▒ │ record │ …        ▒ fails its checksum
//!                                     ╰ Damaged: skipped to the next thing that proves itself
//! ```
//!
//! There is one such walk, and everything that reads segments uses it: recovery, readers, the doctor,
//! compaction. So damage looks the same to all of them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use pubsub_disk::File;
use pubsub_envelope::binary::{self, BATCH_HEADER_BYTES, BatchHeader, Seed};
use pubsub_envelope::{Record, RecordRef, jsonl};

use crate::blocks::{BLOCK_BYTES, Block};
use crate::config::RECORD_BYTES_MAX;

/// Greatest sequence and log index that is believed. No log gets there, and counting on from the last
/// number there is would be an overflow.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// How the bytes of a segment are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Our binary format, with this segment's seed.
    Binary(Seed),
    /// Our JSONL.
    Jsonl,
    /// The predecessor's JSONL: the first line has this sequence.
    Legacy {
        /// Sequence of the first line.
        first_seq: u64,
    },
}

/// What a walk comes upon.
#[derive(Debug)]
pub(crate) enum Found {
    /// The header of a batch.
    Batch(BatchHeader),
    /// A record that proves itself.
    Record {
        /// Where it starts in the file.
        at: u64,
        /// Its length on disk, padding or line break included.
        len: u32,
        /// The record.
        record: Record,
    },
    /// Bytes that are no record.
    Damaged {
        /// Where they start in the file.
        at: u64,
        /// How many.
        len: u64,
    },
}

/// A walk over a part of a file.
#[derive(Debug)]
pub(crate) struct Scan {
    file: Arc<dyn File>,
    encoding: Encoding,
    window: Bytes,
    window_at: u64,
    at: u64,
    end: u64,
    block_bytes: usize,
    /// Sequence of the next line of the predecessor's.
    legacy_seq: u64,
    pending: VecDeque<Found>,
}

/// Read at a time when walking from one end to the other.
pub(crate) const SEQUENTIAL_BLOCK_BYTES: usize = BLOCK_BYTES;

/// What becomes of a record that a run comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is given out.
    Take,
    /// The run goes on behind it.
    Pass,
    /// The run ends before it.
    Leave,
}

/// Goes through the binary records of `block` from `offset` on, for as long as each is whole and
/// `judge` does not end it; the offset then is where it ended. Where that is not the end of the block,
/// something is to be looked at more closely.
///
/// Nearly all records are read here. With `seed`, they prove themselves; without, they are what we
/// wrote.
pub(crate) fn run(
    block: &Bytes,
    offset: &mut usize,
    seed: Option<Seed>,
    mut judge: impl FnMut(&RecordRef<'_>) -> Verdict,
    mut take: impl FnMut(Record),
) {
    while let Some(rest) = block.get(*offset..) {
        if binary::looks_like_batch(rest) {
            let whole = seed.is_none_or(|seed| batch_header(seed, rest).is_some());
            if !whole {
                return;
            }
            *offset += BATCH_HEADER_BYTES;
            continue;
        }
        let decoded = match seed {
            Some(seed) => binary::decode_record(seed, rest),
            None => binary::parse_record(rest),
        };
        let Some((record, len)) = decoded else { return };
        match judge(&record) {
            Verdict::Take => take(record.share(block)),
            Verdict::Pass => (),
            Verdict::Leave => return,
        }
        *offset += len;
    }
}

/// The batch header here, if it proves itself and its numbers can be true.
fn batch_header(seed: Seed, bytes: &[u8]) -> Option<BatchHeader> {
    let believed =
        |it: &BatchHeader| it.index.max(it.first_seq).max(it.durable_index) <= NUMBER_MAX;
    BatchHeader::decode(seed, bytes).filter(believed)
}

impl Scan {
    /// A walk from `at`, which must be where a batch or record starts, to `end`.
    pub(crate) fn new(
        file: Arc<dyn File>,
        encoding: Encoding,
        at: u64,
        end: u64,
        block_bytes: usize,
    ) -> Self {
        let legacy_seq = match encoding {
            Encoding::Legacy { first_seq } => first_seq,
            Encoding::Binary(_) | Encoding::Jsonl => 0,
        };
        Self {
            file,
            encoding,
            window: Bytes::new(),
            window_at: at,
            at,
            end: end.max(at),
            block_bytes,
            legacy_seq,
            pending: VecDeque::new(),
        }
    }

    /// The next thing, or `None` at the end.
    ///
    /// # Errors
    /// The file could not be read; the walk stands where it stood.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        if let Some(found) = self.pending.pop_front() {
            return Ok(Some(found));
        }
        if self.at >= self.end {
            return Ok(None);
        }
        match self.encoding {
            Encoding::Binary(seed) => self.next_binary(seed),
            Encoding::Jsonl => self.next_line(false),
            Encoding::Legacy { .. } => self.next_line(true),
        }
    }

    /// Whether the next thing was read already, whole; so that [`Self::next`] touches no file.
    pub(crate) fn is_near(&self) -> bool {
        if !self.pending.is_empty() || self.at >= self.end {
            return true;
        }
        let Some(rest) = self.window.get(self.window_offset()..) else { return false };
        match self.encoding {
            Encoding::Binary(_) if binary::looks_like_batch(rest) => {
                rest.len() >= BATCH_HEADER_BYTES
            }
            // What is no record is looked for far behind it.
            Encoding::Binary(seed) => binary::decode_record(seed, rest).is_some(),
            Encoding::Jsonl | Encoding::Legacy { .. } => memchr::memchr(b'\n', rest).is_some(),
        }
    }

    /// Goes on through what was read already, as [`run`] does. Nothing but binary is read so.
    pub(crate) fn run(
        &mut self,
        judge: impl FnMut(&RecordRef<'_>) -> Verdict,
        take: impl FnMut(Record),
    ) {
        if let Encoding::Binary(seed) = self.encoding
            && self.pending.is_empty()
        {
            let mut offset = self.window_offset();
            run(&self.window, &mut offset, Some(seed), judge, take);
            self.at = self.window_at + offset as u64;
        }
    }

    /// The bytes from where the walk stands: `wanted` of them, or as many as there are.
    fn fill(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let offset = usize::try_from(self.at - self.window_at).unwrap_or(usize::MAX);
        let have = self.window.len().saturating_sub(offset);
        if have < wanted.min(left) {
            let mut block = Block::new(wanted.max(self.block_bytes).min(left));
            let got = self.file.read_at(block.bytes_mut(), self.at)?;
            if got < wanted.min(left) {
                // The file is shorter than it was said to be.
                self.end = self.at + got as u64;
            }
            self.window = block.share(got);
            self.window_at = self.at;
            return Ok(&self.window);
        }
        Ok(&self.window[offset..])
    }

    fn window_offset(&self) -> usize {
        usize::try_from(self.at - self.window_at).unwrap_or(usize::MAX)
    }

    fn next_binary(&mut self, seed: Seed) -> io::Result<Option<Found>> {
        if let Some(found) = self.step_binary(seed)? {
            return Ok(Some(found));
        }
        if self.at >= self.end {
            return Ok(None);
        }
        let start = self.at;
        // Nothing here proves itself. What starts at one of the next multiples of 8 may.
        while self.at < self.end {
            let left = self.end - self.at;
            self.at += left.min(binary::ALIGNMENT as u64);
            if self.at < self.end
                && let Some(found) = self.step_binary(seed)?
            {
                let at = match &found {
                    Found::Record { at, .. } => *at,
                    Found::Batch(_) => self.at - BATCH_HEADER_BYTES as u64,
                    Found::Damaged { at, .. } => *at,
                };
                self.pending.push_back(found);
                return Ok(Some(Found::Damaged { at: start, len: at - start }));
            }
        }
        Ok(Some(Found::Damaged { at: start, len: self.end - start }))
    }

    /// What starts exactly here, if it proves itself; the walk then stands behind it.
    #[inline]
    fn step_binary(&mut self, seed: Seed) -> io::Result<Option<Found>> {
        let bytes = self.fill(BATCH_HEADER_BYTES)?;
        if binary::looks_like_batch(bytes) {
            let Some(header) = batch_header(seed, bytes) else { return Ok(None) };
            self.at += BATCH_HEADER_BYTES as u64;
            return Ok(Some(Found::Batch(header)));
        }
        let Some(len) = binary::record_len(bytes) else { return Ok(None) };
        let have = bytes.len();
        if len as u64 > (self.end - self.at).min(RECORD_BYTES_MAX) {
            return Ok(None);
        }
        if have < len {
            self.fill(len)?;
        }
        let offset = self.window_offset();
        let decoded = binary::decode_record(seed, &self.window[offset..]);
        let Some((record, len)) = decoded.filter(|(it, _)| it.seq <= NUMBER_MAX) else {
            return Ok(None);
        };
        let at = self.at;
        let record = record.share(&self.window);
        self.at += len as u64;
        #[expect(clippy::cast_possible_truncation, reason = "it came from a u32")]
        let len = len as u32;
        Ok(Some(Found::Record { at, len, record }))
    }

    fn next_line(&mut self, legacy: bool) -> io::Result<Option<Found>> {
        // A new block is read when there is no whole line left in this one.
        let mut wanted = 1;
        let at = self.at;
        let (line_len, terminated) = loop {
            let bytes = self.fill(wanted)?;
            if let Some(len) = memchr::memchr(b'\n', bytes) {
                break (len, true);
            }
            let have = bytes.len();
            if have as u64 >= (self.end - at).min(RECORD_BYTES_MAX) {
                break (have, false);
            }
            wanted = have.saturating_mul(2);
        };
        if line_len == 0 && !terminated {
            self.at = self.end;
            return Ok(None);
        }
        let offset = self.window_offset();
        let line = &self.window[offset..offset + line_len];
        self.at += line_len as u64 + u64::from(terminated);
        if !terminated {
            // A line that nobody ended is no record yet, however whole it looks.
            return Ok(Some(Found::Damaged { at, len: line_len as u64 }));
        }
        let decoded = if legacy {
            jsonl::decode_legacy_line(line, self.legacy_seq)
        } else {
            jsonl::decode_line(line)
        };
        // Every line of the predecessor's has a position, readable or not: its reader counted bytes.
        self.legacy_seq += 1;
        let len = u32::try_from(line_len + 1).unwrap_or(u32::MAX);
        match decoded {
            Ok(record) if record.seq <= NUMBER_MAX => Ok(Some(Found::Record { at, len, record })),
            _ if legacy => Ok(Some(Found::Damaged { at, len: u64::from(len) })),
            _ => {
                let line = self.window.slice(offset..offset + line_len);
                self.salvage_line(at, &line);
                Ok(self.pending.pop_front())
            }
        }
    }

    /// Splits a bad line into the records that stand in it and the rest.
    fn salvage_line(&mut self, at: u64, line: &Bytes) {
        let mut done = 0;
        for (start, end) in jsonl::salvage(line) {
            let decoded = jsonl::decode_line(&line[start..end]);
            let Some(record) = decoded.ok().filter(|it| it.seq <= NUMBER_MAX) else { continue };
            if start > done {
                let gap = (start - done) as u64;
                self.pending.push_back(Found::Damaged { at: at + done as u64, len: gap });
            }
            // The line break belongs to what it ends: alone it would look like a torn end.
            let end = if end == line.len() { end + 1 } else { end };
            let len = u32::try_from(end - start).unwrap_or(u32::MAX);
            self.pending.push_back(Found::Record { at: at + start as u64, len, record });
            done = end;
        }
        let rest = (line.len() + 1 - done) as u64;
        if rest > 0 {
            self.pending.push_back(Found::Damaged { at: at + done as u64, len: rest });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubsub_disk::{Disk, FileDisk, Open};
    use pubsub_envelope::{Batch, NewRecord, Place};
    use pubsub_types::Format;
    use std::io::IoSlice;
    use std::path::Path;

    fn scan_all(bytes: &[u8], encoding: Encoding, block: usize) -> (Vec<u64>, u64) {
        let dir = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(dir.path()).unwrap();
        let file = disk.open(Path::new("s"), Open::Create).unwrap();
        file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
        let mut scan = Scan::new(file, encoding, 0, bytes.len() as u64, block);
        let (mut seqs, mut damaged) = (Vec::new(), 0);
        while let Some(found) = scan.next().unwrap() {
            match found {
                Found::Batch(_) => (),
                Found::Record { record, .. } => seqs.push(record.seq),
                Found::Damaged { len, .. } => damaged += len,
            }
        }
        (seqs, damaged)
    }

    fn segment(format: Format) -> (Vec<u8>, Encoding) {
        let seed = Seed::new(1, 1);
        let mut bytes = Vec::new();
        for nth in 0..3 {
            let mut batch = Batch::new(format, nth * 2 + 1, Vec::new());
            for payload in ["17", "\"a rather longer payload\""] {
                let record = NewRecord { payload: payload.as_bytes(), ..NewRecord::default() };
                batch.push_message("c", &record).unwrap();
            }
            batch.seal(seed, Place::default());
            bytes.extend_from_slice(batch.bytes());
        }
        let encoding =
            if format == Format::Binary { Encoding::Binary(seed) } else { Encoding::Jsonl };
        (bytes, encoding)
    }

    #[test]
    fn a_healthy_segment_is_read_whole_whatever_the_block_size() {
        for format in [Format::Binary, Format::Jsonl] {
            let (bytes, encoding) = segment(format);
            for block in [1, 7, 64, 100, 1 << 20] {
                assert_eq!(scan_all(&bytes, encoding, block), (vec![1, 2, 3, 4, 5, 6], 0));
            }
        }
    }

    #[test]
    fn a_flipped_bit_costs_at_most_the_record_it_hits() {
        for format in [Format::Binary, Format::Jsonl] {
            let (bytes, encoding) = segment(format);
            for at in 0..bytes.len() {
                for bit in [0, 3, 7] {
                    let mut bad = bytes.clone();
                    bad[at] ^= 1 << bit;
                    let (seqs, damaged) = scan_all(&bad, encoding, 64);
                    assert!(seqs.len() >= 5, "{format} byte {at} bit {bit}: {seqs:?}");
                    assert!(damaged > 0, "{format} byte {at} bit {bit} went unnoticed");
                    assert!(seqs.is_sorted());
                }
            }
        }
    }

    #[test]
    fn a_cut_anywhere_leaves_every_record_before_it() {
        for format in [Format::Binary, Format::Jsonl] {
            let (bytes, encoding) = segment(format);
            let whole = scan_all(&bytes, encoding, 64).0;
            for cut in 0..bytes.len() {
                let (seqs, _) = scan_all(&bytes[..cut], encoding, 64);
                assert_eq!(seqs, whole[..seqs.len()]);
            }
        }
    }

    #[test]
    fn an_unterminated_last_line_is_not_a_record() {
        let (bytes, encoding) = segment(Format::Jsonl);
        let (seqs, damaged) = scan_all(&bytes[..bytes.len() - 1], encoding, 64);
        assert_eq!(seqs, [1, 2, 3, 4, 5]);
        assert!(damaged > 0);
    }
}
