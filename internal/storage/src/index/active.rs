//! The index of the segment being written: complete, exact, in memory.
//!
//! ```text
//!   sequence ── − first ──▶ slot ── holes? ──▶ position ──▶ offset, subject, next of the subject
//! ```
//!
//! A channel that only ever used its own name as subject has offsets and nothing else. Slots and
//! positions are the same numbers until damage takes a sequence away.

use pubsub_types::{Seq, Timestamp};

use super::chains::Chains;
use super::chunked::Chunked;
use super::order;
use super::points::{Point, Points};
use super::table::{Summary, TableFull};
use super::{IndexError, Location, SlotSet, Span, SubjectCursor, Totals, Wanted};

/// Index of an active segment. Fed with every message of the segment in order, and with every delete.
#[derive(Clone, Debug)]
pub struct ActiveIndex {
    first_seq: Seq,
    /// By position.
    offsets: Chunked<u32>,
    /// Slot of each position, once they differ.
    slots: Option<Chunked<u32>>,
    points: Points,
    /// `None` as long as every message had the empty subject.
    chains: Option<Box<Chains>>,
    /// Invariant: only slots that were pushed.
    deletes: SlotSet,
    totals: Totals,
}

/// A message was not taken in; the index is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The caller's fault: messages come in the order of the segment.
    #[error("message {seq} at byte {offset} does not come after what is indexed")]
    OutOfOrder {
        /// The message.
        seq: Seq,
        /// Its place.
        offset: u64,
    },
    /// The segment is larger than an index can count: 4 GiB of messages, 2³² − 1 sequences from first
    /// to last, 4 GiB of subjects. A segment is to be ended long before.
    #[error(
        "message {seq} at byte {offset} is beyond what one segment can index; end the segment before it"
    )]
    Full {
        /// The message.
        seq: Seq,
        /// Its place.
        offset: u64,
    },
}

impl ActiveIndex {
    /// The index of an empty segment whose first message will be `first_seq`, or a later one if that
    /// is lost. Slots count from there.
    #[must_use]
    pub const fn new(first_seq: Seq) -> Self {
        Self {
            first_seq,
            offsets: Chunked::new(),
            slots: None,
            points: Points::new(),
            chains: None,
            deletes: SlotSet::new(),
            totals: Totals {
                messages: 0,
                bytes: 0,
                first: None,
                last: None,
                first_time: Timestamp(0),
                last_time: Timestamp(0),
                max_time: Timestamp(i64::MIN),
            },
        }
    }

    /// Takes in the next message of the segment: `seq` above all before it, `offset` (of the message,
    /// or of its batch) not below. Times may step back. Sequences left out are lost ones.
    ///
    /// # Errors
    /// The order is wrong or the segment too large; nothing was changed.
    pub fn push(
        &mut self,
        seq: Seq,
        time: Timestamp,
        offset: u64,
        len_bytes: u32,
        subject: &str,
    ) -> Result<(), PushError> {
        let full = PushError::Full { seq, offset };
        if seq < self.first_seq || self.totals.last >= Some(seq) {
            return Err(PushError::OutOfOrder { seq, offset });
        }
        let slot = seq.get() - self.first_seq.get();
        let slot = u32::try_from(slot).ok().filter(|&slot| slot < u32::MAX).ok_or(full)?;
        let offset32 = u32::try_from(offset).map_err(|_| full)?;
        if self.offsets.last() > Some(offset32) {
            return Err(PushError::OutOfOrder { seq, offset });
        }
        self.push_subject(subject).map_err(|_| full)?;
        self.points.offer(Point { slot, offset: offset32, before: self.totals.max_time });
        self.push_slot(slot);
        self.offsets.push(offset32);
        self.totals.add(seq, time, len_bytes);
        Ok(())
    }

    /// Counts a message as deleted from now on; whether it is in the segment and was not yet.
    pub fn delete(&mut self, seq: Seq) -> bool {
        let Some(at) = self.position(seq) else { return false };
        if !self.deletes.insert(self.slot(at)) {
            return false;
        }
        let Self { deletes, slots, chains, .. } = self;
        if let Some(chains) = chains {
            chains.delete(at, |at| !deletes.contains(slot(slots.as_ref(), at)));
        }
        true
    }

    /// [`Self::delete`] for every message of `slots` that is in the segment; how many it was news to.
    pub fn delete_slots(&mut self, slots: &SlotSet) -> u64 {
        if self.slots.is_none() && self.chains.is_none() {
            let Some(end) = self.len().checked_sub(1) else { return 0 };
            let inside = slots.ranges().take_while(|range| *range.start() <= end);
            return inside
                .map(|it| self.deletes.insert_range(*it.start()..=end.min(*it.end())))
                .sum();
        }
        let mut news = 0;
        for slot in slots.iter() {
            let seq = self.first_seq.get().checked_add(u64::from(slot)).and_then(Seq::new);
            news += u64::from(seq.is_some_and(|seq| self.delete(seq)));
        }
        news
    }

