//! Meshes of real links over logs in memory: cuts, delays, crashes, disks that fail; then all heals, and
//! every node has every message exactly once, in the order of its publisher.
//!
//! A failure prints its seed. `MESH_SEED=57 cargo test -p pubsub-federation --test mesh ring` runs that
//! history alone, and `MESH_SEEDS=100000` that many instead of the usual number.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a broken promise ends the test; seeds are printed"
)]

mod check;
mod log;
mod node;
mod topology;
mod world;

use std::time::Duration;

use pubsub_sim::Rng;

use crate::node::Sabotage;
use crate::topology::Topology;
use crate::world::{Faults, World};

const SECOND: Duration = Duration::from_secs(1);

/// Time in which a healed world must have settled.
const SETTLE: Duration = Duration::from_secs(120);

struct Plan {
    topology: fn(&mut Rng) -> Topology,
    faults: Faults,
    messages: u32,
    /// Whether order is promised: a hole that is filled late is out of order.
    ordered: bool,
}

/// Runs one history; what was wrong afterwards.
fn history(plan: &Plan, seed: u64, sabotage: Sabotage) -> (World, Vec<String>) {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let topology = (plan.topology)(&mut rng);
    let mut world = World::new(topology, seed, plan.faults, sabotage);
    world.disturb(plan.messages, SECOND * 10);
    let end = world.now + SETTLE;
    let mut found = check::complaints(&world, plan.ordered);
    while !found.is_empty() && world.now < end {
        world.run_until(world.now + SECOND * 2);
        found = check::complaints(&world, plan.ordered);
    }
    if found.is_empty() {
        // What comes late must not come twice.
        world.run_until(world.now + SECOND * 5);
        found = check::complaints(&world, plan.ordered);
    }
    (world, found)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Every history of these seeds ends well.
fn promise(test: &str, plan: &Plan, seeds: u64) {
    let one = number("MESH_SEED");
    let seeds = number("MESH_SEEDS").unwrap_or(seeds);
    for seed in one.map_or(0..seeds, |seed| seed..seed + 1) {
        let (world, found) = history(plan, seed, Sabotage::None);
        if !found.is_empty() && one.is_some() {
            for node in &world.nodes {
                println!("{}", node.describe());
            }
        }
        assert!(
            found.is_empty(),
            "seed {seed}: {} faults found after {} steps, such as: {}\n\
             replay: MESH_SEED={seed} cargo test -p pubsub-federation --test mesh {test}",
            found.len(),
            world.steps,
            found.iter().take(3).cloned().collect::<Vec<_>>().join("; "),
        );
    }
}

const CHAIN: Plan = Plan {
    topology: |rng| Topology::chain(4).shuffled(rng),
    faults: Faults::ALL,
    messages: 60,
    ordered: true,
};
const RING: Plan = Plan {
    topology: |rng| Topology::ring(5).shuffled(rng),
    faults: Faults::ALL,
    messages: 60,
    ordered: true,
};
const DIAMOND: Plan = Plan {
    topology: |rng| Topology::diamond().shuffled(rng),
    faults: Faults::ALL,
    messages: 60,
    ordered: true,
};
const STAR: Plan =
    Plan { topology: |_| Topology::star(20), faults: Faults::ALL, messages: 40, ordered: true };
const FULL: Plan = Plan {
    topology: |rng| Topology::full(4).shuffled(rng),
    faults: Faults::ALL,
    messages: 60,
    ordered: true,
};

#[test]
fn a_chain_has_every_message_once_and_in_order() {
    promise("a_chain", &CHAIN, 100);
}

#[test]
fn a_ring_has_every_message_once_and_in_order() {
    promise("a_ring", &RING, 100);
}

#[test]
fn a_diamond_has_every_message_once_and_in_order() {
    promise("a_diamond", &DIAMOND, 100);
}

#[test]
fn a_star_of_twenty_has_every_message_once_and_in_order() {
    promise("a_star", &STAR, 12);
}

#[test]
fn a_full_mesh_has_every_message_once_and_in_order() {
    promise("a_full", &FULL, 60);
}

/// Records of one node can no longer be read; everybody else has them by the other way round.
const DAMAGED: Plan = Plan {
    topology: |rng| Topology::ring(5).shuffled(rng),
    faults: Faults { damage: true, ..Faults::ALL },
    messages: 60,
    ordered: false,
};

#[test]
fn what_one_node_can_no_longer_read_comes_the_other_way_round() {
    promise("what_one_node", &DAMAGED, 60);
}

/// The checks must see what is broken on purpose, or they promise nothing.
fn is_found(plan: &Plan, sabotage: Sabotage, seeds: u64) {
    let found = (0..seeds).any(|seed| !history(plan, seed, sabotage).1.is_empty());
    assert!(found, "{sabotage:?} went unseen in {seeds} histories");
}

#[test]
fn the_checks_see_a_position_ahead_of_its_sync() {
    is_found(&CHAIN, Sabotage::PositionAheadOfSync, 100);
}

#[test]
fn the_checks_see_a_position_that_waits_for_no_duplicate() {
    is_found(&RING, Sabotage::DuplicatesAreNotWaitedFor, 400);
}

#[test]
fn the_checks_see_a_coverage_that_forgets() {
    is_found(&CHAIN, Sabotage::CoverageIsForgotten, 100);
}

#[test]
fn the_checks_see_a_coverage_that_says_more_than_the_log_has() {
    is_found(&CHAIN, Sabotage::CoverageOutlivesTheLog, 100);
}

#[test]
fn the_checks_see_that_nothing_is_undone() {
    is_found(&CHAIN, Sabotage::NothingIsUndone, 100);
}

#[test]
fn the_checks_see_retention_ahead_of_the_peers_sync() {
    is_found(&CHAIN, Sabotage::RetentionMovesOnCommitted, 100);
}

#[test]
fn histories_meet_what_they_are_made_for() {
    let mut met = std::collections::BTreeMap::new();
    for seed in 0..20 {
        let (world, _) = history(&RING, seed, Sabotage::None);
        for node in &world.nodes {
            for (what, times) in node.met() {
                *met.entry(what.to_owned()).or_insert(0) += times;
            }
        }
    }
    for what in [
        "Loop",
        "Duplicate",
        "lost in a crash",
        "epochs",
        "failed appends",
        "failed syncs",
        "refused",
        "lists changed",
        "silent",
        "lost",
    ] {
        assert!(met.get(what).is_some_and(|times| *times > 2), "{what}: {met:?}");
    }
    assert_eq!(met.get("gap at the start"), None, "what retention took is never asked for");
}

#[test]
fn one_seed_is_one_history() {
    for seed in 0..5 {
        let traces = [(); 2].map(|()| history(&RING, seed, Sabotage::None).0.trace);
        assert_eq!(traces[0], traces[1]);
        assert_ne!(traces[0], history(&RING, seed + 1, Sabotage::None).0.trace);
    }
}
