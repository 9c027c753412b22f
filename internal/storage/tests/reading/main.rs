//! Readers, while the files they read fail, are cut and begun anew: whatever happens, each message comes
//! once, or is told to be gone.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test ends at the first error"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pubsub_disk::Disk;
use pubsub_envelope::NewRecord;
use pubsub_sim::{Fault, Loss, Op, SimDisk};
use pubsub_storage::{Channel, ChannelConfig, Executor, Item, Job, Reader, Store, StoreOptions};
use pubsub_types::{ChannelName, Format, SyncPolicy, Timestamp};
use uuid::Uuid;

#[derive(Clone, Default)]
struct Queue(Arc<Mutex<VecDeque<Job>>>);

impl Executor for Queue {
    fn submit(&self, job: Job) {
        self.0.lock().push_back(job);
    }
}

struct World {
    queue: Queue,
    store: Arc<Store>,
    channel: Arc<Channel>,
}

impl World {
    fn open(disk: &SimDisk, format: Format, segment_bytes: u64) -> Self {
        let defaults = ChannelConfig {
            format,
            segment_bytes,
            sync: SyncPolicy::Periodic,
            sync_interval: Duration::from_millis(1),
            ..ChannelConfig::default()
        };
        let options = StoreOptions { defaults, ..StoreOptions::default() };
        let queue = Queue::default();
        let on: Arc<dyn Disk> = Arc::new(disk.clone());
        let store = Store::open(on, Arc::new(queue.clone()), options, Uuid::from_u128(1)).unwrap();
        let name = ChannelName::new("orders").unwrap();
        let channel = store.open_or_create(&name, Timestamp(1)).unwrap();
        Self { queue, store, channel }
    }

    fn run_all(&self) {
        loop {
            let job = self.queue.0.lock().pop_front();
            let Some(job) = job else { return };
            job.run();
        }
    }

    fn publish(&self, count: usize, payload: &[u8]) {
        for _ in 0..count {
            let record = NewRecord { time: Timestamp(1), payload, ..NewRecord::default() };
            self.channel.append_blocking(&[record]).unwrap();
        }
    }
}

/// The sequences that come by, until there are no more or something fails.
fn read_on(reader: &mut Reader, step: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Ok(items) = reader.read(step, usize::MAX) {
        if items.is_empty() {
            break;
        }
        for item in items {
            match item {
                Item::Record(record) => seqs.push(record.seq),
                Item::Gap { first, last } => panic!("{first} to {last} are said to be gone"),
            }
        }
    }
    seqs
}

#[test]
fn what_was_read_before_a_file_that_fails_is_given() {
    for format in [Format::Binary, Format::Jsonl] {
        let disk = SimDisk::new(1);
        let world = World::open(&disk, format, 1000);
        world.publish(40, b"\"a payload of some bytes\"");
        world.run_all();
        drop(world);
        disk.kill();
        let world = World::open(&disk, format, 1000);
        for nth in 1..12 {
            for fault in [Op::Read, Op::Open] {
                let mut reader = world.channel.reader(0);
                disk.inject(Fault::on(fault).nth(nth));
                let mut seqs = read_on(&mut reader, 1000);
                disk.heal();
                assert_eq!(reader.position(), seqs.last().copied().unwrap_or(0));
                seqs.extend(read_on(&mut reader, 1000));
                assert_eq!(seqs, (1..=40).collect::<Vec<_>>(), "{format}, {fault:?} {nth}");
            }
        }
    }
}

#[test]
fn a_reader_told_to_touch_no_file_gives_what_is_in_memory_and_says_when_that_is_all() {
    for format in [Format::Binary, Format::Jsonl] {
        let disk = SimDisk::new(1);
        let world = World::open(&disk, format, 400_000);
        let payload = format!("\"{}\"", "x".repeat(5_000));
        world.publish(200, payload.as_bytes());
        world.store.close().unwrap();
        drop(world);
        disk.kill();
        let world = World::open(&disk, format, 400_000);
        world.publish(30, payload.as_bytes());
        world.run_all();
        let mut reader = world.channel.reader(0);
        let (mut seqs, mut far) = (Vec::new(), 0);
        while reader.position() < 230 {
            disk.inject(Fault::on(Op::Read).for_ever());
            disk.inject(Fault::on(Op::Open).for_ever());
            let near = reader.read_near(7, usize::MAX);
            disk.heal();
            far += usize::from(near.is_none());
            let items = near.unwrap_or_else(|| reader.read(1, usize::MAX).unwrap());
            assert!(!items.is_empty(), "nothing more after {}", reader.position());
            seqs.extend(items.into_iter().map(|item| match item {
                Item::Record(record) => record.seq,
                Item::Gap { first, .. } => panic!("{first} is said to be gone"),
            }));
        }
        assert_eq!(seqs, (1..=230).collect::<Vec<_>>());
        // Once for each block of 256 KiB and each segment, and not for what was just published.
        assert!((4..12).contains(&far), "{format}: files were read {far} times");
        assert_eq!(reader.read_near(7, usize::MAX), Some(Vec::new()));
    }
}

#[test]
fn a_reader_within_a_segment_that_is_cut_goes_on_in_the_one_begun_after_it() {
    for format in [Format::Binary, Format::Jsonl] {
        let disk = SimDisk::new(1);
        // More than is read at once, so that the end is read when it is no longer there.
        let payload = format!("\"{}\"", "x".repeat(30_000));
        let world = World::open(&disk, format, 1 << 20);
        world.publish(15, payload.as_bytes());
        world.store.close().unwrap();
        drop(world);
        disk.kill();
        let world = World::open(&disk, format, 1 << 20);
        world.publish(5, payload.as_bytes());
        let mut reader = world.channel.reader(0);
        assert_eq!(reader.read(1, usize::MAX).unwrap().len(), 1);

        disk.inject(Fault::on(Op::Sync).at(".jsonl").losing(Loss::Everything));
        disk.inject(Fault::on(Op::Sync).at(".log").losing(Loss::Everything));
        world.store.tick(Timestamp(Duration::from_secs(60).as_nanos() as i64));
        world.run_all();
        disk.heal();
        assert_eq!(world.channel.stats().sync_failures, 1);
        assert_eq!(read_on(&mut reader, 7), (2..=20).collect::<Vec<_>>(), "{format}");
    }
}
