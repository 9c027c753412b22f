//! The index of a sealed segment: a file, of which memory holds only what saves reading it.
//!
//! ```text
//!   subject ──▶ filter ──never──▶ none, without reading
//!                  ╰──perhaps──▶ directory ──▶ one block of subjects ──▶ (many messages) a page of postings
//!   sequence, time ──▶ point directory ──▶ one page of points ──▶ where to start reading
//! ```
//!
//! Filter and directories are read at the first question that needs them, about 1.5 bytes a subject,
//! and can be dropped at any time. Blocks are not kept: the operating system has them, and a block
//! costs about a microsecond to read and check.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pubsub_disk::File;
use pubsub_types::{Seq, Timestamp};

use super::blocks::Source;
use super::bloom::{self, Bloom};
use super::cursor::{Entries, SealedSubjects};
use super::format::{CRC_BYTES, Section, SegmentDigest, SegmentId};
use super::messages::{EntrySlots, LiveSlots, Matches, seq_of};
use super::points::{self, Point};
use super::subjects::{self, Directory, Entry};
use super::{IndexError, Location, SlotSet, Span, Totals, Wanted};

/// Index of a sealed segment.
///
/// Questions about messages take the set of those deleted, which must hold at least what
/// [`Self::deletes`] gives; deleted messages are neither counted nor found.
///
/// Every question fails with [`IndexError::Damaged`] when what it needs of the file is, and with
/// [`IndexError::Io`] when the device refuses; other questions may still be answered.
#[derive(Debug)]
pub struct SealedIndex {
    source: Source,
    resident: Resident,
}

/// What was read and is kept until evicted.
#[derive(Debug, Default)]
struct Resident {
    points: ArcSwapOption<Vec<u8>>,
    subjects: ArcSwapOption<Subjects>,
    missing: ArcSwapOption<SlotSet>,
}

#[derive(Debug)]
pub(super) struct Subjects {
    filter: Bloom,
    pub(super) directory: Directory,
}

impl SealedIndex {
    /// Opens an index file; reads its header only.
    ///
    /// # Errors
    /// The file is damaged, of another version, or not the index of `expected`.
    pub fn open(file: Arc<dyn File>, expected: SegmentId) -> Result<Self, IndexError> {
        let source = Source::open(file)?;
        let found = source.header().id;
        if found != expected {
            let SegmentId { log_id, first_index, first_seq } = found;
            return Err(IndexError::Foreign { log_id, first_index, first_seq });
        }
        Ok(Self { source, resident: Resident::default() })
    }

    /// Which segment this is the index of.
    #[must_use]
    pub fn id(&self) -> SegmentId {
        self.source.header().id
    }

    /// What the segment's file was when the index was made.
    #[must_use]
    pub fn digest(&self) -> SegmentDigest {
        self.source.header().digest
    }

