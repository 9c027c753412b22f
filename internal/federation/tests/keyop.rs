//! The predecessor's wire, message by message: what its peers say, byte for byte, and what they hear.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first error")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pubsub_envelope::{Kind, Meta, NewRecord, Record, Route, binary};
use pubsub_federation::{
    Action, CloseCode, Closed, Coverage, Dropped, EpochList, Event, InSub, Inbound, Link, Lists,
    LogInfo, Message, NodeName, Opened, OutSub, PeerPolicy, Piece, SeenIds, SessionConfig, Start,
    Via, keyop,
};
use pubsub_types::{ChannelName, Filter, Timestamp};
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);

/// As the predecessor wrote them.
const ALICE: &str =
    r#"{"instance_name":"alice","role":"client","version":"1","subscribe":["orders","metrics"]}"#;
const HUB: &str = r#"{"instance_name":"hub","role":"hub","version":"1"}"#;
const PAID: &str = r#"{"v":1,"id":"01a1fe4b-57a6-701d-95e6-c46db8b9ecc0","ts":"2026-11-21T13:28:32.934298826Z","channel":"orders","origin":"alice","payload_type":"t.M","correlation_id":"corr-1","service_name":"svc","payload":{"big":12345678901234567,"html":"\u003ca\u003e\u0026\"é\u2028","n":1.5}}"#;
const SHIPPED: &str = r#"{"v":1,"id":"01a1fe4b-57a6-701d-95e6-c46db8b9ecc1","ts":"2026-11-21T13:28:33Z","channel":"orders","origin":"alice","payload_type":"t.M","payload":null}"#;
const METRIC: &str = r#"{"v":1,"id":"01a1fe4b-57a6-701d-95e6-c46db8b9ecc2","ts":"2026-11-21T13:28:34Z","channel":"metrics","origin":"carol","payload_type":"","payload":[1,2]}"#;

