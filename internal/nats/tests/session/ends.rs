//! Why connections end, and what clients are told of it.

use std::sync::Arc;
use std::time::Duration;

use pubsub_nats::{Close, Identity, Info, Outgoing, Settings, Verb};

use crate::{Client, QUIET, SECOND};

#[test]
fn silent_client_is_cut_at_the_deadline_whoever_may_come() {
    for auth_required in [false, true] {
        let mut client = Client::new(Settings { auth_required, ..Settings::default() });
        assert_eq!(client.wait(SECOND * 5 - Duration::from_millis(1)), None);
        let _ping = client.told();
        assert_eq!(client.wait(Duration::from_millis(1)), Some("Authentication Timeout"));
        assert_eq!(client.told(), "-ERR 'Authentication Timeout'\r\n");
        assert_eq!(client.session.poll_timeout(), None);
    }
}

#[test]
fn deadline_is_not_moved_by_bytes_that_say_nothing() {
    let mut client = Client::new(Settings::default());
    let mut ended = None;
    for len in 1..=QUIET.len() {
        let mut input = &QUIET.as_bytes()[..len];
        assert_eq!(client.read(&mut input, &mut pubsub_nats::Unrestricted), [""; 0]);
        if ended.is_none() {
            ended = client.wait(SECOND / 4);
        }
    }
    assert_eq!(ended, Some("Authentication Timeout"));
}

#[test]
fn deadline_holds_while_it_is_found_out_who_this_is() {
    let mut client = Client::new(Settings { auth_required: true, ..Settings::default() });
    assert_eq!(client.send(QUIET), ["authorize"]);
    assert_eq!(client.wait(SECOND * 5), Some("Authentication Timeout"));
    client.told();
    // The answer comes too late.
    assert!(client.authorize(Identity::default()).is_none());
    assert!(client.session.is_closed());
    assert_eq!(client.told(), "");
}

#[test]
fn client_that_said_something_is_not_cut_where_it_need_not_say_who_it_is() {
    let mut client = Client::new(Settings::default());
    let mut input = &b"SUB a 1\r\n"[..];
    assert_eq!(client.read(&mut input, &mut pubsub_nats::Unrestricted), ["authorize nobody"]);
    assert_eq!(input.len(), 9, "it is read once it is known who this is");
    assert!(client.authorize(Identity::default()).is_none());
    assert_eq!(client.read(&mut input, &mut pubsub_nats::Unrestricted), ["subscribe a"]);
    assert_eq!(client.wait(SECOND * 60), None);
}

#[test]
fn client_that_answers_no_ping_is_stale() {
    let settings = Settings { ping_interval: SECOND * 10, ..Settings::default() };
    let mut client = Client::open(settings);
    assert_eq!(client.wait(SECOND * 2), None);
    assert_eq!(client.told(), "PING\r\n");
    assert_eq!(client.wait(SECOND * 10), None);
    assert_eq!(client.told(), "PING\r\n");
    assert_eq!(client.wait(SECOND * 10), Some("Stale Connection"));
    assert_eq!(client.told(), "-ERR 'Stale Connection'\r\n");
}

#[test]
fn client_that_answers_pings_stays_and_its_distance_is_known() {
    let mut client = Client::open(Settings { ping_interval: SECOND * 10, ..Settings::default() });
    for _ in 0..10 {
        assert_eq!(client.wait(SECOND * 10), None);
        assert_eq!(client.told(), "PING\r\n");
        client.send("PONG");
    }
    assert_eq!(client.session.round_trip(), Some(SECOND * 8));
}

#[test]
fn expired_credentials_end_a_live_connection() {
    use pubsub_nats::{Expires, Expiry};
    for (of, text) in [
        (Expires::User, "-ERR 'User Authentication Expired'\r\n"),
        (Expires::Account, "-ERR 'Account Authentication Expired'\r\n"),
    ] {
        let mut client = Client::new(Settings::default());
        client.send(QUIET);
        let expires = Some(Expiry { at: client.now + SECOND, of });
        assert!(client.authorize(Identity { expires, ..Identity::default() }).is_none());
        assert_eq!(client.wait(SECOND), Some("Authentication Expired"));
        assert_eq!(client.told(), text);
    }
}

