//! The machine as its peer and its shell see it: frames in, actions out.

mod flow;
mod greeting;
mod hostile;
mod policy;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pubsub_envelope::{Kind, Meta, NewRecord, Record, Route, Source, binary};
use pubsub_types::{ChannelName, Filter, Timestamp};
use uuid::Uuid;

use crate::batch::{BatchHead, BatchWriter};
use crate::frame::{Frame, Greeting, WireLists, put_batch_head};
use crate::{
    Action, CloseCode, Closed, EpochList, Epochs, Event, InSub, Link, Lists, LogInfo, Message,
    NodeName, Opened, OutSub, PeerPolicy, Phase, Piece, Position, RefuseCode, Session,
    SessionConfig, Start,
};

const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn channel(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn filters(texts: &[&str]) -> Vec<Filter> {
    texts.iter().map(|text| Filter::new(text).unwrap()).collect()
}

fn log(id: u128, first: u64, last: u64) -> LogInfo {
    let epochs: Arc<dyn Epochs> = Arc::new(EpochList::default());
    LogInfo { log: Uuid::from_u128(id), epochs, first, last }
}

/// A record as a log gives it out.
fn record(seq: u64, meta: Meta<'_>, payload: &[u8]) -> Record {
    let new = NewRecord { time: Timestamp(5), subject: "", headers: b"", payload, meta };
    let mut bytes = Vec::new();
    binary::encode_record(&mut bytes, Kind::Message, seq, &new).unwrap();
    binary::parse_record(&bytes).unwrap().0.to_record()
}

fn own(seq: u64, payload: &[u8]) -> Record {
    record(seq, Meta { origin: "hub", ..Meta::default() }, payload)
}

/// What a peer says first.
fn greeting(name: &str, lists: WireLists) -> Greeting {
    Greeting {
        version: 1,
        name: name.to_owned(),
        node: Uuid::nil(),
        incarnation: 1,
        agent: "test".to_owned(),
        lz4: false,
        ephemeral: false,
        frame_max: 256 << 10,
        message_max: 1 << 20,
        window: 1 << 20,
        heartbeat_ms: 10_000,
        lists,
    }
}

fn lists(subscribe: &[&str], publish: &[&str]) -> WireLists {
    WireLists { subscribe: filters(subscribe), publish: filters(publish) }
}

/// The hub's end of a link, played with by hand.
struct Hub {
    session: Session,
    now: Duration,
    /// What the hub sent, in order.
    sent: Vec<Bytes>,
    /// What else it wants.
    actions: Vec<Action>,
}

impl Hub {
    fn with(session: Session) -> Self {
        let mut hub = Self { session, now: SECOND, sent: Vec::new(), actions: Vec::new() };
        hub.poll();
        hub
    }

    fn accept(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut config = SessionConfig::new(name("hub"));
        change(&mut config);
        Self::with(Session::accept(config, SECOND))
    }

    /// A link to `edge`, which may do all it asks for.
    fn linked(peer: Greeting) -> Self {
        Self::linked_with(peer, |_| ())
    }

    fn linked_with(peer: Greeting, change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut hub = Self::accept(change);
        hub.hear(&Frame::Hello(peer));
        hub.session.admit(&PeerPolicy::default(), hub.now);
        hub.poll();
        assert_eq!(hub.session.status().phase, Phase::Established);
        hub.sent.clear();
        hub.actions.clear();
        hub
    }

    /// A link whose hub sends `orders` from `after` on.
    fn sending(peer: Greeting, after: u64) -> Self {
        let mut hub = Self::linked(peer);
        hub.session.channel(&channel("orders"), &log(7, 1, 1_000_000), hub.now);
        hub.hear(&Frame::Subscribe { sub: 0, start: Start::New });
        hub.session.opened(OutSub(0), Opened { after, missing: None }, hub.now);
        hub.poll();
        hub
    }

    /// A link whose hub receives `orders` from `edge`.
    fn receiving(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut hub = Self::linked_with(greeting("edge", lists(&[], &["orders"])), change);
        hub.offer(0, "orders");
        hub.session.subscribe(InSub(0), Start::New, hub.now);
        hub.poll();
        hub
    }

    fn offer(&mut self, sub: u32, channel: &str) {
        let end = Position { log: Uuid::from_u128(9), epoch: 1, seq: 0 };
        self.hear(&Frame::Offer { sub, channel, end, first: 1 });
    }

    /// The peer says this.
    fn hear(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.hear_bytes(bytes.into());
    }

    fn hear_bytes(&mut self, bytes: Bytes) {
        self.session.handle_message(Message::Binary(bytes), self.now);
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Send(Message::Binary(bytes)) => self.sent.push(bytes),
                other => self.actions.push(other),
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.session.tick(self.now);
        self.poll();
    }

    /// Answers a read with these records.
    fn read(&mut self, records: &[Record], at_end: bool) {
        let after = records.last().map_or(0, |record| record.seq);
        let mut pieces = records.iter().map(Piece::Record);
        self.session.read(OutSub(0), &mut pieces, after, at_end, self.now);
        self.poll();
    }

    fn closed(&self) -> Option<&Closed> {
        self.actions.iter().find_map(|action| match action {
            Action::Close(closed) => Some(closed),
            _ => None,
        })
    }

    fn close_code(&self) -> Option<CloseCode> {
        self.closed().map(|closed| closed.code)
    }

    fn events(&self) -> Vec<&Event> {
        self.actions.iter().filter_map(event_of).collect()
    }

    fn reads(&self) -> usize {
        self.actions.iter().filter(|action| matches!(action, Action::Read { .. })).count()
    }

    /// Forgets what was sent and wanted so far.
    fn forget(&mut self) {
        self.sent.clear();
        self.actions.clear();
    }

    fn frames(&self) -> Vec<Frame<'_>> {
        self.sent.iter().map(|bytes| Frame::decode(bytes).unwrap()).collect()
    }

    /// Sequences of the messages in the batches sent.
    fn sent_seqs(&self) -> Vec<u64> {
        let mut seqs = Vec::new();
        for batch in batches(&self.sent) {
            seqs.extend(batch.iter().map(|message| message.seq()));
        }
        seqs
    }
}

