//! How long to wait before dialling again.
//!
//! Every failure backs off, a rejection too, and only a link that lasted starts over: a hub that
//! refuses a peer right after the handshake is asked less and less often.

use std::time::Duration;

/// A link that was up for this long had no trouble worth backing off from.
pub const LASTED: Duration = Duration::from_secs(10);

/// The waits between attempts: doubled for each failure, and shaken so that a thousand peers do not
/// come back in the same instant.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    jitter: f64,
    failures: u32,
}

impl Backoff {
    /// Waits from `base` to `max`, of which the fraction `jitter` (0 to 1; clamped) is random: the wait
    /// is longer or shorter by up to that much.
    #[must_use]
    pub fn new(base: Duration, max: Duration, jitter: f64) -> Self {
        let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
        Self { base, max: max.max(base), jitter, failures: 0 }
    }

    /// The wait before the next attempt. `random` is any random number.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a fraction needs no 64 bits")]
    pub fn wait(&mut self, random: u64) -> Duration {
        let doubled =
            self.base.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let fraction = (random >> 11) as f64 / (1_u64 << 53) as f64;
        doubled.min(self.max).mul_f64(1.0 + self.jitter * (2.0 * fraction - 1.0))
    }

    /// The link ended after it was established for `up`. One that lasted starts the waits over.
    pub fn ended_after(&mut self, up: Duration) {
        if up >= LASTED {
            self.failures = 0;
        }
    }

    /// Failures in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(60);
    const MIDDLE: u64 = 1 << 63;

    #[test]
    fn waits_double_up_to_the_longest_and_never_overflow() {
        let mut backoff = Backoff::new(BASE, MAX, 0.2);
        let waits: Vec<u128> = (0..9).map(|_| backoff.wait(MIDDLE).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        for _ in 0..1000 {
            assert_eq!(backoff.wait(MIDDLE), MAX);
        }
    }

    #[test]
    fn jitter_stays_within_its_fraction_both_ways() {
        for (random, millis) in [(0, 400), (u64::MAX, 600), (MIDDLE, 500)] {
            let wait = Backoff::new(BASE, MAX, 0.2).wait(random);
            assert!(
                wait.abs_diff(Duration::from_millis(millis)) < Duration::from_millis(1),
                "{wait:?}"
            );
        }
        assert_eq!(Backoff::new(BASE, MAX, f64::NAN).wait(0), BASE);
        assert_eq!(Backoff::new(BASE, MAX, 7.0).wait(0), Duration::ZERO);
    }

    #[test]
    fn a_peer_that_is_rejected_each_time_is_asked_less_and_less_often() {
        let mut backoff = Backoff::new(BASE, MAX, 0.0);
        for _ in 0..5 {
            let _wait = backoff.wait(MIDDLE);
            backoff.ended_after(Duration::from_millis(20));
        }
        assert_eq!(backoff.wait(MIDDLE), Duration::from_secs(16));
        backoff.ended_after(LASTED);
        assert_eq!(backoff.wait(MIDDLE), BASE);
    }
}
