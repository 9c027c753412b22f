//! Of a queue group one member gets a message, as near and as even as can be.

use std::collections::BTreeMap;

use proptest::prelude::*;
use pubsub_interest::{Interest, Matches, Member, Place, Prefer, QueueGroup};
use pubsub_types::Filter;

use crate::model;

fn group_of(members: &[Place]) -> Matches<u64> {
    let mut interest = Interest::new();
    let filter = Filter::new("work").unwrap();
    for (number, place) in (0..).zip(members) {
        interest.insert(&filter, Some(QueueGroup::new("q").unwrap()), number, *place);
    }
    let mut matches = Matches::new();
    interest.publish().matches("work", &mut matches);
    matches
}

fn choices(matches: &Matches<u64>, random: u64, prefer: Prefer) -> Vec<Member<u64>> {
    let group = matches.groups().next().unwrap();
    group.choices(random, prefer).copied().collect()
}

/// How often each member is the first choice, of random numbers that are spread evenly.
fn shares(matches: &Matches<u64>, prefer: Prefer) -> BTreeMap<u64, u32> {
    let mut shares = BTreeMap::new();
    for number in 0..60_000_u64 {
        let random = number * (u64::MAX / 60_000);
        *shares.entry(choices(matches, random, prefer)[0].subscriber).or_default() += 1;
    }
    shares
}

fn rank(place: Place) -> u8 {
    match place {
        Place::Local => 0,
        Place::Near { .. } => 1,
        Place::Far { .. } => 2,
    }
}

proptest! {
    #[test]
    fn every_member_is_asked_once_the_nearest_first(
        places in prop::collection::vec(model::place(), 1..8), random in any::<u64>(),
    ) {
        let matches = group_of(&places);
        for prefer in [Prefer::Nearest, Prefer::Any] {
            let mut asked = choices(&matches, random, prefer);
            if prefer == Prefer::Nearest {
                prop_assert!(asked.is_sorted_by_key(|member| rank(member.place)));
            }
            asked.sort_unstable_by_key(|member| member.subscriber);
            let all: Vec<_> = (0..)
                .zip(&places)
                .map(|(subscriber, place)| Member { subscriber, place: *place })
                .collect();
            prop_assert_eq!(asked, all);
        }
    }
}

#[test]
fn local_members_share_evenly() {
    let far = Place::Far { weight: 1000 };
    let matches = group_of(&[Place::Local, far, Place::Local, Place::Local]);
    let shares = shares(&matches, Prefer::Nearest);
    assert_eq!(shares.keys().copied().collect::<Vec<_>>(), [0, 2, 3]);
    assert!(shares.values().all(|share| (19_990..20_010).contains(share)), "{shares:?}");
}

#[test]
fn members_elsewhere_share_by_weight() {
    let near = |weight| Place::Near { weight };
    let matches = group_of(&[near(1), Place::Far { weight: 9 }, near(2), near(3)]);
    let shares = shares(&matches, Prefer::Nearest);
    let around = |share: u32, wanted: u32| share.abs_diff(wanted) < 10;
    assert!(around(shares[&0], 10_000), "{shares:?}");
    assert!(around(shares[&2], 20_000), "{shares:?}");
    assert!(around(shares[&3], 30_000), "{shares:?}");
}

#[test]
fn without_preference_everyone_shares_by_weight() {
    let matches = group_of(&[Place::Local, Place::Near { weight: 2 }, Place::Far { weight: 3 }]);
    let shares = shares(&matches, Prefer::Any);
    let around = |share: u32, wanted: u32| share.abs_diff(wanted) < 10;
    assert!(around(shares[&0], 10_000), "{shares:?}");
    assert!(around(shares[&1], 20_000), "{shares:?}");
    assert!(around(shares[&2], 30_000), "{shares:?}");
}

#[test]
fn group_on_several_filters_is_one_group() {
    let mut interest = Interest::new();
    let group = |name| Some(QueueGroup::new(name).unwrap());
    for (subscriber, filter, name) in
        [(1, "a.b", "q"), (2, "a.*", "q"), (3, "a.>", "p"), (4, ">", "q"), (5, "a.b", "q.2")]
    {
        interest.insert(&Filter::new(filter).unwrap(), group(name), subscriber, Place::Local);
    }
    let mut matches = Matches::new();
    interest.publish().matches("a.b", &mut matches);
    let found: Vec<_> = matches
        .groups()
        .map(|group| (group.name(), group.members().iter().map(|it| it.subscriber).sum::<u64>()))
        .collect();
    assert_eq!(found, [("p", 3), ("q", 7), ("q.2", 5)]);
    assert_eq!(matches.groups().len(), 3);
}
