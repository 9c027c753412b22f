//! Who gave a value is remembered, and a flag is stronger than the environment, the file, the default.

#![expect(clippy::panic, reason = "helpers of tests fail like tests")]

use pubsub_config::{Config, ErrorKind, Origin};
use pubsub_types::{ChannelName, Format, SyncPolicy};

fn env(name: &str) -> Option<String> {
    match name {
        "DIR" => Some("/srv".to_owned()),
        "RETRIES" => Some("7".to_owned()),
        "BAD" => Some("many".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Config {
    Config::from_yaml(text, "pubsub.yaml", &env).unwrap_or_else(|errors| panic!("{errors}"))
}

fn row(config: &Config, key: &str) -> (String, String) {
    let rows = config.effective();
    let row = rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("no row {key}"));
    (row.value.clone(), row.origin.to_string())
}

fn is(value: &str, origin: &str) -> (String, String) {
    (value.to_owned(), origin.to_owned())
}

#[test]
fn every_value_says_where_it_came_from() {
    let mut config = parse(
        "storage:\n  data_dir: ${DIR}/data\n  max_files: 3\n  segment_mb: ${NONE:-32}\n  channels: {\"a.>\": {format: binary}}\n",
    );
    config.set("storage.max_messages", "9", Origin::Flag).unwrap();
    let variable = Origin::Env { variable: "PUBSUB_LOG".into(), place: None };
    config.set("log.level", "warn", variable).unwrap();
    config.storage.max_bytes = 5 << 20;
    config.apply_defaults("host");
    for (key, value, origin) in [
        ("name", "host", "default"),
        ("storage.data_dir", "/srv/data", "env DIR (pubsub.yaml:2)"),
        ("storage.max_files", "3", "pubsub.yaml:3"),
        ("storage.segment_mb", "32", "pubsub.yaml:4"),
        ("storage.channels.a.>.format", "binary", "pubsub.yaml:5"),
        ("storage.max_messages", "9", "flag"),
        ("log.level", "warn", "env PUBSUB_LOG"),
        ("storage.max_bytes", "5MiB", "program"),
        ("storage.retention", "0", "default"),
    ] {
        assert_eq!(row(&config, key), is(value, origin), "{key}");
    }
}

#[test]
fn a_field_assigned_later_is_not_passed_off_as_the_files() {
    let mut config = parse("storage: {max_files: 3}\n");
    config.storage.max_files = 4;
    assert_eq!(row(&config, "storage.max_files"), is("4", "program"));
}

#[test]
fn a_policy_that_follows_from_the_interval_points_at_the_interval() {
    let mut config = parse("storage:\n  sync_interval_ms: 0\n");
    assert_eq!(row(&config, "storage.sync_policy"), is("always", "pubsub.yaml:2"));
    config.set("storage.sync_interval_ms", "50", Origin::Flag).unwrap();
    assert_eq!(row(&config, "storage.sync_policy"), is("periodic", "default"));
    config.set("storage.sync_interval_ms", "0", Origin::Flag).unwrap();
    assert_eq!(row(&config, "storage.sync_policy"), is("always", "flag"));
    config.set("storage.sync_policy", "periodic", Origin::Flag).unwrap();
    let errors = config.validate().unwrap_err();
    assert!(errors.to_string().starts_with("command line: storage.sync_interval_ms: 0 asks"));
}

#[test]
fn a_policy_assigned_in_code_outlives_a_flag_for_the_interval() {
    let mut config = Config::default();
    config.storage.sync_policy = SyncPolicy::Always;
    config.set("storage.sync_interval_ms", "50", Origin::Flag).unwrap();
    assert_eq!(config.storage.sync_policy, SyncPolicy::Always);
}

#[test]
fn what_a_list_holds_is_shown_item_by_item() {
    let config = parse("hub: {allowed_peers: [{name: a, publish: [x, y.z]}]}\n");
    assert_eq!(row(&config, "hub.allowed_peers[0].name"), is("a", "pubsub.yaml:1"));
    assert_eq!(row(&config, "hub.allowed_peers[0].publish"), is("[x, y.z]", "pubsub.yaml:1"));
    assert_eq!(row(&config, "hub.allowed_peers[0].subscribe"), is("[]", "default"));
}

#[test]
fn variables_are_typed_like_what_they_stand_for() {
    let config = parse("subscribers: {max_retries: \"${RETRIES}\"}\nname: x${NONE:-}y\n");
    assert_eq!((config.subscribers.max_retries, &*config.name), (7, "xy"));
    for (text, kind, place) in [
        ("name: ${NONE}\n", ErrorKind::Environment, "pubsub.yaml:1:7: name: "),
        ("name: ${oh no}\n", ErrorKind::Environment, "pubsub.yaml:1:7: name: "),
        ("subscribers: {max_retries: \"${BAD}\"}\n", ErrorKind::WrongType, "pubsub.yaml:1:28: "),
    ] {
        let errors = Config::from_yaml(text, "pubsub.yaml", &env).unwrap_err();
        assert_eq!(errors.iter().next().unwrap().kind(), kind, "{text}");
        assert!(errors.to_string().starts_with(place), "{errors}");
    }
}

#[test]
fn a_flag_is_stronger_than_the_file() {
    let mut config = parse("storage: {channels: {orders.eu: {format: jsonl}}}\n");
    for (key, value) in [
        ("name", "bob"),
        ("storage.retention", "1h30m"),
        ("storage.channels.orders.eu.format", "binary"),
        ("storage.channels.orders.>.max_bytes", "1GiB"),
    ] {
        config.set(key, value, Origin::Flag).unwrap();
    }
    config.validate().unwrap();
    let orders = config.storage.for_channel(&ChannelName::new("orders.eu").unwrap());
    assert_eq!((orders.format, orders.max_bytes), (Format::Binary, 1 << 30));
    assert_eq!(row(&config, "storage.channels.orders.eu.format"), is("binary", "flag"));
    assert_eq!(row(&config, "storage.retention"), is("1h30m", "flag"));
}

#[test]
fn a_flag_that_is_wrong_says_so_and_changes_nothing() {
    for (key, value, kind, says) in [
        ("storage.max_fles", "3", ErrorKind::UnknownKey, "did you mean max_files?"),
        ("max_files", "3", ErrorKind::UnknownKey, "did you mean storage.max_files?"),
        ("storage", "x", ErrorKind::UnknownKey, "name one of them"),
        ("storage.channels", "x", ErrorKind::UnknownKey, "name one of them"),
        ("storage.channels.a", "x", ErrorKind::UnknownKey, "<name>.<key>"),
        ("storage.channels.a.b", "x", ErrorKind::UnknownKey, "allowed: format"),
        ("storage.channels.a/b.format", "binary", ErrorKind::OutOfRange, "are allowed"),
        ("storage.max_files.x", "3", ErrorKind::UnknownKey, "holds no keys"),
        ("client.hubs", "x", ErrorKind::UnknownKey, "only a file"),
        ("client.hubs[0].addr", "a:1", ErrorKind::UnknownKey, "allowed: enabled, hubs"),
        ("storage.max_files", "x", ErrorKind::WrongType, "allowed: a whole number"),
        ("storage.segment_mb", "0", ErrorKind::OutOfRange, ", 1 to 4096"),
        ("", "", ErrorKind::UnknownKey, "allowed: name, storage"),
    ] {
        let mut config = Config::default();
        let error = config.set(key, value, Origin::Flag).expect_err(key);
        assert_eq!(error.kind(), kind, "{key}");
        let text = error.to_string();
        assert!(text.starts_with("command line: ") && text.contains(says), "{key}: {text}");
        assert_eq!(config, Config::default(), "{key}");
        assert_eq!(config.effective(), Config::default().effective(), "{key}");
    }
}
