//! The only clock of a node.

use std::time::SystemTime;

use pubsub_types::Timestamp;

/// The time now, by the wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one door through which wall time comes in")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
