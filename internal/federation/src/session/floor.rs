//! What came before a message of our own, as the message is sent.
//!
//! A log is read in order, so whatever of ours lies between where reading began and a message was read
//! on the way. Deleted messages are nobody's any more and are spanned; messages that can no longer be
//! read are somebody's still, and are not: the hole they leave may be filled over another link.

use crate::log_info::Epochs;

/// Publishers told apart in one log: ourselves, and behind peers that do not say where a message comes
/// from, their origins.
const ORIGINS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Floor {
    /// Nothing between this and the next message was passed over unread, but for `last`.
    base: u64,
    /// The last message of each origin, the latest first.
    last: Vec<(Box<str>, u64)>,
}

impl Floor {
    /// Reading begins after `base`.
    pub(crate) const fn new(base: u64) -> Self {
        Self { base, last: Vec::new() }
    }

    /// Messages up to `last` could not be read.
    pub(crate) fn raise(&mut self, last: u64) {
        self.base = self.base.max(last);
    }

    /// The one before the message `seq` of `origin`, which is the last from now on.
    pub(crate) fn pass(&mut self, origin: &str, seq: u64, epochs: &dyn Epochs) -> u64 {
        let known = self.last.iter().position(|(name, _)| **name == *origin);
        let before = match known {
            Some(nth) => {
                self.last[..=nth].rotate_right(1);
                std::mem::replace(&mut self.last[0].1, seq)
            }
            None => {
                if self.last.len() == ORIGINS_MAX
                    && let Some((_, seq)) = self.last.pop()
                {
                    self.raise(seq);
                }
                self.last.insert(0, (origin.into(), seq));
                0
            }
        };
        let before = before.max(self.base).min(seq - 1);
        // Sequences of another epoch are other messages.
        if epochs.of(before + 1) == epochs.of(seq) { before } else { seq - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_info::EpochList;

    #[test]
    fn what_is_between_two_of_ours_is_others_or_deleted() {
        let (mut floor, epochs) = (Floor::new(10), EpochList::default());
        assert_eq!(floor.pass("me", 13, &epochs), 10);
        assert_eq!(floor.pass("me", 20, &epochs), 13);
    }

    #[test]
    fn what_could_not_be_read_is_not_spanned() {
        let (mut floor, epochs) = (Floor::new(0), EpochList::default());
        assert_eq!(floor.pass("me", 3, &epochs), 0);
        floor.raise(7);
        assert_eq!(floor.pass("me", 9, &epochs), 7);
        assert_eq!(floor.pass("me", 10, &epochs), 9);
    }

    #[test]
    fn an_epoch_is_not_left_backwards() {
        let (mut floor, epochs) = (Floor::new(0), EpochList(vec![(1, 5), (2, 8)]));
        assert_eq!(floor.pass("me", 3, &epochs), 0);
        assert_eq!(floor.pass("me", 6, &epochs), 5, "3 is of epoch 0");
        assert_eq!(floor.pass("me", 7, &epochs), 6);
        assert_eq!(floor.pass("me", 8, &epochs), 7);
        assert_eq!(Floor::new(7).pass("me", 9, &epochs), 7);
    }

    #[test]
    fn origins_in_one_log_are_told_apart() {
        let (mut floor, epochs) = (Floor::new(0), EpochList::default());
        let mut pass = |origin, seq| floor.pass(origin, seq, &epochs);
        assert_eq!([pass("me", 1), pass("a", 2), pass("me", 3), pass("a", 4)], [0, 0, 1, 2]);
        for (nth, origin) in ["b", "c", "d", "e", "f", "g", "h"].into_iter().enumerate() {
            pass(origin, 5 + nth as u64);
        }
        // Forgotten, and whatever it sent is not claimed to be nothing.
        assert_eq!(pass("me", 20), 4);
        assert_eq!(pass("a", 22), 5);
    }
}
