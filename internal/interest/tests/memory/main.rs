//! What subscriptions, matches and caches take from the allocator, as the allocator counts it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;

use pubsub_interest::{
    Cache, CacheLimits, Interest, Matches, Place, Prefer, QueueGroup, Shared, Snapshot,
};
use pubsub_types::Filter;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The allocator counts for the whole process, so there is one test in it.
#[test]
fn memory_is_what_the_names_below_say() {
    subscription_of_a_client_with_very_many_costs_a_few_dozen_bytes();
    subscribers_of_one_filter_cost_a_few_dozen_bytes_each();
    interest_of_a_small_tenant_costs_a_few_kilobytes();
    match_allocates_nothing_once_its_buffers_have_grown();
    cache_allocates_for_what_it_keeps_and_for_nothing_else();
    cache_counts_the_bytes_it_has();
    churn_takes_a_handful_of_allocations_a_publication_and_no_more_memory();
}

/// Bytes allocated and not given back.
fn held(region: &Region<'_, System>) -> usize {
    let stats = region.change();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn allocations(region: &Region<'_, System>) -> usize {
    let stats = region.change();
    stats.allocations + stats.reallocations
}

const MANY: u64 = 200_000;

fn filters(text: impl Fn(u64) -> String) -> Vec<Filter> {
    (0..MANY).map(|n| Filter::new(&text(n)).unwrap()).collect()
}

fn subscribe(interest: &mut Interest<u64>, filter: &Filter, subscriber: u64) {
    interest.insert(filter, None, subscriber, Place::Local);
}

/// A number that looks random.
fn scramble(n: u64) -> u64 {
    (n ^ n >> 31).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn assert_cheap(texts: &[Filter], bytes_max: usize) {
    let region = Region::new(ALLOCATOR);
    let shared = Shared::<u64>::default();
    for (at_once, part) in (0_u64..).zip(texts.chunks(100)) {
        shared.change(|interest| {
            for (n, filter) in (0..).zip(part) {
                subscribe(interest, filter, (7 << 32) + at_once * 100 + n);
            }
        });
    }
    let bytes = held(&region);
    let each = bytes / texts.len();
    assert!(each <= bytes_max, "{each} bytes each");
    let reported = shared.change(|interest| interest.memory().total);
    assert!(reported.abs_diff(bytes) < bytes / 20, "{reported} of {bytes}");
    drop(shared);
    // arc-swap keeps a node for each thread.
    assert!(held(&region) < 512, "{} bytes", held(&region));
}

fn subscription_of_a_client_with_very_many_costs_a_few_dozen_bytes() {
    assert_cheap(&filters(|n| format!("bench.{n}.*")), 50);
    assert_cheap(&filters(|n| format!("_INBOX.{:022}", scramble(n))), 100);
    assert_cheap(&filters(|n| format!("dev.{:016x}{:016x}.>", scramble(n), n)), 100);
}

fn subscribers_of_one_filter_cost_a_few_dozen_bytes_each() {
    let region = Region::new(ALLOCATOR);
    let filter = Filter::new("news.>").unwrap();
    let mut interest = Interest::<u64>::new();
    (0..MANY).for_each(|n| subscribe(&mut interest, &filter, n << 20 | 1));
    interest.publish();
    let each = held(&region) / usize::try_from(MANY).unwrap();
    assert!(each < 40, "{each} bytes each");
}

fn interest_of_a_small_tenant_costs_a_few_kilobytes() {
    let region = Region::new(ALLOCATOR);
    let shared = Shared::<u64>::default();
    shared.change(|interest| {
        for (n, text) in (0..).zip(["orders.*", "bills.>", "_INBOX.x.*"]) {
            subscribe(interest, &Filter::new(text).unwrap(), n);
        }
    });
    let cache = Cache::new(Arc::new(shared), CacheLimits::default(), 1);
    assert!(held(&region) < 8 << 10, "{} bytes", held(&region));
    drop(cache);
}

/// Filters of every kind, with groups, and subjects that match some.
fn mixed() -> (Arc<Snapshot<u64>>, Vec<String>) {
    let mut interest = Interest::new();
    let group = |n: u64| format!("group.{}", n % 7);
    for n in 0..10_000 {
        let text = match n % 5 {
            0 => format!("a.{}.*", n % 100),
            1 => format!("a.*.{}", n % 100),
            2 => format!("a.{}.>", n % 50),
            3 => format!("*.{n}.x"),
            _ => format!("a.{}.{n}", n % 100),
        };
        let filter = Filter::new(&text).unwrap();
        let name = group(n);
        let group = (n % 3 == 0).then(|| QueueGroup::new(&name).unwrap());
        let place = if n % 2 == 0 { Place::Local } else { Place::Near { weight: 2 } };
        interest.insert(&filter, group, n, place);
    }
    (interest.publish(), (0..1000).map(|n| format!("a.{}.{}", n % 120, n % 110)).collect())
}

fn match_allocates_nothing_once_its_buffers_have_grown() {
    let (snapshot, subjects) = mixed();
    let mut matches = Matches::new();
    let mut ask = || {
        let mut chosen = 0;
        for (random, subject) in (0..).zip(&subjects) {
            snapshot.matches(subject, &mut matches);
            for group in matches.groups() {
                let first = group.choices(scramble(random), Prefer::Nearest).next();
                chosen += first.map_or(0, |member| member.subscriber);
            }
        }
        chosen
    };
    black_box(ask());
    let region = Region::new(ALLOCATOR);
    black_box(ask());
    assert_eq!(allocations(&region), 0);
}

fn cache_allocates_for_what_it_keeps_and_for_nothing_else() {
    let shared = Shared::<u64>::default();
    shared.change(|interest| subscribe(interest, &Filter::new("a.>").unwrap(), 1));
    let mut cache = Cache::new(Arc::new(shared), CacheLimits::default(), 1);
    let hot: Vec<_> = (0..100).map(|n| format!("a.{n}")).collect();
    let flood: Vec<_> = (0..250_000).map(|n| format!("a.b.{}", scramble(n))).collect();
    for _ in 0..20 {
        hot.iter().for_each(|subject| assert!(!cache.matches(subject).is_empty()));
    }
    assert_eq!(cache.stats().entries, hot.len());
    // Until as many are remembered as may be.
    flood[..200_000].iter().for_each(|subject| assert!(!cache.matches(subject).is_empty()));
    let region = Region::new(ALLOCATOR);
    for (subject, other) in hot.iter().cycle().zip(&flood[200_000..]) {
        assert!(!cache.matches(subject).is_empty());
        assert!(!cache.matches(other).is_empty());
    }
    assert_eq!(allocations(&region), 0);
}

fn cache_counts_the_bytes_it_has() {
    let shared = Arc::new(Shared::<u64>::default());
    shared.change(|interest| {
        for n in 0..20 {
            subscribe(interest, &Filter::new("a.>").unwrap(), n);
        }
    });
    let subjects: Vec<_> = (0..30_000).map(|n| format!("a.{}", scramble(n))).collect();
    let region = Region::new(ALLOCATOR);
    let mut cache = Cache::new(shared, CacheLimits { entries: 1 << 20, bytes: 4 << 20 }, 1);
    for subject in subjects.iter().flat_map(|subject| [subject, subject]) {
        cache.matches(subject);
    }
    let (reported, bytes) = (cache.stats().bytes, held(&region));
    assert!(reported <= 4 << 20);
    assert!(reported > 3 << 20, "{reported}");
    assert!(reported.abs_diff(bytes) < bytes / 20, "{reported} of {bytes}");
    drop(cache);
}

fn churn_takes_a_handful_of_allocations_a_publication_and_no_more_memory() {
    let filters = filters(|n| format!("bench.{n}.*"));
    let shared = Shared::<u64>::default();
    shared.change(|interest| {
        (0..).zip(&filters).for_each(|(n, filter)| subscribe(interest, filter, n));
    });
    let churn = || {
        for n in (0..10_000).map(|n| scramble(n) % MANY) {
            let filter = &filters[usize::try_from(n).unwrap()];
            shared.change(|interest| interest.remove(filter, None, n));
            shared.change(|interest| subscribe(interest, filter, n));
        }
    };
    churn();
    let region = Region::new(ALLOCATOR);
    churn();
    assert!(allocations(&region) < 3 * 20_000, "{}", allocations(&region));
    assert!(held(&region) < 1 << 20, "{}", held(&region));
}
