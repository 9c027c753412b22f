//! Damage to any one file costs the records it hits and no other, is told of, and stops nothing.
//!
//! ```text
//!   a directory at rest ──one damage──▶ open ─▶ read ─▶ publish ─▶ open again ─▶ read
//!                            ╰──▶ the doctor names what is lost
//! ```
//!
//! `architecture.md` 10: bit flips, zeroed pages, truncation, deletion of any one file: only the damaged
//! records are lost, reported everywhere; configuration and identity survive.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use pubsub_disk::Disk;
use pubsub_envelope::NewRecord;
use pubsub_envelope::binary::{
    BATCH_HEADER_BYTES, SEGMENT_HEADER_BYTES, looks_like_batch, parse_record,
};
use pubsub_envelope::{Kind, Record, jsonl};
use pubsub_sim::{Corruption, Rng, SimDisk, Snapshot};
use pubsub_storage::{
    Channel, ChannelConfig, Finding, Item, ReadError, Start, Store, StoreOptions, inspect,
};
use pubsub_types::{ChannelName, Format, Seq, SubscriberId, SyncPolicy, Timestamp};
use uuid::Uuid;

use crate::queue::Queue;
use crate::see::read_items;

/// What stands at some place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Message(u64),
    Control,
    Header,
}

/// How a data directory came about.
#[derive(Clone, Copy, Debug)]
struct Plan {
    format: Format,
    segment_bytes: u64,
    messages: u64,
    payload_max: usize,
    /// Runs of sequences.
    deleted: &'static [(u64, u64)],
}

/// A data directory at rest, and what is in it.
struct AtRest {
    plan: Plan,
    snapshot: Snapshot,
    files: Vec<String>,
    live: BTreeMap<u64, Vec<u8>>,
    deleted: BTreeSet<u64>,
    node: Uuid,
    /// By segment file.
    places: BTreeMap<String, Vec<(Range<u64>, What)>>,
}

/// A dozen segments of a few messages each.
const SMALL: Plan = Plan {
    format: Format::Binary,
    segment_bytes: 1024,
    messages: 40,
    payload_max: 60,
    deleted: &[(9, 10), (30, 30), (39, 39)],
};

/// Segments that are large enough to be compacted, and were.
const COMPACTED: Plan = Plan {
    format: Format::Binary,
    segment_bytes: 70 << 10,
    messages: 200,
    payload_max: 1600,
    deleted: &[(5, 30), (32, 50), (52, 70), (120, 121)],
};

/// Everything before it was trimmed.
const FIRST: u64 = 3;

struct Open {
    queue: Queue,
    store: Arc<Store>,
    channel: Arc<Channel>,
}

