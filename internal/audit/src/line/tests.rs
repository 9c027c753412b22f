//! Every event, as it is spelled.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::{Attempt, Direction, EventKind, Ids, Messages, Peer};

fn at() -> Timestamp {
    "2026-11-21T13:28:32.934298826Z".parse().unwrap()
}

fn edge() -> Peer {
    Peer { name: Arc::from("edge"), addr: Arc::from("10.0.0.7:4711") }
}

fn messages(direction: Direction) -> Messages {
    let mut ids = Ids::with_capacity(2);
    ids.push_uuid(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001));
    ids.push_text("order \"7\"\n");
    Messages { peer: edge(), channel: Arc::from("orders"), direction, ids }
}

fn spelled(event: &Event) -> Vec<String> {
    let mut out = Vec::new();
    let written = write(&mut out, at(), event, 0, usize::MAX);
    let lines: Vec<String> =
        std::str::from_utf8(&out).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(written, Written { lines: lines.len() as u64, next: None });
    assert_eq!(event.lines(), lines.len() as u64);
    lines
}

/// What the line of an event that has only one says behind its time.
fn says(event: &Event) -> String {
    let lines = spelled(event);
    assert_eq!(lines.len(), 1);
    let fields = lines[0].strip_prefix(r#"{"ts":"2026-11-21T13:28:32.934298826Z","#).unwrap();
    fields.strip_suffix('}').unwrap().to_owned()
}

#[test]
fn messages_are_spelled_as_the_predecessor_does() {
    let send_duration = Some(Duration::from_micros(1250));
    let lines = spelled(&Event::Forward { messages: messages(Direction::Outbound), send_duration });
    let expected = [
        r#"{"ts":"2026-11-21T13:28:32.934298826Z","event":"forward","message_id":"01990000-0000-7000-8000-000000000001","channel":"orders","direction":"outbound","peer":"edge","peer_addr":"10.0.0.7:4711","send_duration_ms":1.25}"#,
        r#"{"ts":"2026-11-21T13:28:32.934298826Z","event":"forward","message_id":"order \"7\"\n","channel":"orders","direction":"outbound","peer":"edge","peer_addr":"10.0.0.7:4711","send_duration_ms":1.25}"#,
    ];
    assert_eq!(lines, expected);
    for unknown in [None, Some(Duration::ZERO)] {
        let messages = messages(Direction::Inbound);
        let lines = spelled(&Event::Forward { messages, send_duration: unknown });
        assert!(lines[0].ends_with(r#""peer_addr":"10.0.0.7:4711"}"#), "{}", lines[0]);
    }
    let lines = spelled(&Event::LoopDropped(messages(Direction::Inbound)));
    assert_eq!(
        lines[0],
        r#"{"ts":"2026-11-21T13:28:32.934298826Z","event":"loop_dropped","message_id":"01990000-0000-7000-8000-000000000001","channel":"orders","direction":"inbound","peer":"edge","peer_addr":"10.0.0.7:4711"}"#
    );
    let reason = "orders is not in publish".to_owned();
    let messages = messages(Direction::Inbound);
    let lines = spelled(&Event::PolicyViolation { messages, reason });
    assert!(lines[1].ends_with(r#","detail":"orders is not in publish"}"#), "{}", lines[1]);
}

#[test]
fn links_are_spelled_as_the_predecessor_does() {
    let subscribe = vec!["a".to_owned(), "b.>".to_owned()];
    let connected = Event::ClientConnected { peer: edge(), subscribe, publish: Vec::new() };
    assert_eq!(
        says(&connected),
        r#""event":"client_connected","peer":"edge","peer_addr":"10.0.0.7:4711","detail":"addr=10.0.0.7:4711 sub=[a,b.>]""#
    );
    let hub = Peer { name: Arc::default(), addr: Arc::from("hub:7740") };
    let reached = Event::PeerConnected { peer: hub.clone(), failed: None };
    assert_eq!(says(&reached), r#""event":"peer_connected","peer_addr":"hub:7740""#);
    let failed = Some(Attempt { number: 3, error: "connection refused".to_owned() });
    assert_eq!(
        says(&Event::PeerConnected { peer: hub.clone(), failed }),
        r#""event":"peer_connected","peer_addr":"hub:7740","detail":"attempt=3 err=connection refused""#
    );
    let up = Duration::from_micros(1_929_400);
    let disconnected = |unacked_bytes, reason: &str| {
        let reason = reason.to_owned();
        says(&Event::PeerDisconnected { peer: hub.clone(), up, unacked_bytes, reason })
    };
    assert!(disconnected(None, "reset").ends_with(r#""detail":"duration=1.929s err=reset""#));
    assert!(disconnected(Some(77), "").ends_with(r#""detail":"unacked_bytes=77 duration=1.929s""#));
}

#[test]
fn refusals_and_policies_say_why() {
    let why = || "why".to_owned();
    let stranger = Peer { name: Arc::default(), addr: Arc::from("10.0.0.9:1") };
    let peer = || r#","peer":"edge","peer_addr":"10.0.0.7:4711","#;
    for (event, expected) in [
        (
            Event::ClientRejected { peer: stranger, reason: why() },
            r#""event":"client_rejected","peer_addr":"10.0.0.9:1","detail":"why""#.to_owned(),
        ),
        (
            Event::PeerRevoked { peer: edge(), reason: why() },
            format!(r#""event":"peer_revoked"{}"detail":"why""#, peer()),
        ),
        (
            Event::ClientDrain { peer: edge(), reason: why() },
            format!(r#""event":"client_drain"{}"detail":"why""#, peer()),
        ),
        (
            Event::PolicyReloaded { detail: why() },
            r#""event":"policy_reloaded","detail":"why""#.to_owned(),
        ),
        (
            Event::PolicyReloadFailed { error: why() },
            r#""event":"policy_reload_failed","detail":"err=why""#.to_owned(),
        ),
        (
            Event::ReplayGap {
                peer: edge(),
                channel: Arc::from("orders"),
                direction: Direction::Outbound,
                first: 5,
                last: 9,
                reason: why(),
            },
            format!(
                r#""event":"replay_gap","channel":"orders","direction":"outbound"{}"detail":"first=5 last=9 err=why""#,
                peer()
            ),
        ),
        (
            Event::EventsDropped { count: 12 },
            r#""event":"events_dropped","detail":"count=12""#.to_owned(),
        ),
    ] {
        assert_eq!(says(&event), expected);
    }
}

#[test]
fn a_line_is_read_as_it_was_written() {
    let send_duration = Some(Duration::from_nanos(1_234_567));
    let forward = Event::Forward { messages: messages(Direction::Inbound), send_duration };
    let raw = spelled(&forward).swap_remove(1);
    let line = Fields::parse(raw.as_bytes()).unwrap().into_line(raw.as_bytes());
    let expected = Line {
        time: at(),
        event: EventKind::Forward.to_string(),
        message_id: "order \"7\"\n".to_owned(),
        channel: "orders".to_owned(),
        direction: "inbound".to_owned(),
        peer: "edge".to_owned(),
        peer_addr: "10.0.0.7:4711".to_owned(),
        send_duration_ms: 1.234_567,
        detail: String::new(),
        raw: raw.clone(),
    };
    assert_eq!(line, expected);
    let later = br#"{"ts":"2026-11-21T13:28:32Z","event":"comet","tail":[1,2]}"#;
    assert_eq!(Fields::parse(later).unwrap().event, "comet", "of a version to come");
    for damaged in [&raw.as_bytes()[1..], br#"{"event":"forward"}"#, b"", b"\0\0\0", b"{}"] {
        assert!(Fields::parse(damaged).is_none(), "{damaged:?}");
    }
}

#[test]
fn what_a_stranger_says_is_escaped_and_cut() {
    let reason = format!("\u{1b}[2J\n\"{}", "ü".repeat(TEXT_MAX_BYTES));
    let lines = spelled(&Event::ClientRejected { peer: edge(), reason });
    assert_eq!(lines.len(), 1);
    assert!(lines[0].is_ascii() || lines[0].contains('ü'));
    assert!(lines[0].contains(r#""detail":"\u001b[2J\n\"üü"#), "{}", lines[0]);
    let line = Fields::parse(lines[0].as_bytes()).unwrap();
    assert!((TEXT_MAX_BYTES - 1..=TEXT_MAX_BYTES).contains(&line.detail.len()));
}

#[test]
fn a_large_batch_is_spelled_in_parts() {
    let ids: Ids = (0..100).map(Uuid::from_u128).collect();
    let messages = Messages { ids, ..messages(Direction::Inbound) };
    let event = Event::Forward { messages, send_duration: None };
    let whole = spelled(&event).join("\n") + "\n";
    let mut parts = Vec::new();
    let (mut from, mut lines) = (0, 0);
    loop {
        let mut part = Vec::new();
        let written = write(&mut part, at(), &event, from, 1000);
        assert!(part.len() < 1000 + 250, "no more than a line beyond");
        parts.append(&mut part);
        lines += written.lines;
        let Some(next) = written.next else { break };
        from = next;
    }
    assert_eq!((String::from_utf8(parts).unwrap(), lines), (whole, 100));
}
