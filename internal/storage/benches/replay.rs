//! Replay: how many records one core reads of sealed segments, from one end to the other.
//!
//! `cargo bench -p pubsub-storage --bench replay [-- DIR]`; prints every round and the median.
//! `PUBSUB_BENCH=binary` or `jsonl` reads that alone, for a profiler to look at.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark measures with the clock, prints, and ends at the first error"
)]

use std::path::Path;
use std::sync::Arc;

use pubsub_disk::{Disk, FileDisk};
use pubsub_envelope::{MessageId, Meta, NewRecord};
use pubsub_storage::{Channel, ChannelConfig, Executor, Item, Job, Store, StoreOptions};
use pubsub_types::{ChannelName, Format, SyncPolicy, Timestamp};
use uuid::Uuid;

/// Does each job at once.
struct Inline;

impl Executor for Inline {
    fn submit(&self, job: Job) {
        job.run();
    }
}

/// Records of one channel.
const RECORDS: usize = 2_000_000;
const PAYLOAD_BYTES: usize = 128;

fn open(dir: &Path, format: Format) -> (Arc<Store>, Arc<Channel>) {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::create(dir).unwrap());
    let defaults = ChannelConfig { format, sync: SyncPolicy::None, ..ChannelConfig::default() };
    let options = StoreOptions { defaults, ..StoreOptions::default() };
    let store = Store::open(disk, Arc::new(Inline), options, Uuid::nil()).unwrap();
    let name = ChannelName::new("bench").unwrap();
    let channel = store.open_or_create(&name, Timestamp(1)).unwrap();
    (store, channel)
}

/// Publishes what is read later, with the envelope's fields that publishers of JSONL give, and closes.
fn fill(dir: &Path, format: Format, full: bool) {
    let (store, channel) = open(dir, format);
    let payload = match format {
        Format::Binary => vec![b'x'; PAYLOAD_BYTES],
        Format::Jsonl => {
            let mut text = format!("{{\"order\":12345,\"total\":17.5,\"note\":\"{:120}", "");
            text.truncate(PAYLOAD_BYTES - 2);
            (text + "\"}").into_bytes()
        }
    };
    let mut left = RECORDS;
    while left > 0 {
        let uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + left as u128);
        let meta = Meta {
            id: MessageId::Uuid(uuid),
            origin: "alice",
            payload_type: "com.acme.OrderCreated",
            ..Meta::default()
        };
        let meta = if full { meta } else { Meta::default() };
        let time = Timestamp(1_795_267_712_934_298_826);
        let record = NewRecord { time, payload: &payload, meta, ..NewRecord::default() };
        let batch = vec![record; left.min(1000)];
        channel.append_blocking(&batch).unwrap();
        left -= batch.len();
    }
    store.close().unwrap();
}

/// Records a second of this process's CPU time, which other processes do not disturb much.
fn replay(channel: &Arc<Channel>) -> f64 {
    let mut reader = channel.reader(0);
    let (start, mut done) = (cpu_seconds(), 0);
    loop {
        let items = reader.read(4096, 1 << 20).unwrap();
        if items.is_empty() {
            assert_eq!(done, RECORDS);
            return done as f64 / (cpu_seconds() - start);
        }
        done += items.iter().filter(|item| matches!(item, Item::Record(_))).count();
    }
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() {
    let only = std::env::var("PUBSUB_BENCH").ok();
    let base = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let base = base.map_or_else(std::env::temp_dir, Into::into);
    let dir = base.join(format!("pubsub-replay-{}", std::process::id()));
    for (name, format, full) in [
        ("binary", Format::Binary, false),
        ("binary, full envelope", Format::Binary, true),
        ("jsonl", Format::Jsonl, false),
        ("jsonl, full envelope", Format::Jsonl, true),
    ] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        fill(&dir, format, full);
        let (_store, channel) = open(&dir, format);
        let mut rates: Vec<f64> = (0..9).map(|_| replay(&channel)).collect();
        let rounds: Vec<String> = rates.iter().map(|rate| format!("{:.2}", rate / 1e6)).collect();
        rates.sort_by(f64::total_cmp);
        println!("{name:>22}  {:.2} M/s  of {}", rates[4] / 1e6, rounds.join(" "));
        drop((_store, channel));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