    /// What the segment holds, deleted or not.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.source.header().totals
    }

    /// How many subjects the segment had when it was sealed.
    #[must_use]
    pub fn subject_count(&self) -> u64 {
        let header = self.source.header();
        let own = header.plain && header.totals.messages > 0;
        u64::from(header.subjects) + u64::from(own)
    }

    /// What was deleted when the segment was sealed.
    ///
    /// # Errors
    /// As for every question.
    pub fn deletes(&self) -> Result<SlotSet, IndexError> {
        self.read_slots(Section::Deletes)
    }

    /// Where to start reading for `seq`: it is there or behind, usually less than 64 messages or
    /// 16 KiB, if the segment has it. `None` when it is beyond the segment.
    ///
    /// # Errors
    /// As for every question.
    pub fn locate_block(&self, seq: Seq) -> Result<Option<Location>, IndexError> {
        match self.slot_from(seq) {
            Some(slot) => self.locate(|point| point.slot <= slot).map(Some),
            None => Ok(None),
        }
    }

    /// Where to start reading for the first message that is as young as `time` or younger: it is
    /// there or behind, usually less than 64 messages or 16 KiB. `None` when all are older.
    ///
    /// Clocks step back, so what follows that message may be older than it.
    ///
    /// # Errors
    /// As for every question.
    pub fn locate_time(&self, time: Timestamp) -> Result<Option<Location>, IndexError> {
        let totals = self.totals();
        if totals.messages == 0 || totals.max_time < time {
            return Ok(None);
        }
        self.locate(|point| point.before < time).map(Some)
    }

    /// The first message at or after `seq` that is not deleted.
    ///
    /// # Errors
    /// As for every question.
    pub fn first_at_or_after(
        &self,
        seq: Seq,
        deletes: &SlotSet,
    ) -> Result<Option<Seq>, IndexError> {
        let Some(slot) = self.slot_from(seq) else { return Ok(None) };
        Ok(self.live_slots(deletes)?.next(slot).map(|slot| self.seq(slot)))
    }

    /// The messages of `subject`, or `None` when none is left.
    ///
    /// # Errors
    /// As for every question.
    pub fn span(&self, subject: &str, deletes: &SlotSet) -> Result<Option<Span>, IndexError> {
        if self.is_plain() {
            return if subject.is_empty() { self.own_span(deletes) } else { Ok(None) };
        }
        match self.find(subject)? {
            Some(entry) => self.live_span(&entry, deletes),
            None => Ok(None),
        }
    }

    /// The first message of `subject`.
    ///
    /// # Errors
    /// As for every question.
    pub fn first(&self, subject: &str, deletes: &SlotSet) -> Result<Option<Seq>, IndexError> {
        self.next(subject, self.id().first_seq, deletes)
    }

    /// The last message of `subject`.
    ///
    /// # Errors
    /// As for every question.
    pub fn last(&self, subject: &str, deletes: &SlotSet) -> Result<Option<Seq>, IndexError> {
        if self.is_plain() {
            return Ok(self.span(subject, deletes)?.map(|span| span.last));
        }
        match self.find(subject)? {
            Some(entry) if !deletes.contains(entry.last) => Ok(Some(self.seq(entry.last))),
            Some(entry) => Ok(self.live_span(&entry, deletes)?.map(|span| span.last)),
            None => Ok(None),
        }
    }

    /// How many messages `subject` has.
    ///
    /// # Errors
    /// As for every question.
    pub fn count(&self, subject: &str, deletes: &SlotSet) -> Result<u64, IndexError> {
        Ok(self.span(subject, deletes)?.map_or(0, |span| span.count))
    }

    /// The first message of `subject` at or after `from`.
    ///
    /// # Errors
    /// As for every question.
    pub fn next(
        &self,
        subject: &str,
        from: Seq,
        deletes: &SlotSet,
    ) -> Result<Option<Seq>, IndexError> {
        if self.is_plain() {
            let own = subject.is_empty();
            return if own { self.first_at_or_after(from, deletes) } else { Ok(None) };
        }
        let Some(slot) = self.slot_from(from) else { return Ok(None) };
        let Some(entry) = self.find(subject)? else { return Ok(None) };
        Ok(self.next_of(&entry, slot, deletes)?.map(|slot| self.seq(slot)))
    }

    /// The first message at or after `from` with a subject that is wanted.
    ///
    /// Costs a look at every subject that begins like the filter; whoever will ask for the message
    /// after that one is better served by [`Self::matches`].
    ///
    /// # Errors
    /// As for every question.
    pub fn next_match(
        &self,
        wanted: Wanted<'_>,
        from: Seq,
        deletes: &SlotSet,
    ) -> Result<Option<Seq>, IndexError> {
        if wanted.is_all() || (self.is_plain() && wanted.matches("")) {
            return self.first_at_or_after(from, deletes);
        }
        let Some(from) = self.slot_from(from) else { return Ok(None) };
        let mut best = None;
        let mut entries = Entries::new(self, wanted, None)?;
        while let Some(entry) = entries.next()? {
            let hopeless = entry.last < from || best.is_some_and(|best| best <= entry.first);
            if !hopeless && let Some(slot) = self.next_of(&entry, from, deletes)? {
                best = Some(best.map_or(slot, |best: u32| best.min(slot)));
            }
            if best == Some(from) {
                break;
            }
        }
        Ok(best.map(|slot| self.seq(slot)))
    }

    /// All messages with subjects that are wanted, to be gone through in order. At most one bit a
    /// message of memory.
    ///
    /// # Errors
    /// As for every question.
    pub fn matches(&self, wanted: Wanted<'_>) -> Result<Matches, IndexError> {
        let mut slots = Vec::new();
        if wanted.is_all() || (self.is_plain() && wanted.matches("")) {
            return Ok(Matches::new(self.id().first_seq, self.all_slots()?));
        }
        let mut entries = Entries::new(self, wanted, None)?;
        while let Some(entry) = entries.next()? {
            let mut more = self.slots(&entry, 0)?;
            while let Some(slot) = more.next()? {
                slots.push(slot);
            }
        }
        slots.sort_unstable();
        Ok(Matches::new(self.id().first_seq, slots.into_iter().collect()))
    }

    /// The subjects that are wanted in byte order, from the first that is greater than `after`. Reads
    /// on as it goes, one block at a time.
    ///
    /// # Errors
    /// As for every question.
    pub fn subjects<'a>(
        &'a self,
        wanted: Wanted<'a>,
        after: Option<&str>,
        deletes: &'a SlotSet,
    ) -> Result<SealedSubjects<'a>, IndexError> {
        SealedSubjects::new(self, wanted, after, deletes)
    }

    /// Drops what memory holds of the file. It is read again when it is needed again.
    pub fn evict(&self) {
        self.resident.points.store(None);
        self.resident.subjects.store(None);
        self.resident.missing.store(None);
    }

    /// Bytes in memory, this value included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let Resident { points, subjects, missing } = &self.resident;
        let points = points.load().as_ref().map_or(0, |it| it.capacity() + size_of::<Vec<u8>>());
        let subjects = subjects.load().as_ref().map_or(0, |it| {
            it.filter.memory_bytes() + it.directory.memory_bytes() + size_of::<Subjects>()
        });
        let missing =
            missing.load().as_ref().map_or(0, |it| it.memory_bytes() + size_of::<SlotSet>());
        size_of::<Self>() + points + subjects + missing
    }
}

