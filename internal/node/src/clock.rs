//! The only clock of a node.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use pubsub_messenger::Now;
use pubsub_types::Timestamp;

/// What the monotonic clock counts from.
#[expect(clippy::disallowed_methods, reason = "the one door through which monotonic time comes in")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time now, by the wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one door through which wall time comes in")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Time since the first look at this clock. Never runs backwards.
#[must_use]
pub fn since_start() -> Duration {
    START.elapsed()
}

/// Both clocks at one instant.
#[must_use]
pub fn both() -> Now {
    Now { since_start: since_start(), wall: now() }
}
