//! What it costs to match, to subscribe and to remember, with a million subscriptions.
//!
//! Prints the median of several runs, in time on a processor and not on the clock, so that the
//! neighbours of a busy machine do not count: `cargo bench -p pubsub-interest`.
#![expect(clippy::print_stdout, reason = "the numbers are the product")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]
#![expect(clippy::cast_possible_truncation, reason = "numbers here are below 2^32")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use pubsub_interest::{Cache, CacheLimits, Interest, Matches, Place, QueueGroup, Shared};
use pubsub_types::Filter;
use rustix::time::{ClockId, clock_gettime};

const SUBSCRIPTIONS: u64 = 1_000_000;
const CHURN: u64 = 100_000;
const RUNS: usize = 7;

fn main() {
    one_client();
    for wild in [0, 10, 25, 50] {
        println!("## {SUBSCRIPTIONS} subscriptions, {wild} % with wildcards");
        let filters: Vec<_> = (0..SUBSCRIPTIONS).map(|n| filter(scramble(n), wild)).collect();
        matching(&filters);
        println!();
    }
    churn();
    fan_out();
    queue_groups();
}

/// A client with 200,000 subscriptions, as in the measurements of nats-server.
fn one_client() {
    println!("## 200,000 subscriptions of one client");
    for (name, text) in [
        ("wildcards", (|n| format!("bench.{n}.*")) as fn(u64) -> String),
        ("inboxes", |n| format!("_INBOX.{:022x}", u128::from(scramble(n)) * 0x9e37_79b9_7f4a)),
        ("uuids", |n| format!("dev.{:032x}.>", u128::from(scramble(n)).pow(2))),
    ] {
        let filters: Vec<_> = (0..200_000).map(|n| Filter::new(&text(n)).unwrap()).collect();
        let build = || {
            let mut interest = Interest::<u64>::new();
            for (n, filter) in (0..).zip(&filters) {
                interest.insert(filter, None, 7 << 32 | n, Place::Local);
            }
            interest.publish();
            interest
        };
        per(&format!("{name}: insert, one publication"), median(build), 200_000);
        let memory = build().memory();
        println!("{:44} {:>8.1} B each", "", memory.total as f64 / 200_000.0);
        let each = || {
            let shared = Shared::<u64>::default();
            for (n, filter) in (0..).zip(&filters) {
                shared.change(|it| it.insert(filter, None, 7 << 32 | n, Place::Local));
            }
            shared
        };
        per(&format!("{name}: insert, published each"), median(each), 200_000);
        let memory = each().change(|it| it.memory());
        println!("{:44} {:>8.1} B each", "", memory.total as f64 / 200_000.0);
    }
    println!();
}

