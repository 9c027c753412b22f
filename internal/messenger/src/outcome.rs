//! What became of an attempt, in the words a handler uses.
//!
//! ```text
//!   Ok(())            done
//!   Err(anything)     failed: tried again, in the end a dead letter
//!   Err(RetryLater)   not now: the message stays, nothing is counted
//! ```

use std::error::Error;
use std::time::Duration;

/// Any error a handler may return.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message is dealt with.
    Done,
    /// It is not; the attempt counts.
    Failed {
        /// Why, for the log and the dead letter.
        error: String,
        /// Pause before the next attempt; `None` leaves it to the retry policy.
        retry_in: Option<Duration>,
    },
    /// The handler panicked; counts like a failure.
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// Not now: the message stays where it is, and nothing is counted.
    RetryLater,
}

/// Tells the messenger that the message cannot be dealt with now, and that this is nobody's fault: it
/// stays, no attempt is counted, and it comes again within a second.
///
/// Found also when another error wraps it as its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("not now; the message comes again")]
pub struct RetryLater;

/// What a handler may return.
pub trait IntoOutcome {
    /// The same, in the delivery's words.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Done
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl<T: IntoOutcome, E: Into<BoxError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Outcome {
        let error = match self {
            Ok(value) => return value.into_outcome(),
            Err(error) => error.into(),
        };
        if chain(&*error).any(<dyn Error>::is::<RetryLater>) {
            return Outcome::RetryLater;
        }
        Outcome::Failed { error: error_text(&*error), retry_in: None }
    }
}

/// The error and what caused it, in one line.
#[must_use]
pub fn error_text(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in chain(error) {
        let cause = cause.to_string();
        // Some errors print their source themselves; once is enough.
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + 'a {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::{IntoOutcome, Outcome, RetryLater};

    #[derive(Debug, thiserror::Error)]
    #[error("charge the card")]
    struct Charge<E: std::error::Error + 'static>(#[source] E);

    #[test]
    fn retry_later_is_found_however_deep_it_is_wrapped() {
        let result: Result<(), _> = Err(Charge(Charge(RetryLater)));
        assert_eq!(result.into_outcome(), Outcome::RetryLater);
        assert_eq!(Ok::<_, RetryLater>(Outcome::RetryLater).into_outcome(), Outcome::RetryLater);
    }

    #[test]
    fn a_failure_says_what_failed_and_why_in_one_line() {
        let result: Result<(), _> = Err(Charge(std::io::Error::other("card refused")));
        let error = "charge the card: card refused".into();
        assert_eq!(result.into_outcome(), Outcome::Failed { error, retry_in: None });
    }

    #[test]
    fn handlers_may_return_nothing_texts_and_errors() {
        assert_eq!(().into_outcome(), Outcome::Done);
        assert_eq!(Ok::<(), RetryLater>(()).into_outcome(), Outcome::Done);
        let failed = Outcome::Failed { error: "no".into(), retry_in: None };
        assert_eq!(Err::<(), _>("no").into_outcome(), failed);
        assert_eq!(Err::<(), _>(String::from("no")).into_outcome(), failed);
    }
}
