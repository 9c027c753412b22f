//! Publishing and reading.

use pubsub_envelope::{Meta, NewRecord, RouteBuf, jsonl};
use pubsub_testkit::Source;
use pubsub_types::ChannelName;

use crate::world::{SOON, World, finish};

#[test]
fn what_is_published_is_read_with_and_without_a_node() {
    for running in [true, false] {
        let world = World::new();
        let node = world.start_if(running);
        for payload in [r#"{"id":7}"#, "plain text", ""] {
            world.ok(&["pub", "orders", payload]);
        }
        let read = world.ok(&["sub", "orders", "--from-start", "--count", "3"]);
        assert_eq!(read, "{\"id\":7}\nplain text\n\n", "running: {running}");
        let read = world.ok(&["sub", "orders", "--last", "--count", "1"]);
        assert_eq!(read, "\n");
        let read = world.ok(&["sub", "orders", "--after", "1", "--count", "1"]);
        assert_eq!(read, "plain text\n");
        let read = world.ok(&["sub", "orders", "--since", "1h", "--count", "1"]);
        assert_eq!(read, "{\"id\":7}\n");
        assert_eq!(node.map(|node| node.stop()), running.then_some(()));
    }
}

#[test]
fn a_publisher_is_told_the_sequence_and_the_file() {
    let world = World::new();
    let ran = world.run(&["pub", "orders", "1"]);
    assert!(ran.stderr.contains("made channel orders"), "{ran:?}");
    assert!(ran.stderr.contains("published orders seq 1 id "), "{ran:?}");
    assert_eq!(ran.stdout, "");
    let file = ran.stderr.trim().rsplit(' ').next().unwrap();
    let text = std::fs::read_to_string(world.dir.path().join(file)).unwrap();
    assert!(text.contains("\"payload\":1"), "{text}");
    let report = world.json(&["pub", "orders", "2", "--quiet"]);
    assert_eq!(report["first_seq"], 2);
    assert_eq!(report["messages"], 1);
}

#[test]
fn the_whole_envelope_is_set_and_shown() {
    for running in [true, false] {
        let world = World::new();
        let _node = world.start_if(running);
        world.ok(&[
            "pub",
            "orders",
            "1",
            "--type",
            "t.Order",
            "-H",
            "Trace: 17",
            "-H",
            "B:c",
            "--correlation-id",
            "corr",
            "--service",
            "shop",
        ]);
        let text = world.ok(&["sub", "orders", "--from-start", "--count", "1", "-o", "jsonl"]);
        let envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(envelope["seq"], 1);
        assert_eq!(envelope["channel"], "orders");
        assert_eq!(envelope["payload_type"], "t.Order");
        assert_eq!(envelope["correlation_id"], "corr");
        assert_eq!(envelope["service_name"], "shop");
        assert_eq!(envelope["headers"], "NATS/1.0\r\nTrace: 17\r\nB: c\r\n\r\n");
        assert_eq!(envelope["payload"], 1);
        let id = envelope["id"].as_str().unwrap();
        assert_eq!(id.len(), 36, "{id}");
    }
}

#[test]
fn every_line_of_the_input_becomes_a_message() {
    for running in [true, false] {
        let world = World::new();
        let _node = world.start_if(running);
        let lines: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let ran = world.run_with(&["pub", "log", "--stdin", "-o", "json"], &lines);
        assert_eq!(ran.code, 0, "{ran:?}");
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["messages"], 5000);
        assert_eq!(report["last_seq"], 5000);
        let read = world.ok(&["sub", "log", "--from-start", "--count", "5000", "-q"]);
        assert_eq!(read, lines);
    }
}

#[test]
fn lines_are_published_as_they_come() {
    let world = World::new();
    let _node = world.start();
    let mut reader = world.spawn(&["sub", "log"]);
    reader.wait_for_line(Source::Stderr, "reading log", SOON).unwrap();
    let mut publisher = world.spawn(&["pub", "log", "--stdin"]);
    for line in ["one", "two"] {
        publisher.write_line(line).unwrap();
        reader.wait_for_line(Source::Stdout, line, SOON).unwrap();
    }
    publisher.close_stdin();
    assert_eq!(finish(&mut publisher).code, 0);
}

#[test]
fn a_payload_is_published_as_often_as_asked() {
    let world = World::new();
    let report = world.json(&["pub", "orders", "x", "--count", "2500"]);
    assert_eq!(report["messages"], 2500);
    let read = world.ok(&["sub", "orders", "--from-start", "--count", "2500", "-q"]);
    assert_eq!(read.lines().count(), 2500);
}