fn open(disk: &SimDisk, plan: Plan) -> Open {
    let config = ChannelConfig {
        format: plan.format,
        sync: SyncPolicy::Always,
        segment_bytes: plan.segment_bytes,
        ..ChannelConfig::default()
    };
    let options = StoreOptions { defaults: config, ..StoreOptions::default() };
    let queue = Queue::default();
    let opened: Arc<dyn Disk> = Arc::new(disk.clone());
    let store = Store::open(opened, Arc::new(queue.clone()), options, Uuid::from_u128(7)).unwrap();
    let name = ChannelName::new("orders").unwrap();
    let channel = store.open_or_create(&name, Timestamp(1)).unwrap();
    Open { queue, store, channel }
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

impl Open {
    fn drain(&self) {
        while self.queue.len() > 0 {
            self.queue.take(0).run();
        }
    }

    fn publish(&self, payload: &[u8], subject: &str) -> u64 {
        let record = NewRecord { time: Timestamp(5), payload, subject, ..NewRecord::default() };
        let appended = self.channel.append(&[record]).unwrap();
        self.drain();
        appended.ticket.result().unwrap().unwrap();
        appended.last.get()
    }

    fn delete(&self, runs: &[(u64, u64)]) {
        let runs: Vec<_> = runs.iter().map(|(first, last)| (seq(*first), seq(*last))).collect();
        let deleted = self.channel.delete(&runs, Timestamp(6));
        let trimmed = self.channel.trim(seq(FIRST), "test", Timestamp(6));
        self.drain();
        deleted.result().unwrap().unwrap();
        trimmed.result().unwrap().unwrap();
    }

    fn close(self) {
        self.drain();
        self.store.close().unwrap();
        self.queue.forget();
    }
}

impl AtRest {
    fn new(plan: Plan) -> Self {
        let disk = SimDisk::new(3);
        let it = open(&disk, plan);
        let mut rng = Rng::new(9);
        let mut live = BTreeMap::new();
        for n in 1..=plan.messages {
            let fill = "x".repeat(rng.index(plan.payload_max));
            let payload = format!("{{\"n\":{n},\"p\":\"{fill}\"}}");
            let seq = it.publish(payload.as_bytes(), if n % 3 == 0 { "a" } else { "" });
            live.insert(seq, payload.into_bytes());
        }
        it.delete(plan.deleted);
        // Housekeeping compacts what is sparse.
        it.store.tick(Timestamp(3_600_000_000_000));
        it.drain();
        let id = SubscriberId::new("s1").unwrap();
        let position = it.store.subscriber(&it.channel, &id, Start::FromStart).unwrap();
        for at in [10, 20] {
            position.set(at);
            position.write().and_then(|()| position.sync()).unwrap();
        }
        let node = it.store.node().id;
        assert_eq!(it.channel.stats().compacted > 0, plan.segment_bytes > 64 << 10);
        drop(position);
        it.close();
        let runs = plan.deleted.iter().flat_map(|(first, last)| *first..=*last);
        let deleted: BTreeSet<u64> = runs.chain(1..FIRST).collect();
        live.retain(|seq, _| !deleted.contains(seq));
        let files: Vec<String> =
            disk.files().into_iter().filter(|path| path.as_str() != "LOCK").collect();
        let is_segment = |path: &&String| path.ends_with(".log") || path.ends_with(".jsonl");
        let place = |path: &String| (path.clone(), places(&disk.bytes(path).unwrap(), plan.format));
        let places = files.iter().filter(is_segment).map(place).collect();
        Self { plan, snapshot: disk.snapshot(), files, live, deleted, node, places }
    }

    fn len(&self, path: &str) -> u64 {
        SimDisk::from_snapshot(&self.snapshot, 0).bytes(path).unwrap().len() as u64
    }

    /// What a damage hits.
    fn hit(&self, path: &str, damage: &Corruption) -> Vec<What> {
        let range = match damage {
            Corruption::FlipBit { at, .. } => *at..*at + 1,
            Corruption::Zero { range } | Corruption::Unreadable { range } => range.clone(),
            Corruption::Truncate { len } => *len..u64::MAX,
            Corruption::Append { .. } => 0..0,
            Corruption::Delete => 0..u64::MAX,
        };
        let places = self.places.get(path).map_or(&[][..], Vec::as_slice);
        let hits = |(it, _): &&(Range<u64>, What)| it.start < range.end && range.start < it.end;
        places.iter().filter(hits).map(|(_, what)| *what).collect()
    }

    /// Opens the directory with this damage and asks everything.
    fn judge(&self, path: &str, damage: &Corruption) {
        let disk = SimDisk::from_snapshot(&self.snapshot, 1);
        disk.corrupt(path, damage).unwrap();
        let hit = self.hit(path, damage);
        let inspection = inspect(&disk, false, None, &mut |_| ()).unwrap();
        let it = open(&disk, self.plan);
        assert_eq!(it.store.node().id, self.node, "the identity");
        let found = self.judge_messages(&it, &hit);
        let findings = it.channel.findings();
        let reported = findings.iter().any(Finding::is_loss);
        assert!(reported || found.len() >= self.live.len(), "nothing reported: {findings:?}");
        for seq in self.live.keys().filter(|seq| !found.contains(seq)) {
            let names = |it: &(u64, u64)| (it.0..=it.1).contains(seq);
            let named = inspection.findings.iter().any(|it| it.seqs.is_some_and(|it| names(&it)));
            assert!(named, "the doctor does not name {seq}: {:?}", inspection.findings);
        }
        self.judge_position(&it, path);
        for file in &self.files {
            let may_go = file.ends_with(".idx") || (*damage == Corruption::Delete && file == path);
            assert!(may_go || disk.bytes(file).is_some(), "{file} was deleted");
        }
        // It goes on, and nothing is given out twice.
        let next = it.publish(b"{\"n\":\"next\"}", "");
        assert_eq!(next, self.plan.messages + 1, "the next sequence");
        it.close();
        let it = open(&disk, self.plan);
        let again = self.judge_messages(&it, &hit);
        let lost = found.iter().find(|seq| self.live.contains_key(seq) && !again.contains(seq));
        assert_eq!(lost, None, "after another opening");
        assert_eq!(it.channel.get(seq(next)).unwrap().payload(), b"{\"n\":\"next\"}");
        it.close();
    }

    fn judge_messages(&self, it: &Open, hit: &[What]) -> BTreeSet<u64> {
        let (mut found, mut gaps) = (BTreeSet::new(), BTreeSet::new());
        for item in read_items(&it.channel, 0, 7).unwrap() {
            match item {
                Item::Gap { first, last } => gaps.extend(first..=last),
                Item::Record(record) if record.seq > self.plan.messages => (),
                Item::Record(record) => {
                    let expected = self.live.get(&record.seq).map(Vec::as_slice);
                    let came_back = self.deleted.contains(&record.seq);
                    assert!(!came_back || hit.contains(&What::Control), "{} is back", record.seq);
                    assert!(came_back || expected == Some(record.payload()), "{record:?}");
                    assert_eq!(it.channel.get(seq(record.seq)).unwrap(), record);
                    found.insert(record.seq);
                }
            }
        }
        for number in self.live.keys().filter(|seq| !found.contains(seq)) {
            let was_hit = hit.contains(&What::Message(*number));
            assert!(was_hit, "message {number} is gone, but was not hit");
            assert!(gaps.contains(number), "message {number} is gone in silence; gaps {gaps:?}");
            let error = it.channel.get(seq(*number)).unwrap_err();
            assert!(matches!(error, ReadError::Damaged { .. }), "{number}: {error}");
        }
        for seq in &gaps {
            assert!(!found.contains(seq), "{seq} is read, and said to be gone");
            let (was_hit, deleted) =
                (hit.contains(&What::Message(*seq)), self.deleted.contains(seq));
            assert!(was_hit, "{seq} is said to be gone, but was not hit");
            assert!(!deleted || hit.contains(&What::Control), "{seq} was deleted, and is a gap");
        }
        found
    }

    fn judge_position(&self, it: &Open, path: &str) {
        let id = SubscriberId::new("s1").unwrap();
        let position = it.store.subscriber(&it.channel, &id, Start::New).unwrap();
        let least = if path.starts_with("subscribers") { 10 } else { 20 };
        let range = least..=20;
        assert!(range.contains(&position.seq()), "the position is {}", position.seq());
    }
}

/// What stands where in a segment.
fn places(bytes: &[u8], format: Format) -> Vec<(Range<u64>, What)> {
    let mut places = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let what = |record: &Record| match record.kind {
            Kind::Message => What::Message(record.seq),
            _ => What::Control,
        };
        let (len, what) = match format {
            Format::Jsonl => {
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
                (end + 1, what(&jsonl::decode_line(&rest[..end]).unwrap()))
            }
            Format::Binary if at == 0 => (SEGMENT_HEADER_BYTES, What::Header),
            Format::Binary if looks_like_batch(rest) => (BATCH_HEADER_BYTES, What::Header),
            Format::Binary => {
                let (record, len) = parse_record(rest).unwrap();
                (len, what(&record.to_record()))
            }
        };
        places.push((at as u64..(at + len) as u64, what));
        at += len;
    }
    places
}

