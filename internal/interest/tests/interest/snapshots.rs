//! A snapshot keeps its content whatever comes after, and lets go of what nobody sees.

use std::sync::Arc;

use proptest::prelude::*;
use pubsub_interest::{Interest, Place, Snapshot};
use pubsub_types::Filter;

use crate::model::{self, Model, Step};

proptest! {
    #[test]
    fn snapshots_keep_their_content_while_others_come_and_go(steps in model::steps(250)) {
        let (mut interest, mut model) = (Interest::new(), Model::default());
        let mut kept: Vec<(Arc<Snapshot<u64>>, Model)> = Vec::new();
        for step in &steps {
            model::apply(step, &mut interest, &mut model);
            match step {
                Step::Publish => prop_assert_eq!(&model::content(&interest.publish()), &model),
                Step::Keep => kept.push((interest.publish(), model.clone())),
                Step::LetGo(number) if !kept.is_empty() => {
                    kept.swap_remove(number % kept.len());
                }
                _ => (),
            }
            for (snapshot, model) in &kept {
                prop_assert_eq!(&model::content(snapshot), model);
            }
        }
    }
}

fn filter(number: u32) -> Filter {
    Filter::new(&format!("sensors.{}.{number}", number % 97)).unwrap()
}

fn filled(count: u32) -> Interest<u64> {
    let mut interest = Interest::new();
    for number in 0..count {
        interest.insert(&filter(number), None, number.into(), Place::Local);
    }
    interest.publish();
    interest
}

#[test]
fn nothing_is_published_when_nothing_changed() {
    let mut interest = filled(10);
    let before = interest.publish();
    interest.insert(&filter(3), None, 3, Place::Local);
    interest.remove(&filter(11), None, 11);
    assert!(Arc::ptr_eq(&before, &interest.publish()));
}

#[test]
fn churn_reuses_its_memory() {
    let mut interest = filled(20_000);
    let before = interest.memory();
    for round in 0..100_000_u32 {
        let number = round % 20_000;
        interest.remove(&filter(number), None, number.into());
        interest.publish();
        interest.insert(&filter(number), None, number.into(), Place::Local);
        interest.publish();
    }
    interest.take_back();
    let after = interest.memory();
    assert!(after.total < before.total + before.total / 4, "{before:?} {after:?}");
    assert!(after.nodes < before.nodes + before.nodes / 50, "{before:?} {after:?}");
}

#[test]
fn kept_snapshot_costs_what_changed_and_not_every_step_on_the_way() {
    let mut interest = filled(20_000);
    let kept = interest.publish();
    let before = interest.memory();
    // The same ten, over and over: the snapshot needs what it saw of them, and nothing in between.
    for round in 0..50_000_u32 {
        let number = round % 10;
        interest.remove(&filter(number), None, number.into());
        interest.publish();
        interest.insert(&filter(number), None, number.into(), Place::Local);
        interest.publish();
    }
    let after = interest.memory();
    assert!(after.nodes < before.nodes + 50_000, "{before:?} {after:?}");
    assert_eq!(kept.len(), 20_000);
    drop(kept);
    interest.publish();
    interest.take_back();
    assert!(interest.memory().nodes <= before.nodes + 10_000);
}

#[test]
fn many_kept_snapshots_are_let_go_one_after_the_other() {
    let mut interest = filled(1000);
    let mut kept = Vec::new();
    for number in 0..500_u32 {
        interest.remove(&filter(number), None, number.into());
        kept.push(interest.publish());
    }
    let most = interest.memory().nodes;
    kept.clear();
    for number in 0..500_u32 {
        interest.insert(&filter(number), None, number.into(), Place::Local);
        interest.publish();
    }
    interest.take_back();
    assert!(interest.memory().nodes < most / 2, "{most} {:?}", interest.memory());
}

#[test]
fn memory_of_a_large_client_is_given_back_when_it_leaves() {
    let mut interest = filled(1000);
    let before = interest.memory();
    for number in 1000..200_000 {
        interest.insert(&filter(number), None, number.into(), Place::Local);
    }
    interest.publish();
    let most = interest.memory();
    for number in 1000..200_000 {
        interest.remove(&filter(number), None, number.into());
    }
    interest.publish();
    // The snapshot with all of them is gone by now.
    assert_eq!(interest.publish().len(), 1000);
    let after = interest.memory();
    assert!(most.total > 20 * before.total, "{before:?} {most:?}");
    assert!(after.total < most.total / 10, "{most:?} {after:?}");
    assert!(after.nodes <= before.nodes + 1000, "{before:?} {after:?}");
}

#[test]
fn compaction_moves_everything_together_and_loses_nothing() {
    let mut interest = filled(50_000);
    let kept = interest.publish();
    for number in (0..50_000).filter(|number| number % 50 != 0) {
        interest.remove(&filter(number), None, number.into());
    }
    interest.publish();
    interest.compact();
    let memory = interest.memory();
    assert!(memory.total < 200 * 1000, "{memory:?}");
    assert_eq!(interest.publish().len(), 1000);
    assert_eq!(kept.len(), 50_000);
    assert!(kept.contains(&filter(7), None, 7));
    assert!(!interest.publish().contains(&filter(7), None, 7));
    assert!(interest.publish().contains(&filter(50), None, 50));
}

#[test]
fn totals_count_what_changed_and_nothing_else() {
    let mut interest = filled(10);
    assert!(interest.remove(&filter(3), None, 3));
    assert!(!interest.remove(&filter(3), None, 3));
    interest.insert(&filter(4), None, 4, Place::Near { weight: 2 });
    interest.insert(&filter(4), None, 4, Place::Near { weight: 2 });
    let totals = interest.totals();
    assert_eq!((totals.inserted, totals.removed), (10, 1));
}
