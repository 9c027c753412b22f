//! Channels: made, listed, shown, compacted, removed.

use crate::world::World;

#[test]
fn channels_are_made_listed_shown_and_removed() {
    for running in [true, false] {
        let world = World::new();
        let _node = world.start_if(running);
        world.ok(&["channel", "add", "orders"]);
        world.ok(&["pub", "orders", "1"]);
        let rows = world.json(&["channel", "ls"]);
        assert_eq!(rows[0]["channel"], "orders");
        assert_eq!(rows[0]["messages"], 1);
        let info = world.json(&["channel", "info", "orders"]);
        assert_eq!(info["stats"]["last_seq"], 1);
        assert!(world.ok(&["channel", "info", "orders"]).contains("channels/orders"));
        world.ok(&["channel", "rm", "orders", "--yes"]);
        assert_eq!(world.json(&["channel", "ls"]), serde_json::json!([]));
        assert_eq!(world.run(&["channel", "info", "orders"]).code, 3);
    }
}

#[test]
fn a_channel_that_exists_is_a_conflict() {
    for running in [true, false] {
        let world = World::new();
        let _node = world.start_if(running);
        world.ok(&["channel", "add", "orders"]);
        let ran = world.run(&["channel", "add", "orders"]);
        assert_eq!(ran.code, 6, "{ran:?}");
        assert!(ran.stderr.contains("pubsub channel info orders"), "{ran:?}");
    }
}

#[test]
fn settings_of_a_channel_stay_whoever_opens_the_directory_next() {
    let world = World::new();
    let add = ["channel", "add", "orders", "--format", "binary", "--sync", "always"];
    world.ok(&[&add[..], &["--segment-size", "1MiB", "--max-age", "1h30m"]].concat());
    for _ in 0..2 {
        world.ok(&["pub", "orders", "1"]);
    }
    let info = world.json(&["channel", "info", "orders"]);
    assert_eq!(info["config"]["format"], "binary");
    assert_eq!(info["config"]["sync"], "always");
    assert_eq!(info["config"]["segment_bytes"], 1 << 20);
    assert_eq!(info["config"]["limits"]["max_age"]["secs"], 5400);
    assert_eq!(info["stats"]["last_seq"], 2);
}

#[test]
fn what_was_chosen_for_a_channel_outlives_the_configuration_of_the_server() {
    let world = World::new();
    let format = |channel| world.json(&["channel", "info", channel])["config"]["format"].clone();
    let node = world.start_configured("storage: {format: jsonl}");
    world.ok(&["channel", "add", "orders", "--format", "binary", "--max-messages", "100"]);
    world.ok(&["channel", "add", "others"]);
    world.ok(&["pub", "orders", "1"]);
    assert_eq!((format("orders"), format("others")), ("binary".into(), "jsonl".into()));
    node.stop();
    let yaml = "storage: {format: jsonl, sync_policy: always, channels: {'*': {format: jsonl}}}";
    let node = world.start_configured(yaml);
    assert_eq!(format("orders"), "binary");
    let info = world.json(&["channel", "info", "orders"]);
    assert_eq!(info["config"]["sync"], "always", "what was not chosen is configured");
    assert_eq!(info["config"]["limits"]["max_messages"], 100);
    assert_eq!(info["config"]["keep_history"], true);
    node.stop();
    // The command itself, as there is no server.
    assert_eq!(format("orders"), "binary");
    let node =
        world.start_configured("storage: {format: binary, channels: {orders: {format: jsonl}}}");
    assert_eq!((format("orders"), format("others")), ("jsonl".into(), "binary".into()));
    world.ok(&["pub", "orders", "2"]);
    assert_eq!(world.ok(&["sub", "orders", "--from-start", "--count", "2"]), "1\n2\n");
    node.stop();
    let _node = world.start_configured("storage: {format: jsonl}");
    assert_eq!(format("orders"), "binary", "the entry is gone, and the choice is still there");
}

#[test]
fn a_choice_that_the_configuration_overrules_is_refused() {
    let world = World::new();
    let _node = world.start_configured("storage: {channels: {orders: {format: jsonl}}}");
    let ran = world.run(&["channel", "add", "orders", "--format", "binary"]);
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.stderr.contains("storage.channels.orders"), "{ran:?}");
    assert_eq!(world.json(&["channel", "ls"]), serde_json::json!([]));
    world.ok(&["channel", "add", "orders", "--format", "jsonl", "--max-bytes", "1MiB"]);
}

