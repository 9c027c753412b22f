//! A set of messages of one segment, kept in as few bytes as it can be.
//!
//! ```text
//!   slot = sequence − the segment's first sequence
//!
//!   deleted 0..=9999, 12000     runs   [0, 9999] [12000, 12000]      8 bytes each
//!   every other one             bits   10101010 10101010 …           1 bit a slot
//! ```
//!
//! Slots count sequences and not the messages found, so a set still means the same messages after
//! damage or compaction took some of them away. Whichever form is smaller is used, in memory and,
//! decided apart, when encoded; an empty set has no bytes at all in either.

use std::fmt;
use std::ops::RangeInclusive;

use super::bits::{Run, bit, insert_bits, masked, set_bits, slot_of, starts, words_for};
use super::varint;

/// A set of slots; first of all, the deleted messages of one segment.
#[derive(Clone)]
pub struct SlotSet {
    form: Form,
    count: u64,
}

#[derive(Clone)]
enum Form {
    /// Ascending, and never touching: there is a slot that is not in the set between any two.
    Runs(Vec<Run>),
    /// One bit a slot, and how many runs they make.
    Bits { words: Vec<u64>, runs: usize },
}

impl SlotSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { form: Form::Runs(Vec::new()), count: 0 }
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many slots are in the set.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Puts `slot` in; whether it was not in before.
    pub fn insert(&mut self, slot: u32) -> bool {
        self.insert_range(slot..=slot) == 1
    }

    /// Puts all of `slots` in; how many of them were not in before. An empty range does nothing.
    pub fn insert_range(&mut self, slots: RangeInclusive<u32>) -> u64 {
        if slots.is_empty() {
            return 0;
        }
        let new = Run { first: *slots.start(), last: *slots.end() };
        self.make_room_for(new.last);
        let added = match &mut self.form {
            Form::Runs(runs) => insert_run(runs, new),
            Form::Bits { words, runs } => insert_bits(words, runs, new),
        };
        self.count += added;
        self.choose_form();
        added
    }

    /// Whether `slot` is in the set.
    #[must_use]
    pub fn contains(&self, slot: u32) -> bool {
        match &self.form {
            Form::Runs(runs) => run_at_or_after(runs, slot).is_some_and(|run| run.first <= slot),
            Form::Bits { words, .. } => bit(words, slot),
        }
    }

    /// How many of `slots` are in the set.
    #[must_use]
    pub fn count_in(&self, slots: RangeInclusive<u32>) -> u64 {
        if slots.is_empty() {
            return 0;
        }
        let (first, last) = slots.into_inner();
        match &self.form {
            Form::Runs(runs) => {
                let from = runs.partition_point(|run| run.last < first);
                let until = runs.partition_point(|run| run.first <= last);
                let inside =
                    |run: &Run| Run { first: run.first.max(first), last: run.last.min(last) };
                runs[from..until].iter().map(|run| inside(run).len()).sum()
            }
            Form::Bits { words, .. } => masked(words, Run { first, last })
                .map(|(at, mask)| u64::from((words[at] & mask).count_ones()))
                .sum(),
        }
    }

    /// The first slot at or after `slot` that is in the set.
    #[must_use]
    pub fn next_in(&self, slot: u32) -> Option<u32> {
        match &self.form {
            Form::Runs(runs) => run_at_or_after(runs, slot).map(|run| run.first.max(slot)),
            Form::Bits { words, .. } => {
                let all = Run { first: slot, last: u32::MAX };
                masked(words, all)
                    .map(|(at, mask)| (at, words[at] & mask))
                    .find(|&(_, word)| word != 0)
                    .map(|(at, word)| slot_of(at, word.trailing_zeros()))
            }
        }
    }

    /// The first slot at or after `slot` that is not in the set, or `None` when that would be beyond
    /// the last number.
    #[must_use]
    pub fn next_live(&self, slot: u32) -> Option<u32> {
        match &self.form {
            Form::Runs(runs) => match run_at_or_after(runs, slot) {
                Some(run) if run.first <= slot => run.last.checked_add(1),
                _ => Some(slot),
            },
            Form::Bits { words, .. } => {
                let all = Run { first: slot, last: u32::MAX };
                let hole = masked(words, all)
                    .map(|(at, mask)| (at, !words[at] & mask))
                    .find(|&(_, word)| word != 0)
                    .map(|(at, word)| slot_of(at, word.trailing_zeros()));
                // Behind the last word nothing is in the set.
                hole.or_else(|| u32::try_from(words.len() * 64).ok().map(|end| end.max(slot)))
            }
        }
    }

    /// The last slot at or before `slot` that is not in the set.
    #[must_use]
    pub fn previous_live(&self, slot: u32) -> Option<u32> {
        match &self.form {
            Form::Runs(runs) => match run_at_or_after(runs, slot) {
                Some(run) if run.first <= slot => run.first.checked_sub(1),
                _ => Some(slot),
            },
            Form::Bits { words, .. } if slot as usize / 64 >= words.len() => Some(slot),
            Form::Bits { words, .. } => masked(words, Run { first: 0, last: slot })
                .rev()
                .map(|(at, mask)| (at, !words[at] & mask))
                .find(|&(_, word)| word != 0)
                .map(|(at, word)| slot_of(at, 63 - word.leading_zeros())),
        }
    }

    /// The slots in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.ranges().flatten()
    }

    /// The slots in the set as the fewest ranges that hold them, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u32>> {
        self.runs().map(|run| run.first..=run.last)
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match &self.form {
            Form::Runs(runs) => runs.capacity() * size_of::<Run>(),
            Form::Bits { words, .. } => words.capacity() * size_of::<u64>(),
        }
    }

    /// The set as bytes: none for the empty set, otherwise a form and then ranges or bits, whichever
    /// are fewer. One set has one encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(last) = self.last() else { return out };
        if self.encoded_as_bits(last) {
            out.reserve_exact(2 + last as usize / 8);
            out.push(BITS);
            out.resize(2 + last as usize / 8, 0);
            for slot in self.iter() {
                out[1 + slot as usize / 8] |= 1 << (slot % 8);
            }
        } else {
            out.push(RANGES);
            for (gap, len) in self.gaps() {
                varint::put(&mut out, gap);
                varint::put(&mut out, len);
            }
        }
        out
    }

    /// The set that [`Self::encode`] made `bytes` of. Memory used is bounded by their number.
    ///
    /// # Errors
    /// Says what is wrong with bytes that `encode` would not have made.
    pub fn decode(bytes: &[u8]) -> Result<Self, SlotSetError> {
        let mut set = Self::new();
        let bits = match bytes.split_first() {
            None => return Ok(set),
            Some((&RANGES, body)) => set.decode_ranges(body).map(|()| false),
            Some((&BITS, body)) => set.decode_bits(body).map(|()| true),
            Some(_) => Err("an unknown form"),
        };
        let canonical = bits.and_then(|bits| match set.last() {
            Some(last) if set.encoded_as_bits(last) == bits => Ok(()),
            Some(_) => Err("the longer of two forms"),
            None => Err("a form without slots"),
        });
        match canonical {
            Ok(()) => Ok(set),
            Err(what) => Err(SlotSetError { what, len: bytes.len() }),
        }
    }

    fn decode_ranges(&mut self, mut body: &[u8]) -> Result<(), &'static str> {
        let mut next = 0;
        while !body.is_empty() {
            let mut take = || varint::take_u32(&mut body).map(u64::from).ok_or("a broken number");
            let first = next + take()?;
            let last = first + take()?;
            let slot = |slot| u32::try_from(slot).map_err(|_| "a slot beyond 32 bits");
            self.insert_range(slot(first)?..=slot(last)?);
            next = last + 2;
        }
        Ok(())
    }

    fn decode_bits(&mut self, body: &[u8]) -> Result<(), &'static str> {
        if body.last() == Some(&0) {
            return Err("zeros at the end of the bits");
        }
        if body.len() > 1 << 29 {
            return Err("a slot beyond 32 bits");
        }
        let word = |bytes: &[u8]| {
            bytes.iter().rev().fold(0, |word: u64, &byte| word << 8 | u64::from(byte))
        };
        let words: Vec<u64> = body.chunks(8).map(word).collect();
        self.count = words.iter().map(|word| u64::from(word.count_ones())).sum();
        let runs = starts(&words, Run { first: 0, last: u32::MAX });
        self.form = Form::Bits { words, runs };
        self.choose_form();
        Ok(())
    }

    /// Whether the encoding is in bits, which it is when ranges would take more bytes.
    fn encoded_as_bits(&self, last: u32) -> bool {
        let ranges: usize = self.gaps().map(|(gap, len)| varint::len(gap) + varint::len(len)).sum();
        last as usize / 8 + 1 < ranges
    }

    /// Ranges as they are encoded: distance from the earliest place the range could start, and
    /// length less one.
    fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut next = 0;
        self.runs().map(move |run| {
            let gap = u64::from(run.first) - next;
            next = u64::from(run.last) + 2;
            (gap, u64::from(run.last - run.first))
        })
    }

    fn runs(&self) -> impl Iterator<Item = Run> {
        let mut from = Some(0);
        std::iter::from_fn(move || {
            let first = self.next_in(from?)?;
            from = self.next_live(first);
            Some(Run { first, last: from.map_or(u32::MAX, |end| end - 1) })
        })
    }

    fn last(&self) -> Option<u32> {
        match &self.form {
            Form::Runs(runs) => runs.last().map(|run| run.last),
            Form::Bits { words, .. } => {
                let at = words.iter().rposition(|&word| word != 0)?;
                Some(slot_of(at, 63 - words[at].leading_zeros()))
            }
        }
    }

    /// Makes the bits reach `slot`, unless so many of them would be empty that runs are better.
    fn make_room_for(&mut self, slot: u32) {
        let needed = words_for(slot);
        if let Form::Bits { words, runs } = &mut self.form
            && needed > words.len()
        {
            if too_few(*runs + 1, needed) {
                self.form = Form::Runs(self.runs().collect());
            } else {
                words.resize(needed, 0);
            }
        }
    }

    fn choose_form(&mut self) {
        match &self.form {
            Form::Runs(list) => {
                let Some(run) = list.last() else { return };
                let (runs, needed) = (list.len(), words_for(run.last));
                if runs > needed {
                    let mut words = vec![0; needed];
                    list.iter().for_each(|&run| set_bits(&mut words, run));
                    self.form = Form::Bits { words, runs };
                }
            }
            Form::Bits { words, runs } if too_few(*runs, words.len()) => {
                self.form = Form::Runs(self.runs().collect());
            }
            Form::Bits { .. } => (),
        }
    }
}