fn channel(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn filters(texts: &[&str]) -> Vec<Filter> {
    texts.iter().map(|text| Filter::new(text).unwrap()).collect()
}

fn log() -> LogInfo {
    LogInfo { log: Uuid::from_u128(7), epochs: Arc::new(EpochList::default()), first: 1, last: 90 }
}

fn record(seq: u64, meta: Meta<'_>, payload: &[u8]) -> Record {
    let new = NewRecord { time: Timestamp(0), payload, meta, ..NewRecord::default() };
    let mut bytes = Vec::new();
    binary::encode_record(&mut bytes, Kind::Message, seq, &new).unwrap();
    binary::parse_record(&bytes).unwrap().0.to_record()
}

/// A binary message of these envelopes.
fn binary_of(envelopes: &[&str]) -> Message {
    let mut bytes = Vec::new();
    for envelope in envelopes {
        bytes.extend_from_slice(&u32::try_from(envelope.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(envelope.as_bytes());
    }
    Message::Binary(bytes.into())
}

fn ack(id: &str) -> Message {
    Message::Text(format!(r#"{{"last_id":"{id}"}}"#))
}

/// Our end of a link, and what it wants.
struct End {
    session: keyop::Session,
    now: Duration,
    actions: Vec<Action>,
}

impl End {
    fn with(session: keyop::Session) -> Self {
        let mut end = Self { session, now: SECOND, actions: Vec::new() };
        end.poll();
        end
    }

    fn hub() -> Self {
        let config = SessionConfig::new(NodeName::new("hub").unwrap());
        Self::with(keyop::Session::accept(config, SECOND))
    }

    /// A hub whose client `alice` is let in.
    fn linked(policy: &PeerPolicy) -> Self {
        let mut end = Self::hub();
        end.hear(Message::Text(ALICE.to_owned()));
        end.session.admit(policy, end.now);
        end.poll();
        end.actions.clear();
        end
    }

    /// The same, which sends `orders` from 90 on.
    fn sending() -> Self {
        let mut end = Self::linked(&PeerPolicy::default());
        end.session.channel(&channel("orders"), &log(), end.now);
        end.session.opened(OutSub(0), Opened { after: 90, missing: None }, end.now);
        end.poll();
        end
    }

    fn dial(asks: &Lists) -> Self {
        let config = SessionConfig::new(NodeName::new("alice").unwrap());
        Self::with(keyop::Session::dial(config, asks.clone(), SECOND))
    }

    fn hear(&mut self, message: Message) {
        self.session.handle_message(message, self.now);
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.actions.push(action);
        }
    }

    fn read(&mut self, records: &[Record], at_end: bool) {
        let after = records.last().map_or(0, |record| record.seq);
        let mut pieces = records.iter().map(Piece::Record);
        self.session.read(OutSub(0), &mut pieces, after, at_end, self.now);
        self.poll();
    }

    fn sent(&self) -> Vec<&Message> {
        let message = |action: &'_ Action| matches!(action, Action::Send(_));
        let sent = self.actions.iter().filter(|action| message(action));
        sent.map(|action| if let Action::Send(message) = action { message } else { panic!() })
            .collect()
    }

    fn batches(&self) -> Vec<(InSub, String, Vec<Bytes>, u64)> {
        let mut found = Vec::new();
        for action in &self.actions {
            if let Action::Receive { sub, channel, batch } = action {
                let payloads = batch.iter().map(|message| message.payload_bytes()).collect();
                found.push((*sub, channel.to_string(), payloads, batch.position().seq));
            }
        }
        found
    }

    fn closed(&self) -> Option<&Closed> {
        self.actions.iter().find_map(|action| match action {
            Action::Close(closed) => Some(closed),
            _ => None,
        })
    }

    fn code(&self) -> Option<CloseCode> {
        self.closed().map(|closed| closed.code)
    }

    fn violations(&self) -> usize {
        let is = |action: &&Action| matches!(action, Action::Event(Event::PolicyViolation { .. }));
        self.actions.iter().filter(is).count()
    }
}

#[test]
fn a_client_of_the_predecessor_is_greeted_takes_and_gives() {
    let mut hub = End::hub();
    hub.hear(Message::Text(ALICE.to_owned()));
    let Some(Action::Admit { peer }) = hub.actions.first() else { panic!("{:?}", hub.actions) };
    assert_eq!((peer.name.as_str(), peer.ephemeral), ("alice", false));
    hub.session.admit(&PeerPolicy::default(), hub.now);
    hub.poll();
    assert_eq!(hub.sent(), [&Message::Text(HUB.to_owned())]);
    let Some(Action::Established { sends, receives, .. }) = hub.actions.get(2) else {
        panic!("{:?}", hub.actions)
    };
    assert_eq!((sends, receives), (&filters(&["orders", "metrics"]), &filters(&[">"])));

    // It sends three messages of two channels at once.
    hub.actions.clear();
    hub.hear(binary_of(&[PAID, SHIPPED, METRIC]));
    let offered: Vec<InSub> = hub
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Offered { sub, .. } => Some(*sub),
            _ => None,
        })
        .collect();
    assert_eq!((offered.len(), hub.batches().len()), (2, 0));
    for sub in offered {
        hub.session.subscribe(sub, Start::New, hub.now);
    }
    hub.poll();
    let batches = hub.batches();
    assert_eq!(
        batches.iter().map(|batch| batch.1.as_str()).collect::<Vec<_>>(),
        ["orders", "metrics"]
    );
    assert_eq!(batches[0].2[1], "null");
    assert!(batches[0].2[0].starts_with(b"{\"big\":12345678901234567,\"html\":\"\\u003ca"));

    // The acknowledgement follows the last write, and names the last id.
    hub.actions.clear();
    hub.session.committed(batches[0].0, batches[0].3, hub.now);
    hub.poll();
    assert!(hub.sent().is_empty());
    hub.session.synced(batches[1].0, batches[1].3, hub.now);
    hub.poll();
    assert_eq!(hub.sent(), [&ack("01a1fe4b-57a6-701d-95e6-c46db8b9ecc2")]);
}

#[test]
fn what_a_client_sends_is_stored_once_with_its_route() {
    let mut hub = End::linked(&PeerPolicy::default());
    for message in [&[PAID, METRIC][..], &[PAID]] {
        hub.hear(binary_of(message));
        for sub in 0..2 {
            hub.session.subscribe(InSub(sub), Start::New, hub.now);
            hub.session.synced(InSub(sub), 99, hub.now);
        }
        hub.poll();
    }
    let name = |text| NodeName::new(text).unwrap();
    let mut inbound = Inbound::new(name("hub"), Uuid::from_u128(1), Coverage::default());
    let mut ids = SeenIds::new(9);
    let via = Via { peer: name("alice"), origins: Default::default() };
    let (mut routes, mut dropped) = (Vec::new(), Vec::new());
    for action in &hub.actions {
        if let Action::Receive { batch, .. } = action {
            assert!(batch.position().log.is_nil());
            let accepted = inbound.judge(&via, batch, &mut ids, |_, why| dropped.push(why));
            routes.extend(accepted.records().map(|new| new.meta.route.as_str().to_owned()));
        }
    }
    assert_eq!(routes, ["alice\nhub", "carol\nalice\nhub"]);
    assert_eq!(dropped, [Dropped::DuplicateId]);
}

#[test]
fn one_message_is_in_flight_and_the_next_follows_its_acknowledgement() {
    let mut hub = End::sending();
    let open = Action::Open { sub: OutSub(0), channel: channel("orders"), start: Start::New };
    assert!(hub.actions.contains(&open), "{:?}", hub.actions);
    hub.actions.clear();
    let meta = Meta { origin: "hub", ..Meta::default() };
    let big = vec![b'7'; 40_000];
    hub.read(&[record(91, meta, &big), record(92, meta, &big), record(93, meta, b"3")], true);
    assert_eq!(hub.sent().len(), 1, "64 KiB hold one of the two large ones");
    hub.session.ready(OutSub(0), hub.now);
    hub.poll();
    assert_eq!(hub.actions.len(), 1, "nothing more is sent or read");
    hub.hear(ack("whatever"));
    let acked = |seq| Action::Acked {
        sub: OutSub(0),
        channel: channel("orders"),
        committed: seq,
        durable: seq,
    };
    assert!(hub.actions.contains(&acked(91)));
    assert_eq!(hub.sent().len(), 2);
    hub.hear(ack(""));
    assert!(hub.actions.contains(&acked(93)));
    assert!(matches!(hub.actions.last(), Some(Action::Read { .. })), "{:?}", hub.actions);
}

#[test]
fn what_went_through_the_client_is_not_sent_to_it() {
    let mut hub = End::sending();
    hub.actions.clear();
    let theirs = Meta { origin: "alice", ..Meta::default() };
    let route = Route::parse("carol\nalice\nhub").unwrap();
    let through = Meta { origin: "carol", route, ..Meta::default() };
    hub.read(&[record(91, theirs, b"1"), record(92, through, b"2")], true);
    assert!(hub.sent().is_empty());
    let acked =
        Action::Acked { sub: OutSub(0), channel: channel("orders"), committed: 92, durable: 92 };
    assert_eq!(hub.actions, [acked], "nothing would ever acknowledge them");
}

#[test]
fn an_ephemeral_client_gets_what_comes_from_now_on() {
    let mut hub = End::hub();
    let text = r#"{"instance_name":"alice","role":"client","version":"1","subscribe":["orders"],"ephemeral":true}"#;
    hub.hear(Message::Text(text.to_owned()));
    hub.session.admit(&PeerPolicy::default(), hub.now);
    hub.session.channel(&channel("orders"), &log(), hub.now);
    hub.poll();
    let open = Action::Open { sub: OutSub(0), channel: channel("orders"), start: Start::Live };
    assert!(hub.actions.contains(&open));
}

#[test]
fn messages_that_may_not_be_sent_are_passed_over_and_acknowledged() {
    let policy = PeerPolicy { publish: filters(&["metrics"]), ..PeerPolicy::default() };
    let mut hub = End::linked(&policy);
    let letter = METRIC.replace("metrics", "metrics.dead-letter");
    let nowhere = METRIC.replace("metrics", "../../etc");
    hub.hear(binary_of(&[PAID, &letter, &nowhere, "not json", "{}"]));
    assert_eq!(hub.violations(), 3);
    let skipped =
        hub.actions.iter().filter(|action| matches!(action, Action::Event(Event::Skipped { .. })));
    assert_eq!(skipped.count(), 2);
    assert_eq!(hub.sent(), [&ack("01a1fe4b-57a6-701d-95e6-c46db8b9ecc2")]);
    assert_eq!(hub.code(), None);
}

#[test]
fn a_write_that_fails_is_not_acknowledged() {
    let mut hub = End::linked(&PeerPolicy::default());
    hub.hear(binary_of(&[PAID]));
    hub.session.subscribe(InSub(0), Start::New, hub.now);
    hub.session.failed(InSub(0), "no space left", hub.now);
    hub.session.committed(InSub(0), 1, hub.now);
    hub.poll();
    assert_eq!(hub.code(), Some(CloseCode::Unavailable));
    assert!(hub.sent().is_empty());
    assert!(matches!(hub.actions.last(), Some(Action::Close(_))));
}

#[test]
fn a_rejected_client_reads_the_predecessors_close_code() {
    let mut hub = End::hub();
    hub.hear(Message::Text(ALICE.to_owned()));
    hub.session.reject(CloseCode::NotAllowed, "", hub.now);
    hub.poll();
    let closed = hub.closed().unwrap();
    assert_eq!(
        (closed.code.to_u16(), closed.code.to_string()),
        (4403, "not in allowlist".to_owned())
    );
    let mut alice = End::dial(&Lists::default());
    alice.session.handle_close(4403, "not in allowlist", alice.now);
    alice.poll();
    assert_eq!(alice.code(), Some(CloseCode::NotAllowed));
    assert!(alice.closed().unwrap().by_peer && alice.code().unwrap().is_fatal());
}

#[test]
fn a_hub_of_the_predecessor_is_dialled() {
    let asks =
        Lists { subscribe: filters(&["orders", "metrics"]), publish: filters(&["orders.>"]) };
    let mut alice = End::dial(&asks);
    assert_eq!(alice.sent(), [&Message::Text(ALICE.to_owned())]);
    alice.hear(Message::Text(HUB.to_owned()));
    assert!(alice.actions.contains(&Action::ListChannels));
    alice.session.channel(&channel("orders.eu"), &log(), alice.now);
    alice.session.channel(&channel("secrets"), &log(), alice.now);
    alice.session.opened(OutSub(0), Opened { after: 90, missing: None }, alice.now);
    alice.poll();
    let meta = Meta { origin: "alice", payload_type: "t.M", ..Meta::default() };
    alice.read(&[record(91, meta, b"{ \"a\": 1 }")], true);
    let Some(Message::Binary(bytes)) = alice.sent().last().copied() else { panic!("a batch") };
    let text = std::str::from_utf8(&bytes[4..]).unwrap();
    assert_eq!(
        text,
        r#"{"v":1,"id":"00000000-0000-0000-0000-00000000005c","ts":"1970-01-01T00:00:00Z","channel":"orders.eu","origin":"alice","payload_type":"t.M","payload":{"a":1}}"#
    );
    // What it asked for it takes, and nothing else.
    let secret = PAID.replace("\"orders\"", "\"secrets\"");
    alice.hear(binary_of(&[&secret]));
    assert_eq!(alice.violations(), 1);
}

#[test]
fn wildcards_cannot_be_asked_for() {
    let asks = Lists { subscribe: filters(&["orders.>"]), publish: Vec::new() };
    let alice = End::dial(&asks);
    assert!(alice.sent().is_empty());
    let text = "the keyop wire has no wildcards; list channels instead of orders.>";
    assert_eq!(alice.closed().unwrap().text, text);
}

#[test]
fn the_certificate_says_who_it_is() {
    let certified = Some(NodeName::new("alice-7").unwrap());
    let config = SessionConfig { certified, ..SessionConfig::new(NodeName::new("hub").unwrap()) };
    let mut hub = End::with(keyop::Session::accept(config, SECOND));
    hub.hear(Message::Text(ALICE.to_owned()));
    let Some(Action::Admit { peer }) = hub.actions.first() else { panic!("{:?}", hub.actions) };
    assert_eq!(peer.name.as_str(), "alice-7");
}

#[test]
fn what_makes_no_sense_ends_the_link() {
    let text = |text: &str| Message::Text(text.to_owned());
    let first: [(Message, CloseCode); 5] = [
        (binary_of(&[PAID]), CloseCode::OutOfOrder),
        (text("{}"), CloseCode::Malformed),
        (text(""), CloseCode::Malformed),
        (text(r#"{"instance_name":"a\nb"}"#), CloseCode::Malformed),
        (text(r#"{"instance_name":"hub"}"#), CloseCode::NameMismatch),
    ];
    for (message, code) in first {
        let mut hub = End::hub();
        hub.hear(message);
        assert_eq!(hub.code(), Some(code));
    }
    let cut = |bytes: &'static [u8]| Message::Binary(Bytes::from_static(bytes));
    let later: [(Message, CloseCode); 6] = [
        (ack("x"), CloseCode::AckedUnsent),
        (text(ALICE), CloseCode::Malformed),
        (text(&"x".repeat(20_000)), CloseCode::TooLarge),
        (cut(b"\0"), CloseCode::Malformed),
        (cut(b"\0\0\0\x05{}"), CloseCode::Malformed),
        (cut(b"\xff\xff\xff\xff"), CloseCode::Malformed),
    ];
    for (message, code) in later {
        let mut hub = End::linked(&PeerPolicy::default());
        hub.hear(message);
        assert_eq!(hub.code(), Some(code));
    }
}

#[test]
fn a_client_that_does_not_wait_for_acknowledgements_fills_no_memory() {
    let mut hub = End::linked(&PeerPolicy::default());
    let big = PAID.replace("corr-1", &"x".repeat(60_000));
    let mut sent = 0;
    while hub.code().is_none() {
        hub.hear(binary_of(&[&big]));
        sent += big.len();
        assert!(sent < 10 << 20, "no end");
    }
    assert_eq!(hub.code(), Some(CloseCode::WindowExceeded));
}

#[test]
fn deadlines_are_those_of_the_handshake_and_of_an_acknowledgement() {
    let mut hub = End::hub();
    hub.now = hub.session.deadline().unwrap();
    hub.session.tick(hub.now);
    hub.poll();
    assert_eq!(hub.code(), Some(CloseCode::HandshakeTimeout));

    let mut hub = End::sending();
    assert_eq!(hub.session.deadline(), None, "an idle link is never cut");
    hub.read(&[record(91, Meta::default(), b"1")], true);
    hub.now = hub.session.deadline().unwrap();
    hub.session.tick(hub.now);
    hub.poll();
    assert_eq!(hub.code(), Some(CloseCode::Silent));
}

#[test]
fn a_changed_allowlist_stops_what_may_no_longer_flow() {
    let mut hub = End::sending();
    hub.hear(binary_of(&[PAID]));
    hub.session.subscribe(InSub(0), Start::New, hub.now);
    hub.poll();
    hub.actions.clear();
    let only = PeerPolicy {
        subscribe: filters(&["metrics"]),
        publish: filters(&["metrics"]),
        ..PeerPolicy::default()
    };
    hub.session.set_policy(&only, hub.now);
    hub.poll();
    assert!(hub.actions.contains(&Action::Stopped { sub: OutSub(0), channel: channel("orders") }));
    assert!(hub.actions.contains(&Action::Ended { sub: InSub(0), channel: channel("orders") }));
    hub.actions.clear();
    hub.hear(binary_of(&[PAID]));
    assert_eq!((hub.violations(), hub.batches().len()), (1, 0));
}
