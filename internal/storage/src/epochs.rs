//! Which life of the log a sequence was given out in.
//!
//! ```text
//!   epoch 1            2       unclean end: 91 to 95 are lost,
//!   1 ─── 90 ▒91-95▒  91 ───▶  and given out again in epoch 2
//! ```
//!
//! After an unclean end sequences that were lost are given out again, so a sequence alone names no
//! message: a log, an epoch and a sequence do. What was noted in an earlier epoch counts up to where the
//! next one began.

use pubsub_types::Seq;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::channel::Channel;

/// Epochs remembered; older ones count as one. Only those that have messages count.
const EPOCHS_MAX: usize = 1024;

/// From one unclean end to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Epoch {
    number: u64,
    /// Sequence of the first message published in it.
    first_seq: u64,
}

/// The epochs of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Epochs {
    /// Oldest first; numbers and sequences ascend.
    epochs: Vec<Epoch>,
    /// Epoch of what was published before the first of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch_before: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Epochs {
    /// Number of the epoch now.
    pub(crate) fn number(&self) -> u64 {
        self.epochs.last().map_or(self.epoch_before, |epoch| epoch.number)
    }

    /// Starts an epoch whose first message will be `first_seq`, with a number of `number` or more.
    /// Everything before `kept_from` is trimmed.
    pub(crate) fn begin(&mut self, number: u64, first_seq: u64, kept_from: u64) {
        let number = number.max(self.number() + 1);
        // All that was published in these is lost, and the new one says what they say.
        while self.epochs.last().is_some_and(|epoch| epoch.first_seq >= first_seq) {
            self.epochs.pop();
        }
        self.epochs.push(Epoch { number, first_seq });
        // Nothing is left of what was published before the second.
        while self.epochs.get(1).is_some_and(|second| second.first_seq <= kept_from) {
            self.epoch_before = self.epochs.remove(0).number;
        }
        if self.epochs.len() > EPOCHS_MAX {
            // Joined, the two oldest clamp as the stricter of both would.
            let oldest = self.epochs.remove(0);
            self.epochs[0].first_seq = oldest.first_seq;
        }
    }

    /// Number of the epoch in which `seq` was published, or will be.
    pub(crate) fn of(&self, seq: u64) -> u64 {
        let behind = self.epochs.partition_point(|epoch| epoch.first_seq <= seq);
        behind.checked_sub(1).map_or(self.epoch_before, |nth| self.epochs[nth].number)
    }

    /// Where a position that was `seq` in `epoch` stands now.
    pub(crate) fn clamp(&self, seq: u64, epoch: u64) -> u64 {
        // Sequences ascend: the first one is the strictest.
        let later = self.epochs.iter().find(|later| later.number > epoch);
        later.map_or(seq, |later| seq.min(later.first_seq - 1))
    }
}

impl Channel {
    /// Identity of the log. Made with the channel; a channel that was removed and made again has
    /// another one.
    #[must_use]
    pub fn log_id(&self) -> Uuid {
        self.log_id
    }

    /// Number of the log's epoch now. It does not change while the channel is open.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epochs.number()
    }

    /// Number of the epoch in which the message `seq` was published, or will be. The log, the epoch and
    /// the sequence name one message for good.
    #[must_use]
    pub fn epoch_of(&self, seq: Seq) -> u64 {
        self.epochs.of(seq.get())
    }

    /// Where a position stands now that was `seq` in `epoch` of this log: moved back to what survived
    /// the unclean ends since. Nothing behind it was handled before.
    ///
    /// A position in an epoch that is yet to come is of no use, and stands at 0: the log is an older copy
    /// of itself.
    #[must_use]
    pub fn clamp(&self, seq: u64, epoch: u64) -> u64 {
        if epoch > self.epochs.number() {
            return 0;
        }
        self.epochs.clamp(seq, epoch).min(self.last_seq())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_from_before_a_lost_tail_is_moved_back_to_what_survived() {
        let mut epochs = Epochs::default();
        epochs.begin(0, 91, 1);
        assert_eq!(epochs.clamp(100, 0), 90);
        assert_eq!(epochs.clamp(50, 0), 50);
        assert_eq!(epochs.clamp(100, 1), 100);
        for epoch in 0..2000 {
            epochs.begin(0, 120 + epoch, 1);
        }
        assert_eq!(epochs.epochs.len(), EPOCHS_MAX);
        assert_eq!(epochs.clamp(100, 0), 90);
        assert_eq!(epochs.clamp(5000, epochs.number()), 5000);
    }

    #[test]
    fn a_message_keeps_its_epoch_and_one_that_takes_its_sequence_has_another() {
        let mut epochs = Epochs::default();
        epochs.begin(0, 1, 1);
        epochs.begin(0, 91, 1);
        assert_eq!([1, 90, 91, 95].map(|seq| epochs.of(seq)), [1, 1, 2, 2]);
        // Everything from 91 on is lost once more, and then all of the second epoch's successor.
        epochs.begin(0, 91, 1);
        assert_eq!([1, 90, 91, 95].map(|seq| epochs.of(seq)), [1, 1, 3, 3]);
        epochs.begin(0, 80, 1);
        assert_eq!([1, 79, 80, 95].map(|seq| epochs.of(seq)), [1, 1, 4, 4]);
        assert_eq!([0, 1, 2, 3, 4].map(|epoch| epochs.clamp(93, epoch)), [0, 79, 79, 79, 93]);
    }

    #[test]
    fn unclean_ends_without_a_message_between_take_no_room() {
        let mut epochs = Epochs::default();
        for _ in 0..100 {
            epochs.begin(0, 91, 1);
        }
        assert_eq!((epochs.epochs.len(), epochs.number(), epochs.of(90)), (1, 100, 0));
    }

    #[test]
    fn epochs_of_which_nothing_is_left_are_forgotten() {
        let mut epochs = Epochs::default();
        for first in [1, 11, 21, 31] {
            epochs.begin(0, first, 1);
        }
        epochs.begin(0, 41, 25);
        assert_eq!(epochs.epochs.len(), 3);
        assert_eq!([25, 31, 41].map(|seq| epochs.of(seq)), [3, 4, 5]);
        assert_eq!([0, 1, 2, 3, 4].map(|epoch| epochs.clamp(100, epoch)), [20, 20, 20, 30, 40]);
        epochs.begin(0, 51, 51);
        assert_eq!((epochs.epochs.len(), epochs.epoch_before, epochs.number()), (1, 5, 6));
    }

    #[test]
    fn a_number_can_be_skipped_to_one_that_was_never_used() {
        let mut epochs = Epochs::default();
        epochs.begin(1_700_000_000, 91, 1);
        assert_eq!((epochs.number(), epochs.of(90)), (1_700_000_000, 0));
        epochs.begin(5, 95, 1);
        assert_eq!(epochs.number(), 1_700_000_001);
    }
}
