//! A log of many subjects: what it takes to fill, to open after its process died, and to ask.
//!
//! `cargo bench -p pubsub-storage --bench subjects [-- RECORDS SUBJECTS [DIR]]`; the filling process ends
//! without closing anything, and another one opens what it left.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures with the clock, prints, and ends at the first error"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use parking_lot::Mutex;
use pubsub_disk::{Disk, FileDisk};
use pubsub_envelope::NewRecord;
use pubsub_storage::{Channel, ChannelConfig, Executor, Job, Store, StoreOptions};
use pubsub_types::{ChannelName, Filter, Format, SyncPolicy, Timestamp};
use uuid::Uuid;

struct Thread(Mutex<Sender<Job>>);

impl Executor for Thread {
    fn submit(&self, job: Job) {
        self.0.lock().send(job).unwrap();
    }
}

fn open(dir: &Path) -> (Arc<Store>, Arc<Channel>) {
    let (jobs, work): (_, Receiver<Job>) = channel();
    std::thread::spawn(move || work.into_iter().for_each(Job::run));
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::create(dir).unwrap());
    let defaults = ChannelConfig {
        format: Format::Binary,
        sync: SyncPolicy::None,
        ..ChannelConfig::default()
    };
    let options = StoreOptions { defaults, ..StoreOptions::default() };
    let executor = Arc::new(Thread(Mutex::new(jobs)));
    let store = Store::open(disk, executor, options, Uuid::nil()).unwrap();
    let channel = store.open_or_create(&ChannelName::new("many").unwrap(), Timestamp(1)).unwrap();
    (store, channel)
}

/// 24 bytes.
fn subject(nth: u64) -> String {
    format!("orders.eu.customer.{:05}", nth % 100_000) + &format!(".{:06}", nth / 100_000)
}

fn fill(dir: &Path, records: u64, subjects: u64) {
    let (_store, log) = open(dir);
    let start = Instant::now();
    let payload = [b'x'; 100];
    let mut nth = 0;
    while nth < records {
        // Scattered, as keys are.
        let names: Vec<String> =
            (nth..(nth + 1000).min(records)).map(|nth| subject((nth * 7_919) % subjects)).collect();
        let batch: Vec<NewRecord<'_>> = names
            .iter()
            .map(|subject| NewRecord {
                time: Timestamp(1),
                subject,
                payload: &payload,
                ..NewRecord::default()
            })
            .collect();
        log.append(&batch).unwrap().ticket.wait().unwrap();
        nth += names.len() as u64;
    }
    let rate = records as f64 / start.elapsed().as_secs_f64();
    println!("filled {records} records over {subjects} subjects: {rate:.0}/s, {}", memory());
}

fn ask(dir: &Path, subjects: u64) {
    let start = Instant::now();
    let (_store, log) = open(dir);
    println!("opened: {:.0} ms, {}", start.elapsed().as_secs_f64() * 1e3, memory());
    let start = Instant::now();
    assert!(log.last_of(&subject(1)).unwrap().is_some());
    println!("first question: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    for nth in 0..100_000 {
        assert!(log.last_of(&subject((nth * 104_729) % subjects)).unwrap().is_some());
    }
    let rate = 1e5 / start.elapsed().as_secs_f64();
    println!("last of a subject: {rate:.0}/s, {}", memory());
    let start = Instant::now();
    let filter = Filter::new("orders.eu.customer.00042.>").unwrap();
    let totals = log.totals(&filter).unwrap();
    println!(
        "totals of {filter}: {} messages on {} subjects in {:.1} ms",
        totals.messages,
        totals.subjects,
        start.elapsed().as_secs_f64() * 1e3
    );
    let start = Instant::now();
    let all = log.totals(&Filter::all()).unwrap();
    println!(
        "totals of all: {} messages on {} subjects in {:.0} ms, {}",
        all.messages,
        all.subjects,
        start.elapsed().as_secs_f64() * 1e3,
        memory()
    );
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    format!("{:.0} MB resident, {:.0} MB at most", field("VmRSS:"), field("VmHWM:"))
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let first = args.next();
    if let Some(task @ ("fill" | "ask")) = first.as_deref() {
        let dir = PathBuf::from(args.next().unwrap());
        let records = args.next().unwrap().parse().unwrap();
        let subjects = args.next().unwrap().parse().unwrap();
        if task == "fill" {
            fill(&dir, records, subjects);
        } else {
            ask(&dir, subjects);
        }
        // As a kill would: nothing is closed, nothing is marked.
        std::process::exit(0);
    }
    let number =
        |text: Option<String>, default: u64| text.map_or(default, |it| it.parse().unwrap());
    let records = number(first, 5_000_000);
    let subjects = number(args.next(), 1_000_000);
    let base = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("pubsub-subjects-{}", std::process::id()));
    for task in ["fill", "ask"] {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.arg(task).arg(&dir).arg(records.to_string()).arg(subjects.to_string());
        assert!(command.status().unwrap().success());
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
