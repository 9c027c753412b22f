//! How often a message is tried, and how long between two tries.

use std::time::Duration;

/// Retries after the first attempt when nothing else is said.
pub const MAX_RETRIES_DEFAULT: u32 = 5;

/// Pause before the first retry when nothing else is said.
pub const RETRY_BASE_DEFAULT: Duration = Duration::from_millis(100);

/// Longest pause between two attempts when nothing else is said.
pub const RETRY_MAX_DEFAULT: Duration = Duration::from_secs(5);

/// How often a message is tried, and how long between two tries.
///
/// A message is handed out up to `max_retries + 1` times; the pause after the n-th failure is
/// `base * 2^(n-1)`, at most `max`. The defaults hold a channel up for 3.1 s per hopeless message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first one. 0 sends a message to the dead letters at its first failure.
    pub max_retries: u32,
    /// Pause after the first failure. Zero stands for [`RETRY_BASE_DEFAULT`].
    pub base: Duration,
    /// Longest pause. Zero stands for [`RETRY_MAX_DEFAULT`].
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_retries: MAX_RETRIES_DEFAULT, base: RETRY_BASE_DEFAULT, max: RETRY_MAX_DEFAULT }
    }
}

impl RetryPolicy {
    /// Pause after the `failures`-th failure in a row, counted from 1; zero before any failure.
    #[must_use]
    pub fn pause_after(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let base = if self.base.is_zero() { RETRY_BASE_DEFAULT } else { self.base };
        let max = if self.max.is_zero() { RETRY_MAX_DEFAULT } else { self.max };
        let pause = 1_u32.checked_shl(doublings).and_then(|factor| base.checked_mul(factor));
        // What does not fit is longer than any `max`.
        pause.map_or(max, |pause| pause.min(max))
    }

    /// Whether a message that failed this often is tried again.
    #[must_use]
    pub const fn allows_another(&self, failures: u32) -> bool {
        failures <= self.max_retries
    }
}

#[cfg(test)]
mod tests {
    use super::{RETRY_BASE_DEFAULT, RetryPolicy};
    use std::time::Duration;

    fn policy(base_ms: u64, max_ms: u64) -> RetryPolicy {
        RetryPolicy {
            max_retries: 3,
            base: Duration::from_millis(base_ms),
            max: Duration::from_millis(max_ms),
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_stay_there_for_ever() {
        let pauses = [1, 2, 3, 4, 5, 6, 7, 8, 33, 64, 65, 1_000, u32::MAX]
            .map(|failures| policy(100, 5_000).pause_after(failures).as_millis());
        assert_eq!(
            pauses,
            [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000, 5_000, 5_000, 5_000]
        );
    }

    #[test]
    fn a_pause_never_overflows_however_long_its_base() {
        let huge = RetryPolicy { base: Duration::MAX, max: Duration::MAX, max_retries: 0 };
        assert_eq!(huge.pause_after(1_000), Duration::MAX);
        assert_eq!(policy(9_000, 5_000).pause_after(1), Duration::from_secs(5));
    }

    #[test]
    fn a_policy_of_zeroes_pauses_as_the_default_does() {
        assert_eq!(policy(0, 0).pause_after(1), RETRY_BASE_DEFAULT);
        assert_eq!(policy(0, 0).pause_after(1_000), Duration::from_secs(5));
        assert_eq!(policy(0, 0).pause_after(0), Duration::ZERO);
    }

    #[test]
    fn a_message_is_tried_once_more_than_it_is_retried() {
        let policy = policy(1, 1);
        let attempts = (0..).take_while(|failures| policy.allows_another(*failures)).count();
        assert_eq!(attempts, 4);
    }
}