/// For the cursors.
impl SealedIndex {
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Whether every message has the empty subject.
    pub(super) fn is_plain(&self) -> bool {
        self.source.header().plain
    }

    pub(super) fn has_subjects(&self) -> bool {
        self.source.header().subjects > 0
    }

    /// The messages of the empty subject, where there is no other.
    pub(super) fn own_span(&self, deletes: &SlotSet) -> Result<Option<Span>, IndexError> {
        let Some(last) = self.source.header().last_slot() else { return Ok(None) };
        let live = self.live_slots(deletes)?;
        let (Some(first), Some(last)) = (live.next(0), live.previous(last)) else {
            return Ok(None);
        };
        let count = self.totals().messages.saturating_sub(live.deleted());
        Ok(Some(Span { first: self.seq(first), last: self.seq(last), count }))
    }

    /// What is left of `entry`.
    pub(super) fn live_span(
        &self,
        entry: &Entry,
        deletes: &SlotSet,
    ) -> Result<Option<Span>, IndexError> {
        let gone = deletes.count_in(entry.first..=entry.last);
        let (first, last, count) = if gone == 0 {
            (entry.first, entry.last, u64::from(entry.count))
        } else {
            let mut live = self.slots(entry, 0)?;
            let Some(first) = live.next_live(deletes)? else { return Ok(None) };
            let (mut last, mut count) = (first, 1);
            while let Some(slot) = live.next_live(deletes)? {
                (last, count) = (slot, count + 1);
            }
            (first, last, count)
        };
        Ok(Some(Span { first: self.seq(first), last: self.seq(last), count }))
    }

    /// The block of subjects with this number, which is read into `block`, and where it is in its
    /// section. `None` behind the last.
    pub(super) fn read_subjects(
        &self,
        directory: &Directory,
        number: usize,
        block: &mut Vec<u8>,
    ) -> Result<Option<u64>, IndexError> {
        let Some((at, len)) = directory.place(number) else { return Ok(None) };
        let damaged = |_| self.source.damaged(Section::Subjects, at);
        let len = usize::try_from(len).map_err(damaged)?;
        self.source.read(Section::Subjects, at, len, block)?;
        Ok(Some(at))
    }

    /// The entry of `subject`.
    pub(super) fn find(&self, subject: &str) -> Result<Option<Entry>, IndexError> {
        if !self.has_subjects() {
            return Ok(None);
        }
        let resident = self.resident_subjects()?;
        let log_id = self.source.header().id.log_id;
        if !resident.filter.contains(bloom::hash(log_id, subject.as_bytes())) {
            return Ok(None);
        }
        let number = resident.directory.block_of(subject.as_bytes());
        let mut block = Vec::new();
        let Some(at) = self.read_subjects(&resident.directory, number, &mut block)? else {
            return Ok(None);
        };
        let found = subjects::search(&block, subject.as_bytes());
        let found = found.ok_or_else(|| self.source.damaged(Section::Subjects, at))?;
        found.map(|entry| self.checked(entry, at)).transpose()
    }

