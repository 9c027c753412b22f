//! Every mistake is named, with its place and what is allowed, and all of them at once.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use pubsub_config::{Config, ConfigErrors, ERRORS_MAX, ErrorKind};

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::from_yaml(text, "pubsub.yaml", &|_| None)
}

/// The errors of `text`, empty when there are none.
fn mistakes(text: &str) -> String {
    parse(text).map_or_else(|errors| errors.to_string(), |_| String::new())
}

fn errors(text: &str) -> ConfigErrors {
    parse(text).expect_err(text)
}

/// The one error of `text`, as it is printed.
fn only(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.iter().count(), 1, "{errors}");
    errors.to_string()
}

fn kind(text: &str) -> ErrorKind {
    errors(text).iter().next().unwrap().kind()
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text = "\
name: two words
storage:
  data_dir: [a]
  sync_polcy: always
  sync_interval_ms: often
  segment_mb: 0
  retention: 7 days
  data_dir: b
  channels:
    orders/eu: {format: binary}
    orders: {format: csv}
subscribers:
  retry_backoff_base_ms: 6000
tls:
  cert: a.crt
hub:
  enabled: true
client:
  hubs:
    - subscribe: [a b]
";
    let expected = "\
pubsub.yaml:1:7: name: found \"two words\"; allowed: 1 to 255 characters of A-Z, a-z, 0-9, '.', '_', '-' and ':'
pubsub.yaml:3:13: storage.data_dir: found a list; allowed: a path
pubsub.yaml:4:3: storage.sync_polcy: unknown key; did you mean sync_policy? allowed: data_dir, sync_policy, sync_interval_ms, max_subscriber_lag_mb, compaction_threshold_mb, dead_letter_compaction_threshold_mb, offset_flush_interval_ms, format, segment_mb, max_record_bytes, max_files, retention, keep_history, max_messages, max_bytes, channels
pubsub.yaml:5:21: storage.sync_interval_ms: found \"often\"; allowed: a whole number, 0 to 86400000
pubsub.yaml:6:15: storage.segment_mb: found 0; allowed: a whole number, 1 to 4096
pubsub.yaml:7:14: storage.retention: found \"7 days\"; allowed: 0 or a duration like 7d, 1d12h, 1h30m or 200ms, up to 36500d
pubsub.yaml:8:3: storage.data_dir: given twice, first at 3:3; allowed: once
pubsub.yaml:10:5: storage.channels.orders/eu: no channel matches \"orders/eu\": only A-Z, a-z, 0-9, '.', '_' and '-' are allowed; allowed: a channel name, or a filter with * and >
pubsub.yaml:11:22: storage.channels.orders.format: found \"csv\"; allowed: jsonl or binary
pubsub.yaml:13:26: subscribers.retry_backoff_base_ms: 6000 is more than retry_backoff_max_ms, which is 5000; allowed: 0 to 5000
pubsub.yaml:15:9: tls.key: needed, as tls.cert is set; allowed: both or neither
pubsub.yaml:17:12: hub.listen_addr: needed, as hub.enabled is true; allowed: host:port, such as 0.0.0.0:7740
pubsub.yaml:20:7: client.hubs[0].addr: needed: host:port of the hub
pubsub.yaml:20:19: client.hubs[0].subscribe: found \"a b\": only A-Z, a-z, 0-9, '.', '_' and '-' are allowed; allowed: a channel name, or a filter such as orders.>";
    assert_eq!(errors(text).to_string(), expected);
}

#[test]
fn each_error_says_its_kind_place_and_key() {
    let errors = errors("storage:\n  max_files: -1\n");
    let error = errors.iter().next().unwrap();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    assert_eq!(error.key(), "storage.max_files");
    let place = error.place().unwrap();
    assert_eq!((&*place.file, place.line, place.column), ("pubsub.yaml", 2, 14));
    assert_eq!(error.message(), "found \"-1\"; allowed: a whole number, 0 to 1000000");
}