#[test]
fn client_that_does_not_read_its_messages_is_too_slow() {
    let mut client = Client::open(Settings { pending_max: 1000, ..Settings::default() });
    let id = client.subscribe("a 1");
    let message = Outgoing::new("a", None, &[b'x'; 300], 0);
    let mut sent = 0;
    let close = loop {
        match client.session.deliver(id, &message, &mut client.out) {
            pubsub_nats::Delivered::Sent => sent += 1,
            pubsub_nats::Delivered::Close(close) => break close,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(sent, 3);
    assert_eq!(close.reason(), "Slow Consumer (Pending Bytes)");
    assert_eq!(
        close.to_string(),
        "Slow Consumer (Pending Bytes): 1260 bytes wait, of 1000 at most"
    );
    assert!(!close.lets_send());
    assert_eq!(close.error_text(), None);
    assert!(client.session.is_closed());
}

#[test]
fn client_that_does_not_read_its_answers_is_too_slow() {
    let mut client = Client::open(Settings { pending_max: 1000, ..Settings::default() });
    let actions = client.send_bytes(&b"PING\r\n".repeat(10_000));
    assert_eq!(actions, ["close: Slow Consumer (Pending Bytes)"]);
    assert!(client.out.pending() <= 1000 + 6);
}

#[test]
fn client_that_does_not_read_what_it_is_told_of_the_server_is_too_slow() {
    let mut client = Client::open(Settings { pending_max: 1000, ..Settings::default() });
    let close = (0..100).find_map(|_| client.session.announce(Arc::default(), &mut client.out));
    assert_eq!(close.unwrap().reason(), "Slow Consumer (Pending Bytes)");
    assert!(client.out.pending() < 1500);
}

#[test]
fn server_about_to_go_says_so_to_those_who_understand() {
    let info = Arc::new(Info { ldm: true, ..Info::default() });
    let mut client = Client::open(Settings::default());
    assert!(client.session.announce(info.clone(), &mut client.out).is_none());
    assert_eq!(
        client.told().split_once(" {").unwrap().1.split_once("\"max_payload\"").unwrap().1,
        ":0,\"client_id\":9,\"client_ip\":\"1.2.3.4\",\"ldm\":true} \r\n"
    );
    client.session.close(Close::Shutdown, &mut client.out);
    assert_eq!(client.told(), "");

    let mut old = Client::new(Settings::default());
    old.send(r#"CONNECT {"verbose":false,"protocol":0}"#);
    assert!(old.authorize(Identity::default()).is_none());
    old.send("PING");
    assert_eq!(old.told(), "PONG\r\n");
    assert!(old.session.announce(info.clone(), &mut old.out).is_none());
    assert_eq!(old.told(), "");

    // Not before the first answer to a PING; and then it is in what comes with that.
    let mut early = Client::new(Settings::default());
    early.send(QUIET);
    assert!(early.authorize(Identity::default()).is_none());
    assert!(early.session.announce(info, &mut early.out).is_none());
    assert_eq!(early.told(), "");
    early.send("PING");
    assert!(early.told().contains("\"ldm\":true"));
}

#[test]
fn session_ends_once_and_says_nothing_after_it() {
    let mut client = Client::open(Settings::default());
    client.session.close(Close::Revoked, &mut client.out);
    client.session.close(Close::Stale, &mut client.out);
    assert_eq!(client.told(), "-ERR 'User Authentication Revoked'\r\n");
    assert_eq!(client.send("PING"), [""; 0]);
    assert_eq!(client.wait(SECOND * 1000), None);
    assert_eq!(client.told(), "");
}

/// What clients are told and what monitoring says, as in nats-server.
#[test]
fn every_reason_has_its_texts() {
    let table = [
        (Close::ClientClosed, None, "Client Closed"),
        (Close::UnknownOperation, Some("Unknown Protocol Operation"), "Protocol Violation"),
        (Close::BadArguments(Verb::Pub), None, "Protocol Violation"),
        (Close::HeadersNotEnabled, None, "Protocol Violation"),
        (Close::ClientError, None, "Parse Error"),
        (
            Close::ControlLineTooLong { limit: 1 },
            Some("maximum control line exceeded"),
            "Maximum Control Line Exceeded",
        ),
        (
            Close::PayloadTooLarge { size: 2, limit: 1 },
            Some("Maximum Payload Violation"),
            "Maximum Message Payload Exceeded",
        ),
        (Close::BadProtocolVersion, Some("invalid client protocol"), "Bad Client Protocol Version"),
        (
            Close::NoRespondersWithoutHeaders,
            Some("no responders requires headers support"),
            "No Responders Requires Headers",
        ),
        (Close::AuthenticationFailure, Some("Authorization Violation"), "Authentication Failure"),
        (Close::AuthenticationTimeout, Some("Authentication Timeout"), "Authentication Timeout"),
        (Close::UserExpired, Some("User Authentication Expired"), "Authentication Expired"),
        (Close::AccountExpired, Some("Account Authentication Expired"), "Authentication Expired"),
        (Close::Revoked, Some("User Authentication Revoked"), "Credentials Revoked"),
        (Close::MissingAccount, None, "Missing Account"),
        (Close::TlsRequired, Some("Secure Connection - TLS Required"), "TLS Handshake Failure"),
        (Close::TlsHandshakeFailure, None, "TLS Handshake Failure"),
        (Close::Stale, Some("Stale Connection"), "Stale Connection"),
        (
            Close::SlowConsumerPending { pending: 2, limit: 1 },
            None,
            "Slow Consumer (Pending Bytes)",
        ),
        (Close::SlowConsumerDeadline, None, "Slow Consumer (Write Deadline)"),
        (
            Close::ConnectionsExceeded,
            Some("maximum connections exceeded"),
            "Maximum Connections Exceeded",
        ),
        (
            Close::AccountConnectionsExceeded,
            Some("maximum account active connections exceeded"),
            "Maximum Account Connections Exceeded",
        ),
        (Close::ReadError, None, "Read Error"),
        (Close::WriteError, None, "Write Error"),
        (Close::Shutdown, None, "Server Shutdown"),
        (Close::Kicked, None, "Kicked"),
        (Close::ProxyNotTrusted, Some("Authorization Violation"), "Proxy Not Trusted"),
        (Close::ProxyRequired, Some("Authorization Violation"), "Proxy Required"),
    ];
    for (close, text, reason) in table {
        assert_eq!((close.error_text(), close.reason()), (text, reason));
        assert!(close.to_string().starts_with(reason));
        let mut client = Client::open(Settings::default());
        client.session.close(close, &mut client.out);
        let line = text.map(|text| format!("-ERR '{text}'\r\n")).unwrap_or_default();
        assert_eq!(client.told(), line);
    }
}
