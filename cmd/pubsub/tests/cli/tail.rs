//! Reading the files, with and without a node.

use pubsub_testkit::Source;

use crate::world::{SOON, World, finish};

fn world_with(format: &str) -> World {
    let world = World::new();
    let add = ["channel", "add", "log", "--format", format, "--segment-size", "2KiB"];
    world.ok(&add);
    world
}

fn publish(world: &World, from: u64, to: u64) {
    for n in from..=to {
        world.ok(&["pub", "log", &n.to_string(), "-q"]);
    }
}

#[test]
fn the_newest_messages_are_shown_of_a_stopped_node_in_both_formats() {
    for format in ["jsonl", "binary"] {
        let world = world_with(format);
        publish(&world, 1, 40);
        assert_eq!(world.ok(&["tail", "log", "-n", "3"]), "38\n39\n40\n");
        assert_eq!(world.ok(&["tail", "log"]).lines().count(), 10);
        assert_eq!(world.ok(&["tail", "log", "--from-start"]).lines().count(), 40);
        assert_eq!(world.ok(&["tail", "log", "--after", "38"]), "39\n40\n");
        assert_eq!(world.ok(&["tail", "log", "--since", "1h"]).lines().count(), 40);
        let text = world.ok(&["tail", "log", "-n", "1", "--jsonl"]);
        let envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((envelope["seq"].as_u64(), envelope["payload"].as_u64()), (Some(40), Some(40)));
        assert_eq!(world.json(&["tail", "log", "-n", "2"]).as_array().unwrap().len(), 2);
    }
}

#[test]
fn following_goes_on_over_the_end_of_a_segment_and_over_a_trim() {
    for format in ["jsonl", "binary"] {
        let world = world_with(format);
        publish(&world, 1, 2);
        let mut tail = world.spawn(&["tail", "log", "--follow", "--from-start"]);
        tail.wait_for_line(Source::Stdout, "2", SOON).unwrap();
        let files = || {
            let entries = std::fs::read_dir(world.data().join("channels/log")).unwrap();
            let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
            let names = entries.map(|entry| name(entry).to_string_lossy().into_owned());
            names.filter(|name| name.ends_with(".jsonl") || name.ends_with(".log")).count()
        };
        publish(&world, 3, 40);
        assert!(files() > 2, "{format}: segments must have rolled");
        tail.wait_for_line(Source::Stdout, "40", SOON).unwrap();
        world.ok(&["channel", "compact", "log", "--before", "39", "--yes", "-q"]);
        publish(&world, 41, 60);
        tail.wait_for_line(Source::Stdout, "60", SOON).unwrap();
        let output = tail.output();
        let expected: Vec<String> = (1..=60).map(|n| n.to_string()).collect();
        assert_eq!(output.lines(Source::Stdout), expected, "{format}");
        assert_eq!(output.lines(Source::Stderr), [""; 0], "{format}");
    }
}

#[test]
fn a_running_node_is_not_asked() {
    let world = World::new();
    let node = world.start();
    let mut tail = world.spawn(&["tail", "log"]);
    assert_eq!(finish(&mut tail).code, 3);
    world.ok(&["pub", "log", "one"]);
    let mut tail = world.spawn(&["tail", "log", "-f"]);
    tail.wait_for_line(Source::Stdout, "one", SOON).unwrap();
    world.ok(&["pub", "log", "two"]);
    tail.wait_for_line(Source::Stdout, "two", SOON).unwrap();
    node.stop();
    world.ok(&["pub", "log", "three"]);
    tail.wait_for_line(Source::Stdout, "three", SOON).unwrap();
}

#[test]
fn a_channel_that_is_removed_ends_the_tail() {
    let world = World::new();
    world.ok(&["pub", "log", "one"]);
    let mut tail = world.spawn(&["tail", "log", "-f"]);
    tail.wait_for_line(Source::Stdout, "one", SOON).unwrap();
    world.ok(&["channel", "rm", "log", "--yes"]);
    assert_eq!(finish(&mut tail).code, 3);
}
