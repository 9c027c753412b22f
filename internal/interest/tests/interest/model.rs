//! The rules said once more, without a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use pubsub_interest::{Interest, Matches, Place, QueueGroup, Snapshot};
use pubsub_types::Filter;

/// Filter, group, subscriber.
pub(crate) type Key = (String, Option<String>, u64);

/// A list of subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model(pub(crate) BTreeMap<Key, Place>);

impl Model {
    /// Subscribers of a subject: plain ones, and by group. Each as often as it subscribed.
    pub(crate) fn matches(&self, subject: &str) -> Found {
        self.found(|filter| filter.matches(subject))
    }

    pub(crate) fn overlapping(&self, asked: &Filter) -> Found {
        self.found(|filter| overlap(asked.as_str(), filter.as_str()))
    }

    fn found(&self, wanted: impl Fn(&Filter) -> bool) -> Found {
        let mut found = Found::default();
        for ((filter, group, subscriber), place) in &self.0 {
            if wanted(&Filter::new(filter).unwrap()) {
                match group {
                    None => found.plain.push(*subscriber),
                    Some(group) => {
                        let members = found.groups.entry(group.clone()).or_default();
                        members.push((*subscriber, weight(*place)));
                    }
                }
            }
        }
        found.plain.sort_unstable();
        found.groups.values_mut().for_each(|members| members.sort_unstable());
        found
    }

    /// Filters and groups with the number of their subscribers.
    pub(crate) fn filters(&self) -> BTreeMap<(String, Option<String>), usize> {
        let mut filters = BTreeMap::new();
        for (filter, group, _) in self.0.keys() {
            *filters.entry((filter.clone(), group.clone())).or_default() += 1;
        }
        filters
    }
}

/// What a subject matches, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) plain: Vec<u64>,
    pub(crate) groups: BTreeMap<String, Vec<(u64, RankAndWeight)>>,
}

type RankAndWeight = (u8, u32);

impl Found {
    pub(crate) fn of(matches: &Matches<u64>) -> Self {
        let mut plain = matches.plain().to_vec();
        plain.sort_unstable();
        let groups = matches.groups().map(|group| {
            let mut members: Vec<_> = group
                .members()
                .iter()
                .map(|member| (member.subscriber, weight(member.place)))
                .collect();
            assert!(members.is_sorted_by_key(|(_, (rank, _))| *rank), "local, near, far");
            members.sort_unstable();
            (group.name().to_owned(), members)
        });
        let names: Vec<_> = matches.groups().map(|group| group.name().to_owned()).collect();
        assert!(names.is_sorted() && BTreeSet::from_iter(&names).len() == names.len());
        Self { plain, groups: groups.collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.plain.len() + self.groups.values().map(Vec::len).sum::<usize>()
    }
}

fn weight(place: Place) -> RankAndWeight {
    match place {
        Place::Local => (0, 1),
        Place::Near { weight } => (1, weight),
        Place::Far { weight } => (2, weight),
    }
}

/// Whether some subject matches both.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    fn tokens(one: &[&str], other: &[&str]) -> bool {
        match (one, other) {
            ([], []) => true,
            ([">"], [_, ..]) | ([_, ..], [">"]) => true,
            ([a, one @ ..], [b, other @ ..]) => {
                (a == b || *a == "*" || *b == "*") && tokens(one, other)
            }
            _ => false,
        }
    }
    tokens(&one.split('.').collect::<Vec<_>>(), &other.split('.').collect::<Vec<_>>())
}

/// Everything a snapshot holds.
pub(crate) fn content(snapshot: &Arc<Snapshot<u64>>) -> Model {
    let mut cursor = snapshot.cursor();
    let mut all = BTreeMap::new();
    while let Some(it) = cursor.next() {
        let key = (it.filter.to_owned(), it.group.map(str::to_owned), it.subscriber);
        assert_eq!(all.insert(key, it.place), None, "each comes once");
    }
    assert_eq!(cursor.next(), None);
    assert_eq!(all.len(), snapshot.len());
    Model(all)
}

