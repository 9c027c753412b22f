//! A directory that the predecessor left is opened as it is: nothing is lost, nothing is delivered to
//! the wrong subscriber, and its files stay what they were.
//!
//! ```text
//!   testdata/predecessor/channels/orders/   three segments named by bytes, the last line torn
//!                        channels/invoices/ a line of an unknown version between two good ones
//!                        subscribers/orders/<id>.offset   bytes of the next message, bare
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test lays files out and ends at the first error"
)]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use pubsub_disk::{Disk, FileDisk};
use pubsub_envelope::{NewRecord, Record};
use pubsub_storage::{
    Channel, ChannelConfig, Executor, Finding, Item, Job, Limits, Position, Start, Store,
    StoreOptions, inspect,
};
use pubsub_types::{ChannelName, Format, Seq, SubscriberId, SyncPolicy, Timestamp};
use serde_json::value::RawValue;
use uuid::Uuid;

/// Messages of `orders`, whole ones.
const ORDERS: u64 = 8;

/// What each position in the fixture means: the last message before it.
const READ: [(&str, u64); 6] = [
    // Behind the torn line, as a subscriber that started at the end of the file was.
    ("ahead", 8),
    ("billing", 4),
    // At the border of two files.
    ("border", 3),
    ("fed-hub", 8),
    ("fresh", 0),
    ("ship/eu", 6),
];

#[derive(Default)]
struct Queue(Mutex<VecDeque<Job>>);

impl Executor for Queue {
    fn submit(&self, job: Job) {
        self.0.lock().push_back(job);
    }
}

struct World {
    dir: tempfile::TempDir,
    queue: Arc<Queue>,
    store: Arc<Store>,
}

fn options(format: Format) -> StoreOptions {
    let defaults = ChannelConfig {
        format,
        sync: SyncPolicy::Always,
        segment_bytes: 2000,
        ..ChannelConfig::default()
    };
    StoreOptions { defaults, ..StoreOptions::default() }
}

impl World {
    fn at(dir: tempfile::TempDir, options: StoreOptions) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path()).unwrap());
        let queue = Arc::new(Queue::default());
        let store = Store::open(disk, queue.clone(), options, Uuid::from_u128(1)).unwrap();
        Self { dir, queue, store }
    }

    fn fixture(options: StoreOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (file, bytes) in files(&fixture()) {
            let target = dir.path().join(file);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, bytes).unwrap();
        }
        Self::at(dir, options)
    }

    /// Opens again, after the process was killed or, when `in_order`, closed.
    fn reopen(self, options: StoreOptions, in_order: bool) -> Self {
        let Self { dir, queue, store } = self;
        if in_order {
            store.close().unwrap();
        }
        drop((queue, store));
        Self::at(dir, options)
    }

    fn run_all(&self) {
        loop {
            let Some(job) = self.queue.0.lock().pop_front() else { break };
            job.run();
        }
    }

    fn channel(&self, name: &str) -> Arc<Channel> {
        let channel = self.store.channel(&ChannelName::new(name).unwrap(), Timestamp(1)).unwrap();
        self.run_all();
        channel
    }

    fn publish(&self, payload: &str) -> u64 {
        let record =
            NewRecord { time: Timestamp(1), payload: payload.as_bytes(), ..NewRecord::default() };
        let appended = self.channel("orders").append(&[record]).unwrap();
        self.run_all();
        appended.ticket.wait().unwrap();
        appended.last.get()
    }

    fn position(&self, id: &str) -> u64 {
        let id = SubscriberId::new(id).unwrap();
        self.store.subscriber(&self.channel("orders"), &id, Start::New).unwrap().seq()
    }

    fn file(&self, path: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(path)).unwrap()
    }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/predecessor")
}

/// The files beneath a directory with their content, by their path from it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(inner) = dirs.pop() {
        for entry in fs::read_dir(dir.join(&inner)).unwrap() {
            let entry = entry.unwrap();
            let path = inner.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.clone(), fs::read(dir.join(path)).unwrap());
            }
        }
    }
    found
}

/// Segments of the predecessor's `orders`: file name and content.
fn segments() -> Vec<(String, Vec<u8>)> {
    let dir = fixture().join("channels/orders");
    let segments: Vec<_> = files(&dir)
        .into_iter()
        .map(|(file, bytes)| (format!("channels/orders/{}", file.display()), bytes))
        .collect();
    assert_eq!(segments.len(), 3);
    segments
}

fn whole_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)]
}