#[test]
fn an_envelope_is_printed_with_the_way_that_its_message_came() {
    let world = World::new();
    let node = world.start();
    let mut route = RouteBuf::new();
    route.push("alice").unwrap();
    route.push("hub:7740").unwrap();
    let log = uuid::Uuid::from_u128(7);
    let meta = Meta {
        source: Some(pubsub_envelope::Source { log, epoch: 3, seq: 57, previous: 40 }),
        route: route.as_route(),
        members: "\"shard\":{\"n\": 7}",
        ..Meta::default()
    };
    let record = NewRecord { payload: b"1", meta, ..NewRecord::default() };
    let channel = node.node.channel(&ChannelName::new("orders").unwrap()).unwrap();
    channel.append_blocking(&[record]).unwrap();
    let sub = ["sub", "orders", "--from-start", "--count", "1", "-o", "jsonl", "-q"];
    let line = world.ok(&sub);
    let read = jsonl::decode_line(line.trim_end().as_bytes()).unwrap();
    assert_eq!(read.meta(), meta);
    node.stop();
    assert_eq!(world.ok(&sub), line, "the command itself, as there is no server");
}

#[test]
fn without_a_node_a_reader_is_the_node_for_others() {
    let world = World::new();
    let mut reader = world.spawn(&["sub", "orders", "--count", "2"]);
    reader.wait_for_line(Source::Stderr, "reading orders", SOON).unwrap();
    world.ok(&["pub", "orders", "one"]);
    world.ok(&["pub", "orders", "two"]);
    let ran = finish(&mut reader);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "one\ntwo\n"));
    assert!(!world.data().join("control.sock").exists(), "the socket goes with its node");
}

#[test]
fn new_messages_only_are_shown_when_nothing_is_said() {
    let world = World::new();
    world.ok(&["pub", "orders", "old"]);
    let mut reader = world.spawn(&["sub", "orders", "--count", "1"]);
    reader.wait_for_line(Source::Stderr, "after seq 1", SOON).unwrap();
    world.ok(&["pub", "orders", "new"]);
    assert_eq!(finish(&mut reader).stdout, "new\n");
}

#[test]
fn a_subscriber_with_an_id_goes_on_where_it_was() {
    for running in [true, false] {
        let world = World::new();
        let node = world.start_if(running);
        for payload in ["1", "2", "3"] {
            world.ok(&["pub", "orders", payload]);
        }
        let sub = ["sub", "orders", "--id", "me", "--from-start", "-q", "--count"];
        assert_eq!(world.ok(&[&sub[..], &["1"]].concat()), "1\n");
        assert_eq!(world.ok(&[&sub[..], &["2"]].concat()), "2\n3\n");
        let ran = world.run(&[&sub[..], &["1", "--timeout", "10ms"]].concat());
        assert_eq!(ran.code, 5, "{ran:?}");
        assert_eq!(node.map(|node| node.stop()), running.then_some(()));
    }
}

#[test]
fn what_a_broken_pipe_did_not_take_is_shown_again() {
    let world = World::new();
    let _node = world.start();
    let lines: String = (0..50_000).map(|n| format!("{n:0100}\n")).collect();
    assert_eq!(world.run_with(&["pub", "log", "--stdin", "-q"], &lines).code, 0);
    let command =
        format!("{} sub log --id me --from-start -q | head -n 1", env!("CARGO_BIN_EXE_pubsub"));
    let mut shell = world.dir.spawn("bash", ["-o", "pipefail", "-c", &command]).unwrap();
    let ran = finish(&mut shell);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "a closed pipe is silent");
    assert_eq!(ran.stdout, format!("{:0100}\n", 0));
    let info = world.json(&["subscriber", "info", "log", "me"]);
    assert!(info["pending"].as_u64().unwrap() > 0, "{info}");
}

#[test]
fn a_message_that_does_not_come_in_time_is_exit_code_5() {
    let world = World::new();
    let ran = world.run(&["sub", "orders", "--timeout", "20ms"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stderr.contains("no message came in time"), "{ran:?}");
}

#[test]
fn an_interrupted_reader_ends_in_order_with_130() {
    for running in [true, false] {
        let world = World::new();
        let node = world.start_if(running);
        world.ok(&["pub", "orders", "1"]);
        let mut reader = world.spawn(&["sub", "orders", "--id", "me", "--from-start"]);
        reader.wait_for_line(Source::Stdout, "1", SOON).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(reader.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(finish(&mut reader).code, 130);
        let info = world.json(&["subscriber", "info", "orders", "me"]);
        assert_eq!(info["position"], 1);
        assert_eq!(node.map(|node| node.stop()), running.then_some(()));
    }
}

#[test]
fn dead_letters_cannot_be_published_by_hand() {
    let world = World::new();
    let ran = world.run(&["pub", "orders.dead-letter", "1"]);
    assert_eq!(ran.code, 4, "{ran:?}");
}

#[test]
fn a_channel_with_a_long_path_works_through_a_socket_elsewhere() {
    let world = World::new();
    let deep = format!("{}/data", "d".repeat(120));
    std::fs::create_dir(world.dir.path().join("d".repeat(120))).unwrap();
    let sub = ["--data-dir", &deep, "sub", "orders", "--count", "1"];
    let mut reader = world.spawn(&sub);
    reader.wait_for_line(Source::Stderr, "reading orders", SOON).unwrap();
    world.ok(&["--data-dir", &deep, "pub", "orders", "far"]);
    assert_eq!(finish(&mut reader).stdout, "far\n");
}