impl Default for SlotSet {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for SlotSet {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.runs().eq(other.runs())
    }
}

impl Eq for SlotSet {}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ranges()).finish()
    }
}

impl FromIterator<u32> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u32>>(slots: I) -> Self {
        let mut set = Self::new();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

/// The bytes are not the encoding of a set of slots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a set of message slots in {len} bytes has {what}")]
pub struct SlotSetError {
    /// What is wrong.
    pub what: &'static str,
    /// How many bytes there were.
    pub len: usize,
}

const RANGES: u8 = 0;
const BITS: u8 = 1;

/// Inserts into ascending runs, joining what touches; how many slots are new.
fn insert_run(runs: &mut Vec<Run>, new: Run) -> u64 {
    let from = runs.partition_point(|run| u64::from(run.last) + 1 < u64::from(new.first));
    let until = runs.partition_point(|run| u64::from(run.first) <= u64::from(new.last) + 1);
    let touched = &runs[from..until];
    let (Some(left), Some(right)) = (touched.first(), touched.last()) else {
        runs.insert(from, new);
        return new.len();
    };
    let joined = Run { first: left.first.min(new.first), last: right.last.max(new.last) };
    let known: u64 = touched.iter().map(|run| run.len()).sum();
    runs[from] = joined;
    runs.drain(from + 1..until);
    if runs.len() < runs.capacity() / 4 {
        runs.shrink_to(runs.len() * 2);
    }
    joined.len() - known
}

fn run_at_or_after(runs: &[Run], slot: u32) -> Option<Run> {
    runs.get(runs.partition_point(|run| run.last < slot)).copied()
}

/// Whether runs would take less than half the room of bits. The half keeps a set from going back
/// and forth.
fn too_few(runs: usize, words: usize) -> bool {
    runs < words / 2
}

#[cfg(test)]
mod tests {
    use super::{SlotSet, SlotSetError};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_empty_set_costs_nothing() {
        let set = SlotSet::new();
        assert_eq!(set.memory_bytes(), 0);
        assert_eq!(set.encode(), b"");
        assert_eq!(SlotSet::decode(b""), Ok(set));
    }

