//! Old and new files, whole and sparse, mean what they meant.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::Path;
use std::time::Duration;

use pubsub_config::{Config, ErrorKind, LogFormat, LogLevel, TlsVersion};
use pubsub_types::{ChannelName, Filter, Format, SyncPolicy};

fn parse(text: &str) -> Config {
    Config::from_yaml(text, "pubsub.yaml", &|_| None).unwrap_or_else(|errors| panic!("{errors}"))
}

fn only_error(text: &str) -> (ErrorKind, String) {
    let errors = Config::from_yaml(text, "pubsub.yaml", &|_| None).expect_err(text);
    assert_eq!(errors.iter().count(), 1, "{errors}");
    let error = errors.iter().next().unwrap();
    (error.kind(), error.to_string())
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_file_with_every_documented_key_is_read_in_full() {
    let config = parse(
        "\
name: alice:1
storage:
  data_dir: /var/lib/pubsub
  sync_policy: interval
  sync_interval_ms: 500
  max_subscriber_lag_mb: 1
  compaction_threshold_mb: 2
  dead_letter_compaction_threshold_mb: 3
  offset_flush_interval_ms: 4
  format: binary
  segment_mb: 5
  max_record_bytes: 1.5MiB
  max_files: 6
  retention: 1.5d
  keep_history: true
  max_messages: 7
  max_bytes: 8GiB
  channels:
    \"orders.>\":
      format: jsonl
      sync_policy: none
      segment_mb: 9
      max_record_bytes: 64KiB
      retention: 1d12h
      max_files: 10
      max_messages: 11
      max_bytes: 12
      max_messages_per_subject: 13
      keep_history: false
      compaction_threshold_mb: 14
subscribers:
  max_retries: 0
  retry_backoff_base_ms: 15
  retry_backoff_max_ms: 16
  max_age: 168h
  strict_payload_types: true
dedup: {seen_id_lru_size: 17}
audit: {max_size_mb: 18, max_files: 19}
log: {level: debug, format: json}
hub:
  enabled: true
  listen_addr: 0.0.0.0:7740
  allowed_peers:
    - name: bob
    - {name: carol, subscribe: [orders], publish: [a, b.c]}
  fed_client_offset_ttl: 7d
client:
  enabled: true
  hubs:
    - addr: hub.example:7740
      subscribe: [orders]
      publish: []
tls: {cert: a.crt, key: a.key, ca: ca.crt, min_version: \"1.2\", expiry_warn_days: 20}
federation:
  reconnect_base_ms: 21
  reconnect_max_ms: 22
  reconnect_jitter: 0.25
  send_buffer_messages: 23
  max_batch_bytes: 4194304
",
    );
    assert_eq!(config.name, "alice:1");
    let storage = &config.storage;
    assert_eq!(storage.data_dir, Path::new("/var/lib/pubsub"));
    assert_eq!((storage.sync_policy, storage.sync_interval_ms), (SyncPolicy::Periodic, 500));
    assert_eq!((storage.max_subscriber_lag_mb, storage.compaction_threshold_mb), (1, 2));
    assert_eq!(storage.dead_letter_compaction_threshold_mb, 3);
    assert_eq!((storage.offset_flush_interval_ms, storage.format), (4, Format::Binary));
    assert_eq!((storage.segment_mb, storage.max_record_bytes), (5, 3 << 19));
    assert_eq!((storage.max_files, storage.retention), (6, DAY * 3 / 2));
    assert_eq!((storage.keep_history, storage.max_messages), (true, 7));
    assert_eq!(storage.max_bytes, 8 << 30);
    let orders = storage.for_channel(&ChannelName::new("orders.eu").unwrap());
    assert_eq!((orders.format, orders.sync_policy), (Format::Jsonl, SyncPolicy::None));
    assert_eq!(orders.sync_interval, Duration::from_millis(500));
    assert_eq!((orders.segment_bytes, orders.max_record_bytes), (9 << 20, 64 << 10));
    assert_eq!((orders.retention, orders.max_files), (DAY * 3 / 2, 10));
    assert_eq!((orders.max_messages, orders.max_bytes), (11, 12));
    assert_eq!((orders.max_messages_per_subject, orders.keep_history), (13, false));
    assert_eq!(orders.compaction_threshold_bytes, 14 << 20);
    let subscribers = &config.subscribers;
    assert_eq!((subscribers.max_retries, subscribers.retry_backoff_base_ms), (0, 15));
    assert_eq!((subscribers.retry_backoff_max_ms, subscribers.max_age), (16, 7 * DAY));
    assert!(subscribers.strict_payload_types);
    assert_eq!(config.dedup.seen_id_lru_size, 17);
    assert_eq!((config.audit.max_size_mb, config.audit.max_files), (18, 19));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Debug, LogFormat::Json));
    assert_eq!((config.hub.enabled, &*config.hub.listen_addr), (true, "0.0.0.0:7740"));
    assert_eq!(config.hub.fed_client_offset_ttl, 7 * DAY);
    assert_eq!(config.hub.allowed_peers[0].name, "bob");
    assert_eq!(config.hub.allowed_peers[1].publish, ["a", "b.c"]);
    assert_eq!(config.client.hubs[0].addr, "hub.example:7740");
    assert_eq!(config.client.hubs[0].subscribe, ["orders"]);
    assert!(config.client.hubs[0].publish.is_empty());
    assert_eq!(
        (&*config.tls.cert, &*config.tls.key, &*config.tls.ca),
        ("a.crt", "a.key", "ca.crt")
    );
    assert_eq!((config.tls.min_version, config.tls.expiry_warn_days), (TlsVersion::V1_2, 20));
    let federation = &config.federation;
    assert_eq!((federation.reconnect_base_ms, federation.reconnect_max_ms), (21, 22));
    assert_eq!((federation.send_buffer_messages, federation.max_batch_bytes), (23, 4 << 20));
    assert!((federation.reconnect_jitter - 0.25).abs() < f64::EPSILON);
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = Config::default();
    config.validate().unwrap();
    assert_eq!(config.name, "");
    let storage = &config.storage;
    assert_eq!(storage.data_dir, Path::new("./data"));
    assert_eq!((storage.sync_policy, storage.sync_interval_ms), (SyncPolicy::Periodic, 200));
    assert_eq!((storage.max_subscriber_lag_mb, storage.compaction_threshold_mb), (512, 256));
    assert_eq!(storage.dead_letter_compaction_threshold_mb, 50);
    assert_eq!((storage.offset_flush_interval_ms, storage.format), (0, Format::Jsonl));
    assert_eq!((storage.segment_mb, storage.max_record_bytes), (64, 8 << 20));
    assert_eq!((storage.max_files, storage.retention), (0, Duration::ZERO));
    assert_eq!((storage.keep_history, storage.max_messages, storage.max_bytes), (false, 0, 0));
    assert!(storage.channels.is_empty());
    let subscribers = &config.subscribers;
    assert_eq!((subscribers.max_retries, subscribers.retry_backoff_base_ms), (5, 100));
    assert_eq!((subscribers.retry_backoff_max_ms, subscribers.max_age), (5_000, Duration::ZERO));
    assert!(!subscribers.strict_payload_types);
    assert_eq!(config.dedup.seen_id_lru_size, 100_000);
    assert_eq!((config.audit.max_size_mb, config.audit.max_files), (100, 10));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Info, LogFormat::Auto));
    assert_eq!((config.hub.enabled, config.client.enabled), (false, false));
    assert_eq!(config.hub.fed_client_offset_ttl, 7 * DAY);
    assert_eq!((config.tls.min_version, config.tls.expiry_warn_days), (TlsVersion::V1_3, 30));
    let federation = &config.federation;
    assert_eq!((federation.reconnect_base_ms, federation.reconnect_max_ms), (500, 60_000));
    assert_eq!((federation.send_buffer_messages, federation.max_batch_bytes), (10_000, 65_536));
}

