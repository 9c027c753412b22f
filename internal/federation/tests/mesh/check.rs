//! What must be true of every node once the world has healed.

use std::collections::{BTreeMap, BTreeSet};

use pubsub_envelope::MessageId;
use pubsub_federation::origin_of;
use pubsub_types::ChannelName;
use uuid::Uuid;

use crate::node::Node;
use crate::world::World;

/// What is wrong, in words; empty when nothing is.
pub(crate) fn complaints(world: &World, ordered: bool) -> Vec<String> {
    let mut found = Vec::new();
    for channel in world.channels() {
        let logs: Vec<Vec<Uuid>> = world.nodes.iter().map(|node| ids(node, &channel)).collect();
        twice(world, &channel, &logs, &mut found);
        missing(world, &channel, &logs, &mut found);
        if ordered {
            out_of_order(world, &channel, &mut found);
        }
    }
    found
}

fn ids(node: &Node, channel: &ChannelName) -> Vec<Uuid> {
    let id = |id: MessageId<'_>| match id {
        MessageId::Uuid(uuid) => uuid,
        other => panic!("{other:?}"),
    };
    node.channels[channel].log.iter().map(|record| id(record.meta().id)).collect()
}

/// Nothing is anywhere twice, not even what its publisher lost.
fn twice(world: &World, channel: &ChannelName, logs: &[Vec<Uuid>], found: &mut Vec<String>) {
    for (node, log) in world.nodes.iter().zip(logs) {
        let mut seen = BTreeSet::new();
        for id in log {
            if !seen.insert(id) {
                found.push(format!("{} has {id} twice in {channel}", node.name));
            }
        }
    }
}

/// What its publisher has, everybody has; so has everybody what got away before it could no longer be
/// read.
fn missing(world: &World, channel: &ChannelName, logs: &[Vec<Uuid>], found: &mut Vec<String>) {
    let sets: Vec<BTreeSet<&Uuid>> = logs.iter().map(|log| log.iter().collect()).collect();
    for (id, publisher, of) in &world.published {
        if of != channel || !sets[*publisher].contains(id) {
            continue;
        }
        let readable = world.nodes[*publisher].channels[channel].log.iter().any(|record| {
            record.meta().id == MessageId::Uuid(*id)
                && !world.nodes[*publisher].channels[channel].log.damaged.contains(&record.seq)
        });
        let elsewhere =
            sets.iter().enumerate().any(|(nth, set)| nth != *publisher && set.contains(id));
        if !readable && !elsewhere {
            continue;
        }
        for (node, set) in world.nodes.iter().zip(&sets) {
            if !set.contains(id) {
                let from = &world.nodes[*publisher].name;
                found.push(format!("{} misses {id} of {from} in {channel}", node.name));
            }
        }
    }
}

/// What one node published and kept is everywhere in the order in which it was published.
fn out_of_order(world: &World, channel: &ChannelName, found: &mut Vec<String>) {
    let mut places: BTreeMap<Uuid, u64> = BTreeMap::new();
    for node in &world.nodes {
        let name = node.name.as_str();
        for record in node.channels[channel].log.iter() {
            let meta = record.meta();
            if let (MessageId::Uuid(id), true) = (meta.id, origin_of(&meta) == name) {
                places.insert(id, record.seq);
            }
        }
    }
    for node in &world.nodes {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for record in node.channels[channel].log.iter() {
            let meta = record.meta();
            let MessageId::Uuid(id) = meta.id else { continue };
            // What its publisher lost has no place.
            let Some(place) = places.get(&id) else { continue };
            let before = last.insert(origin_of(&meta).to_owned(), *place);
            if before.is_some_and(|before| before >= *place) {
                let origin = origin_of(&meta);
                found.push(format!("{} has {id} of {origin} out of order in {channel}", node.name));
            }
        }
    }
}
