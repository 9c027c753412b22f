//! Waiting for something that cannot wake us: another process's socket, a file it will make.
//!
//! What can wake us (a line, an exit) is waited for by [`crate::Process`]; this is for the rest.

use std::thread;
use std::time::{Duration, Instant};

/// How long to leave the others the processor between two questions.
const PAUSE: Duration = Duration::from_millis(2);

/// Nothing came of it before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} did not happen within {within:?}")]
pub struct TimedOut {
    /// What was waited for, in the caller's words.
    pub what: &'static str,
    /// How long was waited.
    pub within: Duration,
}

/// Asks until there is an answer.
///
/// The question is asked at least once, and once more at the deadline, so that a machine that stood
/// still meanwhile does not fail the test.
///
/// # Errors
/// [`TimedOut`] when there was no answer within `within`.
pub fn eventually<T>(
    what: &'static str,
    within: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> Result<T, TimedOut> {
    let started = now();
    loop {
        let last = now().duration_since(started) >= within;
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if last {
            return Err(TimedOut { what, within });
        }
        thread::park_timeout(PAUSE);
    }
}

#[expect(clippy::disallowed_methods, reason = "real processes live in real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_at_once_is_not_waited_for() {
        assert_eq!(eventually("an answer", Duration::ZERO, || Some(7)), Ok(7));
    }

    #[test]
    fn question_is_asked_until_answered() {
        let mut left = 3;
        let answer = eventually("three questions", Duration::from_secs(30), || {
            left -= 1;
            (left == 0).then_some("yes")
        });
        assert_eq!(answer, Ok("yes"));
    }

    #[test]
    fn what_never_happens_is_named() {
        let within = Duration::from_millis(5);
        let error = eventually("the sun rising", within, || None::<()>).unwrap_err();
        assert_eq!(error.to_string(), "the sun rising did not happen within 5ms");
    }
}