#[test]
fn a_misspelt_channel_is_not_found_and_the_right_one_is_named() {
    for running in [true, false] {
        let world = World::new();
        let _node = world.start_if(running);
        world.ok(&["channel", "add", "orders"]);
        for args in [
            &["channel", "info", "ordres"][..],
            &["channel", "rm", "ordres", "--yes"],
            &["channel", "compact", "ordres", "--yes"],
            &["subscriber", "ls", "ordres"],
            &["dlq", "ls", "ordres"],
        ] {
            let ran = world.run(args);
            assert_eq!(ran.code, 3, "{args:?} {ran:?}");
            assert!(ran.stderr.contains("did you mean orders?"), "{args:?} {ran:?}");
        }
    }
}

#[test]
fn nothing_is_destroyed_without_being_asked_for_twice() {
    for running in [true, false] {
        let world = World::new();
        let _node = world.start_if(running);
        world.ok(&["pub", "orders", "1"]);
        for args in
            [&["channel", "rm", "orders"][..], &["channel", "compact", "orders", "--before", "2"]]
        {
            let ran = world.run(args);
            assert_eq!(ran.code, 2, "{ran:?}");
            assert!(ran.stderr.contains("--yes"), "{ran:?}");
            let ran = world.run(&[args, &["--dry-run"]].concat());
            assert_eq!(ran.code, 0, "{ran:?}");
            assert!(ran.stderr.contains("would "), "{ran:?}");
        }
        assert_eq!(world.json(&["channel", "info", "orders"])["stats"]["messages"], 1);
    }
}

#[test]
fn compaction_deletes_what_every_subscriber_has_consumed() {
    for running in [true, false] {
        let world = World::new();
        let _node = world.start_if(running);
        for payload in ["1", "2", "3"] {
            world.ok(&["pub", "orders", payload]);
        }
        let ran = world.run(&["channel", "compact", "orders", "--yes"]);
        assert_eq!(ran.code, 6, "without a subscriber nothing is consumed: {ran:?}");
        for (id, count) in [("slow", "1"), ("fast", "3")] {
            world.ok(&["sub", "orders", "--id", id, "--from-start", "--count", count]);
        }
        world.ok(&["channel", "compact", "orders", "--yes"]);
        let stats = &world.json(&["channel", "info", "orders"])["stats"];
        assert_eq!((stats["first_seq"].as_u64(), stats["messages"].as_u64()), (Some(2), Some(2)));
        world.ok(&["channel", "compact", "orders", "--before", "3", "--yes"]);
        let read = world.ok(&["sub", "orders", "--from-start", "--count", "1"]);
        assert_eq!(read, "3\n");
    }
}

#[test]
fn a_name_that_is_none_is_a_usage_error() {
    let world = World::new();
    for args in [&["channel", "add", "a/b"][..], &["pub", "../x", "1"], &["chanel", "ls"]] {
        let ran = world.run(args);
        assert_eq!(ran.code, 2, "{args:?} {ran:?}");
    }
    assert!(!world.data().exists(), "a usage error makes nothing");
}

#[test]
fn a_directory_that_is_not_there_is_not_made_by_looking() {
    let world = World::new();
    for args in [
        &["channel", "ls"][..],
        &["channel", "info", "a"],
        &["channel", "verify", "a"],
        &["subscriber", "ls"],
        &["dlq", "ls", "a"],
        &["tail", "a"],
        &["doctor"],
    ] {
        let ran = world.run(args);
        assert_eq!(ran.code, 3, "{args:?} {ran:?}");
        assert!(ran.stderr.contains("--data-dir"), "{args:?} {ran:?}");
    }
    assert!(!world.data().exists());
}

#[test]
fn somebody_elses_directory_is_left_alone() {
    let world = World::new();
    std::fs::create_dir(world.data()).unwrap();
    std::fs::write(world.data().join("letter.txt"), "dear").unwrap();
    let ran = world.run(&["pub", "orders", "1"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("letter.txt"), "{ran:?}");
    assert_eq!(std::fs::read_dir(world.data()).unwrap().count(), 1);
}
