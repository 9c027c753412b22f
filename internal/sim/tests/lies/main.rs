//! Each lie of the simulated disk, proved: over many seeds all it may do is seen to happen, and what
//! it must not do never happens.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod contents;
mod crashes;
mod damage;
mod faults;
mod names;
mod room;
mod same_seed;

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use pubsub_disk::{Disk, File, Open};
use pubsub_sim::SimDisk;

/// Enough for each outcome that is to be seen.
const SEEDS: std::ops::Range<u64> = 0..400;

fn create(disk: &SimDisk, path: &str) -> Arc<dyn File> {
    disk.open(Path::new(path), Open::Create).unwrap()
}

fn open(disk: &SimDisk, path: &str) -> Arc<dyn File> {
    disk.open(Path::new(path), Open::Write).unwrap()
}

fn write(file: &Arc<dyn File>, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_at(&[IoSlice::new(bytes)], at)
}

fn sync_dir(disk: &SimDisk, dir: &str) {
    disk.sync_dir(Path::new(dir)).unwrap();
}

fn rename(disk: &SimDisk, from: &str, to: &str) {
    disk.rename(Path::new(from), Path::new(to)).unwrap();
}

fn remove(disk: &SimDisk, path: &str) {
    disk.remove_file(Path::new(path)).unwrap();
}

/// A disk with an open file "a" of these bytes, all of it durable.
fn disk_with(bytes: &[u8]) -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new(0);
    disk.plant("a", bytes).unwrap();
    let file = open(&disk, "a");
    (disk, file)
}

/// How often each of the outcomes came up over all seeds; anything else is a failure.
#[track_caller]
fn outcomes<T: PartialEq + std::fmt::Debug>(
    allowed: &[T],
    outcome_of: impl Fn(u64) -> T,
) -> Vec<usize> {
    let mut seen = vec![0; allowed.len()];
    for seed in SEEDS {
        let outcome = outcome_of(seed);
        let index = allowed.iter().position(|allowed| *allowed == outcome);
        seen[index.unwrap_or_else(|| panic!("seed {seed}: {outcome:?}"))] += 1;
    }
    seen
}

/// Fails unless exactly these outcomes come up over all seeds.
#[track_caller]
fn all_come_up<T: PartialEq + std::fmt::Debug>(allowed: &[T], outcome_of: impl Fn(u64) -> T) {
    let seen = outcomes(allowed, outcome_of);
    assert!(!seen.contains(&0), "of {allowed:?}, seen {seen:?} times");
}
