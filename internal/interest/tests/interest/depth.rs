//! Filters as long as they may be cost memory and time, and no stack.

use std::thread;

use pubsub_interest::{Interest, Matches, Place, QueueGroup};
use pubsub_types::{Filter, SUBJECT_MAX_BYTES};

/// Runs on a stack that a call for each token would overflow.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(128 << 10).spawn(test).unwrap().join().unwrap();
}

/// The first `tokens` of a filter of as many as fit.
fn nested(tokens: usize, last: &str) -> Filter {
    let mut text = "a.".repeat(tokens - 1);
    text.push_str(last);
    Filter::new(&text).unwrap()
}

const TOKENS_MAX: usize = SUBJECT_MAX_BYTES / 2;

#[test]
fn filters_of_thousands_of_tokens_match_each_other_and_overlap() {
    on_a_small_stack(|| {
        let mut interest = Interest::new();
        for tokens in 1..=TOKENS_MAX {
            for (number, last) in (0..).zip(["a", "*", ">"]) {
                let subscriber = tokens as u64 * 3 + number;
                interest.insert(&nested(tokens, last), None, subscriber, Place::Local);
            }
        }
        let first = interest.publish();
        assert_eq!(first.len(), 3 * TOKENS_MAX);
        let deepest = nested(TOKENS_MAX, "a");
        let mut matches = Matches::new();
        first.matches(deepest.as_str(), &mut matches);
        assert_eq!(matches.plain().len(), TOKENS_MAX + 2);
        assert!(first.overlaps(&nested(TOKENS_MAX, ">")));
        assert_eq!(first.count_overlapping(&Filter::all()), 3 * TOKENS_MAX);

        for tokens in (1..=TOKENS_MAX).rev() {
            assert!(interest.remove(&nested(tokens, "*"), None, tokens as u64 * 3 + 1));
        }
        let second = interest.publish();
        assert_eq!(second.len(), 2 * TOKENS_MAX);
        let mut changes = second.changes_since(Some(&first), |_| true);
        let mut gone = 0;
        while let Some(change) = changes.next() {
            assert_eq!((change.before, change.after), (1, 0));
            gone += 1;
        }
        assert_eq!(gone, TOKENS_MAX);
        let mut cursor = second.cursor();
        let mut seen = 0;
        while cursor.next().is_some() {
            seen += 1;
        }
        assert_eq!(seen, 2 * TOKENS_MAX);
        interest.compact();
        assert_eq!(interest.publish().len(), 2 * TOKENS_MAX);
    });
}

#[test]
fn wildcards_at_every_token_are_tried_without_a_stack() {
    on_a_small_stack(|| {
        let mut interest = Interest::new();
        let any = Filter::new(&vec!["*"; TOKENS_MAX].join(".")).unwrap();
        interest.insert(&any, None, 1_u64, Place::Local);
        interest.insert(&nested(TOKENS_MAX, "b"), None, 2, Place::Local);
        let snapshot = interest.publish();
        let mut matches = Matches::new();
        snapshot.matches(nested(TOKENS_MAX, "a").as_str(), &mut matches);
        assert_eq!(matches.plain(), [1]);
        assert!(snapshot.overlaps(&any));
        assert!(!snapshot.has_interest(nested(TOKENS_MAX - 1, "a").as_str()));
    });
}

#[test]
fn longest_filter_in_the_longest_group_fits() {
    let filter = Filter::new(&"x".repeat(SUBJECT_MAX_BYTES)).unwrap();
    let name = "q".repeat(4096);
    let group = QueueGroup::new(&name).unwrap();
    let mut interest = Interest::new();
    interest.insert(&filter, Some(group), u64::MAX, Place::Far { weight: 3 });
    interest.insert(&filter, Some(group), 0, Place::Local);
    let snapshot = interest.publish();
    assert_eq!(snapshot.count_in(&filter, Some(group)), 2);
    let mut matches = Matches::new();
    snapshot.matches(filter.as_str(), &mut matches);
    assert_eq!(matches.groups().next().unwrap().name(), name);
    assert!(interest.remove(&filter, Some(group), 0));
    assert_eq!(snapshot.cursor().next().unwrap().group, Some(&*name));
}

#[test]
fn subject_longer_than_any_filter_is_no_trouble() {
    let mut interest = Interest::new();
    interest.insert(&Filter::new("a.>").unwrap(), None, 1_u64, Place::Local);
    let long = "a.".repeat(100_000) + "a";
    assert!(interest.publish().has_interest(&long));
}
