//! Readers see whole publications, one after the other, while they are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pubsub_interest::{Cache, CacheLimits, Matches, Place, Shared};
use pubsub_types::Filter;

const PAIRS: u64 = 40;

fn filter(number: u64, last: &str) -> Filter {
    Filter::new(&format!("pairs.{number}.{last}")).unwrap()
}

/// Every call adds or removes two subscriptions that match the same subject, so a reader that sees
/// one of them sees both; and the one that is never removed is always there.
#[test]
fn readers_see_all_of_a_change_or_nothing_of_it() {
    let shared = Arc::new(Shared::<u64>::default());
    shared.change(|interest| {
        interest.insert(&Filter::new("pairs.*.left").unwrap(), None, u64::MAX, Place::Local);
    });
    let is_done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|seed| {
            let (shared, is_done) = (shared.clone(), is_done.clone());
            thread::spawn(move || {
                let mut cache = Cache::new(shared.clone(), CacheLimits::default(), seed);
                let mut matches = Matches::new();
                let mut kept = shared.snapshot();
                let mut kept_len = kept.len();
                let mut both = 0_u64;
                for round in 0_u64.. {
                    if is_done.load(Ordering::Relaxed) && round > 10_000 {
                        break;
                    }
                    let subject = format!("pairs.{}.left", round % PAIRS);
                    shared.load().matches(&subject, &mut matches);
                    assert!([1, 3].contains(&matches.plain().len()), "{matches:?}");
                    both += u64::from(matches.plain().len() == 3);
                    let cached = cache.matches(&subject);
                    assert!([1, 3].contains(&cached.plain().len()), "{cached:?}");
                    if round % 512 == 0 {
                        assert_eq!(kept.len(), kept_len);
                        kept = shared.snapshot();
                        kept_len = kept.len();
                        assert_eq!(kept_len % 2, 1);
                    }
                }
                both
            })
        })
        .collect();
    for round in 0..30_000_u64 {
        let number = round.wrapping_mul(0x9e37_79b9) % PAIRS;
        shared.change(|interest| {
            for last in ["left", "*"] {
                if !interest.remove(&filter(number, last), None, number) {
                    interest.insert(&filter(number, last), None, number, Place::Local);
                }
            }
        });
    }
    is_done.store(true, Ordering::Relaxed);
    let both: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
    assert!(both > 0, "the readers saw something");
}

/// What a connection subscribed is there for the next message, on whatever thread.
#[test]
fn change_is_seen_by_every_thread_once_it_returned() {
    let shared = Arc::new(Shared::<u64>::default());
    let (ask, asked) = std::sync::mpsc::sync_channel::<u64>(0);
    let (answer, answered) = std::sync::mpsc::sync_channel(0);
    let other = {
        let mut cache = Cache::new(shared.clone(), CacheLimits::default(), 1);
        thread::spawn(move || {
            for number in asked {
                answer.send(cache.matches("hot").plain().contains(&number)).unwrap();
            }
        })
    };
    let hot = Filter::new("hot").unwrap();
    for number in 0..5000 {
        shared.change(|interest| interest.insert(&hot, None, number, Place::Local));
        ask.send(number).unwrap();
        assert!(answered.recv().unwrap(), "{number}");
        shared.change(|interest| interest.remove(&hot, None, number));
        ask.send(number).unwrap();
        assert!(!answered.recv().unwrap(), "{number}");
    }
    drop(ask);
    other.join().unwrap();
}
