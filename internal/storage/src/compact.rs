//! Gives back the room of messages deleted in the middle of a sealed segment.
//!
//! ```text
//!   00…17.log        ▒ a ▒ ▒ b ▒ ▒ ▒      more than half is deleted
//!   00…17.compact    a b · what was left out          written and synced beside it
//!   00…17.log        a b · what was left out          renamed over it; readers of the old file go on
//! ```
//!
//! The last record of the new file says what the compaction left out, so that a file found with another
//! length than the manifest says is either whole and newer, or damaged, and never a guess.

use std::io::{self, IoSlice};
use std::sync::Arc;

use pubsub_disk::{File, Open};
use pubsub_envelope::control::{Compaction, Control, Trim};
use pubsub_envelope::{Batch, BatchLimits, Kind, NewRecord, Place as BatchPlace, Record, binary};
use pubsub_types::{Format, Seq, Timestamp};
use uuid::Uuid;

use crate::channel::{Channel, count};
use crate::contents::{seq, slot};
use crate::deletes;
use crate::index::{ActiveIndex, SlotSet};
use crate::manifest::{SegmentInfo, Written};
use crate::recovery::Place;
use crate::scan::{Encoding, Found, SEQUENTIAL_BLOCK_BYTES, Scan};
use crate::sealed::Sealed;
use crate::walk::{From, walk};

/// Segments smaller than this are left as they are unless the store's options say otherwise: a file
/// costs a few of the file system's blocks anyway.
pub(crate) const COMPACT_BYTES_MIN: u64 = 64 << 10;

impl Channel {
    /// Whether a segment is worth compacting.
    pub(crate) fn has_sparse(&self) -> bool {
        let snapshot = self.contents.read().snapshot();
        snapshot.sealed.iter().any(|it| self.is_sparse(&it.info, snapshot.deleted_in(it)))
    }

    /// Compacts every segment of which more than half is deleted.
    ///
    /// # Errors
    /// A file could not be read or written; what was not compacted is as it was.
    pub(crate) fn compact_sparse(self: &Arc<Self>) -> io::Result<()> {
        let snapshot = self.contents.read().snapshot();
        for sealed in snapshot.sealed.iter() {
            let deleted = snapshot.deleted_in(sealed);
            if self.is_sparse(&sealed.info, deleted) {
                self.compact(sealed, snapshot.log_id)?;
            }
        }
        Ok(())
    }

    /// Whether more than half of a segment that is worth it is deleted.
    fn is_sparse(&self, info: &SegmentInfo, deleted: &SlotSet) -> bool {
        let dead = deleted.count().saturating_sub(info.removed);
        let there = info.messages.saturating_sub(info.removed);
        info.bytes >= self.compact_bytes_min && !info.suspect && dead * 2 > there
    }

