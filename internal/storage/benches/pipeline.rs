//! The commit pipeline, beside what the disk itself can do in the same run.
//!
//! `cargo bench -p pubsub-storage --bench pipeline [-- DIR]`; prints every round.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures with the clock, prints, and ends at the first error"
)]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use parking_lot::Mutex;
use pubsub_disk::{Disk, FileDisk, Open};
use pubsub_envelope::NewRecord;
use pubsub_storage::{Channel, ChannelConfig, Executor, Item, Job, Store, StoreOptions};
use pubsub_types::{ChannelName, Format, SyncPolicy, Timestamp};
use uuid::Uuid;

struct Threads(Mutex<Sender<Job>>);

impl Threads {
    fn start() -> Arc<Self> {
        let (jobs, work): (_, Receiver<Job>) = channel();
        let work = Arc::new(Mutex::new(work));
        for _ in 0..2 {
            let work = work.clone();
            std::thread::spawn(move || {
                loop {
                    let job = work.lock().recv();
                    let Ok(job) = job else { return };
                    job.run();
                }
            });
        }
        Arc::new(Self(Mutex::new(jobs)))
    }
}

impl Executor for Threads {
    fn submit(&self, job: Job) {
        self.0.lock().send(job).unwrap();
    }
}

const PAYLOAD: [u8; 128] = [b'x'; 128];
const JSON: [u8; 128] = {
    let mut bytes = [b'x'; 128];
    bytes[0] = b'"';
    bytes[127] = b'"';
    bytes
};

fn open(dir: &Path, format: Format, sync: SyncPolicy) -> (Arc<Store>, Arc<Channel>) {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::create(dir).unwrap());
    let defaults = ChannelConfig { format, sync, ..ChannelConfig::default() };
    let options = StoreOptions { defaults, ..StoreOptions::default() };
    let store = Store::open(disk, Threads::start(), options, Uuid::nil()).unwrap();
    let name = ChannelName::new("bench").unwrap();
    let channel = store.open_or_create(&name, Timestamp(1)).unwrap();
    (store, channel)
}

fn record(payload: &[u8]) -> NewRecord<'_> {
    NewRecord { time: Timestamp(1_795_267_712_934_298_826), payload, ..NewRecord::default() }
}

/// Keeps `in_flight` messages on their way from one thread; rate and CPU per message.
fn in_flight(channel: &Arc<Channel>, in_flight: usize, seconds: f64, payload: &[u8]) -> (f64, f64) {
    let mut tickets = VecDeque::with_capacity(in_flight);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut done = 0_u64;
    while start.elapsed().as_secs_f64() < seconds {
        while tickets.len() < in_flight {
            tickets.push_back(channel.append(&[record(payload)]).unwrap().ticket);
        }
        // Whatever is committed together is taken together.
        tickets.pop_front().unwrap().wait().unwrap();
        done += 1;
        while tickets.front().is_some_and(|ticket| ticket.result().is_some()) {
            tickets.pop_front().unwrap().wait().unwrap();
            done += 1;
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    (done as f64 / elapsed, (cpu_seconds() - cpu) / done as f64 * 1e6)
}

fn blocking(channel: &Arc<Channel>, seconds: f64, payload: &[u8]) -> (f64, f64) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut done = 0_u64;
    while start.elapsed().as_secs_f64() < seconds {
        channel.append_blocking(&[record(payload)]).unwrap();
        done += 1;
    }
    (done as f64 / start.elapsed().as_secs_f64(), (cpu_seconds() - cpu) / done as f64 * 1e6)
}

fn raw_sync(dir: &Path, seconds: f64) -> f64 {
    let disk = FileDisk::create(dir).unwrap();
    let file = disk.open(Path::new("raw"), Open::Create).unwrap();
    let (start, mut at) = (Instant::now(), 0_u64);
    let mut done = 0_u64;
    while start.elapsed().as_secs_f64() < seconds {
        file.write_at(&[std::io::IoSlice::new(&[7; 256])], at).unwrap();
        file.sync().unwrap();
        at += 256;
        done += 1;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

fn replay(channel: &Arc<Channel>) -> (u64, f64) {
    let mut reader = channel.reader(0);
    let (start, mut done) = (Instant::now(), 0_u64);
    loop {
        let items = reader.read(4096, 1 << 20).unwrap();
        if items.is_empty() {
            return (done, done as f64 / start.elapsed().as_secs_f64());
        }
        done += items.iter().filter(|item| matches!(item, Item::Record(_))).count() as u64;
    }
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn main() {
    // A name alone runs that part only, for a profiler to look at.
    let only = std::env::var("PUBSUB_BENCH").ok();
    let base = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let base = base.map_or_else(std::env::temp_dir, Into::into);
    let dir = base.join(format!("pubsub-bench-{}", std::process::id()));
    if let Some(only) = only {
        let (_store, log) = open(&dir, Format::Binary, SyncPolicy::Periodic);
        let flight = if only == "one" { 1 } else { 256 };
        let (rate, cpu) = in_flight(&log, flight, 5.0, &PAYLOAD);
        println!("periodic binary, {flight} in flight {rate:>10.0}/s {cpu:>6.2} us");
        if only == "replay" {
            for _ in 0..10 {
                println!("replay {:>10.0}/s", replay(&log).1);
            }
        }
        std::fs::remove_dir_all(&dir).unwrap();
        return;
    }
    for round in 0..3 {
        let at = |name: &str| dir.join(format!("{round}-{name}"));
        println!("raw append+fdatasync            {:>10.0}/s", raw_sync(&at("raw"), 1.0));
        let (_store, log) = open(&at("block"), Format::Binary, SyncPolicy::Always);
        let (rate, cpu) = blocking(&log, 1.0, &PAYLOAD);
        println!("always binary, blocking, 1      {rate:>10.0}/s {cpu:>6.2} us");
        for flight in [1, 256, 4096] {
            let (_store, log) =
                open(&at(&format!("a{flight}")), Format::Binary, SyncPolicy::Always);
            let (rate, cpu) = in_flight(&log, flight, 1.5, &PAYLOAD);
            println!("always binary, {flight:>5} in flight  {rate:>10.0}/s {cpu:>6.2} us");
        }
        for (name, format, payload) in
            [("binary", Format::Binary, &PAYLOAD), ("jsonl", Format::Jsonl, &JSON)]
        {
            let (store, log) = open(&at(name), format, SyncPolicy::Periodic);
            let (rate, cpu) = in_flight(&log, 1, 1.5, payload);
            println!("periodic {name:>6}, 1 in flight    {rate:>10.0}/s {cpu:>6.2} us");
            store.close().unwrap();
            drop((store, log));
            let (_store, log) = open(&at(name), format, SyncPolicy::Periodic);
            let (count, rate) = replay(&log);
            println!("replay {name:>6}                   {rate:>10.0}/s of {count}");
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