#[test]
fn the_kind_of_each_mistake_is_told_apart() {
    for (text, expected) in [
        ("a: [", ErrorKind::Syntax),
        ("- a", ErrorKind::WrongType),
        ("plain", ErrorKind::WrongType),
        ("storage: 5", ErrorKind::WrongType),
        ("storage: {data_dir: {a: b}}", ErrorKind::WrongType),
        ("storage: {data_dir: ''}", ErrorKind::OutOfRange),
        ("storage: {keep_history: yes}", ErrorKind::WrongType),
        ("storage: {keep_history: 'true'}", ErrorKind::WrongType),
        ("storage: {max_files: 1.5}", ErrorKind::WrongType),
        ("storage: {max_files: '3'}", ErrorKind::WrongType),
        ("storage: {max_files: 1000001}", ErrorKind::OutOfRange),
        ("storage: {max_messages: 99999999999999999999999}", ErrorKind::OutOfRange),
        ("storage: {max_record_bytes: 8M}", ErrorKind::WrongType),
        ("storage: {max_record_bytes: 1GiB}", ErrorKind::OutOfRange),
        ("storage: {max_record_bytes: 512}", ErrorKind::OutOfRange),
        ("storage: {retention: 7}", ErrorKind::WrongType),
        ("storage: {retention: -7d}", ErrorKind::OutOfRange),
        ("storage: {retention: 9999999d}", ErrorKind::OutOfRange),
        ("storage: {retention: 36501d}", ErrorKind::OutOfRange),
        ("storage: {sync_policy: sometimes}", ErrorKind::OutOfRange),
        ("storage: {channels: [orders]}", ErrorKind::WrongType),
        ("storage: {channels: {orders: 5}}", ErrorKind::WrongType),
        ("storage: {channels: {a..b: {}}}", ErrorKind::OutOfRange),
        ("storage: {channels: {'a.>.b': {}}}", ErrorKind::OutOfRange),
        ("storage: {channels: {'*.a/b': {}}}", ErrorKind::OutOfRange),
        ("storage: {channels: {'*.dead-letter': {}}}", ErrorKind::OutOfRange),
        ("storage: {channels: {orders: {data_dir: x}}}", ErrorKind::UnknownKey),
        ("storage: {compaction_threshold_mb: 0}", ErrorKind::OutOfRange),
        ("subscribers: {max_retries: -1}", ErrorKind::OutOfRange),
        (
            "subscribers: {retry_backoff_base_ms: 10, retry_backoff_max_ms: 5}",
            ErrorKind::Contradiction,
        ),
        ("subscribers: {strict_payload_types: 1}", ErrorKind::WrongType),
        ("dedup: {seen_id_lru_size: 0}", ErrorKind::OutOfRange),
        ("audit: {max_size_mb: 0}", ErrorKind::OutOfRange),
        ("audit: {max_files: 0}", ErrorKind::OutOfRange),
        ("log: {level: loud}", ErrorKind::OutOfRange),
        ("log: {format: xml}", ErrorKind::OutOfRange),
        ("hub: {enabled: true}", ErrorKind::Missing),
        ("hub: {listen_addr: '7740'}", ErrorKind::OutOfRange),
        ("hub: {listen_addr: 'a:b'}", ErrorKind::OutOfRange),
        ("hub: {listen_addr: '::1:80'}", ErrorKind::OutOfRange),
        ("hub: {listen_addr: 'a:65536'}", ErrorKind::OutOfRange),
        ("hub: {allowed_peers: {name: a}}", ErrorKind::WrongType),
        ("hub: {allowed_peers: [alice]}", ErrorKind::WrongType),
        ("hub: {allowed_peers: [{subscribe: [a]}]}", ErrorKind::Missing),
        ("hub: {allowed_peers: [{name: a}, {name: a}]}", ErrorKind::Contradiction),
        ("hub: {allowed_peers: [{name: a, publish: orders}]}", ErrorKind::WrongType),
        ("hub: {allowed_peers: [{name: a, publish: [[x]]}]}", ErrorKind::WrongType),
        ("client: {hubs: [{}]}", ErrorKind::Missing),
        ("client: {hubs: [{addr: ':7740'}]}", ErrorKind::OutOfRange),
        ("client: {hubs: [{addr: 'hub:0'}]}", ErrorKind::OutOfRange),
        ("tls: {cert: a}", ErrorKind::Missing),
        ("tls: {key: a}", ErrorKind::Missing),
        ("tls: {min_version: 1.1}", ErrorKind::OutOfRange),
        ("federation: {reconnect_jitter: 1.1}", ErrorKind::OutOfRange),
        ("federation: {reconnect_jitter: much}", ErrorKind::WrongType),
        ("federation: {reconnect_base_ms: 70000}", ErrorKind::Contradiction),
        ("federation: {max_batch_bytes: 0}", ErrorKind::OutOfRange),
        ("<<: {}", ErrorKind::UnknownKey),
    ] {
        assert_eq!(kind(text), expected, "{text}: {}", errors(text));
    }
}

