//! What a channel says is synced survives a power cut, whoever waits for it is told, and a sequence that
//! is given out twice is told apart by its epoch.

#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;
use pubsub_disk::Disk;
use pubsub_envelope::NewRecord;
use pubsub_sim::{Corruption, Fault, Op, SimDisk, Survival};
use pubsub_storage::{Channel, ChannelConfig, Executor, Job, Store, StoreOptions};
use pubsub_types::{ChannelName, Format, Seq, SyncPolicy, Timestamp};
use uuid::Uuid;

const MILLISECOND: i64 = 1_000_000;

#[derive(Default)]
struct Queue(Mutex<VecDeque<Job>>);

impl Executor for Queue {
    fn submit(&self, job: Job) {
        self.0.lock().push_back(job);
    }
}

struct World {
    disk: SimDisk,
    queue: Arc<Queue>,
    store: Arc<Store>,
    channel: Arc<Channel>,
}

impl World {
    fn new(sync: SyncPolicy) -> Self {
        Self::at(SimDisk::new(1), sync)
    }

    fn at(disk: SimDisk, sync: SyncPolicy) -> Self {
        let defaults = ChannelConfig {
            format: Format::Binary,
            sync,
            segment_bytes: 4096,
            ..ChannelConfig::default()
        };
        let options = StoreOptions { defaults, ..StoreOptions::default() };
        let queue = Arc::new(Queue::default());
        let on: Arc<dyn Disk> = Arc::new(disk.clone());
        let store = Store::open(on, queue.clone(), options, Uuid::from_u128(1)).unwrap();
        let name = ChannelName::new("orders").unwrap();
        let channel = store.open_or_create(&name, Timestamp(5000 * MILLISECOND)).unwrap();
        Self { disk, queue, store, channel }
    }

    /// Opens again after a power cut that left nothing that was not synced.
    fn cut(self) -> Self {
        let Self { disk, queue, store, channel } = self;
        let sync = channel.config().sync;
        disk.crash();
        drop((queue, store, channel));
        disk.reboot_as(Survival::Nothing);
        Self::at(disk, sync)
    }

    fn run_all(&self) {
        loop {
            let Some(job) = self.queue.0.lock().pop_front() else { break };
            job.run();
        }
    }

    fn tick(&self, millis: i64) {
        self.store.tick(Timestamp(millis * MILLISECOND));
        self.run_all();
    }

    fn publish(&self, payload: &[u8]) -> u64 {
        let record = NewRecord { time: Timestamp(1), payload, ..NewRecord::default() };
        let appended = self.channel.append(&[record]).unwrap();
        self.run_all();
        appended.ticket.wait().unwrap();
        appended.last.get()
    }
}

#[derive(Default)]
struct Count(AtomicU64);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn under_always_a_message_is_synced_when_it_is_committed() {
    let world = World::new(SyncPolicy::Always);
    assert_eq!(world.channel.synced_seq(), 0);
    for nth in 1..=3 {
        assert_eq!(world.publish(b"1"), nth);
        assert_eq!(world.channel.synced_seq(), nth);
    }
}

#[test]
fn under_periodic_a_message_is_synced_by_the_sync_behind_it() {
    let world = World::new(SyncPolicy::Periodic);
    world.publish(b"1");
    assert_eq!((world.channel.last_seq(), world.channel.synced_seq()), (1, 0));
    world.tick(300);
    assert_eq!(world.channel.synced_seq(), 1);
    world.publish(b"2");
    world.tick(400);
    assert_eq!(world.channel.synced_seq(), 1);
    world.tick(500);
    assert_eq!(world.channel.synced_seq(), 2);
    world.publish(b"3");
    assert_eq!(world.channel.synced_seq(), 2);
    let world = world.cut();
    assert_eq!((world.channel.last_seq(), world.channel.synced_seq()), (2, 2));
}