    /// The sequence that slots count from.
    #[must_use]
    pub fn first_seq(&self) -> Seq {
        self.first_seq
    }

    /// What the segment holds, deleted or not.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What of it is deleted.
    #[must_use]
    pub fn deletes(&self) -> &SlotSet {
        &self.deletes
    }

    /// Where a message is, deleted or not; `None` when the segment does not have it.
    #[must_use]
    pub fn locate(&self, seq: Seq) -> Option<Location> {
        let at = self.position(seq)?;
        Some(Location { seq, offset: u64::from(self.offsets.at(at as usize)) })
    }

    /// Where to start reading for the first message that is as young as `time` or younger: it is
    /// there or behind, usually less than 64 messages or 16 KiB. `None` when all are older.
    ///
    /// Clocks step back, so what follows that message may be older than it.
    #[must_use]
    pub fn locate_time(&self, time: Timestamp) -> Option<Location> {
        if self.totals.max_time < time {
            return None;
        }
        let Point { slot, offset, .. } = self.points.at_time(time)?;
        Some(Location { seq: self.seq_of_slot(slot), offset: u64::from(offset) })
    }

    /// The first message at or after `seq` that is not deleted.
    #[must_use]
    pub fn first_at_or_after(&self, seq: Seq) -> Option<Seq> {
        let mut at = self.position_from(seq);
        while at < self.len() {
            let slot = self.slot(at);
            let live = self.deletes.next_live(slot)?;
            if live == slot {
                return Some(self.seq_of_slot(slot));
            }
            at = self.position_of_slot(live);
        }
        None
    }

    /// The messages of `subject`, or `None` when none is left.
    #[must_use]
    pub fn span(&self, subject: &str) -> Option<Span> {
        match &self.chains {
            Some(chains) => chains.summary(subject).map(|summary| self.span_of(summary)),
            None if subject.is_empty() => self.own_summary().map(|summary| self.span_of(summary)),
            None => None,
        }
    }

    /// The first message of `subject`.
    #[must_use]
    pub fn first(&self, subject: &str) -> Option<Seq> {
        self.span(subject).map(|span| span.first)
    }

    /// The last message of `subject`.
    #[must_use]
    pub fn last(&self, subject: &str) -> Option<Seq> {
        self.span(subject).map(|span| span.last)
    }

    /// How many messages `subject` has.
    #[must_use]
    pub fn count(&self, subject: &str) -> u64 {
        self.span(subject).map_or(0, |span| span.count)
    }

    /// The first message of `subject` at or after `from`.
    #[must_use]
    pub fn next(&self, subject: &str, from: Seq) -> Option<Seq> {
        match &self.chains {
            Some(chains) => {
                let at = chains.next(subject, self.position_from(from), |at| self.is_live(at))?;
                Some(self.seq(at))
            }
            None if subject.is_empty() => self.first_at_or_after(from),
            None => None,
        }
    }

    /// The first message at or after `from` with a subject that is wanted.
    ///
    /// Costs in proportion to the messages passed over.
    #[must_use]
    pub fn next_match(&self, wanted: Wanted<'_>, from: Seq) -> Option<Seq> {
        if let Some(literal) = wanted.literal() {
            let own = if wanted.matches("") { self.next("", from) } else { None };
            return [own, self.next(literal, from)].into_iter().flatten().min();
        }
        match &self.chains {
            Some(chains) if !wanted.is_all() => {
                let mut verdicts = Verdicts::new(chains, wanted);
                let mut from_here = self.position_from(from)..self.len();
                from_here
                    .find(|&at| verdicts.is_wanted(at) && self.is_live(at))
                    .map(|at| self.seq(at))
            }
            None if !wanted.matches("") => None,
            _ => self.first_at_or_after(from),
        }
    }

    /// Calls `each` with every subject that is wanted, in no particular order.
    pub fn for_each_match(&self, wanted: Wanted<'_>, mut each: impl FnMut(&str, Span)) {
        for entry in self.matching(wanted) {
            each(self.subject_of(entry), self.span_of(self.summary_of(entry)));
        }
    }

    /// The subjects that are wanted in byte order, from the first that is greater than `after`.
    ///
    /// They are sorted here and now: a few hundred nanoseconds for each that is left.
    #[must_use]
    pub fn subjects(&self, wanted: Wanted<'_>, after: Option<&str>) -> ActiveSubjects<'_> {
        let entries = self.matching(wanted).filter(|&entry| after < Some(self.subject_of(entry)));
        let order = match &self.chains {
            Some(chains) => order::by_subject(chains.table(), entries),
            None => entries.collect(),
        };
        ActiveSubjects { index: self, order: order.into_iter(), current: None }
    }

    /// Bytes in memory, this value included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let chains = self.chains.as_ref().map_or(0, |it| size_of::<Chains>() + it.memory_bytes());
        size_of::<Self>()
            + self.offsets.memory_bytes()
            + self.slots.as_ref().map_or(0, Chunked::memory_bytes)
            + self.points.memory_bytes()
            + self.deletes.memory_bytes()
            + chains
    }

