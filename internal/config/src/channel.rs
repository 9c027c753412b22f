//! What holds for one channel: the defaults with every matching entry laid over them.
//!
//! ```text
//!   storage  ◀─  ">"  ◀─  "*.eu"  ◀─  "orders.*"  ◀─  "orders.eu"
//!   general      ─────── token by token: `>` < `*` < literal ───────▶   specific, wins key by key
//! ```

use std::time::Duration;

use pubsub_types::{ChannelName, DEAD_LETTER_SUFFIX, Filter, Format, SyncPolicy};

use crate::settings::SYNC_INTERVAL_MS;
use crate::{ChannelOverrides, StorageConfig};

/// What holds for one channel, units resolved. A limit of zero is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelSettings {
    /// How records are written.
    pub format: Format,
    /// When writes reach stable storage.
    pub sync_policy: SyncPolicy,
    /// Time between syncs under `periodic`; never zero.
    pub sync_interval: Duration,
    /// Size of one segment file, in bytes.
    pub segment_bytes: u64,
    /// Longest record accepted, in bytes.
    pub max_record_bytes: u64,
    /// Age after which messages are removed.
    pub retention: Duration,
    /// Segment files kept.
    pub max_files: u32,
    /// Messages kept.
    pub max_messages: u64,
    /// Bytes kept.
    pub max_bytes: u64,
    /// Messages kept per subject.
    pub max_messages_per_subject: u64,
    /// Keep what all subscribers have read.
    pub keep_history: bool,
    /// What all subscribers must have read before the channel is compacted, in bytes.
    pub compaction_threshold_bytes: u64,
}

impl ChannelSettings {
    /// Whether what all subscribers have read may be removed.
    ///
    /// Not when history is to be kept, and not when retention, messages or bytes say how much: those
    /// who ask for seven days of messages expect them to be there, read or not.
    #[must_use]
    pub fn compacts_consumed(&self) -> bool {
        let limits = [self.max_messages, self.max_bytes, self.max_messages_per_subject];
        !self.keep_history && self.retention.is_zero() && limits.iter().all(|limit| *limit == 0)
    }

    fn lay_over(&mut self, over: &ChannelOverrides) {
        replace(&mut self.format, over.format);
        replace(&mut self.sync_policy, over.sync_policy);
        replace(&mut self.sync_interval, over.sync_interval_ms.and_then(interval));
        replace(&mut self.segment_bytes, over.segment_mb.map(megabytes));
        replace(&mut self.max_record_bytes, over.max_record_bytes);
        replace(&mut self.retention, over.retention);
        replace(&mut self.max_files, over.max_files);
        replace(&mut self.max_messages, over.max_messages);
        replace(&mut self.max_bytes, over.max_bytes);
        replace(&mut self.max_messages_per_subject, over.max_messages_per_subject);
        replace(&mut self.keep_history, over.keep_history);
        replace(&mut self.compaction_threshold_bytes, over.compaction_threshold_mb.map(megabytes));
    }
}

impl StorageConfig {
    /// What holds for `channel`.
    ///
    /// Every entry of `channels` that matches is laid over the general settings, the most specific
    /// last: names are compared token by token, where a literal token is more specific than `*`, and
    /// `*` than `>`. A dead-letter channel matches no wildcard, only its own name, and starts from
    /// `dead_letter_compaction_threshold_mb`.
    #[must_use]
    pub fn for_channel(&self, channel: &ChannelName) -> ChannelSettings {
        self.for_channel_with(channel, |_| ())
    }

    /// As [`Self::for_channel`], where `choose` changes what holds before the entry of the channel's own
    /// name is laid over it.
    #[must_use]
    pub fn for_channel_with(
        &self,
        channel: &ChannelName,
        choose: impl FnOnce(&mut ChannelSettings),
    ) -> ChannelSettings {
        let mut settings = self.general(channel.is_dead_letter());
        for over in self.matching(channel) {
            settings.lay_over(over);
        }
        choose(&mut settings);
        if let Some(own) = self.own(channel) {
            settings.lay_over(own);
        }
        settings
    }

    /// The entry of the channel's own name.
    #[must_use]
    pub fn own(&self, channel: &ChannelName) -> Option<&ChannelOverrides> {
        self.channels.get(&Filter::new(channel.as_str()).ok()?)
    }

    /// What holds for channels, or for dead-letter channels, that no entry of `channels` matches.
    #[must_use]
    pub fn general(&self, dead_letter: bool) -> ChannelSettings {
        ChannelSettings {
            format: self.format,
            sync_policy: self.sync_policy,
            sync_interval: interval(self.sync_interval_ms)
                .unwrap_or(Duration::from_millis(SYNC_INTERVAL_MS)),
            segment_bytes: megabytes(self.segment_mb),
            max_record_bytes: self.max_record_bytes,
            retention: self.retention,
            max_files: self.max_files,
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
            max_messages_per_subject: 0,
            keep_history: self.keep_history,
            compaction_threshold_bytes: megabytes(if dead_letter {
                self.dead_letter_compaction_threshold_mb
            } else {
                self.compaction_threshold_mb
            }),
        }
    }

