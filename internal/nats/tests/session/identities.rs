//! Who the client is, and what follows from it.

use pubsub_nats::{Close, Identity, Permissions, Settings, Unrestricted};

use crate::{Client, QUIET};

fn asks() -> Settings {
    Settings { auth_required: true, payload_max: 1000, subscriptions_max: 2, ..Settings::default() }
}

#[test]
fn nothing_is_read_until_it_is_known_who_this_is() {
    let mut client = Client::new(asks());
    let bytes = format!("{QUIET}\r\nPING\r\nPUB a 1\r\nx\r\n");
    let mut input = bytes.as_bytes();
    assert_eq!(client.read(&mut input, &mut Unrestricted), ["authorize"]);
    assert!(client.session.is_authorizing());
    assert_eq!(client.read(&mut input, &mut Unrestricted), [""; 0]);
    assert_eq!(client.told(), "");
    assert!(client.authorize(Identity::default()).is_none());
    assert_eq!(client.read(&mut input, &mut Unrestricted), ["publish a x"]);
    assert!(client.told().starts_with("PONG\r\n"));
}

#[test]
fn who_is_refused_is_told_and_not_read() {
    let mut client = Client::new(asks());
    client.send(QUIET);
    client.session.close(Close::AuthenticationFailure, &mut client.out);
    assert_eq!(client.told(), "-ERR 'Authorization Violation'\r\n");
    assert_eq!(client.send("PUB a 0\r\n"), [""; 0]);
}

#[test]
fn answer_that_nobody_asked_for_changes_nothing() {
    let mut client = Client::new(asks());
    assert!(client.authorize(Identity::default()).is_none());
    assert_eq!(client.send("PING"), ["close: Authentication Failure"]);
}

#[test]
fn user_has_limits_of_its_own_and_is_told_of_them() {
    let mut client = Client::new(asks());
    client.send(QUIET);
    let identity = Identity {
        account: "A".into(),
        is_system: true,
        payload_max: Some(10),
        subscriptions_max: Some(1),
        expires: None,
    };
    assert!(client.authorize(identity).is_none());
    client.send("PING");
    let told = client.told();
    for part in [
        "\"max_payload\":10,",
        "\"connect_info\":true",
        "\"remote_account\":\"A\"",
        "\"acc_is_sys\":true",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!told.contains("nonce"));
    assert_eq!(client.send("SUB a 1"), ["subscribe a"]);
    assert_eq!(client.send("SUB b 2"), [""; 0]);
    assert_eq!(client.told(), "-ERR 'maximum subscriptions exceeded'\r\n");
    assert_eq!(client.send("PUB $NRG.x 1\r\nx"), ["publish $NRG.x x"]);
    assert_eq!(client.send("PUB a 11"), ["close: Maximum Message Payload Exceeded"]);
}

#[test]
fn second_connect_ends_the_subscriptions_of_the_first_before_it_is_looked_at() {
    let mut client = Client::open(asks());
    client.send("SUB a 1\r\nSUB b 2");
    let bytes = format!("{QUIET}\r\nPUB a 0\r\n\r\n");
    let mut input = bytes.as_bytes();
    let mut actions = client.read(&mut input, &mut Unrestricted);
    assert_eq!(input.len(), 11, "what is behind it waits");
    assert_eq!(actions.pop().unwrap(), "authorize");
    actions.sort();
    assert_eq!(actions, ["unsubscribe a", "unsubscribe b"]);
    assert_eq!(client.session.subscription_count(), 0);
}

#[test]
fn first_connect_keeps_subscriptions_where_nobody_must_say_who_he_is() {
    let open = Settings { auth_required: false, ..asks() };
    let mut client = Client::new(open);
    let mut input = &b"SUB a 1\r\n"[..];
    client.read(&mut input, &mut Unrestricted);
    assert!(client.authorize(Identity::default()).is_none());
    client.read(&mut input, &mut Unrestricted);
    assert_eq!(client.send(QUIET), ["authorize"]);
    assert!(client.authorize(Identity::default()).is_none());
    assert_eq!(client.session.subscription_count(), 1);
    assert_eq!(client.send(QUIET), ["unsubscribe a", "authorize"]);
}

/// May have `b` and what is in group `q`.
struct Narrow;

impl Permissions for Narrow {
    fn may_publish(&mut self, subject: &str) -> bool {
        subject == "b"
    }

    fn may_subscribe(&mut self, subject: &str, queue: Option<&str>) -> bool {
        subject == "b" || queue == Some("q")
    }
}

#[test]
fn subscriptions_that_are_no_longer_allowed_end_and_the_client_is_told() {
    let mut client = Client::open(Settings { subscriptions_max: 0, ..asks() });
    client.send("SUB a 1\r\nSUB b 2\r\nSUB c q 3\r\nSUB d r 4");
    let lost = client.session.review(&mut Narrow, &mut client.out);
    let mut lost: Vec<_> = lost.iter().map(pubsub_nats::Subscription::subject).collect();
    lost.sort_unstable();
    assert_eq!(lost, ["a", "d"]);
    let told = client.told();
    for line in [
        "-ERR 'Permissions Violation for Subscription to \"a\" (sid \"1\")'\r\n",
        "-ERR 'Permissions Violation for Subscription to \"d\" using queue \"r\" (sid \"4\")'\r\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert_eq!(client.session.subscription_count(), 2);
}

#[test]
fn what_is_not_allowed_is_neither_published_nor_subscribed_to() {
    let mut client = Client::open(asks());
    let mut input = &b"PUB a 0\r\n\r\nPUB b 0\r\n\r\nSUB a 1\r\nSUB b 1\r\n"[..];
    assert_eq!(client.read(&mut input, &mut Narrow), ["publish b ", "subscribe b"]);
    assert_eq!(
        client.told(),
        "-ERR 'Permissions Violation for Publish to \"a\"'\r\n\
         -ERR 'Permissions Violation for Subscription to \"a\"'\r\n"
    );
}