    pub(super) fn chains(&self) -> Option<&Chains> {
        self.chains.as_deref()
    }

    pub(super) fn points(&self) -> impl Iterator<Item = Point> {
        self.points.iter()
    }

    /// The slots below the last message's that have none.
    pub(super) fn missing(&self) -> SlotSet {
        let mut missing = SlotSet::new();
        let mut next = 0;
        for slot in self.slots.iter().flat_map(Chunked::iter) {
            if slot > next {
                missing.insert_range(next..=slot - 1);
            }
            next = slot + 1;
        }
        missing
    }

    pub(super) fn is_live(&self, at: u32) -> bool {
        !self.deletes.contains(self.slot(at))
    }

    /// Slot of the message at a position.
    pub(super) fn slot(&self, at: u32) -> u32 {
        slot(self.slots.as_ref(), at)
    }

    fn push_subject(&mut self, subject: &str) -> Result<(), TableFull> {
        if let Some(chains) = &mut self.chains {
            return chains.push(subject);
        }
        if !subject.is_empty() {
            let own = self.own_summary().unwrap_or_default();
            let mut chains = Chains::of_one_subject(self.offsets.len(), own)?;
            chains.push(subject)?;
            self.chains = Some(Box::new(chains));
        }
        Ok(())
    }

    fn push_slot(&mut self, slot: u32) {
        let len = self.len();
        if self.slots.is_none() && slot != len {
            self.slots = Some((0..len).collect());
        }
        if let Some(slots) = &mut self.slots {
            slots.push(slot);
        }
    }

    /// What [`Chains`] would say of the empty subject while there is no other.
    fn own_summary(&self) -> Option<Summary> {
        let first = self.first_at_or_after(self.first_seq)?;
        let mut last = self.len().checked_sub(1)?;
        while !self.is_live(last) {
            let live = self.deletes.previous_live(self.slot(last))?;
            // The position of that slot, or of the one before it when that slot is lost.
            last = self.position_of_slot(live + 1).checked_sub(1)?;
        }
        let count = self.totals.messages - self.deletes.count();
        Some(Summary {
            first: self.position_from(first),
            last,
            count: u32::try_from(count).expect("a segment holds fewer than 2^32 messages"),
        })
    }

    /// Numbers of the subjects that are wanted and have messages.
    fn matching(&self, wanted: Wanted<'_>) -> impl Iterator<Item = u32> {
        let len = self.chains.as_ref().map_or(1, |chains| chains.table().len());
        (0..len).filter(move |&entry| {
            self.summary_of(entry).count > 0 && wanted.matches(self.subject_of(entry))
        })
    }

    fn summary_of(&self, entry: u32) -> Summary {
        match &self.chains {
            Some(chains) => chains.summary_of(entry),
            None => self.own_summary().unwrap_or_default(),
        }
    }

    fn subject_of(&self, entry: u32) -> &str {
        self.chains.as_ref().map_or("", |chains| chains.table().subject(entry))
    }

    fn span_of(&self, summary: Summary) -> Span {
        let Summary { first, last, count } = summary;
        Span { first: self.seq(first), last: self.seq(last), count: u64::from(count) }
    }

    fn len(&self) -> u32 {
        u32::try_from(self.offsets.len()).expect("a segment holds fewer than 2^32 messages")
    }

    fn seq(&self, at: u32) -> Seq {
        self.seq_of_slot(self.slot(at))
    }

    fn seq_of_slot(&self, slot: u32) -> Seq {
        Seq::new(self.first_seq.get() + u64::from(slot)).expect("sequences start at one")
    }

    fn position(&self, seq: Seq) -> Option<u32> {
        let at = self.position_from(seq);
        (at < self.len() && self.seq(at) == seq).then_some(at)
    }

    /// Position of the first message at or after `seq`; the end when there is none.
    fn position_from(&self, seq: Seq) -> u32 {
        let slot = seq.get().saturating_sub(self.first_seq.get());
        u32::try_from(slot).map_or(self.len(), |slot| self.position_of_slot(slot))
    }

    fn position_of_slot(&self, slot: u32) -> u32 {
        match &self.slots {
            None => slot.min(self.len()),
            Some(slots) => u32::try_from(slots.partition_point(|&it| it < slot))
                .expect("a segment holds fewer than 2^32 messages"),
        }
    }
}

