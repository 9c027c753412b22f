//! What a subscriber has done and has before it, in figures.

use pubsub_messenger::{DeliveryStats, Histogram, Reading};
use pubsub_types::{ChannelName, SubscriberId, Timestamp};

/// What the task tells of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) delivery: DeliveryStats,
    /// From publishing to the first call of the handler.
    pub(super) consume: Histogram,
    /// In the handler.
    pub(super) handler: Histogram,
    pub(super) oldest_pending: Option<Timestamp>,
}

/// What a subscriber has done since it was started, and what it has before it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscriptionStats {
    /// The channel.
    pub channel: ChannelName,
    /// The subscriber.
    pub id: SubscriberId,
    /// Everything up to this sequence is dealt with.
    pub position: u64,
    /// The position that its file holds.
    pub saved_position: u64,
    /// Bytes of the log after the position.
    pub lag_bytes: u64,
    /// Messages after the position, those deleted included.
    pub lag_messages: u64,
    /// Time of the oldest message that is not dealt with; `None` when there is none.
    pub oldest_pending: Option<Timestamp>,
    /// What was counted.
    pub delivery: DeliveryStats,
    /// From publishing to the first call of the handler.
    pub consume: Reading,
    /// In the handler.
    pub handler: Reading,
}
