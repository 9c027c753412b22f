//! What a channel holds: sealed segments, the active one, and what was deleted. A fold over the log.
//!
//! ```text
//!   sealed ─ sealed ─ sealed ─ active      everything here is committed; readers see nothing else
//!      │        │        │        │
//!    deleted: one set of sequences per segment, and `first_seq` below which all is gone
//! ```
//!
//! Only the channel's committer changes it, by applying what it has written; applying cannot fail.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use pubsub_disk::File;
use pubsub_envelope::control::Control;
use pubsub_envelope::{Batch, Kind};
use pubsub_types::{Seq, Timestamp};
use uuid::Uuid;

use crate::index::{ActiveIndex, SlotSet};
use crate::manifest::{self, ActiveInfo, SegmentInfo};
use crate::scan::Encoding;
use crate::sealed::Sealed;
use crate::tail::Tail;

/// The active segment: the only one that grows.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) info: ActiveInfo,
    pub(crate) file: Arc<dyn File>,
    pub(crate) index: ActiveIndex,
    /// Where the next batch goes.
    pub(crate) end: u64,
    /// Checksum of the last batch header.
    pub(crate) previous: u32,
    pub(crate) messages: u64,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
    pub(crate) next_expiry: i64,
    /// Records in it that change what is deleted.
    pub(crate) controls: u64,
    /// Bytes of it are damaged.
    pub(crate) damaged: bool,
    /// What was deleted of it, counted from its first sequence, whether or not it can be read: the
    /// index knows of no others. Empty as long as everything can.
    pub(crate) deleted_unread: SlotSet,
    /// What is known to be synced.
    pub(crate) durable: Mark,
}

/// A place in the log, as three numbers that mean the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Byte of the active segment behind it.
    pub(crate) end: u64,
    /// Log index after it.
    pub(crate) next_index: u64,
    /// Sequence after it.
    pub(crate) next_seq: u64,
}

/// What a channel holds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) log_id: Uuid,
    pub(crate) sealed: Arc<Vec<Arc<Sealed>>>,
    pub(crate) active: Active,
    /// By first sequence of the segment: what is deleted in it, counted from that sequence.
    pub(crate) deleted: Arc<Deleted>,
    /// Everything below is gone.
    pub(crate) first_seq: u64,
    pub(crate) next_seq: u64,
    pub(crate) next_index: u64,
    /// Messages that are not deleted.
    pub(crate) messages: u64,
    /// Bytes of records on disk that are not deleted; estimated from the average of a segment for
    /// those deleted in a sealed one.
    pub(crate) bytes: u64,
    pub(crate) tail: Tail,
    /// Counts changes of what is deleted, and of where what is not deleted stands.
    pub(crate) deletes_version: u64,
    /// Files deleted by a recorded command that are still to be removed.
    pub(crate) doomed: Vec<Arc<Sealed>>,
}

/// By first sequence of the segment: what is deleted in it, counted from that sequence.
pub(crate) type Deleted = BTreeMap<u64, Arc<SlotSet>>;

/// The sealed segments as they were at one moment, to be read while the channel goes on.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) log_id: Uuid,
    pub(crate) sealed: Arc<Vec<Arc<Sealed>>>,
    pub(crate) deleted: Arc<Deleted>,
}