fn matching(filters: &[Filter]) {
    let mut interest = Interest::<u64>::new();
    let start = cpu_time();
    for (n, filter) in (0..).zip(filters) {
        interest.insert(filter, None, n, Place::Local);
    }
    interest.publish();
    per("fill", cpu_time() - start, SUBSCRIPTIONS);
    let memory = interest.memory();
    println!("{:44} {:>8.1} B each", "memory", memory.total as f64 / SUBSCRIPTIONS as f64);
    let shared = Arc::new(Shared::new(interest));

    let subjects: Vec<_> = (0..200_000).map(|n| subject(scramble(n * 7))).collect();
    let absent: Vec<_> = (0..200_000).map(|n| subject(scramble(n * 7)) + "x").collect();
    let mut matches = Matches::new();
    let mut found = 0;
    for subject in &subjects {
        shared.load().matches(subject, &mut matches);
        found += matches.plain().len();
    }
    println!("{:44} {:>8.2}", "matches of a subject", found as f64 / subjects.len() as f64);
    let many = subjects.len() as u64;
    let mut ask = |subjects: &[String]| {
        let mut found = 0;
        for subject in subjects {
            shared.load().matches(subject, &mut matches);
            found += matches.plain().len();
        }
        found
    };
    per("match, random subjects", median(|| ask(&subjects)), many);
    per("match, nobody wants it", median(|| ask(&absent)), many);
    per(
        "match, 1,000 subjects over and over",
        median(|| (0..200).map(|_| ask(&subjects[..1000])).sum::<usize>()),
        many,
    );
    let interested =
        || subjects.iter().filter(|subject| shared.load().has_interest(subject)).count();
    per("has_interest, random subjects", median(interested), many);

    let mut cache = Cache::new(shared.clone(), CacheLimits::default(), 42);
    per(
        "cache, every subject new",
        median(|| {
            subjects.iter().map(|subject| cache.matches(subject).plain().len()).sum::<usize>()
        }),
        many,
    );
    for hot in [100, 1000, 20_000] {
        let mut cache = Cache::new(shared.clone(), CacheLimits::default(), 42);
        let mut ask = |rounds: usize| {
            let subjects = &subjects[..hot];
            (0..rounds)
                .map(|_| subjects.iter().map(|it| cache.matches(it).plain().len()).sum::<usize>())
                .sum::<usize>()
        };
        ask(20);
        let rounds = 400_000 / hot;
        let took = median(|| ask(rounds));
        per(&format!("cache hit, {hot} subjects"), took, (rounds * hot) as u64);
        let stats = cache.stats();
        assert!(stats.misses < 20 * hot as u64, "{stats:?}");
    }
}

/// Subscribing and unsubscribing among a million.
fn churn() {
    println!("## {CHURN} removed and inserted among {SUBSCRIPTIONS}, a quarter with wildcards");
    let filters: Vec<_> = (0..SUBSCRIPTIONS).map(|n| filter(scramble(n), 25)).collect();
    let shared = Shared::<u64>::default();
    shared.change(|interest| {
        for (n, filter) in (0..).zip(&filters) {
            interest.insert(filter, None, n, Place::Local);
        }
    });
    let before = shared.change(|interest| interest.memory());
    // Their texts as fresh as a parser's, and not fetched from far away in memory.
    let chosen: Vec<_> = (0..CHURN)
        .map(|n| scramble(n) % SUBSCRIPTIONS)
        .map(|n| (Filter::new(filters[n as usize].as_str()).unwrap(), n))
        .collect();
    drop(filters);
    for at_once in [1, 16, 256, 10_000] {
        let run = |step: &dyn Fn(&mut Interest<u64>, &Filter, u64)| {
            for part in chosen.chunks(at_once) {
                shared.change(|interest| {
                    part.iter().for_each(|(filter, n)| step(interest, filter, *n));
                });
            }
        };
        let mut removals = Vec::new();
        let mut insertions = Vec::new();
        for _ in 0..RUNS {
            let start = cpu_time();
            run(&|interest, filter, n| assert!(interest.remove(filter, None, n)));
            let middle = cpu_time();
            run(&|interest, filter, n| {
                interest.insert(filter, None, n, Place::Local);
            });
            removals.push(middle - start);
            insertions.push(cpu_time() - middle);
        }
        per(&format!("remove, {at_once} a publication"), middle(removals), CHURN);
        per(&format!("insert, {at_once} a publication"), middle(insertions), CHURN);
    }
    let after = shared.change(|interest| interest.memory());
    println!("{:44} {:>8.1} MB before, {:.1} after", "memory", mb(before.total), mb(after.total));
    let older = shared.snapshot();
    shared.change(|interest| {
        chosen[..1000].iter().for_each(|(filter, n)| {
            interest.remove(filter, None, *n);
        });
    });
    let newer = shared.snapshot();
    let diff = || {
        let mut changes = newer.changes_since(Some(&older), |_| true);
        let mut count = 0;
        while changes.next().is_some() {
            count += 1;
        }
        count
    };
    println!("{:44} {:>8}", "changes between two snapshots", diff());
    per("compared", median(diff), 1000);
    let everything = || {
        let mut filters = newer.filters();
        let mut count = 0_u64;
        while filters.next().is_some() {
            count += 1;
        }
        count
    };
    per("every filter listed", median(everything), SUBSCRIPTIONS);
    let start = cpu_time();
    shared.change(|interest| drop(interest.compact()));
    per("compaction", cpu_time() - start, SUBSCRIPTIONS);
    println!();
}

