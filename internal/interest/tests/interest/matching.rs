//! A subject matches what the rules say, whatever was added and removed before.

use proptest::prelude::*;
use pubsub_interest::{Interest, Matches, Place, QueueGroup};
use pubsub_types::Filter;

use crate::model::{self, Found, Model};

fn of(filters: &[&str]) -> Interest<u64> {
    let mut interest = Interest::new();
    for (number, filter) in (0..).zip(filters) {
        interest.insert(&Filter::new(filter).unwrap(), None, number, Place::Local);
    }
    interest
}

proptest! {
    #[test]
    fn subjects_match_what_a_list_of_filters_says(
        steps in model::steps(120),
        subjects in prop::collection::vec(model::subject(), 30),
        filters in prop::collection::vec(model::filter(), 20),
    ) {
        let (mut interest, mut model) = (Interest::new(), Model::default());
        for step in &steps {
            model::apply(step, &mut interest, &mut model);
        }
        let snapshot = interest.publish();
        prop_assert_eq!(&model::content(&snapshot), &model);
        let mut matches = Matches::new();
        for subject in &subjects {
            let wanted = model.matches(subject);
            snapshot.matches(subject, &mut matches);
            prop_assert_eq!(&Found::of(&matches), &wanted, "{}", subject);
            prop_assert_eq!(snapshot.has_interest(subject), wanted.len() > 0, "{}", subject);
            prop_assert_eq!(snapshot.count_matching(subject), wanted.len(), "{}", subject);
        }
        for filter in &filters {
            let filter = Filter::new(filter).unwrap();
            let wanted = model.overlapping(&filter);
            snapshot.overlapping(&filter, &mut matches);
            prop_assert_eq!(&Found::of(&matches), &wanted, "{}", filter);
            prop_assert_eq!(snapshot.overlaps(&filter), wanted.len() > 0, "{}", filter);
            prop_assert_eq!(snapshot.count_overlapping(&filter), wanted.len(), "{}", filter);
        }
    }

    #[test]
    fn answers_do_not_depend_on_the_order_of_subscribing(
        steps in model::steps(60),
        subjects in prop::collection::vec(model::subject(), 10),
    ) {
        let (mut one, mut model) = (Interest::new(), Model::default());
        for step in &steps {
            model::apply(step, &mut one, &mut model);
        }
        let mut other = Interest::new();
        for ((filter, group, subscriber), place) in model.0.iter().rev() {
            let group = group.as_deref().map(|group| QueueGroup::new(group).unwrap());
            other.insert(&Filter::new(filter).unwrap(), group, *subscriber, *place);
        }
        let (one, other) = (one.publish(), other.publish());
        let (mut from_one, mut from_other) = (Matches::new(), Matches::new());
        for subject in &subjects {
            one.matches(subject, &mut from_one);
            other.matches(subject, &mut from_other);
            prop_assert_eq!(&from_one, &from_other);
        }
    }

    #[test]
    fn filters_are_counted_one_by_one(steps in model::steps(120)) {
        let (mut interest, mut model) = (Interest::new(), Model::default());
        for step in &steps {
            model::apply(step, &mut interest, &mut model);
        }
        let snapshot = interest.publish();
        let counts = model.filters();
        for ((text, group), count) in &counts {
            let filter = Filter::new(text).unwrap();
            let group = group.as_deref().map(|group| QueueGroup::new(group).unwrap());
            prop_assert_eq!(snapshot.count_in(&filter, group), *count);
            let all: usize = counts.iter().filter(|it| it.0.0 == *text).map(|it| it.1).sum();
            prop_assert_eq!(snapshot.count(&filter), all);
        }
        let mut listed = snapshot.filters();
        let mut seen = 0;
        while let Some(it) = listed.next() {
            let key = (it.filter.to_owned(), it.group.map(str::to_owned));
            prop_assert_eq!(counts.get(&key), Some(&it.subscribers));
            seen += 1;
        }
        prop_assert_eq!(seen, counts.len());
        prop_assert_eq!(snapshot.count(&Filter::new("nobody.has.this").unwrap()), 0);
    }

    #[test]
    fn paging_shows_each_subscription_once(steps in model::steps(60), page in 1..7_usize) {
        let (mut interest, mut model) = (Interest::new(), Model::default());
        for step in &steps {
            model::apply(step, &mut interest, &mut model);
        }
        let snapshot = interest.publish();
        let mut all = snapshot.cursor();
        let mut start = 0;
        while start <= snapshot.len() {
            let mut cursor = snapshot.cursor();
            cursor.skip(start);
            for _ in 0..page {
                prop_assert_eq!(cursor.next(), all.next());
            }
            start += page;
        }
        prop_assert_eq!(all.next(), None);
    }
}

#[test]
fn text_that_is_no_subject_matches_nothing() {
    let snapshot = of(&[">", "*", "*.*", "a.>", "a.b", "a.*.b"]).publish();
    let mut matches = Matches::new();
    for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.\u{1}", "\u{2}", "a.\u{3}", "a\0", "a\r\n"] {
        snapshot.matches(bad, &mut matches);
        assert!(matches.is_empty(), "{bad:?}");
        assert!(!snapshot.has_interest(bad), "{bad:?}");
    }
}

#[test]
fn wildcards_in_a_subject_are_tokens_like_others() {
    let snapshot = of(&["a.*", "a.b", "a.>", "*.x"]).publish();
    let mut matches = Matches::new();
    snapshot.matches("a.*", &mut matches);
    assert_eq!(Found::of(&matches).plain, [0, 2]);
    snapshot.matches("a.>", &mut matches);
    assert_eq!(Found::of(&matches).plain, [0, 2]);
}

#[test]
fn subjects_need_not_be_utf8() {
    let snapshot = of(&["a.*", "b"]).publish();
    let mut matches = Matches::new();
    snapshot.matches(b"a.\xff\xfe", &mut matches);
    assert_eq!(matches.plain(), [0]);
}

#[test]
fn subscribers_of_one_filter_come_in_ascending_order() {
    let mut interest = Interest::new();
    let filter = Filter::new("news").unwrap();
    let scattered = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for n in 0..10_000 {
        interest.insert(&filter, None, scattered(n), Place::Local);
    }
    let mut wanted: Vec<_> = (0..10_000).map(scattered).collect();
    wanted.sort_unstable();
    let mut matches = Matches::new();
    interest.publish().matches("news", &mut matches);
    assert_eq!(matches.plain(), wanted);
}

#[test]
fn names_of_two_numbers_come_back_as_they_went_in() {
    let mut interest = Interest::new();
    let filter = Filter::new("a").unwrap();
    for subscriber in [(1, u32::MAX), (u32::MAX, 0), (0, 7)] {
        interest.insert(&filter, None, subscriber, Place::Local);
    }
    let mut matches = Matches::new();
    interest.publish().matches("a", &mut matches);
    assert_eq!(matches.plain(), [(0, 7), (1, u32::MAX), (u32::MAX, 0)]);
}
