//! What a subscriber may choose.

use std::num::NonZeroUsize;
use std::time::Duration;

use pubsub_types::Timestamp;

use crate::RetryPolicy;

/// Messages in flight on a stream of messages when nothing else is said.
pub const STREAM_IN_FLIGHT_DEFAULT: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

/// Time a stream's messages may stay unacknowledged when nothing else is said.
pub const STREAM_ACK_WAIT_DEFAULT: Duration = Duration::from_secs(30);

/// Where a subscriber that has no saved position begins. One that has a position goes on from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// With what is published from now on; history is skipped.
    #[default]
    New,
    /// With the oldest message there is.
    FromStart,
    /// With the newest message there is.
    Last,
    /// With the first message published at this time or later.
    Since(Timestamp),
    /// With the message after this sequence; 0 is [`StartAt::FromStart`].
    After(u64),
}

/// What a subscriber may choose.
///
/// The default is a handler's: one message at a time, in order, five retries, no deadline for the
/// handler, history skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// How often a message is tried, and how long between two tries.
    pub retry: RetryPolicy,
    /// Skips, once at the start, messages older than this. `None` skips none.
    pub max_age: Option<Duration>,
    /// Where to begin without a saved position.
    pub start: StartAt,
    /// Time after which a message that was handed out and not answered counts as failed and is
    /// handed out again. `None` waits for ever.
    pub ack_wait: Option<Duration>,
    /// Most messages beyond the saved position at one time, so also the most that a restart repeats.
    /// 1 keeps strict order across retries.
    pub max_in_flight: NonZeroUsize,
    /// Sends messages of unregistered types to the dead letters instead of delivering their JSON.
    pub strict: bool,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            max_age: None,
            start: StartAt::New,
            ack_wait: None,
            max_in_flight: NonZeroUsize::MIN,
            strict: false,
        }
    }
}

impl SubscribeOptions {
    /// The defaults of a stream of messages that its reader acknowledges: several in flight, and
    /// handed out again when the reader forgets one.
    #[must_use]
    pub fn stream() -> Self {
        Self {
            ack_wait: Some(STREAM_ACK_WAIT_DEFAULT),
            max_in_flight: STREAM_IN_FLIGHT_DEFAULT,
            ..Self::default()
        }
    }

    /// Sets the number of attempts after the first one.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u32) -> Self {
        self.retry.max_retries = max_retries;
        self
    }

    /// Sets the first and the longest pause between attempts; zero stands for the default.
    #[must_use]
    pub const fn retry_backoff(mut self, base: Duration, max: Duration) -> Self {
        self.retry.base = base;
        self.retry.max = max;
        self
    }

    /// Skips, once at the start, messages older than `age`.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sets where to begin without a saved position.
    #[must_use]
    pub const fn start(mut self, start: StartAt) -> Self {
        self.start = start;
        self
    }

    /// Sets the time after which an unanswered message is handed out again.
    #[must_use]
    pub const fn ack_wait(mut self, wait: Duration) -> Self {
        self.ack_wait = Some(wait);
        self
    }

    /// Sets the most messages in flight; 0 counts as 1.
    #[must_use]
    pub const fn max_in_flight(mut self, messages: usize) -> Self {
        self.max_in_flight = match NonZeroUsize::new(messages) {
            Some(messages) => messages,
            None => NonZeroUsize::MIN,
        };
        self
    }

    /// Sends messages of unregistered types to the dead letters.
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }
}