    /// `entry`, of the block at `at`, if its slots are the segment's.
    pub(super) fn checked(&self, entry: Entry, at: u64) -> Result<Entry, IndexError> {
        let sound = self.source.header().last_slot() >= Some(entry.last);
        sound.then_some(entry).ok_or_else(|| self.source.damaged(Section::Subjects, at))
    }

    /// Filter and directory, read when they are not in memory.
    pub(super) fn resident_subjects(&self) -> Result<Arc<Subjects>, IndexError> {
        resident(&self.resident.subjects, || {
            let filter = Bloom::decode(&self.source.read_all(Section::Filter)?)
                .ok_or_else(|| self.source.damaged(Section::Filter, 0))?;
            let bytes = self.source.read_all(Section::SubjectDirectory)?;
            let end = self.source.header().len_of(Section::Subjects);
            let directory = Directory::decode(&bytes, CRC_BYTES as u64, end)
                .ok_or_else(|| self.source.damaged(Section::SubjectDirectory, 0))?;
            Ok(Subjects { filter, directory })
        })
    }

    fn locate(&self, early: impl Fn(Point) -> bool) -> Result<Location, IndexError> {
        let directory =
            resident(&self.resident.points, || self.source.read_all(Section::PointDirectory))?;
        let damaged = |section| move || self.source.damaged(section, 0);
        let (page, _) =
            points::search(&directory, &early).ok_or_else(damaged(Section::PointDirectory))?;
        let mut block = Vec::new();
        let page_bytes = points::PAGE_BYTES + CRC_BYTES;
        self.source.read_page(Section::Points, page as u64, page_bytes, &mut block)?;
        let (_, point) = points::search(&block, &early)
            .filter(|(_, point)| Some(point.slot) <= self.source.header().last_slot())
            .ok_or_else(damaged(Section::Points))?;
        Ok(Location { seq: self.seq(point.slot), offset: u64::from(point.offset) })
    }

    fn missing(&self) -> Result<Arc<SlotSet>, IndexError> {
        resident(&self.resident.missing, || self.read_slots(Section::Missing))
    }

    fn read_slots(&self, section: Section) -> Result<SlotSet, IndexError> {
        let bytes = self.source.read_all(section)?;
        SlotSet::decode(&bytes).map_err(|_| self.source.damaged(section, 0))
    }

    fn all_slots(&self) -> Result<SlotSet, IndexError> {
        let mut all = SlotSet::new();
        let missing = self.missing()?;
        let mut next = 0;
        for lost in missing.ranges() {
            if let Some(before) = lost.start().checked_sub(1) {
                all.insert_range(next..=before);
            }
            next = lost.end().saturating_add(1);
        }
        if let Some(last) = self.source.header().last_slot() {
            all.insert_range(next..=last);
        }
        Ok(all)
    }

    fn live_slots<'a>(&self, deletes: &'a SlotSet) -> Result<LiveSlots<'a>, IndexError> {
        let last = self.source.header().last_slot().unwrap_or(0);
        Ok(LiveSlots::new(self.missing()?, deletes, last))
    }

    fn next_of(
        &self,
        entry: &Entry,
        from: u32,
        deletes: &SlotSet,
    ) -> Result<Option<u32>, IndexError> {
        if from > entry.last {
            return Ok(None);
        }
        self.slots(entry, from)?.next_live(deletes)
    }

    /// The slots of `entry` at and after `from`.
    fn slots(&self, entry: &Entry, from: u32) -> Result<EntrySlots<'_>, IndexError> {
        EntrySlots::open(&self.source, entry, from)
    }

    /// The slot to look from for messages at or after `seq`; `None` when there are none.
    fn slot_from(&self, seq: Seq) -> Option<u32> {
        let slot = seq.get().saturating_sub(self.id().first_seq.get());
        let slot = u32::try_from(slot).ok()?;
        (Some(slot) <= self.source.header().last_slot()).then_some(slot)
    }

    fn seq(&self, slot: u32) -> Seq {
        seq_of(self.id().first_seq, slot)
    }
}

fn resident<T>(
    place: &ArcSwapOption<T>,
    read: impl FnOnce() -> Result<T, IndexError>,
) -> Result<Arc<T>, IndexError> {
    if let Some(there) = place.load_full() {
        return Ok(there);
    }
    let fresh = Arc::new(read()?);
    place.store(Some(fresh.clone()));
    Ok(fresh)
}