fn read(channel: &Arc<Channel>, after: u64) -> (Vec<Record>, Vec<(u64, u64)>) {
    let mut reader = channel.reader(after);
    let (mut records, mut gaps) = (Vec::new(), Vec::new());
    loop {
        let items = reader.read(3, 1 << 20).unwrap();
        if items.is_empty() {
            return (records, gaps);
        }
        for item in items {
            match item {
                Item::Record(record) => records.push(record),
                Item::Gap { first, last } => gaps.push((first, last)),
            }
        }
    }
}

fn seqs(channel: &Arc<Channel>, after: u64) -> Vec<u64> {
    let (records, gaps) = read(channel, after);
    assert_eq!(gaps, []);
    records.iter().map(|record| record.seq).collect()
}

#[derive(serde::Deserialize)]
struct Line<'a> {
    id: &'a str,
    ts: Timestamp,
    origin: &'a str,
    payload_type: &'a str,
    #[serde(default)]
    correlation_id: &'a str,
    #[serde(default)]
    service_name: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[test]
fn every_message_of_the_predecessor_comes_once_in_order_and_whole() {
    let world = World::fixture(options(Format::Jsonl));
    let channel = world.channel("orders");
    assert_eq!(channel.last_seq(), ORDERS);
    let (records, gaps) = read(&channel, 0);
    assert_eq!(gaps, []);
    let text: Vec<u8> = segments().iter().flat_map(|(_, it)| whole_lines(it).to_vec()).collect();
    let lines = std::str::from_utf8(&text).unwrap().lines();
    for ((nth, line), record) in (1..).zip(lines).zip(&records) {
        let line: Line<'_> = serde_json::from_str(line).unwrap();
        let meta = record.meta();
        assert_eq!(record.seq, nth);
        assert_eq!(record.time, line.ts);
        assert_eq!(meta.id.to_string(), line.id);
        assert_eq!((meta.origin, meta.payload_type), (line.origin, line.payload_type));
        assert_eq!(meta.correlation_id, line.correlation_id);
        assert_eq!(meta.service_name, line.service_name);
        assert_eq!(record.payload(), line.payload.get().as_bytes());
    }
    assert_eq!(records.len() as u64, ORDERS);
    let dead = read(&world.channel("orders.dead-letter"), 0).0;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].meta().payload_type, "com.keyop.messenger.DeadLetterPayload");
    assert!(world.channel("invoices.dead-letter").findings().is_empty());
    assert!(world.file("audit/audit.jsonl").starts_with(b"{\"ts\":"));
}

#[test]
fn what_was_taken_over_and_what_was_torn_is_told_and_kept() {
    let world = World::fixture(options(Format::Jsonl));
    let findings = world.channel("orders").findings();
    let (file, bytes) = &segments()[2];
    let whole = whole_lines(bytes).len();
    let torn = Finding::TornTail {
        file: Path::new(file).file_name().unwrap().to_str().unwrap().to_owned(),
        at: whole as u64,
        bytes: (bytes.len() - whole) as u64,
    };
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings.contains(&torn), "{findings:?}");
    assert!(findings.contains(&Finding::Converted { files: 3, messages: ORDERS }), "{findings:?}");
    let quarantine = files(&world.dir.path().join("channels/orders/quarantine"));
    assert_eq!(quarantine.into_values().collect::<Vec<_>>(), [bytes[whole..].to_vec()]);
}

#[test]
fn a_line_that_nobody_can_read_keeps_its_place_and_hides_no_other() {
    let world = World::fixture(options(Format::Jsonl));
    let (records, gaps) = read(&world.channel("invoices"), 0);
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(gaps, [(2, 2)]);
}

#[test]
fn every_subscriber_goes_on_at_the_message_it_would_have_got_next() {
    let world = World::fixture(options(Format::Jsonl));
    for (id, seq) in READ {
        assert_eq!(world.position(id), seq, "{id}");
    }
    assert_eq!(seqs(&world.channel("orders"), 4), [5, 6, 7, 8]);
}

#[test]
fn a_position_is_converted_once() {
    for in_order in [true, false] {
        let mut world = World::fixture(options(Format::Jsonl));
        let id = SubscriberId::new("billing").unwrap();
        let name = ChannelName::new("orders").unwrap();
        let before = world.store.position(&name, &id).unwrap();
        assert_eq!(before, Some(Position::LegacyByte(865)));
        let position = world.store.subscriber(&world.channel("orders"), &id, Start::New).unwrap();
        position.set(7);
        position.write().unwrap();
        drop(position);
        world = world.reopen(options(Format::Jsonl), in_order);
        assert_eq!(world.position("billing"), 7);
        assert_eq!(world.file("subscribers/orders/billing.offset"), b"865\n");
        let mut ids = world.store.subscribers(&name).unwrap();
        ids.retain(|id| id.as_str().contains("ship"));
        assert_eq!(ids, [SubscriberId::new("ship_eu").unwrap()], "not converted yet");
        assert_eq!(world.position("ship/eu"), 6);
        let ids = world.store.subscribers(&name).unwrap();
        assert_eq!(ids.len(), READ.len(), "{ids:?}");
        assert!(ids.contains(&SubscriberId::new("ship/eu").unwrap()), "{ids:?}");
        let id = SubscriberId::new("ship/eu").unwrap();
        assert!(world.store.forget(&name, &id).unwrap());
        assert_eq!(world.store.position(&name, &id).unwrap(), None);
    }
}

