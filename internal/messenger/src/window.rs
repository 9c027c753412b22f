//! The messages between the position and the newest one taken in, in order.
//!
//! ```text
//!   position ──▶ │ done │ running │ done │ due │      room for max_in_flight of them
//!                    ╰─ leaves, and the position follows; the third waits for the second
//! ```
//!
//! The position is the highest sequence with nothing unfinished at or below it. Nothing else moves
//! it, which is why no failure, stop or crash can make it skip a message.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::slot::{Slot, State};

/// The messages between the position and the newest one taken in.
#[derive(Debug)]
pub(crate) struct Window<M> {
    position: u64,
    newest: u64,
    /// Ascending by sequence. Invariants: `position <` each `<= newest`; the first is not done.
    slots: VecDeque<Slot<M>>,
    /// When a slot is due, by time.
    due: BTreeSet<(Duration, u64)>,
    /// When a slot wants anything else.
    alarms: BTreeSet<(Duration, u64)>,
    /// Number of slots that the shell owes an answer.
    busy: usize,
}

impl<M> Window<M> {
    pub(crate) const fn new(position: u64) -> Self {
        Self {
            position,
            newest: position,
            slots: VecDeque::new(),
            due: BTreeSet::new(),
            alarms: BTreeSet::new(),
            busy: 0,
        }
    }

    /// Everything up to here is dealt with.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// Everything up to here was taken in.
    pub(crate) const fn newest(&self) -> u64 {
        self.newest
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) const fn is_busy(&self) -> bool {
        self.busy > 0
    }

    /// Takes in the next message, or the end of a gap, in the state [`State::Done`].
    pub(crate) fn push(&mut self, seq: u64, message: Option<M>) {
        assert!(self.newest < seq, "messages come in the order of the log");
        self.newest = seq;
        self.slots.push_back(Slot::new(seq, message));
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Slot<M>> {
        self.index_of(seq).and_then(|index| self.slots.get(index))
    }

    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut Slot<M>> {
        self.index_of(seq).and_then(|index| self.slots.get_mut(index))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot<M>> {
        self.slots.iter()
    }

    /// Puts the slot of `seq` in this state; a slot that is done gives its message up.
    pub(crate) fn set_state(&mut self, seq: u64, state: State) {
        let index = self.index_of(seq).expect("only slots of the window change");
        let slot = &mut self.slots[index];
        let before = std::mem::replace(&mut slot.state, state);
        if state == State::Done {
            slot.message = None;
        }
        if let Some(at) = before.timer() {
            self.timers_of(before).remove(&(at, seq));
        }
        if let Some(at) = state.timer() {
            self.timers_of(state).insert((at, seq));
        }
        self.busy -= usize::from(before.is_busy());
        self.busy += usize::from(state.is_busy());
    }

    /// Lets what is done leave; gives the position if it moved.
    pub(crate) fn settle(&mut self) -> Option<u64> {
        let before = self.position;
        while self.slots.front().is_some_and(|slot| slot.state == State::Done) {
            let slot = self.slots.pop_front().expect("there is a first one");
            assert!(self.position < slot.seq, "the position only grows");
            self.position = slot.seq;
        }
        (before < self.position).then_some(self.position)
    }

    /// When the next slot is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// When the next slot wants anything else.
    pub(crate) fn next_alarm(&self) -> Option<Duration> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// The slot that is due at `now` and has been for longest.
    pub(crate) fn first_due(&self, now: Duration) -> Option<u64> {
        self.due.first().filter(|(at, _)| *at <= now).map(|(_, seq)| *seq)
    }

    /// A slot whose other wish is due at `now`, and its state.
    pub(crate) fn first_alarm(&self, now: Duration) -> Option<(u64, State)> {
        let (_, seq) = self.alarms.first().filter(|(at, _)| *at <= now)?;
        self.get(*seq).map(|slot| (slot.seq, slot.state))
    }

    fn timers_of(&mut self, state: State) -> &mut BTreeSet<(Duration, u64)> {
        match state {
            State::Due { .. } => &mut self.due,
            State::Running { .. } | State::Dying { .. } | State::Burying { .. } | State::Done => {
                &mut self.alarms
            }
        }
    }

    fn index_of(&self, seq: u64) -> Option<usize> {
        self.slots.binary_search_by_key(&seq, |slot| slot.seq).ok()
    }
}