#[test]
fn nothing_given_is_the_default_wherever_it_is_left_out() {
    for text in [
        "",
        "# nothing\n",
        "storage:\n",
        "storage: {}\nsubscribers: ~\n",
        "storage:\n  data_dir:\n  max_files: null\n  channels:\nsubscribers:\n  max_retries: ~\n",
        "hub: {allowed_peers: , listen_addr: ''}\nclient: {hubs: []}\nname: ''\n",
    ] {
        assert_eq!(parse(text), Config::default(), "{text:?}");
    }
}

#[test]
fn text_is_text_however_it_looks() {
    assert_eq!(parse("name: 007\n").name, "007");
    assert_eq!(parse("name: true\n").name, "true");
    assert_eq!(parse("name: \"null\"\n").name, "null");
    assert_eq!(parse("name: 1.10\r\n").name, "1.10");
    assert_eq!(parse("\u{feff}name: x\n").name, "x");
    assert_eq!(parse("storage: {data_dir: 'a b/é'}\n").storage.data_dir, Path::new("a b/é"));
}

#[test]
fn an_alias_says_again_what_its_anchor_said() {
    let config =
        parse("storage:\n  channels:\n    a: &small {max_messages: 5}\n    b: *small\n    c:\n");
    let kept = |name| config.storage.channels[&Filter::new(name).unwrap()].max_messages;
    assert_eq!((kept("a"), kept("b"), kept("c")), (Some(5), Some(5), None));
}

