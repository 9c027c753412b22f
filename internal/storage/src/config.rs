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

/// What was chosen for one channel when it was made. It is written down with the channel and stays,
/// whatever the configuration says of channels in general. What is `None` is left to the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chosen {
    /// How records are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What an acknowledgement means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncPolicy>,
    /// Size in bytes at which a segment is sealed; 1 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_bytes: Option<u64>,
    /// Age of a message. This and what follows keep messages whether or not they were consumed; zero is
    /// no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// Bytes of records in the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Messages in the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
}

impl Chosen {
    /// Whether nothing was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// `config` with what was chosen.
    #[must_use]
    pub fn over(&self, config: ChannelConfig) -> ChannelConfig {
        let limits = Limits {
            max_messages: self.max_messages.unwrap_or(config.limits.max_messages),
            max_bytes: self.max_bytes.unwrap_or(config.limits.max_bytes),
            max_age: self.max_age.unwrap_or(config.limits.max_age),
            ..config.limits
        };
        // What is to be kept for a while is not deleted because it was read.
        let bounded = self.max_age.is_some_and(|age| !age.is_zero())
            || [self.max_bytes, self.max_messages].iter().any(|it| it.is_some_and(|it| it > 0));
        ChannelConfig {
            format: self.format.unwrap_or(config.format),
            sync: self.sync.unwrap_or(config.sync),
            segment_bytes: self.segment_bytes.unwrap_or(config.segment_bytes),
            limits,
            keep_history: config.keep_history || bounded,
            ..config
        }
    }

    /// Whether `config` does what was chosen.
    #[must_use]
    pub fn holds_in(&self, config: &ChannelConfig) -> bool {
        self.over(config.clone()) == *config
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
    /// For channels whose name matches; the last match wins. What was chosen for a channel when it was
    /// made wins over a wildcard, and a filter that is the channel's name over that.
    pub overrides: Vec<(Filter, ChannelConfig)>,
    /// Decides for every channel, instead of all the above.
    pub resolver: Option<Resolver>,
    /// Time between two flushes of a subscriber's position; zero flushes every change.
    pub offset_flush_interval: Duration,
    /// Segment files smaller than this, in bytes, are not compacted; 64 KiB when absent.
    pub compact_bytes_min: Option<u64>,
}

/// Says what a channel is configured to do.
#[derive(Clone)]
pub struct Resolver(Arc<Resolve>);

type Resolve = dyn Fn(&ChannelName, &Chosen) -> ChannelConfig + Send + Sync;

impl Resolver {
    /// A resolver that asks `resolve`, with a channel's name and what was chosen for it when it was made.
    /// The same questions must have the same answer.
    pub fn new(
        resolve: impl Fn(&ChannelName, &Chosen) -> ChannelConfig + Send + Sync + 'static,
    ) -> Self {
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
    /// What `channel` is configured to do, when this was chosen for it as it was made.
    #[must_use]
    pub fn for_channel(&self, channel: &ChannelName, chosen: &Chosen) -> ChannelConfig {
        if let Some(Resolver(resolve)) = &self.resolver {
            return resolve(channel, chosen);
        }
        let named =
            self.overrides.iter().rev().find(|(filter, _)| filter.matches(channel.as_str()));
        let config = match (named, &self.dead_letter) {
            (Some((filter, config)), _) if filter.is_literal() => return config.clone(),
            (Some((_, config)), _) => config,
            (None, Some(config)) if channel.is_dead_letter() => config,
            _ => &self.defaults,
        };
        chosen.over(config.clone())
    }
}