    fn compact(self: &Arc<Self>, sealed: &Arc<Sealed>, log_id: Uuid) -> io::Result<()> {
        let place = self.place();
        // What is left out stays out, even where the record that deleted it was not synced yet.
        if !self.sync_to_here() {
            return Ok(());
        }
        // What the records left out said is from now on known by the checkpoint alone; and what it
        // says is deleted of this segment is a part of what is left out now.
        deletes::store(place.disk, place.dir, &self.contents.read())?;
        let snapshot = self.contents.read().snapshot();
        let deleted = snapshot.deleted_in(sealed);
        let old = &sealed.info;
        let path = sealed.path(place.dir);
        let beside = path.with_extension("compact");
        match place.disk.remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let file = place.disk.open(&beside, Open::Create)?;
        let oldest = self.contents.read().first_seq;
        let mut copy = Copy::begin(self, old, log_id, file.clone())?;
        let mut scan = Scan::new(
            sealed.file(place)?,
            old.encoding(log_id),
            old.written.header_bytes(),
            old.bytes,
            SEQUENTIAL_BLOCK_BYTES,
        );
        while let Some(found) = scan.next()? {
            match found {
                Found::Record { record, .. } if keeps(&record, old, deleted, oldest) => {
                    copy.push(&record)?;
                }
                Found::Batch(_) | Found::Record { .. } => (),
                // Somebody may still repair it from elsewhere; its bytes are not ours to drop.
                Found::Damaged { .. } => return place.disk.remove_file(&beside),
            }
        }
        let info = copy.finish(old)?;
        let from = From {
            at: info.written.header_bytes(),
            first_index: info.first_index,
            first_seq: info.first_seq,
        };
        let mut walked = walk(&file, info.encoding(log_id), from, info.bytes)?;
        let info = SegmentInfo { message_bytes: walked.index.totals().bytes, ..info };
        place.disk.rename(&beside, &path)?;
        place.disk.sync_dir(place.dir)?;
        {
            let mut contents = self.contents.write();
            let now = contents.deleted.get(&old.first_seq).cloned().unwrap_or_default();
            walked.index.delete_slots(&now);
            let live = sealed.live();
            contents.bytes =
                (contents.bytes + info.bytes_of(live)).saturating_sub(old.bytes_of(live));
            let fresh = Sealed::with(info, file, walked.index);
            fresh.set_next_expiry(sealed.next_expiry());
            fresh.count_deleted(fresh.live().saturating_sub(live));
            contents.replace_sealed(sealed, fresh);
        }
        count(&self.counters.compacted);
        tracing::info!(channel = %self.name, segment = %old.file, "segment was compacted");
        self.store_manifest(false)
    }
}

/// Whether a record is still of use.
fn keeps(record: &Record, info: &SegmentInfo, deleted: &SlotSet, oldest: u64) -> bool {
    if record.kind == Kind::Message {
        return slot(info.first_seq, record.seq).is_none_or(|at| !deleted.contains(at));
    }
    match Control::of(record) {
        // What it deletes is gone with this compaction, or with the files that were trimmed.
        Some(Control::Tombstone(tombstone)) => {
            tombstone.seqs.iter().any(|(first, last)| *last >= oldest && *first < info.first_seq)
        }
        Some(Control::Trim(Trim { first, .. })) => first > oldest,
        Some(Control::Compaction(_)) | None => false,
    }
}

/// The sequences that a compacted segment does not hold, counted from its first.
pub(crate) fn holes(index: &ActiveIndex, first: u64, next: u64) -> SlotSet {
    let mut holes = SlotSet::new();
    let mut from = first;
    while from < next {
        let there = index.first_at_or_after(seq(from)).map_or(next, Seq::get).min(next);
        if there > from
            && let (Some(start), Some(end)) = (slot(first, from), slot(first, there - 1))
        {
            holes.insert_range(start..=end);
        }
        from = there + 1;
    }
    holes
}

/// The file that a compaction writes.
struct Copy<'a> {
    channel: &'a Channel,
    file: Arc<dyn File>,
    written: Written,
    seed: binary::Seed,
    at: u64,
    index: u64,
    previous: u32,
    batch: Batch,
    messages: u64,
    controls: u64,
    times: Option<(Timestamp, Timestamp)>,
}

impl<'a> Copy<'a> {
    fn begin(
        channel: &'a Channel,
        old: &SegmentInfo,
        log_id: Uuid,
        file: Arc<dyn File>,
    ) -> io::Result<Self> {
        let (written, format) = match old.written {
            Written::Binary => (Written::Binary, Format::Binary),
            // The predecessor's lines get sequences and checksums on this occasion.
            Written::Jsonl | Written::Legacy => (Written::Jsonl, Format::Jsonl),
        };
        let seed = binary::Seed::new(log_id.as_u128(), old.first_index);
        let mut at = 0;
        if written == Written::Binary {
            let header = binary::SegmentHeader {
                log_id: log_id.as_u128(),
                first_index: old.first_index,
                first_seq: old.first_seq,
                created: old.first_time,
            };
            file.write_at(&[IoSlice::new(&header.encode())], 0)?;
            at = written.header_bytes();
        }
        let batch = Batch::new(format, old.first_seq, Vec::new());
        Ok(Self {
            channel,
            file,
            written,
            seed,
            at,
            index: old.first_index,
            previous: 0,
            batch,
            messages: 0,
            controls: 0,
            times: None,
        })
    }