/// A segment, sealed or active, as readers see it.
pub(crate) enum SegmentView<'a> {
    Sealed(&'a Arc<Sealed>),
    Active(&'a Active),
}

impl Contents {
    /// Where the log ends.
    pub(crate) fn mark(&self) -> Mark {
        Mark { end: self.active.end, next_index: self.next_index, next_seq: self.next_seq }
    }

    /// The sealed segments as they are now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot { log_id: self.log_id, sealed: self.sealed.clone(), deleted: self.deleted.clone() }
    }

    /// Takes in a segment that was active until now, and what was deleted of it.
    pub(crate) fn push_sealed(&mut self, sealed: Arc<Sealed>, deleted: SlotSet) {
        if !deleted.is_empty() {
            Arc::make_mut(&mut self.deleted).insert(sealed.info.first_seq, Arc::new(deleted));
        }
        Arc::make_mut(&mut self.sealed).push(sealed);
    }

    /// Puts a compacted segment in the place of what it was made from. What was deleted of it stays on
    /// record: so a sequence that is not in it is known to be deleted, and not damaged.
    pub(crate) fn replace_sealed(&mut self, old: &Arc<Sealed>, new: Arc<Sealed>) {
        let sealed = Arc::make_mut(&mut self.sealed);
        // It may have been trimmed meanwhile.
        if let Some(place) = sealed.iter_mut().find(|sealed| Arc::ptr_eq(sealed, old)) {
            *place = new;
        }
        self.deletes_version += 1;
    }

    /// How to read the active segment.
    pub(crate) fn active_encoding(&self) -> Encoding {
        let info = &self.active.info;
        manifest::encoding(info.written, self.log_id, info.first_index, info.first_seq)
    }

    /// The segment that holds `seq`, or the first one behind it.
    pub(crate) fn segment_at(&self, seq: u64) -> SegmentView<'_> {
        let nth = self.sealed.partition_point(|sealed| sealed.info.next_seq <= seq);
        self.sealed.get(nth).map_or(SegmentView::Active(&self.active), SegmentView::Sealed)
    }

    /// What is deleted in the segment that starts at `first_seq`.
    pub(crate) fn deleted_in(&self, first_seq: u64) -> Option<&SlotSet> {
        if first_seq == self.active.info.first_seq {
            return Some(self.active.index.deletes());
        }
        self.deleted.get(&first_seq).map(|set| &**set)
    }

    /// Whether `seq` was deleted, by number or with all before a sequence.
    pub(crate) fn is_deleted(&self, seq: u64) -> bool {
        if seq < self.first_seq {
            return true;
        }
        let first = self.segment_first_seq(seq);
        let Some(at) = slot(first, seq) else { return false };
        self.deleted_in(first).is_some_and(|set| set.contains(at))
            || (first == self.active.info.first_seq && self.active.deleted_unread.contains(at))
    }

    fn segment_first_seq(&self, seq: u64) -> u64 {
        match self.segment_at(seq) {
            SegmentView::Sealed(sealed) => sealed.info.first_seq,
            SegmentView::Active(active) => active.info.first_seq,
        }
    }

    /// Takes in what was written down as deleted in a sealed segment.
    pub(crate) fn install_deleted(&mut self, first: u64, set: SlotSet) {
        // A segment without messages starts at the same sequence as the one after it.
        let holds =
            |sealed: &&Arc<Sealed>| sealed.info.first_seq == first && sealed.info.next_seq > first;
        let Some(sealed) = self.sealed.iter().find(holds) else { return };
        let dead = sealed.count_deleted(set.count());
        self.messages = self.messages.saturating_sub(dead);
        let there = dead.saturating_sub(sealed.info.removed);
        self.bytes = self.bytes.saturating_sub(sealed.info.bytes_of(there));
        set.ranges().for_each(|slots| sealed.note_deleted(slots));
        Arc::make_mut(&mut self.deleted).insert(first, Arc::new(set));
    }

    /// Takes in a batch that was written at `at` of the active segment.
    pub(crate) fn apply(&mut self, batch: Batch, at: u64, previous: u32) {
        for entry in batch.entries() {
            self.next_index += 1;
            if entry.kind != Kind::Message {
                if let Some(control) = Control::of(&batch.record(entry)) {
                    self.active.controls += 1;
                    self.apply_control(&control);
                }
                continue;
            }
            let active = &mut self.active;
            if active.messages == 0 {
                active.first_time = entry.time;
            }
            active.last_time = entry.time;
            active.messages += 1;
            let offset = at + u64::from(entry.start);
            let subject = batch.subject(entry);
            let pushed = active.index.push(seq(entry.seq), entry.time, offset, entry.len, &subject);
            // The segment is rolled long before an index is full: `Channel::roll_if_due`.
            assert!(pushed.is_ok(), "the active index takes what the segment takes");
            if !entry.plain
                && let Some(expires) = batch.record(entry).meta().expires
            {
                let expires = expires.as_nanos();
                if active.next_expiry == 0 || expires < active.next_expiry {
                    active.next_expiry = expires;
                }
            }
            self.next_seq = entry.seq + 1;
            self.messages += 1;
            self.bytes += u64::from(entry.len);
        }
        self.active.previous = previous;
        let bytes = Bytes::from(batch.into_buffer());
        self.active.end = at + bytes.len() as u64;
        self.tail.push(self.active.info.first_index, at, bytes);
    }

    /// Takes in something that happened besides a message.
    pub(crate) fn apply_control(&mut self, control: &Control) {
        self.deletes_version += 1;
        match control {
            Control::Compaction(_) => (),
            Control::Trim(trim) => self.trim(trim.first),
            Control::Tombstone(tombstone) => {
                for &(first, last) in &tombstone.seqs {
                    self.delete(first..=last);
                }
            }
        }
    }

    /// Deletes everything before `first`.
    fn trim(&mut self, first: u64) {
        let first = first.min(self.next_seq);
        if first <= self.first_seq {
            return;
        }
        // Whole segments go without a set of what they held.
        let gone = self.sealed.partition_point(|sealed| sealed.info.next_seq <= first);
        let gone: Vec<_> = if gone == 0 {
            Vec::new()
        } else {
            Arc::make_mut(&mut self.sealed).drain(..gone).collect()
        };
        for sealed in gone {
            let first = sealed.info.first_seq;
            let holds = sealed.info.next_seq > first;
            if holds {
                Arc::make_mut(&mut self.deleted).remove(&first);
            }
            let live = sealed.live();
            self.messages = self.messages.saturating_sub(live);
            self.bytes = self.bytes.saturating_sub(sealed.info.bytes_of(live));
            self.doomed.push(sealed);
        }
        let from = self.segment_first_seq(first);
        if from < first {
            self.delete(from..=first - 1);
        }
        self.first_seq = first;
    }

    /// Deletes what is there of `seqs`. What is not there, or is already deleted, is no error.
    fn delete(&mut self, seqs: RangeInclusive<u64>) {
        let (mut from, to) =
            (*seqs.start().max(&self.first_seq), *seqs.end().min(&(self.next_seq - 1)));
        while from <= to {
            let (info, next) = match self.segment_at(from) {
                SegmentView::Sealed(sealed) => {
                    (Some((sealed.info.first_seq, sealed.info.bytes_of(1))), sealed.info.next_seq)
                }
                SegmentView::Active(_) => (None, self.next_seq),
            };
            let end = to.min(next - 1);
            let (news, bytes) = match info {
                Some((first, average)) => (self.delete_sealed(first, from..=end), average),
                None => (self.delete_active(from..=end), self.active_average()),
            };
            self.messages = self.messages.saturating_sub(news);
            self.bytes = self.bytes.saturating_sub(news * bytes);
            from = end + 1;
        }
    }

    fn delete_sealed(&mut self, first: u64, seqs: RangeInclusive<u64>) -> u64 {
        // Between segments nothing was ever stored.
        let (start, end) = (slot(first, first.max(*seqs.start())), slot(first, *seqs.end()));
        let (Some(start), Some(end)) = (start, end) else { return 0 };
        let SegmentView::Sealed(sealed) = self.segment_at(*seqs.end()) else { return 0 };
        let sealed = sealed.clone();
        sealed.note_deleted(start..=end);
        let deleted = Arc::make_mut(&mut self.deleted);
        // Some of these may have been lost before.
        let news = Arc::make_mut(deleted.entry(first).or_default()).insert_range(start..=end);
        sealed.count_deleted(news)
    }

    fn delete_active(&mut self, seqs: RangeInclusive<u64>) -> u64 {
        let first = self.active.info.first_seq;
        let (start, end) = (slot(first, first.max(*seqs.start())), slot(first, *seqs.end()));
        let (Some(start), Some(end)) = (start, end) else { return 0 };
        let active = &mut self.active;
        if active.index.totals().messages < self.next_seq - first {
            active.deleted_unread.insert_range(start..=end);
        }
        let mut slots = SlotSet::new();
        slots.insert_range(start..=end);
        active.index.delete_slots(&slots)
    }

    pub(crate) fn active_average(&self) -> u64 {
        self.active.index.totals().bytes / self.active.messages.max(1)
    }
}