/// The subjects of an [`ActiveIndex`] in byte order; made by [`ActiveIndex::subjects`].
#[derive(Clone, Debug)]
pub struct ActiveSubjects<'a> {
    index: &'a ActiveIndex,
    order: std::vec::IntoIter<u32>,
    current: Option<u32>,
}

impl SubjectCursor for ActiveSubjects<'_> {
    fn advance(&mut self) -> Result<bool, IndexError> {
        self.current = self.order.next();
        Ok(self.current.is_some())
    }

    fn current(&self) -> Option<(&str, Span)> {
        let entry = self.current?;
        Some((self.index.subject_of(entry), self.index.span_of(self.index.summary_of(entry))))
    }
}

impl Totals {
    fn add(&mut self, seq: Seq, time: Timestamp, len_bytes: u32) {
        if self.first.is_none() {
            self.first = Some(seq);
            self.first_time = time;
        }
        self.last = Some(seq);
        self.last_time = time;
        self.max_time = self.max_time.max(time);
        self.messages += 1;
        self.bytes += u64::from(len_bytes);
    }
}

/// Tells which messages are wanted. Judges a message by its subject, and each subject only once when
/// there is more than a little to judge.
struct Verdicts<'a> {
    chains: &'a Chains,
    wanted: Wanted<'a>,
    asked: u32,
    known: Vec<Option<bool>>,
}

impl<'a> Verdicts<'a> {
    fn new(chains: &'a Chains, wanted: Wanted<'a>) -> Self {
        Self { chains, wanted, asked: 0, known: Vec::new() }
    }

    fn is_wanted(&mut self, at: u32) -> bool {
        let number = self.chains.number(at);
        let judge = || self.wanted.matches(self.chains.table().subject(number));
        if self.asked < JUDGED_ANEW {
            self.asked += 1;
            return judge();
        }
        self.known.resize(self.chains.table().len() as usize, None);
        *self.known[number as usize].get_or_insert_with(judge)
    }
}

/// Judging this many subjects costs about as much as the memory to remember the verdicts.
const JUDGED_ANEW: u32 = 256;

fn slot(slots: Option<&Chunked<u32>>, at: u32) -> u32 {
    slots.map_or(at, |slots| slots.at(at as usize))
}

#[cfg(test)]
mod tests {
    use super::super::model::seq;
    use super::{ActiveIndex, PushError};
    use pubsub_types::Timestamp;

    fn push(index: &mut ActiveIndex, at: u64, offset: u64, subject: &str) -> Result<(), PushError> {
        index.push(seq(at), Timestamp(0), offset, 100, subject)
    }

    #[test]
    fn messages_out_of_order_or_beyond_a_segment_are_refused_and_change_nothing() {
        let mut index = ActiveIndex::new(seq(10));
        push(&mut index, 10, 1000, "a").unwrap();
        let before = index.totals();
        let order = |at, offset| Err(PushError::OutOfOrder { seq: seq(at), offset });
        assert_eq!(push(&mut index, 10, 2000, "b"), order(10, 2000));
        assert_eq!(push(&mut index, 9, 2000, "b"), order(9, 2000));
        assert_eq!(push(&mut index, 11, 999, "b"), order(11, 999));
        let full = |at, offset| Err(PushError::Full { seq: seq(at), offset });
        let far = 10 + u64::from(u32::MAX);
        assert_eq!(push(&mut index, far, 2000, "b"), full(far, 2000));
        assert_eq!(push(&mut index, 11, 1 << 32, "b"), full(11, 1 << 32));
        assert_eq!(index.totals(), before);
        assert_eq!(index.count("b"), 0);

        push(&mut index, far - 1, (1 << 32) - 1, "b").unwrap();
        assert_eq!(index.last("b"), Some(seq(far - 1)));
        assert_eq!(index.missing().count(), u64::from(u32::MAX) - 2);
    }

    #[test]
    fn a_subject_of_24_bytes_costs_at_most_64_bytes_and_a_message_12() {
        let mut index = ActiveIndex::new(seq(1));
        for n in 0..300_000u64 {
            push(&mut index, n + 1, n * 160, &format!("{n:024}")).unwrap();
            // The pieces that lists grow by are nothing to a large index.
            if n >= 10_000 && n % 1000 == 0 {
                let bytes = index.memory_bytes() - (256 << 10);
                assert!(bytes as u64 <= (64 + 12) * (n + 1), "{bytes} bytes for {n} subjects");
            }
        }
    }

    #[test]
    fn a_channel_that_has_one_message_costs_next_to_nothing() {
        let mut index = ActiveIndex::new(seq(1));
        push(&mut index, 1, 64, "").unwrap();
        assert!(index.memory_bytes() < 600, "{}", index.memory_bytes());
    }
}
