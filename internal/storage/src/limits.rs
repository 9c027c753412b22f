//! What a channel may hold, and what goes when it holds more.
//!
//! Limits on number and size are kept by the batch that would break them: what it displaces is named in
//! the same batch, so nobody ever sees more than the limit. Limits on age are kept by the clock that
//! housekeeping is told. Everything deleted is a record in the log: a rebuild deletes the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use pubsub_envelope::control::{Control, Tombstone, Trim};
use pubsub_envelope::{Entry, Kind, NewRecord};
use pubsub_types::{Seq, Timestamp};

use crate::channel::{Channel, Pending, count};
use crate::contents::Contents;
use crate::deletes;
use crate::error::ReadError;
use crate::sealed::Sealed;
use crate::subjects::push_run;

impl Channel {
    /// Adds to the last batch of `work` what its messages displace.
    ///
    /// # Errors
    /// What a subject holds could not be looked up.
    pub(crate) fn enforce_limits(&self, work: &mut [Pending]) -> Result<(), ReadError> {
        let limits = self.config.limits;
        let entries = || work.iter().flat_map(|pending| pending.batch.entries());
        let Some(time) = entries().last().map(|entry| entry.time) else { return Ok(()) };
        let mut displaced = Vec::new();
        if limits.max_messages_per_subject > 0 {
            displaced.extend(self.beyond_subject_limit(work, limits.max_messages_per_subject)?);
        }
        if limits.max_messages > 0 || limits.max_bytes > 0 {
            displaced.extend(self.beyond_total_limit(work, &displaced));
        }
        for control in displaced {
            let payload = control.payload();
            let record = NewRecord { time, payload: &payload, ..NewRecord::default() };
            if let Some(last) = work.last_mut() {
                let pushed = last.batch.push_control(self.name.as_str(), control.kind(), &record);
                debug_assert!(pushed.is_ok(), "a control record is small");
            }
            count(&self.counters.limit_deletes);
        }
        Ok(())
    }

    /// What goes so that no subject has more than `max` messages.
    fn beyond_subject_limit(
        &self,
        work: &[Pending],
        max: u64,
    ) -> Result<Option<Control>, ReadError> {
        let mut added: BTreeMap<Cow<'_, str>, Vec<u64>> = BTreeMap::new();
        for pending in work {
            let messages = pending.batch.entries().iter().filter(|it| it.kind == Kind::Message);
            for entry in messages {
                added.entry(pending.batch.subject(entry)).or_default().push(entry.seq);
            }
        }
        let mut gone = Vec::new();
        for (subject, added) in added {
            let over = (self.count_of(&subject)? + added.len() as u64).saturating_sub(max);
            let mut from = Seq::FIRST;
            let mut left = over;
            while left > 0 {
                let Some(oldest) = self.next_of(&subject, from)? else { break };
                gone.push(oldest.get());
                from = oldest.next();
                left -= 1;
            }
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            gone.extend(added.iter().take(left));
        }
        if gone.is_empty() {
            return Ok(None);
        }
        gone.sort_unstable();
        let mut seqs = Vec::new();
        gone.into_iter().for_each(|seq| push_run(&mut seqs, seq));
        Ok(Some(Control::Tombstone(Tombstone { seqs })))
    }

