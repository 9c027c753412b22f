//! A cache answers as the interest does, within its bounds, and keeps what is hot.

use std::sync::Arc;

use proptest::prelude::*;
use pubsub_interest::{Cache, CacheLimits, Matches, Place, Shared};
use pubsub_types::Filter;

use crate::model::{self, Model};

fn shared(filters: &[&str]) -> Arc<Shared<u64>> {
    let shared = Shared::default();
    shared.change(|interest| {
        for (number, filter) in (0..).zip(filters) {
            interest.insert(&Filter::new(filter).unwrap(), None, number, Place::Local);
        }
    });
    Arc::new(shared)
}

fn subscribe(shared: &Shared<u64>, filter: &str, subscriber: u64) {
    let filter = Filter::new(filter).unwrap();
    shared.change(|interest| interest.insert(&filter, None, subscriber, Place::Local));
}

proptest! {
    #[test]
    fn cache_answers_as_the_latest_snapshot_does(
        parts in prop::collection::vec(
            (model::steps(6), prop::collection::vec(model::subject(), 12)), 1..30),
        entries in 1..20_u32, bytes in 500..5_000_usize,
    ) {
        let shared = Arc::new(Shared::default());
        let mut cache = Cache::new(shared.clone(), CacheLimits { entries, bytes }, 7);
        let mut model = Model::default();
        let mut matches = Matches::new();
        for (steps, subjects) in &parts {
            shared.change(|interest| {
                steps.iter().for_each(|step| model::apply(step, interest, &mut model));
            });
            for subject in subjects.iter().chain(subjects) {
                shared.load().matches(subject, &mut matches);
                prop_assert_eq!(cache.matches(subject), &matches, "{}", subject);
                prop_assert!(cache.stats().entries <= entries as usize);
            }
        }
    }
}

#[test]
fn hot_subject_is_answered_without_looking_it_up() {
    let mut cache = Cache::new(shared(&["a.*"]), CacheLimits::default(), 1);
    for _ in 0..10 {
        assert_eq!(cache.matches("a.b").plain(), [0]);
    }
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.hits, stats.stale), (2, 8, 0));
}

#[test]
fn subject_that_nobody_wants_is_remembered_too() {
    let mut cache = Cache::new(shared(&[]), CacheLimits::default(), 1);
    for _ in 0..10 {
        assert!(cache.matches("a.b").is_empty());
    }
    assert_eq!(cache.stats().hits, 8);
}

#[test]
fn change_of_one_first_token_leaves_the_others_kept() {
    let shared = shared(&["orders.*", "bills.*"]);
    let mut cache = Cache::new(shared.clone(), CacheLimits::default(), 1);
    for subject in ["orders.1", "bills.1"] {
        (0..2).for_each(|_| drop(cache.matches(subject).plain().to_vec()));
    }
    subscribe(&shared, "orders.1", 7);
    let before = cache.stats();
    assert_eq!(cache.matches("bills.1").plain(), [1]);
    assert_eq!(cache.stats().hits, before.hits + 1);
    assert_eq!(cache.matches("orders.1").plain().len(), 2);
    assert_eq!(cache.stats().stale, before.stale + 1);
    assert_eq!(cache.matches("orders.1").plain().len(), 2);
    assert_eq!(cache.stats().hits, before.hits + 2);
    subscribe(&shared, "*.1", 8);
    assert_eq!(cache.matches("bills.1").plain().len(), 2);
    assert_eq!(cache.matches("orders.1").plain().len(), 3);
}

/// A number that looks random.
fn scramble(n: u64) -> u64 {
    (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Subjects asked for again and again, among others that `flood` names.
fn share_of_hits(flood: impl Fn(u64) -> String, per_hot: u64) -> f64 {
    let limits = CacheLimits { entries: 4096, bytes: 1 << 20 };
    let mut cache = Cache::new(shared(&[">", "hot.*"]), limits, 1);
    let hot: Vec<_> = (0..1000).map(|number| format!("hot.{number}")).collect();
    for _ in 0..10 {
        hot.iter().for_each(|subject| drop(cache.matches(subject).plain().to_vec()));
    }
    let (mut asked, mut hits) = (0, 0);
    for round in 0..300_000_u64 {
        cache.matches(flood(round));
        if round % per_hot == 0 {
            let before = cache.stats().hits;
            cache.matches(&hot[usize::try_from(scramble(round) % 1000).unwrap()]);
            asked += 1;
            hits += cache.stats().hits - before;
        }
        assert!(cache.stats().bytes <= limits.bytes);
        assert!(cache.stats().entries <= 4096);
    }
    hits as f64 / f64::from(asked)
}

#[test]
fn flood_of_random_subjects_takes_no_place() {
    let share = share_of_hits(|round| format!("flood.{}", scramble(round)), 20);
    assert!(share > 0.999, "{share}");
}

#[test]
fn flood_that_asks_twice_takes_the_places_of_its_own_kind() {
    let share = share_of_hits(|round| format!("flood.{}", scramble(round / 2)), 3);
    assert!(share > 0.95, "{share}");
}

#[test]
fn subjects_that_become_hot_during_a_flood_are_kept_all_the_same() {
    let mut cache = Cache::new(shared(&[">"]), CacheLimits::default(), 1);
    for round in 0..100_000_u64 {
        cache.matches(format!("flood.{}", scramble(round)));
    }
    let before = cache.stats().hits;
    let mut asked = 0;
    for round in 100_000..400_000_u64 {
        cache.matches(format!("flood.{}", scramble(round)));
        if round % 10 == 0 {
            cache.matches(format!("new.{}", round / 10 % 500));
            asked += 1;
        }
    }
    let share = (cache.stats().hits - before) as f64 / f64::from(asked);
    assert!(share > 0.9, "{share}");
}

#[test]
fn answer_that_would_push_everything_out_is_not_kept() {
    let shared = shared(&["small"]);
    let all = Filter::new("large").unwrap();
    shared.change(|interest| {
        (0..10_000).for_each(|number| {
            interest.insert(&all, None, number, Place::Local);
        });
    });
    let mut cache = Cache::new(shared, CacheLimits { entries: 100, bytes: 100_000 }, 1);
    for _ in 0..5 {
        assert_eq!(cache.matches("small").plain().len(), 1);
        assert_eq!(cache.matches("large").plain().len(), 10_000);
    }
    assert_eq!(cache.stats().entries, 1);
    assert_eq!(cache.stats().hits, 3);
    assert!(cache.stats().bytes < 100_000);
}

#[test]
fn answer_that_grew_too_large_is_let_go() {
    let shared = shared(&["a"]);
    let mut cache = Cache::new(shared.clone(), CacheLimits { entries: 100, bytes: 20_000 }, 1);
    (0..3).for_each(|_| assert_eq!(cache.matches("a").plain().len(), 1));
    let filter = Filter::new("a").unwrap();
    shared.change(|interest| {
        (0..1000).for_each(|number| {
            interest.insert(&filter, None, number, Place::Local);
        });
    });
    (0..3).for_each(|_| assert_eq!(cache.matches("a").plain().len(), 1000));
    assert_eq!(cache.stats().entries, 0);
}

#[test]
fn cleared_cache_answers_on() {
    let mut cache = Cache::new(shared(&["a"]), CacheLimits::default(), 1);
    (0..5).for_each(|_| assert_eq!(cache.matches("a").plain(), [0]));
    cache.clear();
    assert_eq!((cache.stats().entries, cache.stats().bytes), (0, 0));
    (0..5).for_each(|_| assert_eq!(cache.matches("a").plain(), [0]));
    assert_eq!(cache.stats().entries, 1);
}
