//! One message on its way: handed out until it is done, or buried.
//!
//! ```text
//!            ╭───── back-off ──────╮
//!            ▼                     │ failed, attempts left
//!   ──────▶ Due ──handed out──▶ Running ──────── ok ─────────▶ Done
//!                                  │ failed, none left          ▲
//!   cannot be decoded ──────────▶ Dying ──write──▶ Burying ─────╯ durable
//!                                  ▲                  │
//!                                  ╰──── back-off ────╯ failed
//! ```
//!
//! There is one way out, and a failed dead-letter write is not it.

use std::time::Duration;

use pubsub_types::Timestamp;

use crate::RetryPolicy;

/// Pauses between two tries to write a dead letter. The handler's policy does not fit: it may be of
/// zero retries, and this one never gives up.
pub(crate) const DEAD_LETTER_RETRY: RetryPolicy = RetryPolicy {
    max_retries: u32::MAX,
    base: Duration::from_millis(100),
    max: Duration::from_secs(5),
};

/// One message on its way.
#[derive(Debug)]
pub(crate) struct Slot<M> {
    /// Its sequence; for a gap, the last one missing.
    pub(crate) seq: u64,
    /// Gone once it is done.
    pub(crate) message: Option<M>,
    pub(crate) state: State,
    /// Times it was handed out.
    pub(crate) deliveries: u64,
    /// Attempts that failed.
    pub(crate) failures: u32,
    /// Why the last one failed, and when.
    pub(crate) last_error: String,
    pub(crate) failed_at: Timestamp,
}

/// Where it stands. Times are on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// To be handed out at `at`, or earlier at `wake_at` if something is published until then.
    Due { at: Duration, wake_at: Option<Duration> },
    /// Handed out; counts as failed when `until` passes.
    Running { until: Option<Duration> },
    /// Its dead letter is to be written at `at`, after `failures` failed tries.
    Dying { at: Duration, failures: u32 },
    /// Its dead letter is being written.
    Burying { failures: u32 },
    /// Dealt with; waits for those before it.
    Done,
}

impl State {
    /// Whether the shell owes an answer.
    pub(crate) const fn is_busy(self) -> bool {
        matches!(self, Self::Running { .. } | Self::Burying { .. })
    }

    /// When it is to be looked at again, if the messages before and behind it do not matter.
    pub(crate) const fn timer(self) -> Option<Duration> {
        match self {
            Self::Running { until } => until,
            Self::Due { at, .. } | Self::Dying { at, .. } => Some(at),
            Self::Burying { .. } | Self::Done => None,
        }
    }
}

impl<M> Slot<M> {
    pub(crate) fn new(seq: u64, message: Option<M>) -> Self {
        Self {
            seq,
            message,
            state: State::Done,
            deliveries: 0,
            failures: 0,
            last_error: String::new(),
            failed_at: Timestamp::default(),
        }
    }
}
