//! What a configuration means to the store. The one place where the two meet.
//!
//! ```text
//!   Config ──▶ ChannelSettings, by name ──▶ ChannelConfig
//!                                             ╰─ a dead letter: synced at once, and with room for its message
//! ```

use std::sync::Arc;
use std::time::Duration;

use pubsub_config::{ChannelSettings, Config, StorageConfig};
use pubsub_storage::{ChannelConfig, Chosen, Limits, RECORD_BYTES_MAX, Resolver, StoreOptions};
use pubsub_types::{ChannelName, SyncPolicy};

/// What the store is told by `config`.
#[must_use]
pub fn store_options(config: &Config) -> StoreOptions {
    let storage = Arc::new(config.storage.clone());
    StoreOptions {
        defaults: channel_config(&storage.general(false)),
        resolver: Some(Resolver::new(move |channel, chosen| {
            for_channel(&storage, channel, chosen)
        })),
        offset_flush_interval: offset_flush_interval(config),
        ..StoreOptions::default()
    }
}

/// Time between two saves of a subscriber's position; zero saves after each message.
#[must_use]
pub fn offset_flush_interval(config: &Config) -> Duration {
    Duration::from_millis(config.storage.offset_flush_interval_ms)
}

fn for_channel(storage: &StorageConfig, name: &ChannelName, chosen: &Chosen) -> ChannelConfig {
    let mut config = channel_config(&storage.for_channel_with(name, |settings| {
        replace(&mut settings.format, chosen.format);
        replace(&mut settings.sync_policy, chosen.sync);
        replace(&mut settings.segment_bytes, chosen.segment_bytes);
        replace(&mut settings.retention, chosen.max_age);
        replace(&mut settings.max_bytes, chosen.max_bytes);
        replace(&mut settings.max_messages, chosen.max_messages);
    }));
    if let Some(channel) = name.dead_letter_of() {
        // The position of the failed message moves on as soon as the letter is committed, and may be
        // synced before it. A periodic letter could so be lost to a power cut.
        let named = chosen.sync.is_some() || names_its_policy(storage, name);
        if config.sync == SyncPolicy::Periodic && !named {
            config.sync = SyncPolicy::Always;
        }
        let message = storage.for_channel(&channel).max_record_bytes;
        config.max_record_bytes = config.max_record_bytes.max(letter_bytes(message));
    }
    config
}

fn names_its_policy(storage: &StorageConfig, name: &ChannelName) -> bool {
    let own = storage.own(name);
    own.is_some_and(|own| own.sync_policy.is_some() || own.sync_interval_ms.is_some())
}

fn replace<T>(value: &mut T, with: Option<T>) {
    if let Some(with) = with {
        *value = with;
    }
}

/// Longest letter about a message of `message` bytes: headers may grow sixfold when they are written
/// as a JSON text, and there are error and envelope.
fn letter_bytes(message: u64) -> u64 {
    message.saturating_mul(8).saturating_add(1 << 20).min(RECORD_BYTES_MAX)
}

fn channel_config(settings: &ChannelSettings) -> ChannelConfig {
    ChannelConfig {
        format: settings.format,
        sync: settings.sync_policy,
        sync_interval: settings.sync_interval,
        segment_bytes: settings.segment_bytes,
        max_record_bytes: settings.max_record_bytes,
        limits: Limits {
            max_messages: settings.max_messages,
            max_bytes: settings.max_bytes,
            max_age: settings.retention,
            max_messages_per_subject: settings.max_messages_per_subject,
            max_files: settings.max_files,
        },
        compaction_threshold_bytes: settings.compaction_threshold_bytes,
        keep_history: !settings.compacts_consumed(),
    }
}

#[cfg(test)]
mod tests {
    use pubsub_types::Format;

    use super::*;

    fn options(yaml: &str) -> StoreOptions {
        store_options(&Config::from_yaml(yaml, "t.yaml", &|_| None).unwrap())
    }

    fn name(text: &str) -> ChannelName {
        ChannelName::new(text).unwrap()
    }

    fn configured(options: &StoreOptions, channel: &str) -> ChannelConfig {
        options.for_channel(&name(channel), &Chosen::default())
    }

    #[test]
    fn what_was_chosen_wins_over_all_but_the_entry_of_the_channels_own_name() {
        let chosen =
            Chosen { format: Some(Format::Binary), max_messages: Some(10), ..Chosen::default() };
        let configured = |yaml: &str| options(yaml).for_channel(&name("orders.eu"), &chosen);
        let config = configured("storage: {sync_policy: always, max_messages: 5}");
        assert_eq!((config.format, config.sync), (Format::Binary, SyncPolicy::Always));
        assert_eq!(config.limits.max_messages, 10);
        assert!(config.keep_history, "what is to be kept is not deleted because it was read");
        let wild = configured("storage: {channels: {orders.*: {format: jsonl, max_bytes: 7}}}");
        assert_eq!((wild.format, wild.limits.max_bytes), (Format::Binary, 7));
        let own = configured("storage: {channels: {orders.eu: {format: jsonl}}}");
        assert_eq!((own.format, own.limits.max_messages), (Format::Jsonl, 10));
    }

    #[test]
    fn the_documented_defaults_reach_the_store() {
        let options = options("");
        assert_eq!(configured(&options, "orders"), ChannelConfig::default());
        assert_eq!(options.offset_flush_interval, Duration::ZERO);
    }

    #[test]
    fn overrides_that_match_one_channel_are_laid_over_each_other() {
        let options = options(
            "storage:\n  channels:\n    orders.*: {format: binary}\n    '*.eu': {sync_policy: always}\n",
        );
        let eu = configured(&options, "orders.eu");
        assert_eq!((eu.format.as_str(), eu.sync), ("binary", SyncPolicy::Always));
        let us = configured(&options, "orders.us");
        assert_eq!((us.format.as_str(), us.sync), ("binary", SyncPolicy::Periodic));
    }

    #[test]
    fn dead_letters_are_synced_before_the_message_is_passed_unless_nobody_syncs() {
        let letters = |yaml| configured(&options(yaml), "orders.dead-letter");
        assert_eq!(letters("").sync, SyncPolicy::Always);
        assert_eq!(letters("storage: {sync_policy: none}").sync, SyncPolicy::None);
        let named = "storage: {channels: {orders.dead-letter: {sync_policy: periodic}}}";
        assert_eq!(letters(named).sync, SyncPolicy::Periodic);
        assert_eq!(letters("").compaction_threshold_bytes, 50 << 20);
    }

    #[test]
    fn a_dead_letter_has_room_for_the_longest_message_of_its_channel() {
        let options = options("storage: {channels: {orders: {max_record_bytes: 32MiB}}}");
        let letters = configured(&options, "orders.dead-letter");
        assert!(letters.max_record_bytes > 2 * (32 << 20));
    }

    #[test]
    fn a_retention_setting_keeps_what_was_consumed() {
        assert!(configured(&options("storage: {retention: 7d}"), "a").keep_history);
        assert!(configured(&options("storage: {keep_history: true}"), "a").keep_history);
    }
}
