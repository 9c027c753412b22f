//! What a channel's log is told to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pubsub_types::{ChannelName, Filter, Format, SyncPolicy};
use serde::{Deserialize, Serialize};

/// Longest record that a segment may hold, in bytes, whatever the configuration says.
///
/// The scanner reads a record whole; a larger claim in a damaged length must not make it read more.
pub const RECORD_BYTES_MAX: u64 = 512 << 20;

/// Configuration of one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelConfig {
    /// How records are written. Takes effect at the next segment.
    pub format: Format,
    /// What an acknowledgement means.
    pub sync: SyncPolicy,
    /// Longest time between a write and its sync under [`SyncPolicy::Periodic`].
    pub sync_interval: Duration,
    /// Size in bytes at which a segment is sealed. A segment may exceed it by one batch.
    pub segment_bytes: u64,
    /// Longest payload with headers that is accepted, in bytes.
    pub max_record_bytes: u64,
    /// What is kept.
    pub limits: Limits,
    /// Bytes consumed by every subscriber from which on they are deleted; 0 = never.
    pub compaction_threshold_bytes: u64,
    /// Keeps what every subscriber has consumed.
    pub keep_history: bool,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            format: Format::Jsonl,
            sync: SyncPolicy::Periodic,
            sync_interval: Duration::from_millis(200),
            segment_bytes: 64 << 20,
            max_record_bytes: 8 << 20,
            limits: Limits::default(),
            compaction_threshold_bytes: 256 << 20,
            keep_history: false,
        }
    }
}

/// What a channel keeps. Zero means no limit. What exceeds a limit is deleted, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Messages in the channel.
    pub max_messages: u64,
    /// Bytes of records in the channel, as they lie on disk.
    pub max_bytes: u64,
    /// Age of a message.
    pub max_age: Duration,
    /// Messages on one subject.
    pub max_messages_per_subject: u64,
    /// Segment files of the channel, the active one included.
    pub max_files: u32,
}

/// Configuration of a data directory: what a channel gets that is not configured otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// For channels that nothing below names.
    pub defaults: ChannelConfig,
    /// For dead-letter channels that nothing below names; `defaults` when absent.
    pub dead_letter: Option<ChannelConfig>,
    /// For channels whose name matches; the last match wins.
    pub overrides: Vec<(Filter, ChannelConfig)>,
    /// Decides for every channel, instead of all the above.
    pub resolver: Option<Resolver>,
    /// Time between two flushes of a subscriber's position; zero flushes every change.
    pub offset_flush_interval: Duration,
    /// Bytes of the newest records that all channels together keep in memory.
    pub tail_cache_bytes: usize,
}

/// Says what a channel is configured to do.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Fn(&ChannelName) -> ChannelConfig + Send + Sync>);

impl Resolver {
    /// A resolver that asks `resolve`. The same name must give the same answer.
    pub fn new(resolve: impl Fn(&ChannelName) -> ChannelConfig + Send + Sync + 'static) -> Self {
        Self(Arc::new(resolve))
    }
}

/// Equal when it is the same one.
impl PartialEq for Resolver {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Resolver {}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl StoreOptions {
    /// What `channel` is configured to do.
    #[must_use]
    pub fn for_channel(&self, channel: &ChannelName) -> ChannelConfig {
        if let Some(Resolver(resolve)) = &self.resolver {
            return resolve(channel);
        }
        let named =
            self.overrides.iter().rev().find(|(filter, _)| filter.matches(channel.as_str()));
        match (named, &self.dead_letter) {
            (Some((_, config)), _) => config.clone(),
            (None, Some(config)) if channel.is_dead_letter() => config.clone(),
            _ => self.defaults.clone(),
        }
    }
}