    #[test]
    fn a_trimmed_front_is_one_range_and_every_other_message_one_bit_each() {
        let mut set = SlotSet::new();
        assert_eq!(set.insert_range(0..=999_999), 1_000_000);
        assert!(set.memory_bytes() <= 64);
        assert_eq!(set.encode().len(), 5);

        let set: SlotSet = (0..1_000_000).step_by(2).collect();
        assert!(set.memory_bytes() <= 250_000, "{}", set.memory_bytes());
        assert_eq!(set.encode().len(), 125_001);
    }

    #[test]
    fn a_slot_far_away_costs_one_range_and_not_all_the_bits_between() {
        let mut set: SlotSet = (0..10_000).step_by(2).collect();
        assert!(set.insert(u32::MAX));
        assert!(set.memory_bytes() <= 100_000, "{}", set.memory_bytes());
        assert_eq!(set.next_in(10_000), Some(u32::MAX));
        assert_eq!(set.next_live(u32::MAX), None);
        assert_eq!(set.previous_live(u32::MAX), Some(u32::MAX - 1));
        assert_eq!(SlotSet::decode(&set.encode()), Ok(set));
    }

    #[test]
    fn bits_that_become_one_run_become_a_range_again() {
        let mut set: SlotSet = (0..100_000).step_by(2).collect();
        for slot in (1..100_000).step_by(2) {
            set.insert(slot);
        }
        assert!(set.memory_bytes() <= 64, "{}", set.memory_bytes());
        assert!(set.ranges().eq([0..=99_999]));
    }