fn event_of(action: &Action) -> Option<&Event> {
    match action {
        Action::Event(event) => Some(event),
        _ => None,
    }
}

/// The batches in `frames`, put together and read.
fn batches(frames: &[Bytes]) -> Vec<crate::Batch> {
    let mut all = Vec::new();
    let mut parts = Vec::new();
    for bytes in frames {
        let whole = match Frame::decode(bytes).unwrap() {
            Frame::Fragment { more, bytes } => {
                parts.extend_from_slice(bytes);
                if more {
                    continue;
                }
                Bytes::from(std::mem::take(&mut parts))
            }
            _ => bytes.clone(),
        };
        if let Frame::Batch { head, inflated, records, .. } = Frame::decode(&whole).unwrap() {
            let records = match inflated {
                Some(len) => crate::compress::inflate(records, len, 64 << 20).unwrap(),
                None => whole.slice_ref(records),
            };
            let position = Position { log: Uuid::from_u128(7), epoch: 0, seq: head.after };
            all.push(crate::Batch::decode(head, position, records, 64 << 20).unwrap());
        }
    }
    all
}

/// A batch of the peer's own messages `base + 1 ..= after`.
fn batch(sub: u32, base: u64, after: u64, payload: &[u8]) -> Bytes {
    let mut writer = BatchWriter::new(base, 0, 0);
    for seq in base + 1..=after {
        let meta = Meta { origin: "edge", ..Meta::default() };
        assert!(writer.push(&record(seq, meta, payload), &meta, Some(seq - 1)));
    }
    let head = BatchHead { epoch: 1, base, after, count: after - base };
    let mut bytes = Vec::new();
    put_batch_head(&mut bytes, sub, &head, None);
    bytes.extend_from_slice(&writer.into_parts().0);
    bytes.into()
}
