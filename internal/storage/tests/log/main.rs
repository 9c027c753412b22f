//! The log keeps what it acknowledged, in order, through its public face.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first error")]

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use pubsub_disk::{Disk, FileDisk};
use pubsub_envelope::NewRecord;
use pubsub_storage::{Channel, ChannelConfig, Executor, Item, Job, Start, Store, StoreOptions};
use pubsub_types::{ChannelName, Filter, Format, Seq, SubscriberId, SyncPolicy, Timestamp};
use uuid::Uuid;

/// Runs jobs when asked, on the thread that asks.
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

struct World {
    dir: tempfile::TempDir,
    queue: Arc<Queue>,
    store: Arc<Store>,
}

fn options(format: Format, sync: SyncPolicy) -> StoreOptions {
    let defaults = ChannelConfig { format, sync, segment_bytes: 4096, ..ChannelConfig::default() };
    StoreOptions { defaults, ..StoreOptions::default() }
}

impl World {
    fn new(options: StoreOptions) -> Self {
        Self::at(tempfile::tempdir().unwrap(), options)
    }

    fn at(dir: tempfile::TempDir, options: StoreOptions) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path()).unwrap());
        let queue = Arc::new(Queue::default());
        let store = Store::open(disk, queue.clone(), options, Uuid::from_u128(1)).unwrap();
        Self { dir, queue, store }
    }

    fn reopen(self, options: StoreOptions) -> Self {
        let Self { dir, queue, store } = self;
        drop((queue, store));
        Self::at(dir, options)
    }

    fn channel(&self) -> Arc<Channel> {
        self.store.open_or_create(&ChannelName::new("orders").unwrap(), Timestamp(1)).unwrap()
    }

    fn publish(&self, payload: &str) -> u64 {
        let record =
            NewRecord { time: Timestamp(1), payload: payload.as_bytes(), ..NewRecord::default() };
        let appended = self.channel().append(&[record]).unwrap();
        self.queue.run_all();
        appended.ticket.wait().unwrap();
        appended.last.get()
    }
}

#[test]
fn pages_of_subjects_skip_none_and_have_the_channels_own_name_in_its_place() {
    let named = ["a", "orders", "orders-old", "orders.eu", "ordersz", "zebra", "order", "Z"];
    for format in [Format::Jsonl, Format::Binary] {
        let mut world = World::new(options(format, SyncPolicy::Periodic));
        let filler = vec![b'x'; 900];
        for nth in 0..24 {
            // The last ones are in the active segment, and one subject is nowhere else.
            let subject = if nth == 23 { "zebra" } else { named[nth % 5] };
            let subject = if nth % 7 == 3 { named[6 + nth % 2] } else { subject };
            let record =
                NewRecord { time: Timestamp(1), subject, payload: &filler, ..NewRecord::default() };
            let ticket = world.channel().append(&[record]).unwrap().ticket;
            world.queue.run_all();
            ticket.wait().unwrap();
        }
        world = world.reopen(options(format, SyncPolicy::Periodic));
        let channel = world.channel();
        assert!(channel.stats().segments > 3);
        let page = |filter: &Filter, after: Option<&str>, max| {
            let infos = channel.subjects(filter, after, max).unwrap();
            infos.into_iter().map(|info| info.subject).collect::<Vec<_>>()
        };
        let mut expected = named.to_vec();
        expected.sort_unstable();
        for size in 1..4 {
            let mut paged: Vec<String> = Vec::new();
            loop {
                let more = page(&Filter::all(), paged.last().map(String::as_str), size);
                if more.is_empty() {
                    break;
                }
                paged.extend(more);
            }
            assert_eq!(paged, expected, "{format} in pages of {size}");
        }
        assert_eq!(page(&Filter::all(), Some(""), 1), ["Z"]);
        let own = Filter::new("orders").unwrap();
        assert_eq!(page(&own, None, 9), ["orders"]);
        assert_eq!(page(&own, Some("order"), 9), ["orders"]);
        assert_eq!(page(&own, Some("orders"), 9), Vec::<String>::new());
        assert_eq!(page(&Filter::new("orders.*").unwrap(), None, 9), ["orders.eu"]);

        let info = &channel.subjects(&own, None, 1).unwrap()[0];
        assert_eq!(info.count, channel.count_of("orders").unwrap());
        assert_eq!(Some(info.first), channel.first_of("orders").unwrap());
        assert_eq!(Some(info.last), channel.last_of("orders").unwrap());
        assert_eq!(channel.totals(&Filter::all()).unwrap().messages, 24);
        assert_eq!(channel.totals(&Filter::all()).unwrap().subjects, named.len() as u64);

        let end = Seq::new(25).unwrap();
        channel.purge(&own, end, 0, Timestamp(2)).unwrap().1.unwrap();
        world.queue.run_all();
        expected.retain(|subject| *subject != "orders");
        assert_eq!(page(&Filter::all(), None, 99), expected);
    }
}