#[test]
fn a_subscriber_that_starts_late_gets_what_was_published_before_it_did() {
    for format in [Format::Jsonl, Format::Binary] {
        let mut world = World::fixture(options(format));
        // Enough for several segments of ours, whose log indexes are no byte offsets.
        for nth in 1..=100 {
            assert_eq!(world.publish("\"new\""), ORDERS + nth);
        }
        assert_eq!(world.position("fed-hub"), 8);
        world = world.reopen(options(format), true);
        for (id, seq) in READ {
            assert_eq!(world.position(id), seq, "{id}");
        }
    }
}

#[test]
fn new_messages_go_to_a_file_of_ours_and_restarts_keep_everything() {
    for format in [Format::Jsonl, Format::Binary] {
        let mut world = World::fixture(options(format));
        let old: Vec<_> =
            segments().into_iter().map(|(file, it)| (file, whole_lines(&it).to_vec())).collect();
        for (nth, in_order) in (1..).zip([true, false, true, false]) {
            assert_eq!(world.publish(&nth.to_string()), ORDERS + nth);
            world = world.reopen(options(format), in_order);
            let channel = world.channel("orders");
            assert_eq!(channel.findings(), [], "said once, when they were taken over");
            assert_eq!(seqs(&channel, 0), (1..=ORDERS + nth).collect::<Vec<_>>());
            for (file, bytes) in &old {
                assert_eq!(world.file(file), *bytes, "{file}");
            }
        }
        world.store.close().unwrap();
        let disk = FileDisk::open(world.dir.path()).unwrap();
        let name = ChannelName::new("orders").unwrap();
        let inspection = inspect(&disk, false, Some(&name), &mut |_| ()).unwrap();
        assert!(inspection.is_healthy(), "{:#?}", inspection.findings);
        assert_eq!(inspection.channels[0].last_seq, Some(ORDERS + 4));
    }
}

#[test]
fn without_the_manifest_the_same_messages_have_the_same_sequences() {
    let mut world = World::fixture(options(Format::Jsonl));
    assert_eq!(world.publish("\"new\""), ORDERS + 1);
    world.store.close().unwrap();
    for copy in ["a", "b"] {
        let file = format!("channels/orders/MANIFEST.{copy}");
        fs::remove_file(world.dir.path().join(file)).unwrap();
    }
    world = world.reopen(options(Format::Jsonl), true);
    assert_eq!(seqs(&world.channel("orders"), 0), (1..=ORDERS + 1).collect::<Vec<_>>());
    assert_eq!(world.position("billing"), 4);
}

#[test]
fn files_of_the_predecessor_go_when_a_trim_says_so_and_positions_stay_right() {
    let mut world = World::fixture(options(Format::Jsonl));
    let channel = world.channel("orders");
    channel.trim(Seq::new(5).unwrap(), "purge", Timestamp(2)).wait_now(&world);
    world.store.tick(Timestamp(3));
    world.run_all();
    world = world.reopen(options(Format::Jsonl), true);
    let (first, second) = (&segments()[0], &segments()[1]);
    assert!(!world.dir.path().join(&first.0).exists());
    assert_eq!(world.file(&second.0), second.1);
    assert_eq!(seqs(&world.channel("orders"), 0), [5, 6, 7, 8]);
    assert_eq!(world.position("ship/eu"), 6);
    assert!(world.position("fresh") <= 4);
}

