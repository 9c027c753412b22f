//! Dead letters: listed, shown, published again.

use pubsub_envelope::{Kind, NewRecord, Record, jsonl};
use pubsub_messenger::{DEAD_LETTER_PAYLOAD_TYPE, DeadLetter};
use pubsub_node::{Node, clock};
use pubsub_storage::StoreOptions;
use pubsub_types::ChannelName;

use crate::world::World;

fn original(seq: u64, payload: &[u8]) -> Record {
    let mut line = Vec::new();
    let new = NewRecord { time: clock::now(), payload, ..NewRecord::default() };
    jsonl::encode_record(&mut line, "orders", Kind::Message, seq, &new);
    jsonl::decode_line(line.trim_ascii_end()).unwrap()
}

/// Leaves two dead letters of channel `orders` behind.
fn bury(node: &Node) {
    let channel = ChannelName::new("orders").unwrap();
    node.channel(&channel).unwrap();
    let letters = node.channel(&channel.dead_letter().unwrap()).unwrap();
    for (seq, payload) in [(7, &b"{\"n\":1}"[..]), (8, b"\xff\x00")] {
        let error = "card refused".to_owned();
        let letter =
            DeadLetter::new(channel.clone(), original(seq, payload), 6, error, clock::now());
        let bytes = letter.encode();
        let mut record = NewRecord { time: clock::now(), payload: &bytes, ..NewRecord::default() };
        record.meta.payload_type = DEAD_LETTER_PAYLOAD_TYPE;
        letters.append_blocking(&[record]).unwrap();
    }
}

#[test]
fn every_channel_with_dead_letters_is_listed_with_how_many_it_has() {
    for running in [true, false] {
        let (world, _node) = world_with_letters(running);
        let rows = world.json(&["dlq", "ls"]);
        assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
        assert_eq!((&rows[0]["channel"], &rows[0]["letters"]), (&"orders".into(), &2.into()));
        assert!(rows[0]["oldest"].as_str() <= rows[0]["newest"].as_str(), "{rows}");
        assert!(world.ok(&["dlq", "ls"]).contains("orders"));
        world.ok(&["dlq", "replay", "orders", "--all", "--yes"]);
        let rows = world.json(&["dlq", "ls"]);
        assert_eq!((&rows[0]["letters"], &rows[0]["newest"]), (&0.into(), &().into()), "{rows}");
        assert_eq!(world.run(&["dlq", "ls", "--after", "1"]).code, 2, "after what?");
    }
    let world = World::new();
    world.ok(&["pub", "orders", "1"]);
    assert_eq!(world.json(&["dlq", "ls"]), serde_json::json!([]));
}

fn world_with_letters(running: bool) -> (World, Option<crate::world::Running>) {
    let world = World::new();
    if running {
        let node = world.start();
        bury(&node.node);
        return (world, Some(node));
    }
    let node = Node::start("alice", &world.data(), StoreOptions::default()).unwrap();
    bury(&node);
    node.close().unwrap();
    drop(node);
    (world, None)
}

#[test]
fn dead_letters_are_listed_and_shown_whole() {
    for running in [true, false] {
        let (world, _node) = world_with_letters(running);
        let rows = world.json(&["dlq", "ls", "orders"]);
        assert_eq!(rows.as_array().unwrap().len(), 2);
        assert_eq!(rows[0]["original_seq"], 7);
        assert_eq!(rows[0]["attempts"], 6);
        assert_eq!(rows[0]["last_error"], "card refused");
        assert!(world.ok(&["dlq", "ls", "orders"]).contains("card refused"));
        assert!(world.ok(&["dlq", "show", "orders", "1"]).ends_with("\n{\"n\":1}\n"));
        assert_eq!(world.json(&["dlq", "show", "orders", "1"])["payload"]["n"], 1);
        assert_eq!(world.json(&["dlq", "show", "orders", "2"])["payload_b64"], "/wA=");
        assert_eq!(world.run(&["dlq", "show", "orders", "9"]).code, 3);
        let rows = world.json(&["dlq", "ls", "orders", "--limit", "1"]);
        assert_eq!(rows.as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_replayed_letter_is_published_again_and_gone() {
    for running in [true, false] {
        let (world, _node) = world_with_letters(running);
        world.ok(&["dlq", "replay", "orders", "--all", "--dry-run"]);
        assert_eq!(world.json(&["dlq", "ls", "orders"]).as_array().unwrap().len(), 2);
        assert_eq!(world.run(&["dlq", "replay", "orders", "--all"]).code, 2);
        world.ok(&["dlq", "replay", "orders", "1", "--yes"]);
        assert_eq!(world.ok(&["sub", "orders", "--from-start", "--count", "1"]), "{\"n\":1}\n");
        let done = world.json(&["dlq", "replay", "orders", "--all", "--yes"]);
        assert_eq!(done["replayed"], 1);
        assert_eq!(world.json(&["dlq", "ls", "orders"]), serde_json::json!([]));
        assert_eq!(world.json(&["channel", "info", "orders"])["stats"]["last_seq"], 2);
    }
}

#[test]
fn a_channel_without_failures_has_no_letters() {
    let world = World::new();
    world.ok(&["pub", "orders", "1"]);
    assert_eq!(world.json(&["dlq", "ls", "orders"]), serde_json::json!([]));
}
