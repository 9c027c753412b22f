//! Whether positions can still be saved, and when to try again.
//!
//! A subscriber whose position cannot be saved repeats, after a restart, all it has done since. So
//! after three failures in a row it does nothing more until a save succeeds.

use std::time::Duration;

/// Failed saves in a row after which nothing more is handed out.
pub(crate) const FAILED_SAVES_MAX: u32 = 3;

/// Time from a failed save to the next try.
pub(crate) const SAVE_RETRY: Duration = Duration::from_secs(1);

/// Whether positions can still be saved.
#[derive(Debug, Default)]
pub(crate) struct Saves {
    failed_in_a_row: u32,
    /// When to try again, after a failure.
    retry_at: Option<Duration>,
}

impl Saves {
    /// Whether nothing may be handed out.
    pub(crate) const fn paused(&self) -> bool {
        self.failed_in_a_row >= FAILED_SAVES_MAX
    }

    pub(crate) const fn retry_at(&self) -> Option<Duration> {
        self.retry_at
    }

    /// Takes in a success; says whether it ends a pause.
    pub(crate) fn succeeded(&mut self) -> bool {
        let was_paused = self.paused();
        *self = Self::default();
        was_paused
    }

    /// Takes in a failure; gives the number of failures in a row.
    pub(crate) fn failed(&mut self, since_start: Duration) -> u32 {
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        self.retry_at = Some(since_start.saturating_add(SAVE_RETRY));
        self.failed_in_a_row
    }

    /// Whether to try again now. The answer is then awaited before the next try.
    pub(crate) fn take_retry(&mut self, since_start: Duration) -> bool {
        let due = self.retry_at.is_some_and(|at| at <= since_start);
        if due {
            self.retry_at = None;
        }
        due
    }
}
