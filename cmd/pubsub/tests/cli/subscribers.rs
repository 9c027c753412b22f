//! Subscribers: listed, shown, moved, forgotten.

use pubsub_testkit::Source;

use crate::world::{SOON, World};

fn with_subscriber(world: &World) {
    for payload in ["1", "2", "3"] {
        world.ok(&["pub", "orders", payload]);
    }
    world.ok(&["sub", "orders", "--id", "me", "--from-start", "--count", "2"]);
}

#[test]
fn a_subscriber_is_listed_shown_moved_and_forgotten() {
    for running in [true, false] {
        let world = World::new();
        let _node = world.start_if(running);
        with_subscriber(&world);
        let rows = world.json(&["subscriber", "ls"]);
        assert_eq!(rows[0]["id"], "me");
        assert_eq!((rows[0]["position"].as_u64(), rows[0]["pending"].as_u64()), (Some(2), Some(1)));
        assert!(world.ok(&["subscriber", "info", "orders", "me"]).contains("orders"));

        let seek = ["subscriber", "seek", "orders", "me", "--yes"];
        let position = || world.json(&["subscriber", "info", "orders", "me"])["position"].clone();
        world.ok(&[&seek[..], &["--start"]].concat());
        assert_eq!(position(), 0);
        world.ok(&[&seek[..], &["--end"]].concat());
        assert_eq!(position(), 3);
        world.ok(&[&seek[..], &["--after", "1"]].concat());
        assert_eq!(position(), 1);
        world.ok(&[&seek[..], &["--since", "1h"]].concat());
        assert_eq!(position(), 0);
        assert_eq!(world.run(&[&seek[..], &["--after", "9"]].concat()).code, 2);
        assert_eq!(world.ok(&["sub", "orders", "--id", "me", "--count", "1"]), "1\n");

        world.ok(&["subscriber", "rm", "orders", "me", "--yes"]);
        assert_eq!(world.json(&["subscriber", "ls", "orders"]), serde_json::json!([]));
        assert_eq!(world.run(&["subscriber", "info", "orders", "me"]).code, 3);
    }
}

#[test]
fn a_dry_run_moves_and_forgets_nobody() {
    let world = World::new();
    with_subscriber(&world);
    world.ok(&["subscriber", "seek", "orders", "me", "--start", "--dry-run"]);
    world.ok(&["subscriber", "rm", "orders", "me", "--dry-run"]);
    assert_eq!(world.run(&["subscriber", "rm", "orders", "me"]).code, 2);
    assert_eq!(world.json(&["subscriber", "info", "orders", "me"])["position"], 2);
}

#[test]
fn a_connected_subscriber_can_not_be_moved_nor_be_two() {
    let world = World::new();
    let _node = world.start();
    let mut reader = world.spawn(&["sub", "orders", "--id", "me"]);
    reader.wait_for_line(Source::Stderr, "reading orders", SOON).unwrap();
    assert_eq!(world.json(&["subscriber", "info", "orders", "me"])["connected"], true);
    for args in [
        &["sub", "orders", "--id", "me", "--count", "1"][..],
        &["subscriber", "seek", "orders", "me", "--start", "--yes"],
        &["subscriber", "rm", "orders", "me", "--yes"],
        &["channel", "rm", "orders", "--yes"],
    ] {
        let ran = world.run(args);
        assert_eq!(ran.code, 6, "{args:?} {ran:?}");
    }
}

#[test]
fn a_misspelt_subscriber_is_not_found_and_the_right_one_is_named() {
    let world = World::new();
    world.ok(&["pub", "orders", "1"]);
    world.ok(&["sub", "orders", "--id", "billing", "--from-start", "--count", "1"]);
    let ran = world.run(&["subscriber", "info", "orders", "biling"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("did you mean billing?"), "{ran:?}");
}