#[test]
fn under_none_a_message_is_synced_when_its_segment_ends_or_nothing_is_published() {
    let world = World::new(SyncPolicy::None);
    world.tick(500);
    world.publish(b"1");
    world.tick(900);
    assert_eq!(world.channel.synced_seq(), 0);
    world.tick(2000);
    assert_eq!(world.channel.synced_seq(), 1);
    for _ in 0..10 {
        world.publish(&[b'x'; 1000]);
    }
    let synced = world.channel.synced_seq();
    assert!((4..11).contains(&synced), "{synced}");
    let world = world.cut();
    assert_eq!(world.channel.last_seq(), synced);
}

#[test]
fn who_waits_is_woken_when_the_message_is_synced_and_not_before() {
    let world = World::new(SyncPolicy::Periodic);
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let context = &mut Context::from_waker(&waker);
    world.publish(b"1");
    let mut first = pin!(world.channel.synced_after(0));
    let mut second = pin!(world.channel.synced_after(1));
    assert_eq!(first.as_mut().poll(context), Poll::Pending);
    assert_eq!(first.as_mut().poll(context), Poll::Pending);
    assert_eq!(second.as_mut().poll(context), Poll::Pending);
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    world.tick(1000);
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "once, though asked three times");
    assert_eq!(first.as_mut().poll(context), Poll::Ready(()));
    assert_eq!(second.as_mut().poll(context), Poll::Pending);
    world.publish(b"2");
    world.store.close().unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    assert_eq!(second.as_mut().poll(context), Poll::Ready(()));
}

#[test]
fn a_sync_that_failed_is_told_of_when_its_messages_were_written_elsewhere() {
    let world = World::new(SyncPolicy::Periodic);
    world.publish(b"1");
    world.disk.inject(Fault::on(Op::Sync));
    world.store.tick(Timestamp(1000 * MILLISECOND));
    let sync = world.queue.0.lock().pop_front().unwrap();
    sync.run();
    assert_eq!(world.channel.synced_seq(), 0);
    world.run_all();
    assert_eq!(world.channel.synced_seq(), 1);
    assert_eq!(world.cut().channel.last_seq(), 1);
}

#[test]
fn a_sequence_that_is_given_out_again_is_of_another_epoch() {
    let seq = |number| Seq::new(number).unwrap();
    let world = World::new(SyncPolicy::Periodic);
    let log = world.channel.log_id();
    let first = world.channel.epoch();
    for _ in 0..3 {
        world.publish(b"1");
    }
    world.tick(1000);
    assert_eq!(world.publish(b"lost"), 4);
    assert_eq!(world.channel.clamp(4, first), 4);

    let world = world.cut();
    let second = world.channel.epoch();
    assert!(second > first);
    assert_eq!(world.channel.log_id(), log);
    assert_eq!(world.publish(b"new"), 4);
    assert_eq!([3, 4, 5].map(|it| world.channel.epoch_of(seq(it))), [first, second, second]);
    assert_eq!(world.channel.clamp(4, first), 3);
    assert_eq!(world.channel.clamp(2, first), 2);
    assert_eq!(world.channel.clamp(4, second), 4);
    assert_eq!(world.channel.clamp(9, second), 4, "there is no more");
    assert_eq!(world.channel.clamp(3, second + 1), 0, "this log does not know of it");
}

#[test]
fn a_log_that_forgot_its_epochs_gives_none_of_them_out_again() {
    let mut world = World::new(SyncPolicy::Always);
    let log = world.channel.log_id();
    let mut seen = vec![world.channel.epoch()];
    for _ in 0..3 {
        world.publish(b"1");
        world = world.cut();
        seen.push(world.channel.epoch());
    }
    for copy in ["a", "b"] {
        let file = format!("channels/orders/MANIFEST.{copy}");
        world.disk.corrupt(&file, &Corruption::Delete).unwrap();
    }
    for _ in 0..2 {
        world = world.cut();
        assert_eq!((world.channel.log_id(), world.channel.last_seq()), (log, 3));
        let epoch = world.channel.epoch();
        assert!(!seen.contains(&epoch), "{epoch} was given out before: {seen:?}");
        seen.push(epoch);
    }
}
