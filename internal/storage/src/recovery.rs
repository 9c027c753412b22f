//! Opens a channel: from its manifest and one pass over what was still growing, or, when the manifest
//! is gone, from the segments alone.
//!
//! ```text
//!   sealed ─ sealed ─ sealed │ active ▒▒▒▒
//!   not read: the manifest   │ read    ╰─ above everything known to be durable: torn, copied aside, cut
//!   says what is in them     │            below it: damage, kept, reported, stepped over
//! ```
//!
//! A write that was never acknowledged may be found here or not. One that was, is: nothing below the
//! durable mark is ever cut, and sequences below it are never given out again.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pubsub_disk::{Disk, EntryKind, File, Open};
use pubsub_envelope::binary::{self, SEGMENT_HEADER_BYTES, SegmentHeader};
use pubsub_envelope::control::Control;
use pubsub_types::{ChannelName, Format, Seq, Timestamp};
use uuid::Uuid;

use crate::compact::finished_compaction;
use crate::config::{Chosen, StoreOptions};
use crate::contents::{Active, Contents, Mark, seq};
use crate::deletes;
use crate::error::ChannelError;
use crate::index::{ActiveIndex, SlotSet};
use crate::manifest::{
    self, ActiveInfo, Manifest, ManifestFile, Read, SegmentInfo, Written, parse_segment_file,
};
use crate::report::Finding;
use crate::scan::{Encoding, Found, Scan};
use crate::sealed::Sealed;
use crate::tail::Tail;
use crate::walk::{Damage, From, Walked, walk};

/// How every line of ours begins, and none of the predecessor's.
const LINE_START: &[u8; 13] = b"{\"v\":1,\"seq\":";

/// Sequences from the first of a segment to the next message, above which it is not gone on with: its
/// index counts them in 32 bits.
const RESUMED_SEQS_MAX: u64 = 1 << 31;

/// Where a channel's files are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    pub(crate) name: &'a ChannelName,
}

/// An opened channel.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) manifest: Manifest,
    pub(crate) file: ManifestFile,
    pub(crate) contents: Contents,
    pub(crate) findings: Vec<Finding>,
}

/// Opens the channel whose directory exists, making what is missing.
///
/// `log_id` is used when the channel has no identity yet, and `chosen` when nothing says yet what was
/// chosen for it.
pub(crate) fn recover(
    place: Place<'_>,
    options: &StoreOptions,
    chosen: Chosen,
    log_id: Uuid,
    now: Timestamp,
) -> Result<Recovered, ChannelError> {
    let io = |what| move |source| ChannelError::Io { channel: place.name.clone(), what, source };
    let (mut file, read) =
        ManifestFile::open(place.disk, place.dir).map_err(io("open the manifest"))?;
    let mut recovery = Recovery { place, findings: Vec::new(), segments: Vec::new() };
    let on_disk = recovery.list().map_err(io("list the segments"))?;
    let mut rebuilt = false;
    let mut epoch_min = 0;
    let mut manifest = match read {
        Read::Whole(manifest) => {
            let mut manifest = *manifest;
            manifest.config = options.for_channel(place.name, &manifest.chosen);
            manifest
        }
        Read::Version(found) => {
            return Err(ChannelError::Version {
                channel: place.name.clone(),
                found,
                known: manifest::VERSION,
            });
        }
        Read::Absent | Read::Damaged => {
            let known = recovery.identity(&on_disk).map_err(io("read the segments"))?;
            rebuilt = true;
            if known.is_some() {
                // The epochs that this log had are forgotten with the manifest; a number that counts
                // them one by one cannot have reached this.
                epoch_min = u64::try_from(now.as_millis() / 1000).unwrap_or(0);
            }
            let config = options.for_channel(place.name, &chosen);
            let made = Manifest::new(place.name.clone(), known.unwrap_or(log_id), config);
            Manifest { chosen, ..made }
        }
    };
    recovery.gather(&manifest, on_disk).map_err(io("read the segments"))?;
    // The predecessor has none.
    let ours = |it: &Candidate| it.written != Written::Legacy && it.len > Some(0);
    if rebuilt && recovery.segments.iter().any(ours) {
        recovery.findings.push(Finding::ManifestRebuilt);
    }
    let clean = manifest.clean;
    let contents =
        recovery.assemble(&mut manifest, now).map_err(io("recover the newest segment"))?;
    if !clean {
        manifest.begin_epoch(epoch_min, contents.next_seq);
    }
    describe(&mut manifest, &contents);
    manifest.clean = false;
    file.store(place, &manifest).map_err(io("write the manifest"))?;
    Ok(Recovered { manifest, file, contents, findings: recovery.findings })
}

