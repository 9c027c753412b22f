//! Two clocks at one instant: one to wait by, one to write down.

use std::time::Duration;

use pubsub_types::Timestamp;

/// An instant, as both clocks show it.
///
/// Every wait in this crate is measured on `since_start`, so a step of the wall clock neither hurries
/// nor delays a retry. `wall` is only copied into records and compared with the times in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed instant, such as the start of the process. Never runs backwards.
    pub since_start: Duration,
    /// The time of day. May step either way.
    pub wall: Timestamp,
}