#[test]
fn the_borders_of_ranges_are_inside() {
    for text in [
        "storage: {segment_mb: 1, max_files: 1000000, max_record_bytes: 1KiB}",
        "storage: {segment_mb: 4096, max_record_bytes: 256MiB, retention: 36500d}",
        "subscribers: {max_retries: 0, retry_backoff_base_ms: 5000}",
        "federation: {reconnect_jitter: 0, max_batch_bytes: 64MiB}",
        "federation: {reconnect_jitter: 1, reconnect_base_ms: 60000}",
        "hub: {listen_addr: ':0'}",
        "hub: {listen_addr: '[::1]:7740'}",
        "client: {hubs: [{addr: 'hub-1.example:65535'}]}",
        "tls: {cert: a, key: b, min_version: 1.2}",
    ] {
        parse(text).unwrap_or_else(|errors| panic!("{text}: {errors}"));
    }
}

#[test]
fn a_misplaced_key_is_shown_where_it_belongs() {
    let message = only("data_dir: x\n");
    assert!(message.starts_with("pubsub.yaml:1:1: data_dir: unknown key; did you mean storage.data_dir? allowed: name, storage,"), "{message}");
    let message = only("resources: x\n");
    assert!(message.contains("unknown key; allowed: name, storage"), "{message}");
}

#[test]
fn what_is_already_reported_is_not_reported_again_as_its_consequence() {
    only("hub: {enabled: true, listen_adr: ':1'}\n");
    only("hub: {enabled: true, listen_addr: '1'}\n");
    only("subscribers: {retry_backoff_max_ms: x, retry_backoff_base_ms: 9000}\n");
    only("client: {hubs: [{adr: 'hub:1'}]}\n");
    only("hub: {allowed_peers: [alice]}\n");
    only("storage: {sync_policy: periodical, sync_interval_ms: 0}\n");
}

#[test]
fn text_that_is_not_yaml_is_one_error_with_its_place() {
    for (text, place) in [
        ("a: [1, 2\n", "pubsub.yaml:2:1: "),
        ("storage:\n\tdata_dir: x\n", "pubsub.yaml:2:1: "),
        ("name: 'x\n", "pubsub.yaml:"),
        ("name: a: b\n", "pubsub.yaml:1:8: "),
        ("unknown: 1\nname: *nobody\n", "pubsub.yaml:2:7: "),
    ] {
        let message = only(text);
        assert!(message.starts_with(place), "{text:?}: {message}");
        assert!(message.contains("not valid YAML: "), "{text:?}: {message}");
    }
    let errors = Config::from_slice(b"name: \xff", "pubsub.yaml", &|_| None).unwrap_err();
    assert_eq!(errors.to_string(), "pubsub.yaml:1:7: not UTF-8 text");
}

