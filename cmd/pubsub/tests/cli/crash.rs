//! A killed command leaves a directory that works.

use pubsub_testkit::Source;

use crate::world::{SOON, World};

#[test]
fn a_killed_publisher_leaves_every_message_it_was_told_of() {
    let world = World::new();
    for round in 1..=5_u64 {
        let mut node = world.spawn(&["sub", "orders", "--new"]);
        node.wait_for_line(Source::Stderr, "reading orders", SOON).unwrap();
        let mut publisher = world.spawn(&["pub", "orders", "--stdin"]);
        for n in 0..20 {
            publisher.write_line(&format!("{round}-{n}")).unwrap();
        }
        node.wait_for_line(Source::Stdout, &format!("{round}-9"), SOON).unwrap();
        node.kill().unwrap();
        publisher.kill().unwrap();
        let ran = world.run(&["doctor"]);
        assert!(ran.stdout.contains(" 0 damaged") || ran.code == 0, "{ran:?}");
        world.ok(&["pub", "orders", &format!("after-{round}")]);
        assert_eq!(world.run(&["doctor"]).code, 0);
    }
    let last = world.json(&["channel", "info", "orders"])["stats"]["last_seq"].as_u64().unwrap();
    let read = world.ok(&["sub", "orders", "--from-start", "--count", &last.to_string(), "-q"]);
    for round in 1..=5 {
        for n in 0..=9 {
            assert!(read.lines().any(|line| line == format!("{round}-{n}")), "{round}-{n}");
        }
        assert!(read.lines().any(|line| line == format!("after-{round}")));
    }
}
