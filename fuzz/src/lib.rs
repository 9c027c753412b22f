//! What the fuzz targets share: a store on a simulated disk, and numbers taken from the input.

pub mod link;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use pubsub_disk::Disk;
use pubsub_envelope::Record;
use pubsub_sim::SimDisk;
use pubsub_storage::{Channel, ChannelConfig, Executor, Item, Job, Store, StoreOptions};
use pubsub_types::{ChannelName, Format, SyncPolicy, Timestamp};
use uuid::Uuid;

/// The time, always.
pub const NOW: Timestamp = Timestamp(1_795_267_712_934_298_826);

/// Runs jobs when asked, on the thread that asks.
#[derive(Default)]
pub struct Queue(Mutex<VecDeque<Job>>);

impl Executor for Queue {
    fn submit(&self, job: Job) {
        self.0.lock().push_back(job);
    }
}

impl Queue {
    /// Runs what waits, and what that leads to.
    pub fn run_all(&self) {
        loop {
            let Some(job) = self.0.lock().pop_front() else { break };
            job.run();
        }
    }
}

/// An open store, with whoever runs its jobs.
pub struct World {
    /// The store.
    pub store: Arc<Store>,
    /// Its jobs.
    pub queue: Arc<Queue>,
}

/// The channel that everything is about.
#[must_use]
pub fn orders() -> ChannelName {
    ChannelName::new("orders").expect("a plain name")
}

/// Small segments, so that a few messages make several.
#[must_use]
pub fn options(format: Format) -> StoreOptions {
    let defaults = ChannelConfig {
        format,
        sync: SyncPolicy::Always,
        segment_bytes: 600,
        ..ChannelConfig::default()
    };
    StoreOptions { defaults, ..StoreOptions::default() }
}

impl World {
    /// Opens the store, if what is on the disk lets it.
    #[must_use]
    pub fn open(disk: &SimDisk, format: Format) -> Option<Self> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let queue = Arc::new(Queue::default());
        let store = Store::open(disk, queue.clone(), options(format), Uuid::from_u128(1)).ok()?;
        Some(Self { store, queue })
    }

    /// Opens the channel, if its files let it.
    #[must_use]
    pub fn channel(&self) -> Option<Arc<Channel>> {
        let channel = self.store.open_or_create(&orders(), NOW).ok()?;
        self.queue.run_all();
        Some(channel)
    }
}

/// All that a channel gives out.
#[must_use]
pub fn read_all(channel: &Arc<Channel>) -> Vec<Record> {
    let mut reader = channel.reader(0);
    let mut found = Vec::new();
    loop {
        let items = reader.read(100, 1 << 20).expect("the simulated disk does not fail");
        if items.is_empty() {
            return found;
        }
        let records = items.into_iter().filter_map(|item| match item {
            Item::Record(record) => Some(record),
            Item::Gap { .. } => None,
        });
        found.extend(records);
    }
}

/// The front of an input, in pieces. Behind the end everything is zero.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    /// Two bytes, as a number.
    pub fn number(&mut self) -> usize {
        usize::from(self.byte()) | usize::from(self.byte()) << 8
    }

    /// Eight bytes, as a number.
    pub fn long(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// As many bytes as the next byte says.
    pub fn some(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (some, rest) = self.0.split_at(len);
        self.0 = rest;
        some
    }

    /// Whether there is any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One copy of a small file, sealed as `docs/format.md` draws it.
#[must_use]
pub fn sealed(content: &[u8], generation: u64) -> Vec<u8> {
    let crc = crc32c::crc32c_append(crc32c::crc32c(content), &generation.to_le_bytes());
    let seal = format!("\n#gen={generation} crc={crc:08x}\n");
    [content, seal.as_bytes()].concat()
}