    /// The entries with wildcards that match, the most specific last.
    fn matching(&self, channel: &ChannelName) -> Vec<&ChannelOverrides> {
        if channel.is_dead_letter() {
            return Vec::new();
        }
        let mut matching: Vec<_> = self
            .channels
            .iter()
            .filter(|(filter, _)| !filter.is_literal() && filter.matches(channel.as_str()))
            .map(|(filter, over)| (specificity(filter), over))
            .collect();
        // Two filters that match one name differ first where one of them has a wildcard and the other
        // something else, so no two are equal.
        matching.sort_by(|a, b| a.0.cmp(&b.0));
        matching.into_iter().map(|(_, over)| over).collect()
    }
}

/// Why no channel can match `filter`, or `None` when one can.
pub(crate) fn matches_no_channel(filter: &Filter) -> Option<&'static str> {
    if filter.is_literal() {
        return ChannelName::new(filter.as_str()).err().map(|error| error.reason);
    }
    if filter.as_str().ends_with(DEAD_LETTER_SUFFIX) {
        return Some("wildcards do not match dead-letter channels; name the channel");
    }
    let literal = filter.as_str().split('.').filter(|token| !matches!(*token, "*" | ">"));
    literal.into_iter().find_map(|token| ChannelName::new(token).err()).map(|error| error.reason)
}

fn specificity(filter: &Filter) -> Vec<u8> {
    let rank = |token| match token {
        ">" => 0,
        "*" => 1,
        _ => 2,
    };
    filter.as_str().split('.').map(rank).collect()
}

/// Zero is no interval: it is how a file without `sync_policy` asks for `always`.
fn interval(millis: u64) -> Option<Duration> {
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// Saturates where a configuration that was never validated says more than 16 EiB.
fn megabytes(count: u64) -> u64 {
    count.saturating_mul(1 << 20)
}

fn replace<T>(value: &mut T, with: Option<T>) {
    if let Some(with) = with {
        *value = with;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pubsub_types::{ChannelName, Filter, Format, SyncPolicy};

    use crate::{ChannelOverrides, StorageConfig};

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn over(max_messages: u64) -> ChannelOverrides {
        ChannelOverrides { max_messages: Some(max_messages), ..ChannelOverrides::default() }
    }

    #[test]
    fn the_most_specific_entry_wins_key_by_key() {
        let mut storage = StorageConfig::default();
        for (rank, filter) in (1..).zip([">", "*.eu", "orders.>", "orders.*", "orders.eu"]) {
            storage.channels.insert(Filter::new(filter).unwrap(), over(rank));
        }
        storage.channels.get_mut(&Filter::new("orders.>").unwrap()).unwrap().format =
            Some(Format::Binary);
        let kept = |name| storage.for_channel(&channel(name)).max_messages;
        assert_eq!(kept("other"), 1);
        assert_eq!(kept("other.eu"), 2);
        assert_eq!(kept("orders.eu.west"), 3);
        assert_eq!(kept("orders.us"), 4);
        assert_eq!(kept("orders.eu"), 5);
        assert_eq!(storage.for_channel(&channel("orders.eu")).format, Format::Binary);
        assert_eq!(storage.for_channel(&channel("other.eu")).format, Format::Jsonl);
    }

    #[test]
    fn dead_letter_channels_match_no_wildcard_and_have_their_own_threshold() {
        let mut storage = StorageConfig::default();
        storage.channels.insert(Filter::all(), over(1));
        storage.channels.insert(Filter::new("*.dead-letter").unwrap(), over(2));
        let dead = storage.for_channel(&channel("orders.dead-letter"));
        assert_eq!(dead.max_messages, 0);
        assert_eq!(dead.compaction_threshold_bytes, 50 << 20);
        storage.channels.insert(Filter::new("orders.dead-letter").unwrap(), over(3));
        assert_eq!(storage.for_channel(&channel("orders.dead-letter")).max_messages, 3);
        assert_eq!(storage.for_channel(&channel("orders")).compaction_threshold_bytes, 256 << 20);
    }

    #[test]
    fn an_interval_of_zero_never_becomes_a_timer_of_zero() {
        let mut storage = StorageConfig { sync_interval_ms: 0, ..StorageConfig::default() };
        assert_eq!(storage.general(false).sync_interval, Duration::from_millis(200));
        let mut over =
            ChannelOverrides { sync_interval_ms: Some(0), ..ChannelOverrides::default() };
        over.sync_policy = Some(SyncPolicy::Periodic);
        storage.channels.insert(Filter::all(), over);
        assert_eq!(storage.for_channel(&channel("a")).sync_interval, Duration::from_millis(200));
    }

    #[test]
    fn history_and_retention_turn_off_compaction_of_what_was_read() {
        let settings = |change: fn(&mut StorageConfig)| {
            let mut storage = StorageConfig::default();
            change(&mut storage);
            storage.general(false)
        };
        assert!(settings(|_| ()).compacts_consumed());
        assert!(settings(|s| s.max_files = 3).compacts_consumed());
        assert!(!settings(|s| s.keep_history = true).compacts_consumed());
        assert!(!settings(|s| s.retention = Duration::from_secs(1)).compacts_consumed());
        assert!(!settings(|s| s.max_messages = 1).compacts_consumed());
        assert!(!settings(|s| s.max_bytes = 1).compacts_consumed());
    }
}
