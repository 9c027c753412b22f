//! Many channels: what an idle one takes, and how long a data directory of them takes to open.
//!
//! `cargo bench -p pubsub-storage --bench channels [-- CHANNELS [DIR]]`. Making a channel syncs its
//! files and names, so give a DIR in memory (`/dev/shm`) when only opening is of interest.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures with the clock, prints, and ends at the first error"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use parking_lot::Mutex;
use pubsub_disk::{Disk, FileDisk};
use pubsub_envelope::NewRecord;
use pubsub_storage::{Executor, Job, Store, StoreOptions};
use pubsub_types::{ChannelName, Timestamp};
use uuid::Uuid;

struct Thread(Mutex<Sender<Job>>);

impl Executor for Thread {
    fn submit(&self, job: Job) {
        self.0.lock().send(job).unwrap();
    }
}

fn open(dir: &Path) -> Arc<Store> {
    let (jobs, work): (_, Receiver<Job>) = channel();
    std::thread::spawn(move || work.into_iter().for_each(Job::run));
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::create(dir).unwrap());
    let executor = Arc::new(Thread(Mutex::new(jobs)));
    Store::open(disk, executor, StoreOptions::default(), Uuid::nil()).unwrap()
}

fn resident_kb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let count: u64 = args.next().map_or(10_000, |text| text.parse().unwrap());
    let base = args.next().map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
    let dir = base.join(format!("pubsub-channels-{}", std::process::id()));
    let name = |nth| ChannelName::new(&format!("channel.{nth:05}")).unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();

    let store = open(&dir);
    let before = resident_kb();
    let start = Instant::now();
    for nth in 0..count {
        let channel = store.open_or_create(&name(nth), Timestamp(1)).unwrap();
        let record = NewRecord { time: Timestamp(1), payload: b"1", ..NewRecord::default() };
        channel.append_blocking(&[record]).unwrap();
    }
    println!("made {count} channels in {:.1} s", start.elapsed().as_secs_f64());
    // Two looks, a while apart: the second finds them idle.
    store.tick(Timestamp(1));
    store.tick(Timestamp(60_000_000_000));
    store.close().unwrap();
    println!("open and idle: {:.1} KB each", (resident_kb() - before) / count as f64);
    drop(store);

    let start = Instant::now();
    let store = open(&dir);
    let names = store.channels().unwrap();
    println!(
        "opened the directory and listed {}: {:.0} ms",
        names.len(),
        start.elapsed().as_secs_f64() * 1e3
    );
    let before = resident_kb();
    let start = Instant::now();
    for name in &names {
        store.channel(name, Timestamp(1)).unwrap();
    }
    println!("opened every channel: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    println!("opened: {:.1} KB each", (resident_kb() - before) / count as f64);
    drop(store);
    std::fs::remove_dir_all(&dir).unwrap();
}