impl Active {
    /// What was deleted of it, counted from its first sequence.
    pub(crate) fn deleted(&self) -> SlotSet {
        let mut deleted = self.index.deletes().clone();
        for slots in self.deleted_unread.ranges() {
            deleted.insert_range(slots);
        }
        deleted
    }
}

/// `number` as a sequence. Counters of messages start at 1; 0 is not one of them.
pub(crate) fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap_or(Seq::FIRST)
}

/// Position of `seq` among the sequences of a segment that starts at `first`.
pub(crate) fn slot(first: u64, seq: u64) -> Option<u32> {
    u32::try_from(seq.checked_sub(first)?).ok()
}

impl SegmentInfo {
    /// Bytes of its messages.
    pub(crate) fn all_message_bytes(&self) -> u64 {
        // A manifest of an earlier version does not say; one whose messages are all left out says none.
        let known = self.message_bytes > 0 || self.messages <= self.removed;
        if known { self.message_bytes } else { self.bytes }
    }

    /// Bytes that `messages` messages of it take on average.
    pub(crate) fn bytes_of(&self, messages: u64) -> u64 {
        let all = u128::from(self.messages.saturating_sub(self.removed).max(1));
        u64::try_from(u128::from(self.all_message_bytes()) * u128::from(messages) / all)
            .unwrap_or(u64::MAX)
    }
}