fn fan_out() {
    println!("## many subscribers of one filter");
    for subscribers in [100, 10_000, 1_000_000] {
        let filter = Filter::new("news.*").unwrap();
        let mut interest = Interest::<u64>::new();
        for n in 0..subscribers {
            interest.insert(&filter, None, (n % 2) << 60 | n << 20 | 1, Place::Local);
        }
        let snapshot = interest.publish();
        let memory = interest.memory().total as f64 / subscribers as f64;
        println!("{:44} {memory:>8.1} B each", format!("{subscribers} subscribers"));
        let mut matches = Matches::new();
        let rounds = 1_000_000 / subscribers;
        let took = median(|| {
            (0..rounds).for_each(|_| snapshot.matches("news.today", black_box(&mut matches)));
        });
        per("match, for each subscriber", took, rounds * subscribers);
    }
    println!();
}

fn queue_groups() {
    println!("## a queue group of 8, half of them elsewhere");
    let mut interest = Interest::<u64>::new();
    let group = Some(QueueGroup::new("workers").unwrap());
    for n in 0..8 {
        let place = if n < 4 { Place::Local } else { Place::Near { weight: 3 } };
        interest.insert(&Filter::new("work.>").unwrap(), group, n, place);
    }
    let snapshot = interest.publish();
    let mut matches = Matches::new();
    let took = median(|| {
        (0..100_000).for_each(|_| snapshot.matches("work.todo", black_box(&mut matches)));
    });
    per("match", took, 100_000);
    for prefer in [pubsub_interest::Prefer::Nearest, pubsub_interest::Prefer::Any] {
        let took = median(|| {
            (0..1_000_000_u64)
                .filter_map(|n| matches.groups().next()?.choices(scramble(n), prefer).next())
                .map(|member| member.subscriber)
                .sum::<u64>()
        });
        per(&format!("choice, {prefer:?}"), took, 1_000_000);
    }
}

/// Like `acme.eu-3.device.123456.temperature`, with a wildcard in so many of a hundred.
fn filter(n: u64, wild: u64) -> Filter {
    let (tenant, region, device, last) = parts(n);
    let kind = scramble(n ^ 0x5555) % 1000;
    let text = match kind {
        _ if kind >= wild * 10 => format!("{tenant}.{region}.device.{device}.{last}"),
        // In the middle, at the end, near the front; a few that match much.
        _ if kind % 10 < 4 => format!("{tenant}.*.device.{device}.{last}"),
        _ if kind % 10 < 8 => format!("{tenant}.{region}.device.{device}.>"),
        _ => format!("{tenant}.{region}.*.{device}.*"),
    };
    Filter::new(&text).unwrap()
}

fn subject(n: u64) -> String {
    let (tenant, region, device, last) = parts(n);
    format!("{tenant}.{region}.device.{device}.{last}")
}

fn parts(n: u64) -> (String, String, u64, &'static str) {
    let tenant = format!("tenant{}", n % 50);
    let region = format!("eu-{}", n / 50 % 8);
    let last = ["temperature", "humidity", "state", "alarm"][(n / 400 % 4) as usize];
    (tenant, region, n / 1600 % 1_000_000, last)
}

fn scramble(n: u64) -> u64 {
    (n ^ n >> 31).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11
}

fn median<T>(mut run: impl FnMut() -> T) -> Duration {
    let times = (0..RUNS)
        .map(|_| {
            let start = cpu_time();
            let result = black_box(run());
            let took = cpu_time() - start;
            drop(result);
            took
        })
        .collect();
    middle(times)
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn per(what: &str, took: Duration, many: u64) {
    println!("{what:44} {:>8.1} ns each", took.as_secs_f64() * 1e9 / many as f64);
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
