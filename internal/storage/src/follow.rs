//! Follows a channel's segment files without owning them, while somebody else writes, rolls and trims
//! them, or nobody does.
//!
//! ```text
//!   sealed ─▶ sealed ─▶ active ▒      ▒ bytes that are no record yet: looked at again later
//!     read to the end ─▶ a newer segment exists ─▶ what is left of the old one is final
//! ```
//!
//! A segment grows no more once there is a newer one. So what does not prove itself at the end of the
//! newest may be a write under way, and is damage everywhere else.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pubsub_disk::{Disk, EntryKind, File, Open};
use pubsub_envelope::binary::{BATCH_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader};
use pubsub_envelope::{Kind, Record, jsonl};
use pubsub_types::{ChannelName, Format, Timestamp};
use uuid::Uuid;

use crate::manifest::{self, Manifest, Read, Written, parse_segment_file};
use crate::scan::{Found, SEQUENTIAL_BLOCK_BYTES, Scan};
use crate::store::channel_dir;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowFrom {
    /// With the oldest message that is in a file.
    Start,
    /// With the last so many messages.
    Last(usize),
    /// With the message after this sequence.
    After(u64),
    /// With the first message of this time or later.
    Since(Timestamp),
}

/// What a follower comes upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// A message.
    Record(Record),
    /// Bytes that are no record.
    Damaged {
        /// File, from the channel's directory.
        file: String,
        /// Where they start in it.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// Messages that are in no file: deleted with all before them, or lost.
    Missing {
        /// First sequence.
        first: u64,
        /// Last sequence.
        last: u64,
    },
    /// A crash tore the end off the log: what was told of after this sequence was never acknowledged,
    /// and may come again as something else.
    Cut {
        /// Last sequence that stands.
        after: u64,
    },
}

/// Reads a channel's files as they grow.
#[derive(Debug)]
pub struct Follower {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Sequence of the last message told of; `None` before the first.
    after: Option<u64>,
    /// Earlier messages are passed.
    since: Option<Timestamp>,
    /// Earlier sequences are passed.
    skip_to: u64,
    segment: Option<Segment>,
    /// Log index after which the next segment begins.
    passed: Option<u64>,
    pending: VecDeque<Followed>,
}

#[derive(Debug)]
struct Segment {
    name: String,
    file: Arc<dyn File>,
    encoding: crate::scan::Encoding,
    first_index: u64,
    start: u64,
    /// Everything before it was told of.
    at: u64,
    /// Bytes that count, for a sealed one.
    end: Option<u64>,
    /// What is not in it was deleted.
    sparse: bool,
}

/// A segment file, as its name says.
#[derive(Clone, Debug)]
struct Listed {
    name: String,
    number: u64,
    format: Format,
}

impl Follower {
    /// Follows `channel` in the data directory that `disk` stands for.
    ///
    /// # Errors
    /// There is no such channel, or it could not be read.
    pub fn open(disk: Arc<dyn Disk>, channel: &ChannelName, from: FollowFrom) -> io::Result<Self> {
        let mut follower = Self {
            disk,
            dir: channel_dir(channel),
            after: None,
            since: None,
            skip_to: 0,
            segment: None,
            passed: None,
            pending: VecDeque::new(),
        };
        let listed = follower.list()?;
        if let Some(manifest) = follower.manifest()? {
            follower.skip_to = manifest.first_seq;
        }
        match from {
            FollowFrom::Start => (),
            FollowFrom::After(seq) => {
                follower.skip_to = follower.skip_to.max(seq.saturating_add(1));
                follower.start_near(&listed, seq)?;
            }
            FollowFrom::Since(time) => follower.since = Some(time),
            FollowFrom::Last(count) => follower.seek_last(&listed, count)?,
        }
        Ok(follower)
    }

