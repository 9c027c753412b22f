//! Ends a segment and begins the next: because it is full, or because its file can no longer be
//! trusted.
//!
//! ```text
//!   full      sync the old ─▶ make the new, durable with its name ─▶ manifest ─▶ go on
//!   suspect   make the new ─▶ copy what was acknowledged but never synced ─▶ sync ─▶ manifest ─▶ go on
//! ```

use std::io::{self, IoSlice};
use std::sync::Arc;

use pubsub_envelope::{Batch, Kind, Place as BatchPlace, Record, binary::Seed};
use pubsub_types::Timestamp;

use crate::channel::{Channel, Pending, count};
use crate::commit::Failure;
use crate::contents::{Active, Mark, slot};
use crate::deletes;
use crate::index::{ActiveIndex, SlotSet};
use crate::job::Task;
use crate::manifest::{self, SegmentInfo};
use crate::recovery::{begin_segment, describe};
use crate::report::Finding;
use crate::scan::{Encoding, Found, SEQUENTIAL_BLOCK_BYTES, Scan};
use crate::sealed::Sealed;
use crate::walk::{From, walk};

/// Bytes of a segment beyond which it is ended whatever the configuration says: its index counts bytes
/// in 32 bits.
const SEGMENT_BYTES_MAX: u64 = 2 << 30;

impl Channel {
    /// Ends the active segment when `work` would make it too long, or is in another format.
    pub(crate) fn roll_if_due(self: &Arc<Self>, work: &[Pending]) -> Result<(), Failure> {
        let more: usize = work.iter().map(|pending| pending.batch.bytes().len()).sum();
        let format = work.first().map_or(self.config.format, |pending| pending.batch.format());
        let due = {
            let contents = self.contents.read();
            let active = &contents.active;
            let limit = self.config.segment_bytes.min(SEGMENT_BYTES_MAX);
            let full =
                active.end + more as u64 > limit && contents.next_index > active.info.first_index;
            full || active.info.written != format.into()
        };
        if due { self.roll(format, work) } else { Ok(()) }
    }

    fn roll(
        self: &Arc<Self>,
        format: pubsub_types::Format,
        work: &[Pending],
    ) -> Result<(), Failure> {
        self.sync_before_roll()?;
        let now = first_time(work);
        let mut state = self.manifest.lock();
        let (log_id, mark) = {
            let contents = self.contents.read();
            (contents.log_id, contents.mark())
        };
        let fresh = begin_segment(self.place(), log_id, format, mark, now)
            .map_err(Failure::new("begin a segment"))?;
        let old = {
            let mut contents = self.contents.write();
            let empty = contents.next_index == contents.active.info.first_index;
            let old = std::mem::replace(&mut contents.active, fresh);
            if !empty {
                let (mark, deleted) = (contents.mark(), old.deleted());
                contents.push_sealed(seal(old, mark.next_index, mark.next_seq), deleted);
                None
            } else {
                Some(old)
            }
        };
        let mut manifest = state.manifest.clone();
        describe(&mut manifest, &self.contents.read());
        state.file.store(self.place(), &manifest).map_err(Failure::new("write the manifest"))?;
        state.manifest = manifest;
        drop(state);
        if let Some(empty) = old {
            // In another format and without a record: nothing is lost with it.
            let discarded = deletes::discard(&*self.disk, &self.dir, &empty.info.file);
            discarded.map_err(Failure::new("remove an empty segment"))?;
        }
        deletes::store(&*self.disk, &self.dir, &self.contents.read())
            .map_err(Failure::new("write the checkpoint"))?;
        count(&self.counters.rolled);
        self.submit(Task::Housekeep);
        Ok(())
    }

    fn sync_before_roll(&self) -> Result<(), Failure> {
        let (file, synced) = {
            let contents = self.contents.read();
            (contents.active.file.clone(), contents.active.durable == contents.mark())
        };
        if synced {
            return Ok(());
        }
        let _alone = self.syncing.lock();
        if self.state.lock().suspect {
            return Err(Failure::sync(io::Error::other("an earlier sync failed")));
        }
        count(&self.counters.syncs);
        file.sync().map_err(|source| {
            count(&self.counters.sync_failures);
            Failure::sync(source)
        })?;
        let mut contents = self.contents.write();
        contents.active.durable = contents.mark();
        Ok(())
    }

