//! One owner of a data directory at a time, however many ask.

use pubsub_disk::{Disk, FileDisk};
use pubsub_testkit::{Source, binary};

use crate::world::{SOON, World, finish};

#[test]
fn a_directory_whose_owner_does_not_answer_is_not_touched() {
    let world = World::new();
    world.ok(&["pub", "orders", "1"]);
    let disk = FileDisk::open(world.data()).unwrap();
    let _lock = disk.lock("LOCK".as_ref()).unwrap();
    let before = std::fs::read(world.data().join("NODE.a")).unwrap();
    let ran = world.run(&["pub", "orders", "2"]);
    assert_eq!(ran.code, 6, "{ran:?}");
    let pid = std::process::id().to_string();
    assert!(ran.stderr.contains(&format!("process {pid}")), "{ran:?}");
    assert_eq!(std::fs::read(world.data().join("NODE.a")).unwrap(), before);
}

#[test]
fn commands_that_come_at_once_take_turns() {
    let world = World::new();
    world.ok(&["channel", "add", "orders"]);
    let mut publishers: Vec<_> =
        (0..8).map(|n| world.spawn(&["pub", "orders", &n.to_string()])).collect();
    for publisher in &mut publishers {
        let ran = finish(publisher);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let read = world.ok(&["sub", "orders", "--from-start", "--count", "8", "-q"]);
    let mut lines: Vec<_> = read.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn a_dead_nodes_socket_is_no_node() {
    let world = World::new();
    let mut reader = world.spawn(&["sub", "orders"]);
    reader.wait_for_line(Source::Stderr, "reading orders", SOON).unwrap();
    reader.kill().unwrap();
    assert!(world.data().join("control.sock").exists());
    world.ok(&["pub", "orders", "1"]);
    let mut reader = world.spawn(&["sub", "orders", "--count", "1"]);
    reader.wait_for_line(Source::Stderr, "reading orders", SOON).unwrap();
    world.ok(&["pub", "orders", "2"]);
    assert_eq!(finish(&mut reader).stdout, "2\n");
}

#[test]
fn the_server_answers_every_command() {
    let server = match binary("pubsub-server") {
        Ok(server) => server,
        Err(error) => return pubsub_testkit::skipped("pubsub-server", &error.to_string()),
    };
    let world = World::new();
    let mut server = world.dir.spawn(server, ["--data-dir", "data"]).unwrap();
    pubsub_testkit::eventually("the control socket", SOON, || {
        world.data().join("control.sock").exists().then_some(())
    })
    .unwrap();
    world.ok(&["pub", "orders", "1"]);
    assert_eq!(world.ok(&["sub", "orders", "--from-start", "--count", "1"]), "1\n");
    assert_eq!(world.json(&["channel", "ls"])[0]["channel"], "orders");
    assert_eq!(world.run(&["doctor"]).code, 0);
    server.terminate().unwrap();
    server.wait_for_exit(SOON).unwrap();
    assert_eq!(world.ok(&["sub", "orders", "--from-start", "--count", "1"]), "1\n");
}
