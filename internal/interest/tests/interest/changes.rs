//! What a link tells its peer is what changed between two snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use pubsub_interest::{Interest, Place, QueueGroup, Snapshot};
use pubsub_types::Filter;

use crate::model::{self, Model};

type Told = BTreeMap<(String, Option<String>), u64>;

/// What a peer is to know, by the rules.
fn told(model: &Model, include: impl Fn(u64) -> bool) -> Told {
    let mut told = Told::new();
    for ((filter, group, subscriber), place) in &model.0 {
        if include(*subscriber) {
            let weight = told.entry((filter.clone(), group.clone())).or_default();
            *weight = if group.is_some() { *weight + u64::from(place.weight()) } else { 1 };
        }
    }
    told
}

/// Tells a peer what it does not know yet.
fn tell(
    peer: &mut Told,
    older: Option<&Arc<Snapshot<u64>>>,
    newer: &Arc<Snapshot<u64>>,
    include: impl Fn(u64) -> bool,
) {
    let mut changes = newer.changes_since(older, include);
    while let Some(change) = changes.next() {
        let key = (change.filter.to_owned(), change.group.map(str::to_owned));
        assert_eq!(peer.remove(&key).unwrap_or(0), change.before, "{change:?}");
        assert_ne!(change.before, change.after);
        if change.after > 0 {
            peer.insert(key, change.after);
        }
    }
    assert!(changes.next().is_none());
}

proptest! {
    #[test]
    fn peer_that_hears_of_every_change_knows_what_there_is(
        parts in prop::collection::vec(model::steps(40), 1..6),
        included in prop_oneof![Just(u64::MAX), any::<u64>()],
    ) {
        let include = |subscriber: u64| included >> (subscriber % 64) & 1 == 1;
        let (mut interest, mut model) = (Interest::new(), Model::default());
        let mut peer = Told::new();
        let mut known = None;
        for part in &parts {
            for step in part {
                model::apply(step, &mut interest, &mut model);
            }
            let newer = interest.publish();
            tell(&mut peer, known.as_ref(), &newer, include);
            prop_assert_eq!(&peer, &told(&model, include));
            known = Some(newer);
        }
        // Back again, and to another interest.
        let empty = Interest::new().publish();
        tell(&mut peer, known.as_ref(), &empty, include);
        prop_assert_eq!(&peer, &Told::new());
    }
}

#[test]
fn weight_of_a_group_is_told_again_when_it_changes() {
    let mut interest = Interest::new();
    let filter = Filter::new("work").unwrap();
    let group = Some(QueueGroup::new("q").unwrap());
    interest.insert(&filter, group, 1_u64, Place::Local);
    interest.insert(&filter, group, 2, Place::Near { weight: 5 });
    let before = interest.publish();
    interest.insert(&filter, group, 2, Place::Near { weight: 7 });
    interest.insert(&filter, None, 3, Place::Local);
    interest.insert(&filter, None, 4, Place::Local);
    let after = interest.publish();
    let mut changes = after.changes_since(Some(&before), |_| true);
    let next = changes.next().unwrap();
    assert_eq!((next.filter, next.group, next.before, next.after), ("work", None, 0, 1));
    let next = changes.next().unwrap();
    assert_eq!((next.filter, next.group, next.before, next.after), ("work", Some("q"), 6, 8));
    assert_eq!(changes.next(), None);
}

#[test]
fn what_two_snapshots_share_is_not_looked_at() {
    let mut interest = Interest::new();
    for number in 0..100_000_u64 {
        let filter = Filter::new(&format!("sensors.{number}")).unwrap();
        interest.insert(&filter, None, number, Place::Local);
    }
    let before = interest.publish();
    let filter = Filter::new("sensors.777").unwrap();
    interest.insert(&filter, None, 1_000_000, Place::Local);
    interest.insert(&Filter::new("other").unwrap(), None, 1, Place::Local);
    let after = interest.publish();
    let mut looked_at = 0;
    let mut changes = after.changes_since(Some(&before), |_| {
        looked_at += 1;
        true
    });
    assert_eq!(changes.next().map(|change| change.filter.to_owned()).as_deref(), Some("other"));
    assert_eq!(changes.next(), None);
    drop(changes);
    assert!(looked_at < 5, "{looked_at}");
}
