//! What the subject index costs, for a segment of 400,000 subjects of 24 bytes with one message each.
//!
//! Prints the median of several runs, in time on a processor and not on the clock, so that the
//! neighbours of a busy machine do not count: `cargo bench -p pubsub-storage --bench index`.
#![expect(clippy::print_stdout, reason = "the numbers are the product")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pubsub_disk::{Disk, File, FileDisk, Open};
use pubsub_storage::index::{
    ActiveIndex, SealedIndex, SealedIndexBuilder, SegmentDigest, SegmentId, SlotSet, SubjectCursor,
    Wanted,
};
use pubsub_types::{Filter, LogIndex, Seq, Timestamp};
use rustix::time::{ClockId, clock_gettime};

const SUBJECTS: u64 = 400_000;
const RUNS: usize = 5;
const FIRST: Seq = Seq::FIRST;
const ID: SegmentId = SegmentId { log_id: 42, first_index: LogIndex(1), first_seq: FIRST };
const DIGEST: SegmentDigest = SegmentDigest { len_bytes: 64 << 20, hash: 0 };

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    for (name, subject) in [("random", random as fn(u64) -> String), ("shared prefix", shared)] {
        println!("## {name} subjects, such as {:?}", subject(7));
        measure(&disk, name, subject);
        println!();
    }
    one_subject();
}

fn measure(disk: &dyn Disk, name: &str, subject: fn(u64) -> String) {
    // Not in byte order, as subjects do not come sorted.
    let subjects: Vec<String> = (0..SUBJECTS).map(|n| subject(scramble(n))).collect();
    let absent: Vec<String> = (0..SUBJECTS).map(|n| subject(scramble(n + SUBJECTS))).collect();

    let push = median(|| build(&subjects));
    let mut slowest = Duration::ZERO;
    let mut active = ActiveIndex::new(FIRST);
    for (n, subject) in (0..).zip(&subjects) {
        let start = cpu_time();
        push_one(&mut active, n, subject);
        slowest = slowest.max(cpu_time() - start);
    }
    per("push", push, SUBJECTS);
    println!("{:32} {:>10.1} µs", "slowest push", slowest.as_secs_f64() * 1e6);
    bytes_per("active memory", active.memory_bytes() as u64);
    per(
        "active last, hit",
        median(|| look_up(&subjects, |it| active.last(it).is_some())),
        SUBJECTS,
    );
    per("active last, miss", median(|| look_up(&absent, |it| active.last(it).is_some())), SUBJECTS);
    let all = Filter::all();
    let wanted = Wanted::new(&all, "own");
    let sort = median(|| active.subjects(wanted, None));
    println!("{:32} {:>10.1} ms", "active sort", sort.as_secs_f64() * 1e3);

    let path = format!("{}.idx", name.replace(' ', "-"));
    let file = disk.open(Path::new(&path), Open::Create).unwrap();
    let write = median(|| SealedIndexBuilder::new(&active, ID, DIGEST).write(&*file).unwrap());
    println!("{:32} {:>10.1} ms", "seal", write.as_secs_f64() * 1e3);
    bytes_per("file", file.len().unwrap());
    sealed(&file, &subjects, &absent);
}

fn sealed(file: &Arc<dyn File>, subjects: &[String], absent: &[String]) {
    let none = SlotSet::new();
    let open = || SealedIndex::open(file.clone(), ID).unwrap();
    let index = open();
    let load = median(|| open().last("x", &none).unwrap());
    println!("{:32} {:>10.1} µs", "open and first probe", load.as_secs_f64() * 1e6);
    index.last(&subjects[0], &none).unwrap();
    bytes_per("sealed memory after a probe", index.memory_bytes() as u64);
    let last = |it: &str| index.last(it, &none).unwrap().is_some();
    let hit = median(|| look_up(subjects, last));
    per("sealed last, hit", hit, SUBJECTS);
    println!("{:32} {:>10.0} /s", "", SUBJECTS as f64 / hit.as_secs_f64());
    let miss = median(|| look_up(absent, last));
    per("sealed last, miss", miss, SUBJECTS);
    println!("{:32} {:>10.0} /s", "", SUBJECTS as f64 / miss.as_secs_f64());
    let locate = |n: u64| index.locate_block(Seq::new(n + 1).unwrap()).unwrap();
    per(
        "sealed locate",
        median(|| (0..SUBJECTS / 10).filter_map(|n| locate(scramble(n) % SUBJECTS)).count()),
        SUBJECTS / 10,
    );
    let all = Filter::all();
    let wanted = Wanted::new(&all, "own");
    let walk = median(|| {
        let mut cursor = index.subjects(wanted, None, &none).unwrap();
        let mut count = 0;
        while cursor.advance().unwrap() {
            count += black_box(cursor.current()).map_or(0, |(_, span)| span.count);
        }
        count
    });
    per("sealed cursor", walk, SUBJECTS);
}

/// Messages that all have the channel's own subject.
fn one_subject() {
    println!("## one subject, 1,000,000 messages");
    let messages = 1_000_000;
    let build = || {
        let mut active = ActiveIndex::new(FIRST);
        (0..messages).for_each(|n| push_one(&mut active, n, ""));
        active
    };
    per("push", median(build), messages);
    println!(
        "{:32} {:>10.2} B a message",
        "active memory",
        build().memory_bytes() as f64 / messages as f64
    );
}

fn build(subjects: &[String]) -> ActiveIndex {
    let mut active = ActiveIndex::new(FIRST);
    for (n, subject) in (0..).zip(subjects) {
        push_one(&mut active, n, subject);
    }
    active
}

fn push_one(active: &mut ActiveIndex, n: u64, subject: &str) {
    let time = Timestamp(n.cast_signed() * 1_000);
    active.push(Seq::new(n + 1).unwrap(), time, n * 160, 160, subject).unwrap();
}

fn look_up(subjects: &[String], found: impl Fn(&str) -> bool) -> usize {
    subjects.iter().filter(|subject| found(subject)).count()
}

fn random(n: u64) -> String {
    let high = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{high:016x}{:08x}", high.rotate_left(29) & 0xffff_ffff)
}

fn shared(n: u64) -> String {
    format!("sensors.{:04}.t.{n:09}", n % 1000)
}

/// Another number below the same power of two, each one once.
fn scramble(n: u64) -> u64 {
    let block = n / SUBJECTS * SUBJECTS;
    block + (n % SUBJECTS) * 314_159 % SUBJECTS
}

fn median<T>(mut run: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = cpu_time();
            let result = black_box(run());
            let took = cpu_time() - start;
            drop(result);
            took
        })
        .collect();
    times.sort_unstable();
    times[RUNS / 2]
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn per(what: &str, took: Duration, many: u64) {
    println!("{what:32} {:>10.0} ns each", took.as_secs_f64() * 1e9 / many as f64);
}

fn bytes_per(what: &str, bytes: u64) {
    println!("{what:32} {:>10.2} B a subject", bytes as f64 / SUBJECTS as f64);
}