#[test]
fn hostile_text_is_refused_quickly_and_told_why() {
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for level in 1..40 {
        bomb += &format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1);
    }
    assert_eq!(kind(&bomb), ErrorKind::Limit);
    assert_eq!(kind(&"#".repeat((1 << 20) + 1)), ErrorKind::Limit);
    assert_eq!(kind(&"- ".repeat(500_000)), ErrorKind::Limit);
    assert_eq!(kind(&"k:\n".repeat(100_000)), ErrorKind::Limit);
}

#[test]
fn a_flood_of_mistakes_is_cut_and_counted() {
    let text: String = (0..2_000).map(|at| format!("key{at}: 1\n")).collect();
    let errors = errors(&text);
    assert_eq!(errors.iter().count(), ERRORS_MAX);
    assert_eq!(errors.omitted(), 2_000 - ERRORS_MAX);
    assert!(errors.to_string().ends_with("\nand 1900 more"));
}

#[test]
fn long_keys_and_values_do_not_make_long_errors() {
    let long = "x".repeat(100_000);
    for text in [
        format!("{long}: 1"),
        format!("storage: {{max_files: {long}}}"),
        format!("name: ' {long}'"),
    ] {
        let message = only(&text);
        assert!(message.len() < 1_000, "{} bytes", message.len());
    }
}

#[test]
fn validate_applies_the_same_rules_to_what_was_built_in_code() {
    let mut config = Config::default();
    config.validate().unwrap();
    config.storage.segment_mb = 0;
    config.storage.sync_interval_ms = 0;
    config.subscribers.retry_backoff_max_ms = 1;
    config.tls.key = "a.key".to_owned();
    config.federation.reconnect_jitter = f64::NAN;
    config.storage.channels.insert(">".parse().unwrap(), Default::default());
    config.storage.channels.insert("a/b".parse().unwrap(), Default::default());
    let errors = config.validate().unwrap_err();
    let mut keys: Vec<&str> = errors.iter().map(|error| error.key()).collect();
    keys.sort_unstable();
    let expected = [
        "federation.reconnect_jitter",
        "storage.channels.a/b",
        "storage.segment_mb",
        "storage.sync_interval_ms",
        "subscribers.retry_backoff_base_ms",
        "tls.cert",
    ];
    assert_eq!(keys, expected);
    assert!(errors.iter().all(|error| error.place().is_none()));
    assert!(errors.to_string().contains("storage.segment_mb: found 0; allowed: a whole number"));
}

#[test]
fn a_link_without_certificates_is_refused_unless_somebody_said_so() {
    let hub = |address: &str, insecure: &str| {
        mistakes(&format!(
            "hub: {{enabled: true, listen_addr: '{address}', insecure: {insecure}}}\n"
        ))
    };
    for (address, insecure) in
        [("127.0.0.1:7740", "true"), ("[::1]:7740", "yes"), (":7740", "anywhere")]
    {
        assert_eq!(hub(address, insecure), "", "{address} {insecure}");
    }
    let refused = hub("127.0.0.1:7740", "false");
    assert!(refused.contains("needs tls.cert, tls.key, tls.ca; make them with"), "{refused}");
    let refused = hub("0.0.0.0:7740", "true");
    assert!(
        refused.contains("allowed: a loopback address, certificates, or insecure"),
        "{refused}"
    );
    let client = "client: {enabled: true, hubs: [{addr: 'hub.example:7740', insecure: true}]}\n";
    let refused = mistakes(client);
    assert!(refused.contains("client.hubs[0].addr: hub.example:7740 is reached"), "{refused}");
}

#[test]
fn dead_letter_channels_are_not_for_links() {
    let refused =
        mistakes("client: {hubs: [{addr: 'a:1', publish: [orders.>, orders.dead-letter]}]}\n");
    assert!(refused.contains("dead letters stay where they are"), "{refused}");
}