    fn push(&mut self, record: &Record) -> io::Result<()> {
        if !self.batch.has_room(BatchLimits::default()) {
            self.write()?;
        }
        let name = self.channel.name.as_str();
        self.batch
            .push(name, record.kind, record.seq, &record.as_new())
            .map_err(io::Error::other)?;
        if record.kind == Kind::Message {
            self.messages += 1;
            let first = self.times.map_or(record.time, |(first, _)| first);
            self.times = Some((first, record.time));
        } else {
            self.controls += 1;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let place =
            BatchPlace { index: self.index, previous: self.previous, durable_index: self.index };
        self.previous = self.batch.seal(self.seed, place);
        self.file.write_at(&[IoSlice::new(self.batch.bytes())], self.at)?;
        self.at += self.batch.bytes().len() as u64;
        self.index += self.batch.entries().len() as u64;
        let (format, next) = (self.batch.format(), self.batch.next_seq());
        let done = std::mem::replace(&mut self.batch, Batch::new(format, next, Vec::new()));
        self.batch = Batch::new(format, next, done.into_buffer());
        Ok(())
    }

    /// Ends the file with what was left out, and makes its content durable.
    fn finish(mut self, old: &SegmentInfo) -> io::Result<SegmentInfo> {
        let left_out = Compaction {
            messages: self.messages,
            next_index: old.next_index,
            next_seq: old.next_seq,
            controls: self.controls,
        };
        let payload = Control::Compaction(left_out).payload();
        let time = self.times.map_or(old.last_time, |(_, last)| last);
        let record = NewRecord { time, payload: &payload, ..NewRecord::default() };
        self.batch
            .push(self.channel.name.as_str(), Kind::Compaction, old.next_seq - 1, &record)
            .map_err(io::Error::other)?;
        self.write()?;
        self.file.sync()?;
        let (first_time, last_time) = self.times.unwrap_or((old.first_time, old.last_time));
        Ok(SegmentInfo {
            written: self.written,
            bytes: self.at,
            removed: old.messages.saturating_sub(self.messages),
            first_time,
            last_time,
            controls: self.controls,
            ..old.clone()
        })
    }
}

/// What the file of a segment says of itself when its length is not what the manifest says: the
/// segment's description, if a compaction finished it and the manifest was not written any more.
pub(crate) fn finished_compaction(
    place: Place<'_>,
    info: &SegmentInfo,
    log_id: Uuid,
    len: u64,
) -> io::Result<Option<SegmentInfo>> {
    let file = place.disk.open(&place.dir.join(&info.file), Open::Read)?;
    let (written, encoding) = match info.written {
        Written::Legacy => (Written::Jsonl, Encoding::Jsonl),
        other => (other, info.encoding(log_id)),
    };
    let mut scan = Scan::new(file, encoding, written.header_bytes(), len, SEQUENTIAL_BLOCK_BYTES);
    let mut times: Option<(Timestamp, Timestamp)> = None;
    let (mut messages, mut message_bytes, mut last) = (0, 0, None);
    while let Some(found) = scan.next()? {
        match found {
            Found::Batch(_) => (),
            Found::Damaged { .. } => return Ok(None),
            Found::Record { record, len, .. } => {
                if record.kind == Kind::Message {
                    messages += 1;
                    message_bytes += u64::from(len);
                    times = Some((times.map_or(record.time, |(first, _)| first), record.time));
                }
                last = Some(record);
            }
        }
    }
    let said = last.as_ref().and_then(Control::of);
    let Some(Control::Compaction(said)) = said else { return Ok(None) };
    if said.messages != messages || said.next_index != info.next_index {
        return Ok(None);
    }
    let (first_time, last_time) = times.unwrap_or((info.first_time, info.last_time));
    Ok(Some(SegmentInfo {
        written,
        bytes: len,
        message_bytes,
        removed: info.messages.saturating_sub(messages),
        first_time,
        last_time,
        controls: said.controls,
        ..info.clone()
    }))
}