/// What is done to an interest.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Insert(Key, Place),
    Remove(Key),
    /// Removes one of those there, counted around.
    RemoveOne(usize),
    Publish,
    /// Publishes, and keeps the snapshot.
    Keep,
    /// Lets one of the kept snapshots go.
    LetGo(usize),
    Compact,
}

pub(crate) fn apply(step: &Step, interest: &mut Interest<u64>, model: &mut Model) {
    let parts = |key: &Key| (Filter::new(&key.0).unwrap(), key.2);
    let group = |key: &'_ Key| key.1.clone();
    match step {
        Step::Insert(key, place) => {
            let (filter, subscriber) = parts(key);
            let name = group(key);
            let group = name.as_deref().map(|name| QueueGroup::new(name).unwrap());
            let before = model.0.insert(key.clone(), *place);
            let inserted = interest.insert(&filter, group, subscriber, *place);
            let expected = match before {
                None => pubsub_interest::Inserted::New,
                Some(before) if before == *place => pubsub_interest::Inserted::Same,
                Some(_) => pubsub_interest::Inserted::Changed,
            };
            assert_eq!(inserted, expected);
            assert!(interest.contains(&filter, group, subscriber));
        }
        Step::Remove(key) => remove(key, interest, model),
        Step::RemoveOne(number) => {
            let key = model.0.keys().nth(number % model.0.len().max(1)).cloned();
            if let Some(key) = key {
                remove(&key, interest, model);
            }
        }
        Step::Compact => drop(interest.compact()),
        Step::Publish | Step::Keep | Step::LetGo(_) => (),
    }
    assert_eq!(interest.len(), model.0.len());
}

fn remove(key: &Key, interest: &mut Interest<u64>, model: &mut Model) {
    let filter = Filter::new(&key.0).unwrap();
    let group = key.1.as_deref().map(|name| QueueGroup::new(name).unwrap());
    assert_eq!(interest.remove(&filter, group, key.2), model.0.remove(key).is_some());
    assert!(!interest.contains(&filter, group, key.2));
}

/// Tokens that begin like others, or look like wildcards.
fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "ab", "abc", "abcd", "*a", ">b", "-", "é", "/"])
}

pub(crate) fn filter() -> impl Strategy<Value = String> {
    let token = prop_oneof![3 => token(), 1 => Just("*")];
    (prop::collection::vec(token, 0..5), any::<bool>()).prop_map(|(mut tokens, rest)| {
        if rest || tokens.is_empty() {
            tokens.push(">");
        }
        tokens.join(".")
    })
}

pub(crate) fn subject() -> impl Strategy<Value = String> {
    prop::collection::vec(token(), 1..6).prop_map(|tokens| tokens.join("."))
}

/// Few subscribers with bits all over, so that their bytes part at every place.
fn subscriber() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, Just(256), Just(1 << 56), Just(u64::MAX), Just(0x0101_0101_0101_0101)]
}

pub(crate) fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        2 => Just(Place::Local),
        1 => (1..4_u32).prop_map(|weight| Place::Near { weight }),
        1 => (1..4_u32).prop_map(|weight| Place::Far { weight }),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    let group = prop::option::of(prop::sample::select(vec!["q", "q.1", "*", "w"]));
    (filter(), group, subscriber())
        .prop_map(|(filter, group, subscriber)| (filter, group.map(str::to_owned), subscriber))
}

pub(crate) fn steps(len: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (key(), place()).prop_map(|(key, place)| Step::Insert(key, place)),
        2 => key().prop_map(Step::Remove),
        8 => any::<usize>().prop_map(Step::RemoveOne),
        3 => Just(Step::Publish),
        3 => Just(Step::Keep),
        2 => any::<usize>().prop_map(Step::LetGo),
        1 => Just(Step::Compact),
    ];
    prop::collection::vec(step, 0..len)
}
