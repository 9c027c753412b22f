//! Messages of a sealed segment in order: those of one subject, those of a filter, and all.

use std::sync::Arc;

use pubsub_types::Seq;

use super::blocks::Source;
use super::postings::ListReader;
use super::subjects::Entry;
use super::{IndexError, SlotSet};

/// The messages of a sealed segment that match a filter; made by [`super::SealedIndex::matches`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matches {
    first_seq: Seq,
    slots: SlotSet,
}

impl Matches {
    pub(super) fn new(first_seq: Seq, slots: SlotSet) -> Self {
        Self { first_seq, slots }
    }

    /// The first of them at or after `from` that is not deleted.
    #[must_use]
    pub fn next(&self, from: Seq, deletes: &SlotSet) -> Option<Seq> {
        let slot = from.get().saturating_sub(self.first_seq.get());
        let mut slot = self.slots.next_in(u32::try_from(slot).ok()?)?;
        loop {
            let live = deletes.next_live(slot)?;
            if live == slot {
                return Some(seq_of(self.first_seq, slot));
            }
            slot = self.slots.next_in(live)?;
        }
    }

    /// How many there are, deleted ones included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.slots.count()
    }

    /// Bytes in memory, this value included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.slots.memory_bytes()
    }
}

/// The slots that have a message which is not deleted.
#[derive(Debug)]
pub(super) struct LiveSlots<'a> {
    missing: Arc<SlotSet>,
    deletes: &'a SlotSet,
    last: u32,
}

impl<'a> LiveSlots<'a> {
    /// Of a segment up to the slot `last`, in which those of `missing` have no message.
    pub(super) fn new(missing: Arc<SlotSet>, deletes: &'a SlotSet, last: u32) -> Self {
        Self { missing, deletes, last }
    }

    /// How many of the segment's messages are deleted.
    pub(super) fn deleted(&self) -> u64 {
        let lost: u64 = self.missing.ranges().map(|it| self.deletes.count_in(it)).sum();
        self.deletes.count_in(0..=self.last) - lost
    }

    /// The first at or after `slot`.
    pub(super) fn next(&self, mut slot: u32) -> Option<u32> {
        loop {
            let live = self.deletes.next_live(slot).filter(|&live| live <= self.last)?;
            slot = self.missing.next_live(live)?;
            if slot == live {
                return Some(slot);
            }
        }
    }

    /// The last at or before `slot`.
    pub(super) fn previous(&self, mut slot: u32) -> Option<u32> {
        loop {
            let live = self.deletes.previous_live(slot)?;
            slot = self.missing.previous_live(live)?;
            if slot == live {
                return Some(slot);
            }
        }
    }
}

/// The slots of one subject, ascending, from some slot on.
#[derive(Debug)]
pub(super) struct EntrySlots<'a> {
    /// The subject's first, unless it is too early or was given.
    start: Option<u32>,
    rest: Rest<'a>,
    from: u32,
}

#[derive(Debug)]
enum Rest<'a> {
    Run { next: u32, last: u32 },
    List(ListReader<'a>),
}

impl<'a> EntrySlots<'a> {
    /// The slots of `entry` at and after `from`.
    pub(super) fn open(source: &'a Source, entry: &Entry, from: u32) -> Result<Self, IndexError> {
        let Entry { first, last, list, .. } = *entry;
        let start = (first >= from).then_some(first);
        let rest = match list {
            Some(place) => Rest::List(ListReader::open(source, place, first, last, from)?),
            None if entry.is_run() => Rest::Run { next: first.saturating_add(1), last },
            None => Rest::Run { next: last, last },
        };
        Ok(Self { start, rest, from })
    }

    pub(super) fn next(&mut self) -> Result<Option<u32>, IndexError> {
        if let Some(first) = self.start.take() {
            return Ok(Some(first));
        }
        match &mut self.rest {
            Rest::Run { next, last } => {
                let slot = (*next).max(self.from);
                *next = slot.saturating_add(1);
                Ok((slot <= *last).then_some(slot))
            }
            Rest::List(list) => loop {
                match list.next()? {
                    Some(slot) if slot < self.from => (),
                    slot => return Ok(slot),
                }
            },
        }
    }

    /// The next that is not deleted.
    pub(super) fn next_live(&mut self, deletes: &SlotSet) -> Result<Option<u32>, IndexError> {
        while let Some(slot) = self.next()? {
            match deletes.next_live(slot) {
                Some(live) if live == slot => return Ok(Some(slot)),
                // What is deleted in one piece is passed over in one step.
                live => self.from = live.unwrap_or(u32::MAX),
            }
        }
        Ok(None)
    }
}

/// The sequence of a slot.
pub(super) fn seq_of(first: Seq, slot: u32) -> Seq {
    Seq::new(first.get() + u64::from(slot)).expect("sequences start at one")
}