fn payloads(channel: &Arc<Channel>, after: u64) -> Vec<(u64, String)> {
    let mut reader = channel.reader(after);
    let mut found = Vec::new();
    loop {
        let items = reader.read(7, 1000).unwrap();
        if items.is_empty() {
            return found;
        }
        for item in items {
            match item {
                Item::Record(record) => {
                    let payload = String::from_utf8(record.payload().to_vec()).unwrap();
                    found.push((record.seq, payload));
                }
                Item::Gap { first, last } => panic!("messages {first} to {last} are missing"),
            }
        }
    }
}

#[test]
fn what_was_acknowledged_is_read_in_order_before_and_after_a_restart() {
    for format in [Format::Jsonl, Format::Binary] {
        for sync in [SyncPolicy::None, SyncPolicy::Periodic, SyncPolicy::Always] {
            let mut world = World::new(options(format, sync));
            let expected: Vec<(u64, String)> =
                (1..=200).map(|seq| (seq, format!("{{\"n\":{seq}}}"))).collect();
            for (seq, payload) in &expected {
                assert_eq!(world.publish(payload), *seq);
            }
            assert_eq!(payloads(&world.channel(), 0), expected);
            world = world.reopen(options(format, sync));
            assert_eq!(payloads(&world.channel(), 0), expected);
            assert_eq!(payloads(&world.channel(), 150), expected[150..]);
            assert_eq!(world.publish("201"), 201);
            world.store.close().unwrap();
            world = world.reopen(options(format, sync));
            assert_eq!(world.channel().findings(), []);
            assert_eq!(world.channel().last_seq(), 201);
            let record = world.channel().get(Seq::new(77).unwrap()).unwrap();
            assert_eq!(record.payload(), b"{\"n\":77}");
        }
    }
}

#[test]
fn a_channel_changes_its_format_at_the_next_segment_and_stays_one_log() {
    let mut world = World::new(options(Format::Jsonl, SyncPolicy::Periodic));
    (1..=50).for_each(|nth| assert_eq!(world.publish(&nth.to_string()), nth));
    world = world.reopen(options(Format::Binary, SyncPolicy::Periodic));
    (51..=100).for_each(|nth| assert_eq!(world.publish(&nth.to_string()), nth));
    let expected: Vec<(u64, String)> = (1..=100).map(|seq| (seq, seq.to_string())).collect();
    assert_eq!(payloads(&world.channel(), 0), expected);
    world = world.reopen(options(Format::Jsonl, SyncPolicy::Always));
    assert_eq!(payloads(&world.channel(), 0), expected);
}

#[test]
fn a_subscriber_goes_on_where_it_was() {
    let mut world = World::new(options(Format::Jsonl, SyncPolicy::Periodic));
    (1..=10).for_each(|nth| assert_eq!(world.publish(&nth.to_string()), nth));
    let id = SubscriberId::new("billing").unwrap();
    let position = world.store.subscriber(&world.channel(), &id, Start::FromStart).unwrap();
    assert_eq!(position.seq(), 0);
    position.set(4);
    position.write().unwrap();
    drop(position);
    world = world.reopen(options(Format::Jsonl, SyncPolicy::Periodic));
    let position = world.store.subscriber(&world.channel(), &id, Start::New).unwrap();
    assert_eq!(position.seq(), 4);
    let new = SubscriberId::new("audit").unwrap();
    assert_eq!(world.store.subscriber(&world.channel(), &new, Start::New).unwrap().seq(), 10);
}

#[test]
fn only_so_many_messages_are_kept_where_there_is_a_limit() {
    let mut limited = options(Format::Binary, SyncPolicy::Periodic);
    limited.defaults.limits.max_messages = 5;
    let mut world = World::new(limited.clone());
    for nth in 1..=300 {
        world.publish(&nth.to_string());
        let kept = payloads(&world.channel(), 0);
        assert_eq!(kept.len() as u64, nth.min(5), "after {nth}");
        assert_eq!(kept.last().unwrap().0, nth);
    }
    world = world.reopen(limited);
    assert_eq!(payloads(&world.channel(), 0).first().unwrap().0, 296);
}