#[test]
fn a_compaction_writes_the_predecessors_lines_again_with_every_key_they_had() {
    let filler = "x".repeat(700);
    let lines: String = (1..=200)
        .map(|nth| {
            format!(
                r#"{{"v":1,"id":"{nth}","ts":"2026-11-21T13:28:01.5Z","channel":"orders","origin":"alice","payload_type":"","route":["alice","hub"],"shard":{{"n": {nth}.0}},"payload":"{filler}"}}"#
            ) + "\n"
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let channel = dir.path().join("channels/orders");
    fs::create_dir_all(&channel).unwrap();
    let file = format!("channels/orders/{:020}.jsonl", 0);
    fs::write(dir.path().join(&file), &lines).unwrap();
    let mut world = World::at(dir, options(Format::Jsonl));
    world.publish("\"new\"");
    let channel = world.channel("orders");
    let seq = |number| Seq::new(number).unwrap();
    channel.delete(&[(seq(1), seq(120))], Timestamp(2)).wait_now(&world);
    drop(channel);
    for second in 10..40 {
        world.store.tick(Timestamp(second * 1_000_000_000));
        world.run_all();
    }
    let text = String::from_utf8(world.file(&file)).unwrap();
    assert!(text.len() < lines.len() / 2, "it was compacted");
    let first = text.lines().next().unwrap();
    let expected = r#","route":["alice","hub"],"shard":{"n": 121.0},"payload":"x"#;
    assert!(first.starts_with("{\"v\":1,\"seq\":121,") && first.contains(expected), "{first}");
    world = world.reopen(options(Format::Jsonl), true);
    let (records, _) = read(&world.channel("orders"), 0);
    assert_eq!(records.len(), 81);
    for record in &records[..80] {
        let meta = record.meta();
        assert_eq!(meta.route.iter().collect::<Vec<_>>(), ["alice", "hub"]);
        assert_eq!(meta.members, format!("\"shard\":{{\"n\": {}.0}}", record.seq));
    }
}

#[test]
fn the_newest_limit_deletes_the_oldest_lines_of_the_predecessor() {
    let mut limited = options(Format::Jsonl);
    limited.defaults.limits = Limits { max_messages: 4, ..Limits::default() };
    let world = World::fixture(limited);
    assert_eq!(world.publish("\"new\""), ORDERS + 1);
    assert_eq!(seqs(&world.channel("orders"), 0), [6, 7, 8, 9]);
}

#[test]
fn a_first_line_that_is_long_or_cannot_be_read_does_not_make_the_file_ours() {
    let good = String::from_utf8(segments()[0].1.clone()).unwrap();
    let long = good.lines().nth(2).unwrap().replace("three", &"x".repeat(3 << 20));
    let unknown = good.lines().nth(1).unwrap().replace("\"v\":1", "\"v\":2");
    for (first, expected) in [(long, vec![1, 2, 3, 4]), (unknown, vec![2, 3, 4])] {
        let dir = tempfile::tempdir().unwrap();
        let channel = dir.path().join("channels/orders");
        fs::create_dir_all(&channel).unwrap();
        let file = channel.join(format!("{:020}.jsonl", 0));
        fs::write(&file, format!("{first}\n{good}")).unwrap();
        let world = World::at(dir, options(Format::Jsonl));
        let (records, _) = read(&world.channel("orders"), 0);
        assert_eq!(records.iter().map(|it| it.seq).collect::<Vec<_>>(), expected);
        assert_eq!(fs::read(&file).unwrap(), format!("{first}\n{good}").into_bytes());
    }
}

#[test]
fn a_channel_that_never_held_a_whole_line_is_used_as_it_is() {
    for content in ["", "{\"v\":1,\"id\":\"01a1fe4b"] {
        let dir = tempfile::tempdir().unwrap();
        let channel = dir.path().join("channels/orders");
        fs::create_dir_all(&channel).unwrap();
        fs::write(channel.join(format!("{:020}.jsonl", 0)), content).unwrap();
        let mut world = World::at(dir, options(Format::Jsonl));
        assert_eq!(world.publish("1"), 1);
        // Torn while the next one was written, which nothing says was ever synced.
        world.store.close().unwrap();
        let file = world.dir.path().join(format!("channels/orders/{:020}.jsonl", 0));
        let mut bytes = fs::read(&file).unwrap();
        assert!(bytes.starts_with(b"{\"v\":1,\"seq\":1,"), "lines of ours are in it");
        bytes.extend(b"{\"v\":1,\"seq\":2,");
        fs::write(&file, bytes).unwrap();
        world = world.reopen(options(Format::Jsonl), true);
        let channel = world.channel("orders");
        assert!(matches!(channel.findings()[..], [Finding::TornTail { .. }]));
        assert_eq!(world.publish("2"), 2);
        assert_eq!(seqs(&channel, 0), [1, 2]);
    }
}

/// Runs what waits before waiting, as nobody else does.
trait WaitNow {
    fn wait_now(self, world: &World);
}

impl WaitNow for pubsub_storage::Ticket {
    fn wait_now(self, world: &World) {
        world.run_all();
        self.wait().unwrap();
    }
}