/// Brings the manifest up to what the channel holds.
pub(crate) fn describe(manifest: &mut Manifest, contents: &Contents) {
    manifest.sealed = contents.sealed.iter().map(|sealed| sealed.info.clone()).collect();
    manifest.active = Some(contents.active.info.clone());
    manifest.durable_index = contents.active.durable.next_index - 1;
    manifest.last_seq = contents.active.durable.next_seq - 1;
    manifest.first_seq = contents.first_seq;
}

struct Recovery<'a> {
    place: Place<'a>,
    findings: Vec<Finding>,
    segments: Vec<Candidate>,
}

/// A segment, as far as it is known.
struct Candidate {
    file: String,
    len: Option<u64>,
    /// What the manifest says of it, if it was sealed.
    sealed: Option<SegmentInfo>,
    written: Written,
    first_index: u64,
    /// Sequence of its first message, where something says so.
    first_seq: Option<u64>,
}

struct OnDisk {
    file: String,
    number: u64,
    format: Format,
    len: u64,
}

impl Recovery<'_> {
    fn open(&self, file: &str, how: Open) -> io::Result<Arc<dyn File>> {
        self.place.disk.open(&self.place.dir.join(file), how)
    }

    fn list(&self) -> io::Result<Vec<OnDisk>> {
        let entries = self.place.disk.list(self.place.dir)?;
        let segment = |entry: &pubsub_disk::Entry| {
            let (number, format) = parse_segment_file(&entry.name)?;
            let file = entry.name.clone();
            Some(OnDisk { file, number, format, len: entry.len })
        };
        let mut on_disk: Vec<OnDisk> = entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::File)
            .filter_map(segment)
            .collect();
        on_disk.sort_by_key(|segment| segment.number);
        Ok(on_disk)
    }

    /// The identity of the log, as its binary segments tell it.
    fn identity(&self, on_disk: &[OnDisk]) -> io::Result<Option<Uuid>> {
        for segment in on_disk.iter().filter(|segment| segment.format == Format::Binary) {
            if let Some(header) = self.header(&segment.file)? {
                return Ok(Some(Uuid::from_u128(header.log_id)));
            }
        }
        Ok(None)
    }

    fn header(&self, file: &str) -> io::Result<Option<SegmentHeader>> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let got = self.open(file, Open::Read)?.read_at(&mut bytes, 0)?;
        Ok(SegmentHeader::decode(&bytes[..got]))
    }

    /// Joins what the manifest says with what is there.
    fn gather(&mut self, manifest: &Manifest, on_disk: Vec<OnDisk>) -> io::Result<()> {
        let len_of = |file: &str| {
            on_disk.iter().find(|segment| segment.file == file).map(|segment| segment.len)
        };
        for info in &manifest.sealed {
            self.segments.push(Candidate {
                file: info.file.clone(),
                len: len_of(&info.file),
                written: info.written,
                first_index: info.first_index,
                first_seq: Some(info.first_seq),
                sealed: Some(info.clone()),
            });
        }
        if let Some(active) = &manifest.active {
            self.segments.push(Candidate {
                file: active.file.clone(),
                len: len_of(&active.file),
                written: active.written,
                first_index: active.first_index,
                first_seq: Some(active.first_seq),
                sealed: None,
            });
        }
        for segment in on_disk {
            if self.segments.iter().any(|known| known.file == segment.file) {
                continue;
            }
            let candidate = self.unlisted(segment)?;
            self.segments.push(candidate);
        }
        self.segments.sort_by_key(|segment| segment.first_index);
        self.discard_trimmed(manifest)?;
        self.set_aside_superseded(manifest)
    }

    /// Takes out what was left behind when another took its place. That is a file between two that the
    /// manifest names, neither of which misses a message that could be in it: a suspect segment that was
    /// written again. Or one of two that start at the same record: it was begun in another format.
    fn set_aside_superseded(&mut self, manifest: &Manifest) -> io::Result<()> {
        let sealed = manifest.sealed.iter().map(|info| (&info.file, info.first_index));
        let active = manifest.active.iter().map(|info| (&info.file, info.first_index));
        let listed: Vec<(&String, u64)> = sealed.chain(active).collect();
        let first_seqs = manifest.sealed.iter().map(|info| info.first_seq);
        let first_seqs: Vec<u64> =
            first_seqs.chain(manifest.active.iter().map(|info| info.first_seq)).collect();
        let names: BTreeSet<&String> = listed.iter().map(|(file, _)| *file).collect();
        let is_listed = |file: &String| names.contains(file);
        let content =
            |it: &Candidate| it.len.unwrap_or(0).saturating_sub(it.written.header_bytes());
        let has_rival = |segment: &Candidate| {
            self.segments.iter().any(|other| {
                let rivals = other.first_index == segment.first_index && other.file != segment.file;
                // What was written to counts, whether or not the manifest came to name it.
                let rank = |it: &Candidate| (content(it), is_listed(&it.file));
                rivals && (rank(other), &other.file) > (rank(segment), &segment.file)
            })
        };
        let is_superseded = |segment: &Candidate| {
            let nth = listed.partition_point(|(_, index)| *index < segment.first_index);
            let before = nth.checked_sub(1).and_then(|nth| manifest.sealed.get(nth));
            let behind = listed.get(nth).filter(|(_, index)| *index > segment.first_index);
            let joined = behind.is_some()
                && before.zip(first_seqs.get(nth)).is_some_and(|(it, seq)| it.next_seq >= *seq);
            let unlisted = !is_listed(&segment.file);
            let empty = content(segment) == 0 && segment.sealed.is_none();
            (unlisted && joined) || ((unlisted || empty) && has_rival(segment))
        };
        let superseded: Vec<bool> = self.segments.iter().map(is_superseded).collect();
        let mut verdicts = superseded.into_iter();
        let aside: Vec<Candidate> =
            self.segments.extract_if(.., |_| verdicts.next().unwrap_or(false)).collect();
        for segment in aside {
            if segment.len.is_none() {
                // The manifest names a file that never came to be, and another took its place.
                continue;
            }
            let dir = self.make_quarantine()?;
            let to = dir.join(format!("{}.superseded", segment.file));
            self.place.disk.rename(&self.place.dir.join(&segment.file), &to)?;
            self.place.disk.sync_dir(&dir)?;
            self.place.disk.sync_dir(self.place.dir)?;
        }
        Ok(())
    }

    fn make_quarantine(&self) -> io::Result<PathBuf> {
        let dir = self.place.dir.join("quarantine");
        match self.place.disk.create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => self.place.disk.sync_dir(self.place.dir)?,
        }
        Ok(dir)
    }

    fn unlisted(&self, segment: OnDisk) -> io::Result<Candidate> {
        let mut candidate = Candidate {
            len: Some(segment.len),
            sealed: None,
            written: segment.format.into(),
            first_index: segment.number,
            first_seq: None,
            file: segment.file,
        };
        if segment.format == Format::Binary {
            candidate.first_seq = self.header(&candidate.file)?.map(|header| header.first_seq);
        } else if self.is_legacy(&candidate.file, segment.len)? {
            candidate.written = Written::Legacy;
            // Its name is a byte offset from 0; log indexes start at 1.
            candidate.first_index = segment.number + 1;
        }
        Ok(candidate)
    }

    /// Whether the predecessor wrote the file: its first line that can be read does not begin as all
    /// of ours do.
    fn is_legacy(&self, file: &str, len: u64) -> io::Result<bool> {
        let file = self.open(file, Open::Read)?;
        let encoding = Encoding::Legacy { first_seq: 1 };
        let mut scan = Scan::new(file.clone(), encoding, 0, len, 64 << 10);
        while let Some(found) = scan.next()? {
            if let Found::Record { at, .. } = found {
                let mut start = [0; LINE_START.len()];
                file.read_at(&mut start, at)?;
                return Ok(start != *LINE_START);
            }
        }
        Ok(false)
    }

    /// Takes out what a recorded command deleted before its files were gone.
    fn discard_trimmed(&mut self, manifest: &Manifest) -> io::Result<()> {
        let Some(oldest) =
            manifest.sealed.first().map(|info| (info.first_index, info.first_seq)).or_else(|| {
                manifest.active.as_ref().map(|info| (info.first_index, info.first_seq))
            })
        else {
            return Ok(());
        };
        // The manifest names no segment before the oldest, and its own first message is not before
        // the first that was kept: what lies before it was trimmed.
        if oldest.1 > manifest.first_seq {
            return Ok(());
        }
        let trimmed = self.segments.partition_point(|segment| segment.first_index < oldest.0);
        for segment in self.segments.drain(..trimmed) {
            deletes::discard(self.place.disk, self.place.dir, &segment.file)?;
        }
        Ok(())
    }

    fn assemble(&mut self, manifest: &mut Manifest, now: Timestamp) -> io::Result<Contents> {
        let mut sealed = Vec::new();
        let mut controls = Vec::new();
        let mut next = Mark { end: 0, next_index: 1, next_seq: 1 };
        let segments = std::mem::take(&mut self.segments);
        let newest = segments.len().saturating_sub(1);
        let mut active = None;
        for (nth, mut segment) in segments.into_iter().enumerate() {
            if segment.written == Written::Jsonl && segment.first_seq.is_none() {
                // The predecessor names by bytes from 0 also what holds no whole line yet.
                segment.first_index = segment.first_index.max(next.next_index);
            }
            if let Some(info) = &segment.sealed {
                next.next_index = next.next_index.max(info.next_index);
                next.next_seq = next.next_seq.max(info.next_seq);
                sealed.push(self.check_sealed(info, manifest.log_id, segment.len)?);
                continue;
            }
            let Some(len) = segment.len else { continue };
            let scanned = self.scan(manifest, &segment, len, next, nth == newest)?;
            next.next_index = next.next_index.max(scanned.walked.next_index);
            next.next_seq = next.next_seq.max(scanned.walked.next_seq);
            controls.extend(scanned.walked.controls.iter().cloned());
            if nth == newest && segment.written != Written::Legacy {
                active = Some((segment, scanned));
            } else {
                // Who wrote it may have been killed before it was synced.
                scanned.file.sync()?;
                sealed.push(self.seal_scanned(&segment, scanned));
            }
        }
        self.mend_end(manifest, &mut next);
        let active = match active {
            Some((segment, scanned)) if next.next_seq - scanned.first_seq < RESUMED_SEQS_MAX => {
                Self::resume(manifest.log_id, &segment, scanned)?
            }
            Some((segment, scanned)) => {
                sealed.push(self.seal_scanned(&segment, scanned));
                self.begin(manifest, next, now)?
            }
            None => self.begin(manifest, next, now)?,
        };
        let first_seq =
            sealed.first().map_or(active.info.first_seq, |oldest| oldest.info.first_seq);
        let mut contents = Contents {
            log_id: manifest.log_id,
            messages: sealed.iter().map(|sealed| sealed.info.messages).sum::<u64>()
                + active.messages,
            bytes: sealed.iter().map(|sealed| sealed.info.all_message_bytes()).sum::<u64>()
                + active.index.totals().bytes,
            sealed: Arc::new(sealed),
            active,
            deleted: Arc::default(),
            first_seq,
            next_seq: next.next_seq,
            next_index: next.next_index,
            tail: Tail::default(),
            deletes_version: 0,
            doomed: Vec::new(),
        };
        let known = deletes::load(self.place, &mut contents, &mut self.findings)?;
        for (index, control) in controls {
            if index > known.index {
                contents.apply_control(&control);
            }
        }
        let first = manifest.first_seq.max(known.first_seq);
        if first > contents.first_seq {
            let why = "".into();
            contents.apply_control(&Control::Trim(pubsub_envelope::control::Trim { first, why }));
        }
        // Everything that was read is made durable before anything is built on it.
        contents.active.file.sync()?;
        contents.active.durable = contents.mark();
        Ok(contents)
    }

    /// What a segment is that the manifest describes, by the length of its file.
    fn check_sealed(
        &mut self,
        info: &SegmentInfo,
        log_id: Uuid,
        len: Option<u64>,
    ) -> io::Result<Arc<Sealed>> {
        match len {
            None if info.next_seq > info.first_seq => {
                self.findings.push(Finding::MissingSegment {
                    file: info.file.clone(),
                    first: info.first_seq,
                    last: info.next_seq - 1,
                });
            }
            Some(len) if len < info.bytes => {
                if let Some(newer) = finished_compaction(self.place, info, log_id, len)? {
                    return Ok(Sealed::new(newer));
                }
                self.findings.push(Finding::Damaged {
                    file: info.file.clone(),
                    at: len,
                    bytes: info.bytes - len,
                });
                // It may be the middle that is gone: what is left need not be where its index says.
                let (index, damage) = Sealed::new(info.clone()).walk(self.place, log_id)?;
                self.findings.extend(damage);
                let file = self.open(&info.file, Open::Read)?;
                return Ok(Sealed::with(info.clone(), file, index));
            }
            // It was to be cut when what is behind its end was written again elsewhere.
            Some(len) if len > info.bytes && info.suspect => {
                let file = self.open(&info.file, Open::Write)?;
                self.quarantine(&info.file, &*file, info.bytes, len)?;
                file.set_len(info.bytes)?;
                file.sync()?;
            }
            None | Some(_) => (),
        }
        Ok(Sealed::new(info.clone()))
    }

    /// Passes over a segment that the manifest does not describe, and cuts its torn end.
    fn scan(
        &mut self,
        manifest: &Manifest,
        segment: &Candidate,
        len: u64,
        next: Mark,
        newest: bool,
    ) -> io::Result<Scanned> {
        let file = self.open(&segment.file, Open::Write)?;
        // What was written again to a fresh segment, after a sync had failed, counts once.
        let mut first_seq = segment.first_seq.unwrap_or(next.next_seq).max(next.next_seq);
        let log_id = manifest.log_id;
        let encoding = manifest::encoding(segment.written, log_id, segment.first_index, first_seq);
        let at = segment.written.header_bytes();
        let mut from = From { at, first_index: segment.first_index, first_seq };
        let mut walked = walk(&file, encoding, from, len.max(at))?;
        if segment.first_seq.is_none() && next.next_index == 1 && segment.first_index > 1 {
            // Nothing says what its first message was, and what came before it was trimmed.
            first_seq = walked.index.totals().first.map_or(walked.next_seq, Seq::get);
            from.first_seq = first_seq;
            walked = walk(&file, encoding, from, len.max(at))?;
        }
        walked.count_bytes(segment, len);
        let durable_index = walked.durable_index.max(manifest.durable_index);
        if newest && let Some(cut) = torn_at(segment.written, &walked, durable_index) {
            self.quarantine(&segment.file, &*file, cut, len)?;
            file.set_len(cut)?;
            let end = cut + Self::end_line(segment.written, &*file, cut)?;
            file.sync()?;
            self.findings.push(Finding::TornTail {
                file: segment.file.clone(),
                at: cut,
                bytes: len - cut,
            });
            walked = walk(&file, encoding, from, end.max(at))?;
            walked.count_bytes(segment, end);
        }
        for damage in &walked.damage {
            self.findings.push(Finding::Damaged {
                file: segment.file.clone(),
                at: damage.at,
                bytes: damage.len,
            });
        }
        Ok(Scanned { file, first_seq, walked })
    }

    /// Copies the end of a file aside before it is cut.
    fn quarantine(&self, name: &str, file: &dyn File, at: u64, len: u64) -> io::Result<()> {
        let dir = self.make_quarantine()?;
        // A crash here leaves a copy behind, and the next opening makes another.
        let mut copy = None;
        for attempt in 0..1000 {
            let path = dir.join(format!("{name}.{at}.{attempt}"));
            match self.place.disk.open(&path, Open::Create) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                other => {
                    copy = Some(other?);
                    break;
                }
            }
        }
        let Some(copy) = copy else {
            return Err(io::Error::other("quarantine holds a thousand copies of this place"));
        };
        let mut done = at;
        while done < len {
            let want = usize::try_from((len - done).min(1 << 20)).unwrap_or(1 << 20);
            let mut block = vec![0; want];
            let got = file.read_at(&mut block, done)?;
            if got == 0 {
                break;
            }
            copy.write_at(&[IoSlice::new(&block[..got])], done - at)?;
            done += got as u64;
        }
        copy.sync()?;
        self.place.disk.sync_dir(&dir)
    }

    /// Ends the last line of a file that was cut at `end`, if it has lost its line break to what was
    /// cut; how many bytes that took.
    ///
    /// The record in it is whole. Left without an end it would be none, until the next line ended it
    /// and it came back beside another of the same sequence.
    fn end_line(written: Written, file: &dyn File, end: u64) -> io::Result<u64> {
        let mut last = [b'\n'];
        if written == Written::Jsonl && end > 0 {
            file.read_at(&mut last, end - 1)?;
        }
        if last == *b"\n" {
            return Ok(0);
        }
        file.write_at(&[IoSlice::new(b"\n")], end)?;
        Ok(1)
    }

    /// Moves the end of the log up to what was once durable, should the files fall short of it.
    fn mend_end(&mut self, manifest: &Manifest, next: &mut Mark) {
        next.next_index = next.next_index.max(manifest.durable_index + 1);
        if manifest.last_seq >= next.next_seq {
            self.findings.push(Finding::Lost { first: next.next_seq, last: manifest.last_seq });
            next.next_seq = manifest.last_seq + 1;
        }
    }

    fn seal_scanned(&mut self, segment: &Candidate, scanned: Scanned) -> Arc<Sealed> {
        let walked = scanned.walked;
        if segment.written == Written::Legacy {
            self.converted(walked.messages);
        } else {
            self.findings.push(Finding::Adopted { file: segment.file.clone() });
        }
        let span = walked.next_seq - scanned.first_seq;
        let removed = if walked.compaction.is_some() { span - walked.messages } else { 0 };
        let info = SegmentInfo {
            file: segment.file.clone(),
            written: segment.written,
            first_index: segment.first_index,
            next_index: walked.next_index,
            first_seq: scanned.first_seq,
            next_seq: walked.next_seq,
            bytes: walked.end,
            message_bytes: walked.index.totals().bytes,
            messages: walked.messages + removed,
            first_time: walked.first_time,
            last_time: walked.last_time,
            suspect: !walked.damage.is_empty(),
            next_expiry: walked.next_expiry,
            controls: walked.controls.len() as u64,
            removed,
        };
        Sealed::with(info, scanned.file, walked.index)
    }

    fn converted(&mut self, more: u64) {
        for finding in &mut self.findings {
            if let Finding::Converted { files, messages } = finding {
                *files += 1;
                *messages += more;
                return;
            }
        }
        self.findings.push(Finding::Converted { files: 1, messages: more });
    }

    /// Goes on with the segment that was active.
    fn resume(log_id: Uuid, segment: &Candidate, scanned: Scanned) -> io::Result<Active> {
        let Scanned { file, first_seq, walked } = scanned;
        let mut end = walked.end;
        match segment.written {
            Written::Binary => {
                let mut bytes = [0; SEGMENT_HEADER_BYTES];
                let got = file.read_at(&mut bytes, 0)?;
                if SegmentHeader::decode(&bytes[..got]).is_none() {
                    // Lost with the crash that left it empty, or damaged since: the manifest knows
                    // all that it says, and a log without a manifest is known by it.
                    let header = SegmentHeader {
                        log_id: log_id.as_u128(),
                        first_index: segment.first_index,
                        first_seq,
                        created: Timestamp(0),
                    };
                    file.write_at(&[IoSlice::new(&header.encode())], 0)?;
                }
                end = end.next_multiple_of(binary::ALIGNMENT as u64);
            }
            Written::Jsonl => {
                let at_end = |damage: &Damage| damage.at + damage.len >= walked.end;
                if walked.damage.last().is_some_and(at_end) {
                    // Damage at the end that was durable once stays; the next line must not join it.
                    file.write_at(&[IoSlice::new(b"\n")], end)?;
                    end += 1;
                }
            }
            Written::Legacy => (),
        }
        Ok(Active {
            info: ActiveInfo {
                file: segment.file.clone(),
                written: segment.written,
                first_index: segment.first_index,
                first_seq,
            },
            file,
            end,
            previous: walked.previous,
            messages: walked.messages,
            first_time: walked.first_time,
            last_time: walked.last_time,
            next_expiry: walked.next_expiry,
            controls: walked.controls.len() as u64,
            damaged: !walked.damage.is_empty(),
            deleted_unread: SlotSet::new(),
            index: walked.index,
            durable: Mark::default(),
        })
    }

    fn begin(&self, manifest: &Manifest, next: Mark, now: Timestamp) -> io::Result<Active> {
        begin_segment(self.place, manifest.log_id, manifest.config.format, next, now)
    }
}

