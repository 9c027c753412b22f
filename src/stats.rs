//! What a messenger holds and has done, in figures.

use pubsub_messenger::{DeliveryStats, LatencyStats, Reading};
use pubsub_node::clock;
use pubsub_node::subscription::SubscriptionStats;
use pubsub_storage::Channel;
use pubsub_types::{ChannelName, SubscriberId};
use serde::Serialize;

use crate::inner::{Inner, check_subscriber};

/// What a messenger holds and has done since it was opened.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The channels that are open, sorted by name.
    pub channels: Vec<ChannelStats>,
    /// Their sums.
    pub totals: Totals,
    /// How long things took.
    pub latency: Latency,
}

/// What a channel holds.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ChannelStats {
    /// The channel's name.
    pub channel: ChannelName,
    /// Bytes of its segment files since it was opened, those removed meanwhile included; never shrinks.
    pub stream_bytes: u64,
    /// Bytes of its segment files.
    pub disk_bytes: u64,
    /// Messages added since it was opened.
    pub message_count: u64,
    /// Messages that it holds.
    pub messages: u64,
    /// Sequence of its first message that was not trimmed.
    pub first_seq: u64,
    /// Sequence of its last message.
    pub last_seq: u64,
    /// Its subscribers that run, sorted by id.
    pub subscribers: Vec<SubscriberStats>,
}

/// How far a subscriber is.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SubscriberStats {
    /// Its id.
    pub id: SubscriberId,
    /// Bytes of the log that it has not dealt with.
    pub lag_bytes: u64,
    /// Messages that it has not dealt with.
    pub lag_messages: u64,
    /// When the oldest of them was published, in milliseconds since 1970; `None` when there is none.
    pub oldest_pending_unix_ms: Option<i64>,
}

/// Sums over the open channels. Dead-letter channels count in `dead_letter_…` only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Channels.
    pub channels: u64,
    /// Subscribers that run.
    pub subscribers: u64,
    /// Messages published since the start.
    pub messages_published: u64,
    /// See [`ChannelStats::stream_bytes`].
    pub stream_bytes: u64,
    /// See [`ChannelStats::disk_bytes`].
    pub disk_bytes: u64,
    /// See [`SubscriberStats::lag_bytes`].
    pub lag_bytes: u64,
    /// Messages that dead-letter channels hold.
    pub dead_letter_messages: u64,
    /// Bytes of their segment files.
    pub dead_letter_bytes: u64,
}

/// How long things took: counts of all time, percentiles of the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// From the call of publish to the commit; a batch counts once.
    pub publish_to_disk: LatencyStats,
    /// From publishing to the first call of a handler.
    pub consume: LatencyStats,
    /// In handlers.
    pub handler: LatencyStats,
}

/// What one subscriber did since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostics {
    /// What was counted.
    #[serde(flatten)]
    pub delivery: DeliveryStats,
    /// Everything up to this sequence is dealt with.
    pub current_position: u64,
    /// The position that its file holds.
    pub saved_position: u64,
}

pub(crate) fn of(inner: &Inner) -> Stats {
    let running: Vec<SubscriptionStats> =
        inner.subscriptions.running().iter().map(|running| running.stats()).collect();
    let mut stats = Stats::default();
    for channel in inner.node.store().open_channels() {
        let of_channel = channel_stats(&channel, &running);
        stats.totals.add(&of_channel);
        stats.channels.push(of_channel);
    }
    let published = inner.published.lock();
    stats.totals.messages_published = published.messages;
    let merged = |reading: fn(&SubscriptionStats) -> &Reading| {
        let mut sum = Reading::default();
        running.iter().for_each(|running| sum.merge(reading(running)));
        sum.stats()
    };
    stats.latency = Latency {
        publish_to_disk: published.latency.read(clock::since_start()).stats(),
        consume: merged(|running| &running.consume),
        handler: merged(|running| &running.handler),
    };
    stats
}

fn channel_stats(channel: &Channel, running: &[SubscriptionStats]) -> ChannelStats {
    let held = channel.stats();
    let subscribers = running.iter().filter(|running| running.channel == *channel.name());
    ChannelStats {
        channel: channel.name().clone(),
        stream_bytes: channel.stream_bytes(),
        disk_bytes: channel.disk_bytes(),
        message_count: held.appended,
        messages: held.messages,
        first_seq: held.first_seq,
        last_seq: held.last_seq,
        subscribers: subscribers
            .map(|running| SubscriberStats {
                id: running.id.clone(),
                lag_bytes: running.lag_bytes,
                lag_messages: running.lag_messages,
                oldest_pending_unix_ms: running.oldest_pending.map(|time| time.as_millis()),
            })
            .collect(),
    }
}

impl Totals {
    fn add(&mut self, channel: &ChannelStats) {
        if channel.channel.is_dead_letter() {
            self.dead_letter_messages += channel.messages;
            self.dead_letter_bytes += channel.disk_bytes;
            return;
        }
        self.channels += 1;
        self.subscribers += channel.subscribers.len() as u64;
        self.stream_bytes += channel.stream_bytes;
        self.disk_bytes += channel.disk_bytes;
        self.lag_bytes += channel.subscribers.iter().map(|one| one.lag_bytes).sum::<u64>();
    }
}

pub(crate) fn diagnostics(inner: &Inner, channel: &str, id: &str) -> Diagnostics {
    let Ok((channel, id)) = check_subscriber(channel, id) else { return Diagnostics::default() };
    inner.subscriptions.get(&channel, &id).map_or_else(Diagnostics::default, |running| {
        let stats = running.stats();
        Diagnostics {
            delivery: stats.delivery,
            current_position: stats.position,
            saved_position: stats.saved_position,
        }
    })
}
