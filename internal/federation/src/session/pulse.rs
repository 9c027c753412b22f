//! Signs of life: one sent each heartbeat, and silence for three is death.

use std::time::Duration;

/// Heartbeats without a word after which the peer is given up.
pub(crate) const SILENT_BEATS: u32 = 3;

pub(crate) const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
pub(crate) const HEARTBEAT_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Pulse {
    heartbeat: Duration,
    heard_at: Duration,
    next_at: Duration,
    /// The last ping that was not answered yet.
    asked: Option<(u64, Duration)>,
    nonce: u64,
    round_trip: Option<Duration>,
}

impl Pulse {
    pub(crate) fn new(heartbeat: Duration, now: Duration) -> Self {
        Self {
            heartbeat,
            heard_at: now,
            next_at: now + heartbeat,
            asked: None,
            nonce: 0,
            round_trip: None,
        }
    }

    pub(crate) fn heard(&mut self, now: Duration) {
        self.heard_at = self.heard_at.max(now);
    }

    /// The nonce of a ping that is due.
    pub(crate) fn beat(&mut self, now: Duration) -> Option<u64> {
        if now < self.next_at {
            return None;
        }
        self.next_at = now + self.heartbeat;
        self.nonce += 1;
        self.asked = Some((self.nonce, now));
        Some(self.nonce)
    }

    /// Takes an answer. One to an older ping says nothing.
    pub(crate) fn answered(&mut self, nonce: u64, now: Duration) {
        if let Some((asked, at)) = self.asked
            && asked == nonce
        {
            self.round_trip = Some(now.saturating_sub(at));
            self.asked = None;
        }
    }

    pub(crate) fn is_silent(&self, now: Duration) -> bool {
        now >= self.dies_at()
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.next_at.min(self.dies_at())
    }

    pub(crate) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(crate) const fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    fn dies_at(&self) -> Duration {
        self.heard_at + self.heartbeat * SILENT_BEATS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(10);

    #[test]
    fn one_ping_a_heartbeat_and_death_after_three_of_silence() {
        let mut pulse = Pulse::new(BEAT, Duration::ZERO);
        assert_eq!(pulse.beat(BEAT - Duration::from_nanos(1)), None);
        assert_eq!((pulse.deadline(), pulse.beat(BEAT)), (BEAT, Some(1)));
        assert_eq!(pulse.beat(BEAT), None);
        assert_eq!(pulse.beat(BEAT * 2), Some(2));
        assert!(!pulse.is_silent(BEAT * 3 - Duration::from_nanos(1)));
        assert!(pulse.is_silent(BEAT * 3));
        pulse.heard(BEAT * 2);
        assert!(!pulse.is_silent(BEAT * 3));
    }

    #[test]
    fn the_round_trip_is_that_of_the_answered_ping() {
        let mut pulse = Pulse::new(BEAT, Duration::ZERO);
        assert_eq!(pulse.beat(BEAT), Some(1));
        pulse.answered(7, BEAT * 2);
        assert_eq!(pulse.round_trip(), None);
        pulse.answered(1, BEAT + Duration::from_millis(3));
        assert_eq!(pulse.round_trip(), Some(Duration::from_millis(3)));
    }
}