    /// What goes so that the channel does not exceed its limits on messages and bytes.
    fn beyond_total_limit(&self, work: &[Pending], displaced: &[Control]) -> Option<Control> {
        let limits = self.config.limits;
        let messages = || {
            let entries = work.iter().flat_map(|pending| pending.batch.entries());
            entries.filter(|entry| entry.kind == Kind::Message)
        };
        let (more, more_bytes) = messages().fold((0_u64, 0_u64), |(count, bytes), entry| {
            (count + 1, bytes + u64::from(entry.len))
        });
        // Those of the displaced that are before a sequence.
        let less = |before: u64| -> u64 {
            let runs = displaced.iter().filter_map(|control| match control {
                Control::Tombstone(tombstone) => Some(&tombstone.seqs),
                Control::Trim(_) | Control::Compaction(_) => None,
            });
            runs.flatten()
                .filter(|(first, _)| *first < before)
                .map(|(first, last)| last.min(&(before - 1)) - first + 1)
                .sum()
        };
        let contents = self.contents.read();
        let (mut first, mut why) = (0, "");
        let count = (contents.messages + more).saturating_sub(less(u64::MAX));
        if limits.max_messages > 0 && count > limits.max_messages {
            let over = count - limits.max_messages;
            why = "max_messages";
            // What is displaced anyway, among the oldest, does not count as one of them.
            loop {
                let enough = contents.after_oldest(over + less(first));
                if enough <= first {
                    break;
                }
                first = enough;
            }
        }
        let bytes = contents.bytes + more_bytes;
        if limits.max_bytes > 0 && bytes > limits.max_bytes {
            let over = bytes - limits.max_bytes;
            let enough = if over < contents.bytes {
                contents.after_oldest_bytes(over).min(contents.next_seq)
            } else {
                // All there is goes, and the first of the new ones, but never the last: a trim that
                // names what is not there yet would delete it later.
                let mut left = over - contents.bytes;
                let keeps = |entry: &&Entry| {
                    let done = left == 0;
                    left = left.saturating_sub(u64::from(entry.len));
                    done
                };
                let kept = messages().find(keeps).or_else(|| messages().next_back());
                kept.map_or(contents.next_seq, |entry| entry.seq)
            };
            if enough > first {
                (first, why) = (enough, "max_bytes");
            }
        }
        (first > contents.first_seq).then(|| Control::Trim(Trim { first, why: why.into() }))
    }

    /// Deletes every message before `first`, as a recorded command. It is gone when the ticket says so.
    pub fn trim(self: &Arc<Self>, first: Seq, why: &str, now: Timestamp) -> crate::Ticket {
        let trim = Trim { first: first.get().min(self.last_seq() + 1), why: why.into() };
        self.append_control(&Control::Trim(trim), now)
    }

    /// Deletes single messages, as a recorded command. They are gone when the ticket says so.
    pub fn delete(self: &Arc<Self>, seqs: &[(Seq, Seq)], now: Timestamp) -> crate::Ticket {
        // A record in the log must not speak of messages that come after it.
        let end = self.last_seq();
        let inside = |(first, last): &(Seq, Seq)| (first.get(), last.get().min(end));
        let seqs = seqs.iter().map(inside).filter(|(first, last)| first <= last).collect();
        let tombstone = Tombstone { seqs };
        self.append_control(&Control::Tombstone(tombstone), now)
    }

    /// Sequence before which everything is older than `oldest`; whole segments only, so that nothing
    /// is read for it.
    fn expired_before(&self, oldest: Timestamp) -> u64 {
        let contents = self.contents.read();
        let gone = contents
            .sealed
            .iter()
            .take_while(|sealed| sealed.info.last_time < oldest)
            .last()
            .map_or(0, |sealed| sealed.info.next_seq);
        let active = &contents.active;
        let all_sealed = contents.sealed.last().is_none_or(|last| last.info.next_seq == gone);
        if !all_sealed || active.messages == 0 {
            return gone;
        }
        match active.index.locate_time(oldest) {
            Some(location) => location.seq.get().max(gone),
            None => contents.next_seq,
        }
    }

    /// Applies limits that depend on time and on the number of files.
    pub(crate) fn apply_age(self: &Arc<Self>, now: Timestamp) {
        let limits = self.config.limits;
        let mut first = 0;
        let mut why = "";
        if !limits.max_age.is_zero() {
            (first, why) = (self.expired_before(now.minus(limits.max_age)), "max_age");
        }
        if limits.max_files > 0 {
            let contents = self.contents.read();
            let files = contents.sealed.len() + 1;
            let over = files.saturating_sub(limits.max_files as usize);
            let kept = contents
                .sealed
                .get(over)
                .map_or(contents.active.info.first_seq, |sealed| sealed.info.first_seq);
            if over > 0 && kept > first {
                (first, why) = (kept, "max_files");
            }
        }
        if first > self.first_seq()
            && let Some(first) = Seq::new(first)
        {
            tracing::info!(channel = %self.name, before = first.get(), why, "messages beyond a limit are deleted");
            let _ticket = self.trim(first, why, now);
        }
    }

