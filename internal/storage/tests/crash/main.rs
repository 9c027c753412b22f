//! Random histories with crashes: one seed, one history, and every promise judged after each reboot.
//!
//! ```text
//!   PUBSUB_SEED=0x17 cargo test -p pubsub-storage --test crash -- seed --nocapture    one, with its trace
//!   PUBSUB_SIM_SEEDS=100000 cargo test -p pubsub-storage --test crash -- fresh --nocapture
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a broken promise ends the test; seeds are printed"
)]

mod damage;
mod exhaustive;
mod history;
mod model;
mod plan;
mod promises;
mod queue;
mod see;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use history::History;
use uuid::Uuid;

/// Seeds that every run tries.
const FIXED: u64 = 2_000;
/// Seeds that nobody tried before, in every run.
const FRESH: u64 = 50;

/// Does `what`; what went wrong.
fn try_history(history: &mut History, what: impl FnOnce(&mut History)) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| what(history))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without words".to_owned())
    })
}

/// Runs the history of `seed`; what went wrong, and its trace.
fn run(seed: u64) -> (Result<(), String>, String) {
    let mut history = History::new(seed);
    let result = try_history(&mut history, History::run);
    (result, history.trace())
}

fn replay(seed: u64) -> String {
    format!("PUBSUB_SEED={seed:#x} cargo test -p pubsub-storage --test crash -- seed --nocapture")
}

/// Tries all of them, and tells of those that break a promise.
fn sweep(seeds: impl Iterator<Item = u64>) {
    let mut failed = Vec::new();
    for seed in seeds {
        if env::var_os("PUBSUB_VERBOSE").is_some() {
            println!("{seed:#x}");
        }
        if let (Err(text), trace) = run(seed) {
            if failed.is_empty() && env::var_os("PUBSUB_BRIEF").is_none() {
                println!("{trace}");
            }
            println!("{text}\n  replay: {}", replay(seed));
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "{} histories broke a promise: {failed:x?}", failed.len());
}

#[test]
fn every_promise_holds_in_two_thousand_histories() {
    sweep(0..FIXED);
}

#[test]
fn every_promise_holds_in_fresh_histories() {
    let count = env::var("PUBSUB_SIM_SEEDS").map_or(FRESH, |text| text.parse().unwrap());
    let first = Uuid::now_v7().as_u128() as u64 >> 8;
    println!("fresh seeds: {first:#x}, {count} of them");
    sweep(first..first + count);
}

/// Replays one history: `PUBSUB_SEED=0x… cargo test -p pubsub-storage --test crash -- seed --nocapture`.
#[test]
fn seed() {
    let Ok(text) = env::var("PUBSUB_SEED") else { return };
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    let seed = u64::from_str_radix(digits, 16).unwrap();
    let mut history = History::new(seed);
    let result = catch_unwind(AssertUnwindSafe(|| history.run()));
    println!("{}", history.trace());
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

#[test]
fn one_seed_gives_one_trace() {
    for seed in 0..40 {
        assert_eq!(run(seed), run(seed), "seed {seed:#x}");
    }
}
