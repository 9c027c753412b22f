//! What a link must know of a log of ours, and where in it a subscription starts.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::action::{Missing, MissingReason, Opened, Start};

/// Which life of a log a sequence was given out in. After an unclean end, sequences that were lost are
/// given out again, in a later epoch.
pub trait Epochs: fmt::Debug + Send + Sync {
    /// Number of the epoch that is written now.
    fn current(&self) -> u64;

    /// Number of the epoch in which `seq` was given out, or will be.
    fn of(&self, seq: u64) -> u64;

    /// Where a position that was `seq` in `epoch` stands now: not beyond what was given out again
    /// since, and 0 when the log knows no such epoch yet.
    fn clamp(&self, seq: u64, epoch: u64) -> u64;
}

/// Epochs as a list of `(number, first sequence)`, ascending. What comes before has number 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochList(pub Vec<(u64, u64)>);

impl Epochs for EpochList {
    fn current(&self) -> u64 {
        self.0.last().map_or(0, |epoch| epoch.0)
    }

    fn of(&self, seq: u64) -> u64 {
        let behind = self.0.partition_point(|epoch| epoch.1 <= seq);
        behind.checked_sub(1).map_or(0, |nth| self.0[nth].0)
    }

    fn clamp(&self, seq: u64, epoch: u64) -> u64 {
        if epoch > self.current() {
            return 0;
        }
        let later = self.0.iter().filter(|later| later.0 > epoch);
        later.map(|later| later.1.saturating_sub(1)).fold(seq, u64::min)
    }
}

/// A log of ours, as it is offered.
#[derive(Clone, Debug)]
pub struct LogInfo {
    /// Its identity.
    pub log: Uuid,
    /// Its epochs. They do not change while the log is open.
    pub epochs: Arc<dyn Epochs>,
    /// First sequence it still has; one more than [`Self::last`] when it has none.
    pub first: u64,
    /// Last sequence it has; 0 when it never had one.
    pub last: u64,
}

/// Where to read on for a subscription that starts at `start`.
///
/// `retained` is the position up to which the peer acknowledged durably, as the sender kept it, if it
/// keeps one. Too early is harmless, because the receiver knows what it has; too late would be loss.
#[must_use]
pub fn resume(start: Start, log: &LogInfo, retained: Option<u64>) -> Opened {
    let oldest = log.first.saturating_sub(1);
    let wanted = match start {
        Start::After(position) if position.log == log.log => {
            log.epochs.clamp(position.seq, position.epoch)
        }
        // Another log of that name: what it held for the peer, or everything.
        Start::After(_) | Start::All => retained.unwrap_or(oldest),
        Start::New => retained.unwrap_or(log.last),
        Start::Live => log.last,
    }
    .min(log.last);
    let missing = (wanted < oldest).then_some(Missing {
        first: wanted + 1,
        last: oldest,
        why: MissingReason::Retention,
    });
    Opened { after: wanted.max(oldest), missing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Position;

    fn log(first: u64, last: u64, epochs: &[(u64, u64)]) -> LogInfo {
        let epochs = Arc::new(EpochList(epochs.to_vec()));
        LogInfo { log: Uuid::from_u128(1), epochs, first, last }
    }

    fn after(log: u128, epoch: u64, seq: u64) -> Start {
        Start::After(Position { log: Uuid::from_u128(log), epoch, seq })
    }

    #[test]
    fn sequences_given_out_again_are_read_again() {
        let log = log(1, 150, &[(1, 40), (2, 101)]);
        assert_eq!(resume(after(1, 2, 120), &log, None).after, 120);
        assert_eq!(resume(after(1, 1, 120), &log, None).after, 100);
        assert_eq!(resume(after(1, 0, 120), &log, None).after, 39);
        assert_eq!(resume(after(1, 2, 9_999), &log, None).after, 150);
        assert_eq!(resume(after(1, 3, 120), &log, None).after, 0, "an older copy of the log");
    }

    #[test]
    fn another_log_starts_where_the_sender_held_back_or_with_everything() {
        let log = log(11, 50, &[]);
        assert_eq!(resume(after(2, 0, 30), &log, Some(20)).after, 20);
        assert_eq!(resume(after(2, 0, 30), &log, None).after, 10);
    }

    #[test]
    fn a_first_subscription_gets_what_was_held_back_before_new_or_all_count() {
        let log = log(11, 50, &[]);
        for (start, held, wanted) in [
            (Start::New, None, 50),
            (Start::New, Some(20), 20),
            (Start::All, None, 10),
            (Start::All, Some(20), 20),
            (Start::Live, Some(20), 50),
        ] {
            assert_eq!(resume(start, &log, held), Opened { after: wanted, missing: None });
        }
    }

    #[test]
    fn what_retention_took_is_named() {
        let log = log(11, 50, &[]);
        let opened = resume(after(1, 0, 4), &log, None);
        let missing = Missing { first: 5, last: 10, why: MissingReason::Retention };
        assert_eq!(opened, Opened { after: 10, missing: Some(missing) });
        assert_eq!(resume(after(1, 0, 10), &log, None).missing, None);
    }

    #[test]
    fn a_message_belongs_to_the_epoch_that_gave_its_sequence_out() {
        let log = log(1, 150, &[(1, 40), (2, 101)]);
        assert_eq!([39, 40, 100, 101].map(|seq| log.epochs.of(seq)), [0, 1, 1, 2]);
        assert_eq!(log.epochs.current(), 2);
    }
}
