//! Replay: how many records one core reads of sealed segments, from one end to the other.
//!
//! `cargo bench -p pubsub-storage --bench replay [-- DIR]`; prints every round and the median.
//! `PUBSUB_BENCH=binary` or `jsonl` reads that alone, for a profiler to look at.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark measures with the clock, prints, and ends at the first error"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pubsub_disk::{Disk, FileDisk};
use pubsub_envelope::{MessageId, Meta, NewRecord};
use pubsub_storage::{Channel, ChannelConfig, Executor, Item, Job, Reader, Store, StoreOptions};
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

/// How long single reads take, of 256 messages each as a subscription reads them: one behind the other
/// whose bytes are in the page cache or on the device, and at places that nobody read before.
fn latencies(dir: &Path, channel: &Arc<Channel>) {
    let timed = |reader: &mut Reader| {
        let start = Instant::now();
        let items = reader.read(256, 256 << 10).unwrap();
        (items.len(), start.elapsed().as_secs_f64() * 1e6)
    };
    for cold in [false, true] {
        let mut reader = channel.reader(0);
        if cold {
            forget(dir);
        }
        let reads = std::iter::repeat_with(|| timed(&mut reader));
        let times = reads.take_while(|(count, _)| *count > 0).map(|(_, time)| time).collect();
        print_times(if cold { "device, in order" } else { "page cache, in order" }, times);
    }
    let places = (0..64).map(|nth| nth * 48_611 % RECORDS as u64);
    let scattered = |after| {
        forget(dir);
        timed(&mut channel.reader(after)).1
    };
    print_times("device, anywhere", places.map(scattered).collect());
}

fn print_times(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
    let (median, p90, p99, worst) = (at(0.5), at(0.9), at(0.99), at(1.0));
    println!("{name:>22}  median {median:.0} us, p90 {p90:.0}, p99 {p99:.0}, worst {worst:.0}");
}

/// Drops the files in `dir` from the page cache.
fn forget(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            forget(&path);
        } else {
            let file = std::fs::File::open(&path).unwrap();
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
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
        latencies(&dir, &channel);
        drop((_store, channel));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
