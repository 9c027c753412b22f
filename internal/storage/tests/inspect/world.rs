//! A data directory with one channel.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pubsub_disk::{Disk, FileDisk};
use pubsub_envelope::NewRecord;
use pubsub_storage::{Channel, ChannelConfig, Executor, Job, Store, StoreOptions};
use pubsub_types::{ChannelName, Format, SyncPolicy, Timestamp};
use uuid::Uuid;

/// Runs jobs when asked, on the thread that asks.
#[derive(Default)]
pub(crate) struct Queue(Mutex<VecDeque<Job>>);

impl Executor for Queue {
    fn submit(&self, job: Job) {
        self.0.lock().push_back(job);
    }
}

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    queue: Arc<Queue>,
    store: Option<Arc<Store>>,
}

pub(crate) fn name() -> ChannelName {
    ChannelName::new("orders").unwrap()
}

impl World {
    pub(crate) fn new(format: Format) -> Self {
        Self::with_segments(format, 1024)
    }

    pub(crate) fn with_segments(format: Format, segment_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir.path()).unwrap());
        let queue = Arc::new(Queue::default());
        let sync = SyncPolicy::None;
        let defaults = ChannelConfig { format, sync, segment_bytes, ..ChannelConfig::default() };
        let options = StoreOptions { defaults, ..StoreOptions::default() };
        let store = Store::open(disk, queue.clone(), options, Uuid::from_u128(1)).unwrap();
        Self { dir, queue, store: Some(store) }
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn channel(&self) -> Arc<Channel> {
        self.store().open_or_create(&name(), Timestamp(1)).unwrap()
    }

    pub(crate) fn run_jobs(&self) {
        loop {
            let Some(job) = self.queue.0.lock().pop_front() else { break };
            job.run();
        }
    }

    pub(crate) fn publish(&self, payload: &str) -> u64 {
        let record =
            NewRecord { time: Timestamp(1), payload: payload.as_bytes(), ..NewRecord::default() };
        let appended = self.channel().append(&[record]).unwrap();
        self.run_jobs();
        appended.ticket.wait().unwrap();
        appended.last.get()
    }

    /// Lets everything become due that waits for time to pass.
    pub(crate) fn tick_long(&self) {
        for minute in 1..=10 {
            self.run_jobs();
            self.store().tick(Timestamp(minute * 60_000_000_000));
        }
        self.run_jobs();
    }

    pub(crate) fn close(&mut self) {
        self.run_jobs();
        let store = self.store.take().unwrap();
        store.close().unwrap();
        self.run_jobs();
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("channels/orders")).unwrap();
        let mut segments: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "jsonl" || end == "log"))
            .collect();
        segments.sort();
        segments
    }

    pub(crate) fn newest_segment(&self) -> PathBuf {
        self.segments().pop().unwrap()
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segments().iter().map(|path| fs::metadata(path).unwrap().len()).sum()
    }
}