impl Walked {
    /// Log indexes of the predecessor's records are their byte offsets, over all its files, plus one.
    fn count_bytes(&mut self, segment: &Candidate, len: u64) {
        if segment.written == Written::Legacy {
            self.next_index = segment.first_index + len;
        }
    }
}

struct Scanned {
    file: Arc<dyn File>,
    first_seq: u64,
    walked: Walked,
}

/// Where the torn end of a segment starts, if it has one.
fn torn_at(written: Written, walked: &Walked, durable_index: u64) -> Option<u64> {
    let above = |damage: &&Damage| damage.index > durable_index;
    match written {
        // The first damage above the durable mark: whatever follows was not durable either.
        Written::Binary => walked.damage.iter().find(above).map(|damage| damage.at),
        // Lines behind damage are whole and stay; only what nothing follows is torn.
        Written::Jsonl | Written::Legacy => {
            let ends = |damage: &&Damage| damage.at + damage.len >= walked.end;
            // Adjacent bad lines are one torn end.
            let mut torn = walked.damage.last().filter(ends).filter(above)?.at;
            for damage in walked.damage.iter().rev().filter(above) {
                if damage.at + damage.len == torn {
                    torn = damage.at;
                }
            }
            Some(torn)
        }
    }
}

/// Makes a new active segment, durable with its name before anything is written to it.
pub(crate) fn begin_segment(
    place: Place<'_>,
    log_id: Uuid,
    format: Format,
    next: Mark,
    now: Timestamp,
) -> io::Result<Active> {
    let file_name = manifest::segment_file(format, next.next_index);
    let path = place.dir.join(&file_name);
    let file = match place.disk.open(&path, Open::Create) {
        // Left by an earlier attempt that got no further: nothing was written to it, or the log
        // would not be at this index.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = place.disk.open(&path, Open::Write)?;
            file.set_len(0)?;
            file
        }
        other => other?,
    };
    let mut end = 0;
    if format == Format::Binary {
        let header = SegmentHeader {
            log_id: log_id.as_u128(),
            first_index: next.next_index,
            first_seq: next.next_seq,
            created: now,
        };
        file.write_at(&[IoSlice::new(&header.encode())], 0)?;
        end = SEGMENT_HEADER_BYTES as u64;
    }
    file.sync()?;
    place.disk.sync_dir(place.dir)?;
    Ok(Active {
        info: ActiveInfo {
            file: file_name,
            written: format.into(),
            first_index: next.next_index,
            first_seq: next.next_seq,
        },
        file,
        index: ActiveIndex::new(seq(next.next_seq)),
        end,
        previous: 0,
        messages: 0,
        first_time: Timestamp(0),
        last_time: Timestamp(0),
        next_expiry: 0,
        controls: 0,
        damaged: false,
        deleted_unread: SlotSet::new(),
        durable: Mark { end, ..next },
    })
}
