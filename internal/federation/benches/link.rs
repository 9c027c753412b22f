//! What a message costs on its way over a link, without the socket and without the logs.
//!
//! Prints the median of several runs, in time on a processor and not on the clock, so that the
//! neighbours of a busy machine do not count: `cargo bench -p pubsub-federation`.
#![expect(clippy::print_stdout, reason = "the numbers are the product")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use pubsub_envelope::{Kind, MessageId, Meta, NewRecord, Record, Route, Source, binary};
use pubsub_federation::{
    Action, Coverage, EpochList, Inbound, Link, Lists, LogInfo, Message, NodeName, Opened,
    PeerPolicy, Piece, SeenIds, Session, SessionConfig, Start, Via,
};
use pubsub_types::{ChannelName, Filter, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

const MESSAGES: u64 = 400_000;
const CHUNK: u64 = 350;
const RUNS: usize = 5;

fn main() {
    let payload = br#"{"order":1234567,"state":"paid","total":17.25,"currency":"EUR","customer":"c-004711","lines":3,"warehouse":"north-2","f":1}"#;
    println!("payloads of {} bytes, ns of a processor for each message\n", payload.len());
    println!("{:24} {:>8} {:>8} {:>8} {:>8}", "", "send", "receive", "judge", "bytes");
    for (name, forwarded, lz4) in
        [("published here", false, false), ("forwarded", true, false), ("lz4", false, true)]
    {
        let records: Vec<Record> =
            (1..=MESSAGES).map(|seq| record(seq, payload, forwarded)).collect();
        let mut runs: Vec<Cost> = (0..RUNS).map(|_| run(&records, lz4)).collect();
        runs.sort_by_key(|cost| cost.send + cost.receive + cost.judge);
        let Cost { send, receive, judge, bytes } = runs[RUNS / 2];
        let each = |time: Duration| time.as_nanos() as f64 / MESSAGES as f64;
        println!(
            "{name:24} {:>8.0} {:>8.0} {:>8.0} {:>8.1}",
            each(send),
            each(receive),
            each(judge),
            bytes as f64 / MESSAGES as f64
        );
    }
}

#[derive(Clone, Copy, Default)]
struct Cost {
    send: Duration,
    receive: Duration,
    judge: Duration,
    bytes: u64,
}

fn record(seq: u64, payload: &[u8], forwarded: bool) -> Record {
    let id = MessageId::Uuid(Uuid::from_u128(u128::from(seq).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let mut meta =
        Meta { id, origin: "hub", payload_type: "com.acme.OrderPaid", ..Meta::default() };
    if forwarded {
        meta.origin = "edge-1";
        meta.route = Route::parse("edge-1\nhub").unwrap();
        meta.source = Some(Source { log: Uuid::from_u128(3), epoch: 1, seq, previous: seq - 1 });
    }
    let new = NewRecord { time: Timestamp::default(), subject: "", headers: b"", payload, meta };
    let mut bytes = Vec::new();
    binary::encode_record(&mut bytes, Kind::Message, seq, &new).unwrap();
    binary::parse_record(&bytes).unwrap().0.to_record()
}

fn run(records: &[Record], lz4: bool) -> Cost {
    let now = Duration::from_secs(1);
    let name = |text| NodeName::new(text).unwrap();
    let config = |text| SessionConfig { lz4, ..SessionConfig::new(name(text)) };
    let channel = ChannelName::new("orders").unwrap();
    let asks = Lists { subscribe: vec![Filter::all()], publish: Vec::new() };
    let mut edge = Session::dial(config("edge"), asks, now);
    let mut hub = Session::accept(config("hub"), now);
    let mut inbound = Inbound::new(name("edge"), Uuid::from_u128(9), Coverage::default());
    let mut ids = SeenIds::new(100_000);
    let via = Via { peer: name("hub"), origins: Default::default() };
    let epochs = Arc::new(EpochList::default());
    let log = LogInfo { log: Uuid::from_u128(7), epochs, first: 1, last: 0 };

    let mut cost = Cost::default();
    let (mut taken, mut after) = (0, 0);
    let mut to_hub: Vec<Message> = Vec::new();
    while taken < MESSAGES {
        let begun = clock();
        let mut to_edge = Vec::new();
        for message in to_hub.drain(..) {
            hub.handle_message(message, now);
        }
        while let Some(action) = hub.poll_action() {
            match action {
                Action::Send(message) => to_edge.push(message),
                Action::Admit { .. } => hub.admit(&PeerPolicy::default(), now),
                Action::ListChannels => hub.channel(&channel, &log, now),
                Action::Open { sub, .. } => {
                    hub.opened(sub, Opened { after: 0, missing: None }, now);
                }
                Action::Read { sub, .. } => {
                    let until = (after + CHUNK).min(MESSAGES);
                    let chunk = &records[index(after)..index(until)];
                    after = until;
                    let mut pieces = chunk.iter().map(Piece::Record);
                    hub.read(sub, &mut pieces, after, after == MESSAGES, now);
                }
                _ => (),
            }
        }
        cost.send += clock() - begun;

        let begun = clock();
        let mut batches = Vec::new();
        for message in to_edge {
            cost.bytes += message.len() as u64;
            edge.handle_message(message, now);
        }
        while let Some(action) = edge.poll_action() {
            match action {
                Action::Send(message) => to_hub.push(message),
                Action::Offered { sub, .. } => edge.subscribe(sub, Start::All, now),
                Action::Receive { sub, batch, .. } => batches.push((sub, batch)),
                _ => (),
            }
        }
        cost.receive += clock() - begun;

        let begun = clock();
        for (sub, batch) in batches {
            let accepted = inbound.judge(&via, &batch, &mut ids, |_, _| ());
            taken += accepted.len() as u64;
            let records: Vec<NewRecord<'_>> = accepted.records().collect();
            black_box(&records);
            edge.synced(sub, batch.position().seq, now);
        }
        cost.judge += clock() - begun;
        while let Some(action) = edge.poll_action() {
            if let Action::Send(message) = action {
                to_hub.push(message);
            }
        }
    }
    cost
}

fn index(seq: u64) -> usize {
    usize::try_from(seq).unwrap()
}

fn clock() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}
