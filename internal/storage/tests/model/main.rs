//! The engine and a naive list of messages answer every question alike.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test ends at the first error"
)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use pubsub_disk::Disk;
use pubsub_envelope::{Meta, NewRecord};
use pubsub_sim::{Rng, SimDisk};
use pubsub_storage::{Channel, ChannelConfig, Executor, Item, Job, Limits, Store, StoreOptions};
use pubsub_types::{ChannelName, Filter, Format, Seq, SyncPolicy, Timestamp};
use uuid::Uuid;

#[derive(Default)]
struct Queue(Mutex<VecDeque<Job>>);

impl Executor for Queue {
    fn submit(&self, job: Job) {
        self.0.lock().push_back(job);
    }
}

impl Queue {
    fn run_all(&self) {
        loop {
            let Some(job) = self.0.lock().pop_front() else { break };
            job.run();
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    subject: String,
    payload: Vec<u8>,
    expires: Option<Timestamp>,
}

/// What a channel is, said as simply as it can be.
#[derive(Default)]
struct Naive {
    messages: BTreeMap<u64, Message>,
    last: u64,
}

impl Naive {
    fn append(&mut self, message: Message, limits: Limits) {
        self.last += 1;
        self.messages.insert(self.last, message.clone());
        let same: Vec<u64> = self.of(|subject| subject == message.subject);
        if limits.max_messages_per_subject > 0 {
            let over = same.len().saturating_sub(limits.max_messages_per_subject as usize);
            same.iter().take(over).for_each(|seq| drop(self.messages.remove(seq)));
        }
        while limits.max_messages > 0 && self.messages.len() as u64 > limits.max_messages {
            self.messages.pop_first();
        }
    }

    fn of(&self, wanted: impl Fn(&str) -> bool) -> Vec<u64> {
        let matches = self.messages.iter().filter(|(_, message)| wanted(&message.subject));
        matches.map(|(seq, _)| *seq).collect()
    }
}

struct World {
    disk: SimDisk,
    options: StoreOptions,
    queue: Arc<Queue>,
    store: Option<Arc<Store>>,
    now: i64,
}

impl World {
    fn open(&mut self) {
        self.store = None;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let store = Store::open(disk, self.queue.clone(), self.options.clone(), Uuid::from_u128(1));
        self.store = Some(store.unwrap());
    }

    fn channel(&self) -> Arc<Channel> {
        let store = self.store.as_ref().unwrap();
        store.open_or_create(&ChannelName::new("own").unwrap(), Timestamp(self.now)).unwrap()
    }
}

fn filters() -> Vec<Filter> {
    [">", "own", "a.*", "a.>", "*.x", "a.x", "b.y.>", "own.nothing"]
        .iter()
        .map(|text| Filter::new(text).unwrap())
        .collect()
}

fn compare(naive: &Naive, channel: &Arc<Channel>, rng: &mut Rng, seed: u64) {
    let mut reader = channel.reader(0);
    let mut read = BTreeMap::new();
    loop {
        let items = reader.read(100, 1 << 16).unwrap();
        if items.is_empty() {
            break;
        }
        for item in items {
            let Item::Record(record) = item else { panic!("seed {seed}: {item:?}") };
            let subject = if record.subject().is_empty() { "own" } else { record.subject() };
            let message = Message {
                subject: subject.to_owned(),
                payload: record.payload().to_vec(),
                expires: record.meta().expires,
            };
            read.insert(record.seq, message);
        }
    }
    assert_eq!(
        read.keys().collect::<Vec<_>>(),
        naive.messages.keys().collect::<Vec<_>>(),
        "seed {seed}"
    );
    assert!(read == naive.messages, "seed {seed}: contents differ");
    assert_eq!(channel.last_seq(), naive.last, "seed {seed}");
    assert_eq!(channel.stats().messages, naive.messages.len() as u64, "seed {seed}");
    let from = Seq::new(1 + rng.below(naive.last.max(1))).unwrap();
    for filter in filters() {
        let all = naive.of(|subject| filter.matches(subject));
        let totals = channel.totals(&filter).unwrap();
        assert_eq!(totals.messages, all.len() as u64, "seed {seed} {filter}");
        assert_eq!(totals.first.map(Seq::get), all.first().copied(), "seed {seed} {filter}");
        assert_eq!(totals.last.map(Seq::get), all.last().copied(), "seed {seed} {filter}");
        let next = all.iter().copied().find(|seq| *seq >= from.get());
        let found = channel.next_match(&filter, from).unwrap().map(Seq::get);
        assert_eq!(found, next, "seed {seed} {filter} from {from}");
    }
    for subject in ["own", "a.x", "a.y", "b.y.z", "none"] {
        let all = naive.of(|other| other == subject);
        let number = |seq: Option<Seq>| seq.map(Seq::get);
        assert_eq!(number(channel.last_of(subject).unwrap()), all.last().copied());
        assert_eq!(number(channel.first_of(subject).unwrap()), all.first().copied());
        assert_eq!(channel.count_of(subject).unwrap(), all.len() as u64, "seed {seed} {subject}");
    }
}

/// Lives through one history; how many segments were compacted in it.
fn history(seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let format = if rng.below(2) == 0 { Format::Binary } else { Format::Jsonl };
    let limits = Limits {
        max_messages: [0, 0, 20][rng.below(3) as usize],
        max_messages_per_subject: [0, 1, 3][rng.below(3) as usize],
        ..Limits::default()
    };
    let defaults = ChannelConfig {
        format,
        sync: SyncPolicy::Periodic,
        segment_bytes: [500 + rng.below(3000), 80_000][rng.index(2)],
        limits,
        ..ChannelConfig::default()
    };
    let options = StoreOptions { defaults, ..StoreOptions::default() };
    let queue = Arc::new(Queue::default());
    let mut world = World { disk: SimDisk::new(seed), options, queue, store: None, now: 1_000 };
    world.open();
    let mut naive = Naive::default();
    let mut compacted = 0;
    for _ in 0..rng.below(250) {
        let channel = world.channel();
        let now = Timestamp(world.now);
        let some_seq = || Seq::new(1 + naive.last / 2).unwrap();
        match rng.below(20) {
            0 => {
                let gone = some_seq();
                naive.messages.remove(&gone.get());
                let _ticket = channel.delete(&[(gone, gone)], now);
            }
            1 => {
                let first = Seq::new(1 + naive.last / 3).unwrap();
                naive.messages.retain(|seq, _| *seq >= first.get());
                let _ticket = channel.trim(first, "", now);
            }
            2 => {
                let filters = filters();
                let filter = &filters[rng.below(filters.len() as u64) as usize];
                let (before, keep) = (some_seq(), rng.below(3));
                let matching = naive.of(|subject| filter.matches(subject));
                let kept = matching.len().saturating_sub(keep as usize);
                let gone: Vec<u64> =
                    matching[..kept].iter().copied().filter(|seq| *seq < before.get()).collect();
                let (count, _ticket) = channel.purge(filter, before, keep, now).unwrap();
                assert_eq!(count, gone.len() as u64, "seed {seed}");
                gone.iter().for_each(|seq| drop(naive.messages.remove(seq)));
            }
            3 => {
                if rng.below(2) == 0 {
                    world.queue.run_all();
                    world.store.as_ref().unwrap().close().unwrap();
                }
                compacted += channel.stats().compacted;
                drop(channel);
                world.queue.run_all();
                world.open();
            }
            4 => {
                world.now += 6_000_000_000;
                let now = Timestamp(world.now);
                world.store.as_ref().unwrap().tick(now);
                world.queue.run_all();
                naive.messages.retain(|_, it| it.expires.is_none_or(|expires| expires > now));
                // What was deleted is logged, and commits like everything else.
                world.queue.run_all();
            }
            _ => {
                let subject = ["own", "a.x", "a.y", "b.y.z", "b.x"][rng.below(5) as usize];
                // Now and then large, so that some segments are worth compacting.
                let fill = "x".repeat([0, 0, 4000][rng.index(3)]);
                let payload =
                    format!("{{\"n\":{},\"fill\":\"{fill}\"}}", rng.below(1 << 40)).into_bytes();
                let expires =
                    (rng.below(6) == 0).then(|| now.plus(std::time::Duration::from_secs(3)));
                let meta = Meta { expires, ..Meta::default() };
                let record = NewRecord {
                    time: now,
                    subject,
                    payload: &payload,
                    meta,
                    ..NewRecord::default()
                };
                channel.append(&[record]).unwrap();
                let message = Message { subject: subject.to_owned(), payload, expires };
                naive.append(message, limits);
            }
        }
        world.queue.run_all();
    }
    compare(&naive, &world.channel(), &mut rng, seed);
    compacted += world.channel().stats().compacted;
    world.open();
    compare(&naive, &world.channel(), &mut rng, seed);
    compacted
}

#[test]
fn every_answer_is_that_of_a_plain_list() {
    let mut compacted = 0;
    let (from, to) = match std::env::var("PUBSUB_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            (seed, seed + 1)
        }
        Err(_) => (0, 600),
    };
    for seed in from..to {
        compacted += history(seed);
    }
    assert!(compacted > 0 || to == from + 1, "no history compacted anything");
}