    /// Sets the active segment aside at its last synced byte, and begins a fresh one that starts with
    /// what was acknowledged since.
    ///
    /// A failed sync says nothing about what reached the disk, and a second one that succeeds proves
    /// nothing. So what was acknowledged is written once more, elsewhere.
    pub(crate) fn replace_suspect(self: &Arc<Self>) -> Result<(), Failure> {
        let mut state = self.manifest.lock();
        let (log_id, encoding, file, info, durable, end, mark) = {
            let contents = self.contents.read();
            let active = &contents.active;
            (
                contents.log_id,
                contents.active_encoding(),
                active.file.clone(),
                active.info.clone(),
                active.durable,
                active.end,
                contents.mark(),
            )
        };
        let unsynced = self
            .read_back(&file, encoding, durable.end, end)
            .map_err(Failure::new("read back what was acknowledged"))?;
        let next_index = mark.next_index.max(info.first_index + 1);
        let begin = Mark { end: 0, next_index, next_seq: durable.next_seq };
        let format = self.config.format;
        let fresh = begin_segment(self.place(), log_id, format, begin, Timestamp(0))
            .map_err(Failure::new("begin a fresh segment"))?;
        let fresh = self
            .write_again(log_id, fresh, &unsynced, begin)
            .map_err(Failure::new("write again what was acknowledged"))?;
        // What is on disk of the old segment is read once more, up to where it was synced.
        let from = From {
            at: info.written.header_bytes(),
            first_index: info.first_index,
            first_seq: info.first_seq,
        };
        let walked = walk(&file, encoding, from, durable.end)
            .map_err(Failure::new("verify the suspect segment"))?;
        let complete = self.report_missing(&unsynced, durable.next_seq, mark.next_seq);
        for damage in &walked.damage {
            self.report(Finding::Damaged {
                file: info.file.clone(),
                at: damage.at,
                bytes: damage.len,
            });
        }
        let kept;
        {
            let mut contents = self.contents.write();
            let deleted = contents.active.deleted();
            let mut old = std::mem::replace(&mut contents.active, fresh);
            let first = contents.active.info.first_seq;
            let (deleted, behind) = split(&deleted, info.first_seq, first);
            contents.active.index.delete_slots(&behind);
            if !complete {
                contents.active.deleted_unread = behind;
            }
            old.index = walked.index;
            old.index.delete_slots(&deleted);
            old.end = durable.end;
            old.messages = walked.messages;
            old.damaged = true;
            contents.tail.clear();
            contents.deletes_version += 1;
            let (messages, end) = (contents.active.messages, contents.active.durable);
            contents.next_index = end.next_index;
            old.controls = walked.controls.len() as u64;
            kept = old.messages + old.controls > 0;
            if kept {
                contents.push_sealed(seal(old, durable.next_index, durable.next_seq), deleted);
            }
            tracing::warn!(channel = %self.name, rewritten = messages, "a fresh segment was begun");
        }
        let mut manifest = state.manifest.clone();
        describe(&mut manifest, &self.contents.read());
        state.file.store(self.place(), &manifest).map_err(Failure::new("write the manifest"))?;
        state.manifest = manifest;
        self.state.lock().suspect = false;
        if complete {
            self.cut_suspect(&info.file, &*file, kept.then_some(durable.end));
        }
        Ok(())
    }

    /// Takes away what was written again elsewhere: should the manifest ever be lost, it would be found
    /// twice, and beside it what was never acknowledged.
    fn cut_suspect(&self, name: &str, file: &dyn pubsub_disk::File, end: Option<u64>) {
        let done = match end {
            Some(end) => file.set_len(end).and_then(|()| file.sync()),
            None => deletes::discard(&*self.disk, &self.dir, name),
        };
        if let Err(error) = done {
            tracing::warn!(channel = %self.name, segment = name, %error, "the end of a suspect segment was not cut; the manifest knows where it ends");
        }
    }

    fn read_back(
        &self,
        file: &Arc<dyn pubsub_disk::File>,
        encoding: Encoding,
        from: u64,
        end: u64,
    ) -> io::Result<Vec<Record>> {
        let mut scan = Scan::new(file.clone(), encoding, from, end, SEQUENTIAL_BLOCK_BYTES);
        let mut records = Vec::new();
        while let Some(found) = scan.next()? {
            if let Found::Record { record, .. } = found {
                records.push(record);
            }
        }
        Ok(records)
    }

