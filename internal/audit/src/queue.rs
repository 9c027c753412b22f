//! What waits to be written: as many events and bytes as fit, and the number of those that did not.
//!
//! What is being written still takes its room, so the memory of both together is bounded. Messages
//! may take three quarters of the room: however many they are, there is a place for the event that
//! says who sent them.

use std::collections::VecDeque;

use pubsub_types::Timestamp;

use crate::event::Event;

/// Lines that may wait: two seconds of 250,000 messages each.
pub(crate) const LINES_MAX: u64 = 1 << 19;
/// Bytes that may wait.
pub(crate) const BYTES_MAX: usize = 16 << 20;

/// An event that waits.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) time: Timestamp,
    pub(crate) event: Event,
}

/// The room that events take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) lines: u64,
    pub(crate) bytes: usize,
}

/// A bounded queue.
#[derive(Debug)]
pub(crate) struct Queue {
    entries: VecDeque<Entry>,
    limit: Weight,
    /// Of what waits and what is being written.
    taken: Weight,
    dropped: u64,
    /// Of those, how many the log does not tell of yet.
    untold: u64,
}

impl Entry {
    pub(crate) fn weight(&self) -> Weight {
        if matches!(self.event, Event::EventsDropped { .. }) {
            // It stands for others, and must find room when there is none.
            return Weight::default();
        }
        let bytes = size_of::<Self>() - size_of::<Event>() + self.event.weight();
        Weight { lines: self.event.lines(), bytes }
    }
}

impl Weight {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self { lines: self.lines + other.lines, bytes: self.bytes + other.bytes }
    }
}

impl Queue {
    pub(crate) const fn new(limit: Weight) -> Self {
        let taken = Weight { lines: 0, bytes: 0 };
        Self { entries: VecDeque::new(), limit, taken, dropped: 0, untold: 0 }
    }

    /// Takes an event in, or counts it as dropped.
    pub(crate) fn push(&mut self, entry: Entry) {
        let weight = entry.weight();
        if weight.lines == 0 {
            return;
        }
        let all = self.taken.plus(weight);
        let limit = if entry.event.messages().is_some() {
            Weight { lines: self.limit.lines / 4 * 3, bytes: self.limit.bytes / 4 * 3 }
        } else {
            self.limit
        };
        if all.lines > limit.lines || all.bytes > limit.bytes {
            self.dropped += weight.lines;
            self.untold += weight.lines;
            return;
        }
        self.taken = all;
        self.entries.push_back(entry);
    }

    /// Counts events as dropped of which the log will not tell, as it ends.
    pub(crate) const fn drop_untold(&mut self, lines: u64) {
        self.dropped += lines;
    }

    /// Drops all that waits or was taken out, as the log ends. Gives the number of lines.
    pub(crate) fn abandon(&mut self) -> u64 {
        let lines = self.taken.lines;
        self.entries.clear();
        self.taken = Weight::default();
        self.drop_untold(lines);
        lines
    }

    /// Takes out all that waits, oldest first.
    pub(crate) fn take(&mut self) -> VecDeque<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Takes out all that waits, oldest first, and last the event that tells what was dropped.
    pub(crate) fn take_and_tell(&mut self, now: Timestamp) -> VecDeque<Entry> {
        let mut entries = self.take();
        if self.untold > 0 {
            let event = Event::EventsDropped { count: self.untold };
            self.untold = 0;
            entries.push_back(Entry { time: now, event });
        }
        entries
    }

    /// Gives back the room of what was taken out, as it is dealt with.
    pub(crate) fn done(&mut self, weight: Weight) {
        assert!(weight.lines <= self.taken.lines);
        assert!(weight.bytes <= self.taken.bytes);
        self.taken.lines -= weight.lines;
        self.taken.bytes -= weight.bytes;
    }

    /// Whether nothing is to be taken out.
    pub(crate) fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.untold == 0
    }

    /// Lines that wait or are being written.
    pub(crate) const fn waiting(&self) -> u64 {
        self.taken.lines
    }

    /// Events dropped so far.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::{Direction, Ids, Messages, Peer};

    fn reload() -> Entry {
        Entry { time: Timestamp(1), event: Event::PolicyReloaded { detail: String::new() } }
    }

    fn forwards(count: u128) -> Entry {
        let ids: Ids = (0..count).map(Uuid::from_u128).collect();
        let channel = Arc::from("orders");
        let messages =
            Messages { peer: Peer::default(), channel, direction: Direction::Inbound, ids };
        Entry { time: Timestamp(1), event: Event::Forward { messages, send_duration: None } }
    }

    fn of_lines(lines: u64) -> Queue {
        Queue::new(Weight { lines, bytes: BYTES_MAX })
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_once_there_is_room() {
        let mut queue = of_lines(2);
        for _ in 0..5 {
            queue.push(reload());
        }
        assert_eq!((queue.waiting(), queue.dropped()), (2, 3));
        let taken = queue.take_and_tell(Timestamp(9));
        assert_eq!(taken.len(), 3);
        assert_eq!(taken[2].event, Event::EventsDropped { count: 3 });
        assert_eq!(taken[2].time, Timestamp(9));
        assert!(queue.is_idle() && queue.take_and_tell(Timestamp(9)).is_empty(), "told once");
        for entry in &taken {
            queue.done(entry.weight());
        }
        assert_eq!((queue.waiting(), queue.dropped()), (0, 3));
    }

    #[test]
    fn what_is_being_written_still_takes_its_room() {
        let mut queue = of_lines(1);
        queue.push(reload());
        let taken = queue.take();
        queue.push(reload());
        assert_eq!(queue.dropped(), 1);
        queue.done(taken[0].weight());
        queue.push(reload());
        assert_eq!((queue.waiting(), queue.dropped()), (1, 1));
    }

    #[test]
    fn messages_leave_room_for_what_is_rare() {
        let mut queue = of_lines(100);
        queue.push(forwards(75));
        queue.push(forwards(1));
        assert_eq!((queue.waiting(), queue.dropped()), (75, 1));
        for _ in 0..25 {
            queue.push(reload());
        }
        assert_eq!((queue.waiting(), queue.dropped()), (100, 1));
    }

    #[test]
    fn bytes_are_bounded_however_few_the_events() {
        let mut queue = Queue::new(Weight { lines: 100, bytes: 1 << 16 });
        let large = || {
            let event = Event::PolicyReloaded { detail: "x".repeat(40_000) };
            Entry { time: Timestamp(1), event }
        };
        queue.push(large());
        queue.push(large());
        assert_eq!((queue.waiting(), queue.dropped()), (1, 1));
    }
}