    #[test]
    fn only_the_one_encoding_of_a_set_is_taken() {
        for (bytes, what) in [
            (&[2, 0][..], "an unknown form"),
            (&[0], "a form without slots"),
            (&[1], "a form without slots"),
            (&[0, 0x80], "a broken number"),
            (&[0, 1], "a broken number"),
            (&[0, 0x80, 0, 0], "a broken number"),
            (&[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1], "a slot beyond 32 bits"),
            (&[1, 0b0101, 0], "zeros at the end of the bits"),
            (&[1, 0b1111_1111, 0b1], "the longer of two forms"),
            (&[0, 0, 0, 0, 0], "the longer of two forms"),
        ] {
            let len = bytes.len();
            assert_eq!(SlotSet::decode(bytes), Err(SlotSetError { what, len }), "{bytes:?}");
        }
    }

    fn agrees(set: &SlotSet, model: &BTreeSet<u32>, near: u32) {
        assert_eq!(set.contains(near), model.contains(&near));
        assert_eq!(set.next_in(near), model.range(near..).next().copied());
        assert_eq!(set.next_live(near), (near..=u32::MAX).find(|slot| !model.contains(slot)));
        assert_eq!(set.previous_live(near), (0..=near).rev().find(|slot| !model.contains(slot)));
        let last = near.saturating_add(97);
        assert_eq!(set.count_in(near..=last), model.range(near..=last).count() as u64);
    }

    proptest! {
        #[test]
        fn a_set_agrees_with_a_tree_of_its_slots(
            ops in prop::collection::vec((0..800u32, prop_oneof![3 => Just(0u32), 1 => 0..150u32]), 0..300),
            high in any::<bool>(),
        ) {
            // Both ends of the numbers are where off-by-one errors live.
            let base = if high { u32::MAX - 800 } else { 0 };
            let (mut set, mut model) = (SlotSet::new(), BTreeSet::new());
            for (slot, more) in ops {
                let first = base + slot;
                let last = first.saturating_add(more);
                let fresh = (first..=last).filter(|&slot| model.insert(slot)).count();
                prop_assert_eq!(set.insert_range(first..=last), fresh as u64);
                agrees(&set, &model, first);
                agrees(&set, &model, first.saturating_sub(1));
                agrees(&set, &model, last.saturating_add(1));
            }
            prop_assert_eq!(set.count(), model.len() as u64);
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert_eq!(SlotSet::decode(&set.encode()), Ok(set));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes in prop::collection::vec(0..4u8, 0..40)) {
            if let Ok(set) = SlotSet::decode(&bytes) {
                prop_assert_eq!(set.encode(), bytes);
            }
        }
    }
}