    fn write_again(
        &self,
        log_id: uuid::Uuid,
        fresh: Active,
        records: &[Record],
        begin: Mark,
    ) -> io::Result<Active> {
        if records.is_empty() {
            return Ok(fresh);
        }
        let mut batch = Batch::new(self.config.format, begin.next_seq, Vec::new());
        for record in records {
            batch
                .push(self.name.as_str(), record.kind, record.seq, &record.as_new())
                .map_err(io::Error::other)?;
        }
        let encoding = manifest::encoding(
            fresh.info.written,
            log_id,
            fresh.info.first_index,
            fresh.info.first_seq,
        );
        let seed = match encoding {
            Encoding::Binary(seed) => seed,
            Encoding::Jsonl | Encoding::Legacy { .. } => Seed::new(0, 0),
        };
        let place = BatchPlace { index: begin.next_index, ..BatchPlace::default() };
        batch.seal(seed, place);
        fresh.file.write_at(&[IoSlice::new(batch.bytes())], fresh.end)?;
        fresh.file.sync()?;
        let end = fresh.end + batch.bytes().len() as u64;
        let from = From { at: fresh.end, first_index: begin.next_index, first_seq: begin.next_seq };
        let walked = walk(&fresh.file, encoding, from, end)?;
        let next_seq = records
            .iter()
            .rev()
            .find(|record| record.kind == Kind::Message)
            .map_or(begin.next_seq, |record| record.seq + 1);
        Ok(Active {
            index: walked.index,
            end,
            previous: walked.previous,
            messages: walked.messages,
            first_time: walked.first_time,
            last_time: walked.last_time,
            next_expiry: walked.next_expiry,
            controls: walked.controls.len() as u64,
            durable: Mark { end, next_index: walked.next_index, next_seq },
            ..fresh
        })
    }

    /// Reports messages that were acknowledged, never synced, and cannot be read back; whether there
    /// are none.
    fn report_missing(&self, found: &[Record], from: u64, to: u64) -> bool {
        let (mut expected, mut complete) = (from, true);
        let mut missing = |first: u64, last: u64| {
            if first <= last {
                complete = false;
                self.report(Finding::Lost { first, last });
            }
        };
        for record in found.iter().filter(|record| record.kind == Kind::Message) {
            missing(expected, record.seq.saturating_sub(1));
            expected = record.seq + 1;
        }
        missing(expected, to - 1);
        complete
    }
}

/// Parts a set that counts from `segment` into what is before the sequence `first`, and the rest, which
/// counts from there.
fn split(set: &SlotSet, segment: u64, first: u64) -> (SlotSet, SlotSet) {
    let (mut before, mut behind) = (SlotSet::new(), SlotSet::new());
    for slots in set.ranges() {
        let (start, end) = (segment + u64::from(*slots.start()), segment + u64::from(*slots.end()));
        if let (Some(start), Some(end)) = (slot(segment, start), slot(segment, end.min(first - 1)))
            && start <= end
        {
            before.insert_range(start..=end);
        }
        if let (Some(start), Some(end)) = (slot(first, start.max(first)), slot(first, end)) {
            behind.insert_range(start..=end);
        }
    }
    (before, behind)
}

fn first_time(work: &[Pending]) -> Timestamp {
    work.first()
        .and_then(|pending| pending.batch.entries().first())
        .map_or(Timestamp(0), |entry| entry.time)
}

/// Ends `active` before `next_index` and `next_seq`.
fn seal(active: Active, next_index: u64, next_seq: u64) -> Arc<Sealed> {
    let info = SegmentInfo {
        file: active.info.file,
        written: active.info.written,
        first_index: active.info.first_index,
        next_index,
        first_seq: active.info.first_seq,
        next_seq,
        bytes: active.end,
        message_bytes: active.index.totals().bytes,
        messages: active.messages,
        first_time: active.first_time,
        last_time: active.last_time,
        suspect: active.damaged,
        controls: active.controls,
        removed: 0,
        next_expiry: active.next_expiry,
    };
    let index: ActiveIndex = active.index;
    Sealed::with(info, active.file, index)
}
