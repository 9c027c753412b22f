//! Whether the client is still there, and how far away it is.

use std::time::Duration;

/// How long a measured round trip is good for.
const ROUND_TRIP_FOR: Duration = Duration::from_hours(1);

/// The questions to one client.
#[derive(Clone, Debug)]
pub(crate) struct Pings {
    interval: Duration,
    max: u32,
    due: Duration,
    /// Asked and not answered.
    outstanding: u32,
    asked_at: Option<Duration>,
    round_trip: Option<Duration>,
    heard_at: Duration,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ask,
    Stale,
}

impl Pings {
    pub(crate) fn new(interval: Duration, first: Duration, max: u32, now: Duration) -> Self {
        Self {
            interval,
            max,
            due: now + first.min(interval),
            outstanding: 0,
            asked_at: None,
            round_trip: None,
            heard_at: now,
        }
    }

    pub(crate) const fn due(&self) -> Duration {
        self.due
    }

    pub(crate) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(crate) const fn heard_at(&self) -> Duration {
        self.heard_at
    }

    /// The client asked for something. An answer to a question of ours does not count: it says that
    /// the client was there, not that it will be.
    #[inline]
    pub(crate) const fn heard(&mut self, now: Duration) {
        self.heard_at = now;
    }

    pub(crate) fn answered(&mut self, now: Duration) {
        if let (1.., Some(asked)) = (self.outstanding, self.asked_at) {
            self.round_trip = Some(now.saturating_sub(asked));
        }
        self.outstanding = 0;
    }

    pub(crate) fn poll(&mut self, now: Duration) -> Due {
        if now < self.due {
            return Due::Nothing;
        }
        self.due = now + self.interval;
        let is_talking = now.saturating_sub(self.heard_at) < self.interval;
        let is_measured =
            self.asked_at.is_some_and(|asked| now.saturating_sub(asked) < ROUND_TRIP_FOR);
        if is_talking && is_measured {
            return Due::Nothing;
        }
        if self.outstanding >= self.max {
            return Due::Stale;
        }
        self.outstanding += 1;
        self.asked_at = Some(now);
        Due::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pings() -> Pings {
        Pings::new(SECOND, SECOND * 2, 2, Duration::ZERO)
    }

    /// What happens at each second, while `live` acts.
    fn seconds(count: u32, mut live: impl FnMut(&mut Pings, Due, Duration)) -> Vec<Due> {
        let mut pings = pings();
        (1..=count)
            .map(|second| {
                let now = SECOND * second;
                let due = pings.poll(now);
                live(&mut pings, due, now);
                due
            })
            .collect()
    }

    #[test]
    fn silent_client_is_asked_twice_and_then_stale() {
        assert_eq!(seconds(3, |_, _, _| ()), [Due::Ask, Due::Ask, Due::Stale]);
    }

    #[test]
    fn client_that_answers_is_asked_again_and_again() {
        let found = seconds(5, |pings, _, now| pings.answered(now + SECOND / 10));
        assert_eq!(found, [Due::Ask; 5]);
    }

    #[test]
    fn client_that_talks_is_asked_once_to_measure_the_way() {
        let found = seconds(5, |pings, _, now| pings.heard(now + SECOND / 2));
        assert_eq!(found, [Due::Ask, Due::Nothing, Due::Nothing, Due::Nothing, Due::Nothing]);
    }

    #[test]
    fn round_trip_is_from_the_question_to_the_answer() {
        let mut pings = pings();
        pings.answered(SECOND / 2);
        assert_eq!(pings.round_trip(), None);
        assert_eq!(pings.poll(SECOND), Due::Ask);
        pings.answered(SECOND + SECOND / 4);
        assert_eq!(pings.round_trip(), Some(SECOND / 4));
    }

    #[test]
    fn first_question_comes_early_where_the_interval_is_long() {
        let mut pings = Pings::new(SECOND * 120, SECOND * 2, 2, Duration::ZERO);
        assert_eq!(pings.poll(SECOND), Due::Nothing);
        assert_eq!(pings.due(), SECOND * 2);
        assert_eq!(pings.poll(SECOND * 2), Due::Ask);
        assert_eq!(pings.due(), SECOND * 122);
    }
}