    /// Deletes what every subscriber has consumed, once it is worth a whole segment: `consumed` is the
    /// least of their positions.
    pub fn compact_consumed(self: &Arc<Self>, consumed: u64, now: Timestamp) {
        if self.config.keep_history || self.config.compaction_threshold_bytes == 0 {
            return;
        }
        let first = {
            let contents = self.contents.read();
            let whole: Vec<_> = contents
                .sealed
                .iter()
                .take_while(|sealed| sealed.info.next_seq <= consumed + 1)
                .collect();
            let bytes: u64 = whole.iter().map(|sealed| sealed.info.bytes).sum();
            if bytes < self.config.compaction_threshold_bytes {
                return;
            }
            whole.last().map_or(0, |sealed| sealed.info.next_seq)
        };
        if first > self.first_seq()
            && let Some(first) = Seq::new(first)
        {
            tracing::info!(channel = %self.name, before = first.get(), "messages consumed by every subscriber are deleted");
            let _ticket = self.trim(first, "consumed", now);
        }
    }

    /// Removes the files of deleted segments, and finishes the indexes of sealed ones.
    pub(crate) fn housekeep(self: &Arc<Self>) {
        // Two at a time would write the same files.
        let Some(_alone) = self.housekeeping.try_lock() else { return };
        if let Err(error) = self.write_indexes() {
            tracing::warn!(channel = %self.name, %error, "an index was not written; it stays in memory and is tried again");
        }
        if let Err(error) = self.compact_sparse() {
            tracing::warn!(channel = %self.name, %error, "a segment was not compacted; it is tried again");
        }
        if let Err(error) = self.remove_doomed() {
            tracing::warn!(channel = %self.name, %error, "files of deleted segments were not removed; it is tried again");
        }
    }

    fn write_indexes(self: &Arc<Self>) -> io::Result<()> {
        let snapshot = self.contents.read().snapshot();
        for sealed in snapshot.sealed.iter() {
            let Some(memory) = sealed.unwritten_index() else { continue };
            // An index that knows of a deletion outlives the record that made it, unless that is
            // durable first.
            if !memory.deletes().is_empty() && !self.sync_to_here() {
                continue;
            }
            sealed.write_index(self.place(), snapshot.log_id, &memory)?;
        }
        Ok(())
    }

    fn remove_doomed(&self) -> io::Result<()> {
        let doomed: Vec<Arc<Sealed>> = self.contents.read().doomed.clone();
        if doomed.is_empty() {
            return Ok(());
        }
        // First nobody names them any more, and the trim that deleted them is durable with that.
        self.store_manifest(false)?;
        for sealed in &doomed {
            deletes::discard(&*self.disk, &self.dir, &sealed.info.file)?;
            match self.disk.remove_file(&sealed.index_path(&self.dir)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => (),
            }
            sealed.close();
        }
        let gone = |sealed: &Arc<Sealed>| doomed.iter().any(|done| Arc::ptr_eq(done, sealed));
        let mut contents = self.contents.write();
        contents.doomed.retain(|sealed| !gone(sealed));
        let bytes = doomed.iter().map(|sealed| sealed.info.bytes).sum();
        // Under the lock, so that no sum of both counts them twice or not at all.
        self.counters.removed_bytes.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

impl Contents {
    /// Sequence after the `count` oldest messages; the end when there are fewer.
    fn after_oldest(&self, mut count: u64) -> u64 {
        for sealed in self.sealed.iter() {
            let deleted = self.deleted_in(sealed.info.first_seq);
            let live = sealed.live();
            if count > live {
                count -= live;
                continue;
            }
            let mut at = 0;
            for _ in 0..count {
                at = deleted.map_or(Some(at), |set| set.next_live(at)).unwrap_or(u32::MAX) + 1;
            }
            return sealed.info.first_seq + u64::from(at);
        }
        let deleted = self.active.index.deletes();
        let mut at = 0;
        for _ in 0..count {
            at = deleted.next_live(at).unwrap_or(u32::MAX - 1) + 1;
        }
        (self.active.info.first_seq + u64::from(at)).min(self.next_seq + count)
    }

    /// Sequence after the oldest messages that together have `bytes` bytes.
    fn after_oldest_bytes(&self, mut bytes: u64) -> u64 {
        let mut count = 0;
        for sealed in self.sealed.iter() {
            let live = sealed.live();
            let size = sealed.info.bytes_of(live);
            if bytes > size {
                bytes -= size;
                count += live;
                continue;
            }
            return self.after_oldest(count + bytes.div_ceil(sealed.info.bytes_of(1).max(1)));
        }
        let average = self.active_average().max(1);
        self.after_oldest(count + bytes.div_ceil(average))
    }
}