    /// The channel's directory, from the data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.dir
    }

    /// What comes next: at most `max_records`, and no more once their content exceeds `max_bytes`.
    /// Nothing means that there is no more yet.
    ///
    /// # Errors
    /// A file could not be read; may be asked again.
    pub fn read(&mut self, max_records: usize, max_bytes: usize) -> io::Result<Vec<Followed>> {
        let mut out = Vec::new();
        let mut bytes = 0;
        while out.len() < max_records && bytes < max_bytes {
            if let Some(found) = self.pending.pop_front() {
                bytes += content(&found);
                out.push(found);
                continue;
            }
            if self.segment.is_none() && !self.open_next()? {
                break;
            }
            let last = !self.list()?.iter().any(|listed| self.is_behind(listed));
            if !self.read_segment(last, max_records)? {
                if last {
                    break;
                }
                self.passed = self.segment.take().map(|segment| segment.first_index);
            }
        }
        Ok(out)
    }

    fn is_behind(&self, listed: &Listed) -> bool {
        self.segment.as_ref().is_some_and(|segment| listed.number > segment.first_index)
    }

    fn list(&self) -> io::Result<Vec<Listed>> {
        let mut listed: Vec<Listed> = self
            .disk
            .list(&self.dir)?
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::File)
            .filter_map(|entry| {
                let (number, format) = parse_segment_file(&entry.name)?;
                Some(Listed { name: entry.name, number, format })
            })
            .collect();
        listed.sort_by_key(|listed| listed.number);
        Ok(listed)
    }

    fn manifest(&self) -> io::Result<Option<Manifest>> {
        match manifest::load(&*self.disk, &self.dir)? {
            Read::Whole(manifest) => Ok(Some(*manifest)),
            Read::Absent | Read::Damaged | Read::Version(_) => Ok(None),
        }
    }

    /// Opens the segment after the one that was passed; false when there is none.
    fn open_next(&mut self) -> io::Result<bool> {
        let manifest = self.manifest()?;
        for listed in self.list()? {
            if self.passed.is_some_and(|passed| listed.number <= passed) {
                continue;
            }
            match self.open_segment(&listed, manifest.as_ref()) {
                Ok(segment) => {
                    self.segment = Some(segment);
                    return Ok(true);
                }
                // Trimmed between the listing and now: the next one will do.
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn open_segment(&self, listed: &Listed, manifest: Option<&Manifest>) -> io::Result<Segment> {
        let file = self.disk.open(&self.dir.join(&listed.name), Open::Read)?;
        let sealed = manifest
            .and_then(|manifest| manifest.sealed.iter().find(|info| info.file == listed.name));
        let mut written = sealed.map_or_else(|| listed.format.into(), |info| info.written);
        let mut first_index = sealed.map_or(listed.number, |info| info.first_index);
        let mut first_seq = sealed.map_or(1, |info| info.first_seq);
        let mut log_id = manifest.map_or(Uuid::nil(), |manifest| manifest.log_id);
        if listed.format == Format::Binary {
            let mut bytes = [0; SEGMENT_HEADER_BYTES];
            let got = file.read_at(&mut bytes, 0)?;
            if let Some(header) = SegmentHeader::decode(&bytes[..got]) {
                log_id = Uuid::from_u128(header.log_id);
                first_index = header.first_index;
                first_seq = header.first_seq;
            }
        } else if sealed.is_none() && is_legacy(&*file)? {
            written = Written::Legacy;
        }
        let start = written.header_bytes();
        Ok(Segment {
            name: listed.name.clone(),
            file,
            encoding: manifest::encoding(written, log_id, first_index, first_seq),
            first_index: listed.number,
            start,
            at: start,
            end: sealed.map(|info| info.bytes),
            sparse: sealed.is_some_and(|info| info.removed > 0),
        })
    }

    /// Reads on in the segment; false when there is nothing more in it for now.
    fn read_segment(&mut self, newest: bool, max_records: usize) -> io::Result<bool> {
        let Some(segment) = &mut self.segment else { return Ok(false) };
        let len = segment.file.len()?;
        let end = segment.end.map_or(len, |end| end.min(len));
        if len < segment.at {
            self.cut()?;
            return Ok(true);
        }
        let (file, encoding, start) = (segment.file.clone(), segment.encoding, segment.at);
        let mut scan = Scan::new(file, encoding, start, end, SEQUENTIAL_BLOCK_BYTES);
        let mut told = 0;
        while told < max_records
            && let Some(found) = scan.next()?
        {
            let Some(segment) = &mut self.segment else { return Ok(false) };
            match found {
                Found::Batch(_) => segment.at += BATCH_HEADER_BYTES as u64,
                Found::Damaged { at, len } if newest && at + len >= end => break,
                Found::Damaged { at, len } => {
                    segment.at = at + len;
                    let file = segment.name.clone();
                    self.pending.push_back(Followed::Damaged { file, at, bytes: len });
                }
                Found::Record { at, len, record } => {
                    segment.at = at + u64::from(len);
                    told += usize::from(self.take(record));
                }
            }
        }
        Ok(self.segment.as_ref().is_some_and(|segment| segment.at > start))
    }

    /// Takes in a record; whether it is told of.
    fn take(&mut self, record: Record) -> bool {
        let early = |since: Timestamp| record.time < since;
        let old = record.seq < self.skip_to || self.after.is_some_and(|after| record.seq <= after);
        if record.kind != Kind::Message || old {
            return false;
        }
        if self.since.is_some_and(early) {
            self.after = Some(record.seq);
            return false;
        }
        // From the first one on, all are wanted, whatever a clock that stepped back wrote.
        self.since = None;
        let expected = match self.after {
            Some(after) => after + 1,
            // The beginning that was asked for, or that there was.
            None if self.skip_to > 0 => self.skip_to,
            None => record.seq,
        };
        let sparse = self.segment.as_ref().is_some_and(|segment| segment.sparse);
        if record.seq > expected && !sparse {
            let missing = Followed::Missing { first: expected, last: record.seq - 1 };
            self.pending.push_back(missing);
        }
        self.after = Some(record.seq);
        self.pending.push_back(Followed::Record(record));
        true
    }

    /// The file became shorter than what was read of it: finds out what of it stands.
    fn cut(&mut self) -> io::Result<()> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let len = segment.file.len()?;
        let (file, encoding) = (segment.file.clone(), segment.encoding);
        let mut scan = Scan::new(file, encoding, segment.start, len, SEQUENTIAL_BLOCK_BYTES);
        let (mut stands, mut end) = (None, segment.start);
        while let Some(found) = scan.next()? {
            match found {
                Found::Batch(_) => end += BATCH_HEADER_BYTES as u64,
                Found::Damaged { at, len } => end = at + len,
                Found::Record { at, len, record } => {
                    end = at + u64::from(len);
                    if record.kind == Kind::Message {
                        stands = Some(record.seq);
                    }
                }
            }
        }
        segment.at = end;
        if let (Some(stands), Some(after)) = (stands, self.after)
            && stands < after
        {
            self.after = Some(stands);
            self.pending.push_back(Followed::Cut { after: stands });
        }
        Ok(())
    }

    /// Passes the segments that end before the message after `seq`.
    fn start_near(&mut self, listed: &[Listed], seq: u64) -> io::Result<()> {
        let Some(manifest) = self.manifest()? else { return Ok(()) };
        let before = manifest.sealed.iter().rev().find(|info| info.next_seq <= seq + 1);
        if let Some(info) = before {
            self.passed =
                listed.iter().find(|listed| listed.name == info.file).map(|listed| listed.number);
        }
        Ok(())
    }

    /// Reads the newest segments, and more of them until `count` messages are found.
    fn seek_last(&mut self, listed: &[Listed], count: usize) -> io::Result<()> {
        let mut segments = 1;
        loop {
            let from = listed.len().saturating_sub(segments);
            let mut reader = Self {
                disk: self.disk.clone(),
                dir: self.dir.clone(),
                after: None,
                since: None,
                skip_to: 0,
                segment: None,
                passed: from.checked_sub(1).map(|before| listed[before].number),
                pending: VecDeque::new(),
            };
            let first = self.skip_to;
            let mut last = VecDeque::new();
            loop {
                let found = reader.read(1024, SEQUENTIAL_BLOCK_BYTES)?;
                if found.is_empty() {
                    break;
                }
                for found in found {
                    let wanted = matches!(&found, Followed::Record(record) if record.seq >= first);
                    if wanted {
                        last.push_back(found);
                    }
                    if last.len() > count {
                        last.pop_front();
                    }
                }
            }
            if last.len() >= count || from == 0 {
                *self = Self { pending: last, skip_to: first, ..reader };
                return Ok(());
            }
            segments *= 2;
        }
    }
}

fn content(found: &Followed) -> usize {
    match found {
        Followed::Record(record) => record.content_bytes(),
        Followed::Damaged { .. } | Followed::Missing { .. } | Followed::Cut { .. } => 0,
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