#[test]
fn an_interval_of_zero_alone_means_a_sync_at_each_write() {
    let config = parse("storage: {sync_interval_ms: 0}\n");
    assert_eq!(config.storage.sync_policy, SyncPolicy::Always);
    let config = parse("storage: {sync_interval_ms: 0, sync_policy: always}\n");
    assert_eq!(config.storage.sync_policy, SyncPolicy::Always);
    let config = parse("storage: {sync_interval_ms: 300}\n");
    assert_eq!(config.storage.sync_policy, SyncPolicy::Periodic);
    for policy in ["periodic", "none"] {
        let text = format!("storage:\n  sync_policy: {policy}\n  sync_interval_ms: 0\n");
        let (kind, message) = only_error(&text);
        assert_eq!(kind, ErrorKind::Contradiction);
        assert!(
            message.starts_with("pubsub.yaml:3:21: storage.sync_interval_ms: 0 asks"),
            "{message}"
        );
        assert!(message.contains(policy), "{message}");
    }
}

#[test]
fn a_channels_interval_follows_the_same_spelling() {
    let policy = |text: &str, name: &str| {
        parse(text).storage.for_channel(&ChannelName::new(name).unwrap()).sync_policy
    };
    let each_write = "storage: {channels: {a: {sync_interval_ms: 0}}}\n";
    assert_eq!(policy(each_write, "a"), SyncPolicy::Always);
    assert_eq!(policy(each_write, "b"), SyncPolicy::Periodic);
    let text = "storage: {channels: {a: {sync_interval_ms: 0, sync_policy: none}}}\n";
    assert_eq!(only_error(text).0, ErrorKind::Contradiction);
    // Without a policy the interval would be ignored, which nobody would notice.
    let text = "storage: {sync_policy: always, channels: {a: {sync_interval_ms: 9}}}\n";
    let (kind, message) = only_error(text);
    assert_eq!(kind, ErrorKind::Contradiction);
    assert!(message.contains("add sync_policy: periodic"), "{message}");
    let text = "storage: {sync_policy: always, channels: {\">\": {sync_policy: periodic}, a: \
                {sync_interval_ms: 9}}}\n";
    assert_eq!(policy(text, "a"), SyncPolicy::Periodic);
    let text = "storage: {sync_interval_ms: 0, channels: {a: {sync_policy: periodic}}}\n";
    assert_eq!(policy(text, "a"), SyncPolicy::Periodic);
}

#[test]
fn a_name_that_is_not_given_is_the_hosts() {
    let named = |text: &str, host: &str| {
        let mut config = parse(text);
        config.apply_defaults(host);
        config.validate().unwrap();
        config.name
    };
    assert_eq!(named("name: alice\n", "host"), "alice");
    assert_eq!(named("", "host-1.example"), "host-1.example");
    assert_eq!(named("", "my host é\n"), "my-host---");
    assert_eq!(named("", ""), "localhost");
    assert_eq!(named("", &"h".repeat(300)).len(), 255);
}