fn try_all(plan: Plan, damages: impl Fn(&AtRest, &str) -> Vec<Corruption>) {
    let rest = AtRest::new(plan);
    assert!(rest.places.len() > 2, "too few segments: {:?}", rest.files);
    for path in &rest.files {
        for damage in damages(&rest, path) {
            let judge = std::panic::AssertUnwindSafe(|| rest.judge(path, &damage));
            if let Err(panic) = std::panic::catch_unwind(judge) {
                println!("{path}: {damage:?}, hits {:?}", rest.hit(path, &damage));
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Every byte of some files, and some of the others.
fn flips(rest: &AtRest, path: &str) -> Vec<Corruption> {
    let nth = rest.files.iter().position(|file| file == path).unwrap_or(0);
    let len = rest.len(path);
    let step = match rest.places.contains_key(path) && nth % 4 == 0 {
        _ if len > 8192 => 997,
        true => 1,
        false => 11,
    };
    let flip = |at| Corruption::FlipBit { at, bit: u8::try_from((at * 5 + at / 8) % 8).unwrap() };
    (0..len).step_by(step).map(flip).collect()
}

fn wounds(rest: &AtRest, path: &str) -> Vec<Corruption> {
    let len = rest.len(path);
    let step = |least: u64| usize::try_from(least.max(len / 30)).unwrap();
    let mut wounds = vec![Corruption::Delete, Corruption::Truncate { len: 0 }];
    let page = |at| Corruption::Zero { range: at..at + 512 };
    wounds.extend((0..len).step_by(step(512)).map(page));
    wounds.extend((0..len).step_by(step(37)).map(|len| Corruption::Truncate { len }));
    wounds.extend((1..len.min(70)).map(|less| Corruption::Truncate { len: len - less }));
    let mut bytes = vec![0; 300];
    Rng::new(len).fill(&mut bytes);
    wounds.push(Corruption::Append { bytes: bytes.clone() });
    bytes.push(b'\n');
    wounds.push(Corruption::Append { bytes });
    wounds.push(Corruption::Append { bytes: vec![0; 4096] });
    // A record that once was genuine.
    let disk = SimDisk::from_snapshot(&rest.snapshot, 0);
    if let Some((place, _)) = rest.places.get(path).and_then(|places| places.get(1)) {
        let (start, end) = (place.start as usize, place.end as usize);
        wounds.push(Corruption::Append { bytes: disk.bytes(path).unwrap()[start..end].to_vec() });
    }
    wounds
}

#[test]
fn a_flipped_bit_in_a_binary_channel_costs_what_it_hits() {
    try_all(SMALL, flips);
}

#[test]
fn a_flipped_bit_in_a_jsonl_channel_costs_what_it_hits() {
    try_all(Plan { format: Format::Jsonl, ..SMALL }, flips);
}

#[test]
fn missing_and_overwritten_parts_of_a_binary_channel_cost_what_they_hit() {
    try_all(SMALL, wounds);
}

#[test]
fn missing_and_overwritten_parts_of_a_jsonl_channel_cost_what_they_hit() {
    try_all(Plan { format: Format::Jsonl, ..SMALL }, wounds);
}

#[test]
fn damage_to_a_compacted_channel_costs_what_it_hits() {
    for format in [Format::Binary, Format::Jsonl] {
        let plan = Plan { format, ..COMPACTED };
        try_all(plan, flips);
        try_all(plan, wounds);
    }
}

/// A record that was cut out whole leaves no damaged byte behind.
#[test]
fn a_record_that_is_missing_without_a_trace_is_told_of() {
    for format in [Format::Binary, Format::Jsonl] {
        let rest = AtRest::new(Plan { format, ..SMALL });
        for (path, places) in &rest.places {
            for (range, what) in places {
                let What::Message(number) = *what else { continue };
                let disk = SimDisk::from_snapshot(&rest.snapshot, 1);
                let bytes = disk.bytes(path).unwrap();
                let (start, end) = (range.start as usize, range.end as usize);
                disk.corrupt(path, &Corruption::Truncate { len: 0 }).unwrap();
                let kept = [&bytes[..start], &bytes[end..]].concat();
                disk.corrupt(path, &Corruption::Append { bytes: kept }).unwrap();
                let it = open(&disk, rest.plan);
                // What of a sealed segment is behind its end has moved there.
                let last = places.iter().rev().find_map(|(_, what)| match what {
                    What::Message(seq) => Some(*seq),
                    What::Control | What::Header => None,
                });
                let hit = [*what, What::Message(last.unwrap()), What::Control];
                let found = rest.judge_messages(&it, &hit);
                assert!(!found.contains(&number), "{number} is not there any more");
                let reported = it.channel.findings().iter().any(Finding::is_loss);
                assert!(reported || rest.deleted.contains(&number), "{path}: {number}");
                it.close();
            }
        }
    }
}
