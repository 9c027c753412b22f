//! The audit log, with and without somebody who writes it.

use std::sync::Arc;
use std::time::Duration;

use pubsub_audit::{AuditLog, Direction, Event, Ids, Limits, Messages, Peer};
use pubsub_disk::FileDisk;
use pubsub_testkit::Source;

use crate::world::{SOON, World, finish};

fn open(world: &World, max_size_bytes: u64) -> AuditLog {
    let disk = Arc::new(FileDisk::create(world.data()).unwrap());
    AuditLog::open(disk, Limits { max_size_bytes, max_files: 100 }).unwrap()
}

fn peer(name: &str) -> Peer {
    Peer { name: Arc::from(name), addr: Arc::from("10.0.0.7:4711") }
}

fn forward(log: &AuditLog, from: &str, channel: &str, ids: std::ops::Range<u64>) {
    let mut all = Ids::default();
    ids.for_each(|id| all.push_text(&format!("m{id}")));
    let messages = Messages {
        peer: peer(from),
        channel: Arc::from(channel),
        direction: Direction::Inbound,
        ids: all,
    };
    log.log(Event::Forward { messages, send_duration: Some(Duration::from_micros(1250)) });
    log.flush().unwrap();
}

fn reject(log: &AuditLog, name: &str, reason: &str) {
    log.log(Event::ClientRejected { peer: peer(name), reason: reason.to_owned() });
    log.flush().unwrap();
}

/// The messages in the lines that a command prints.
fn ids(world: &World, args: &[&str]) -> Vec<String> {
    let lines = world.ok(&[&["audit", "-o", "jsonl"], args].concat());
    let id = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["message_id"].as_str().unwrap_or("-").to_owned()
    };
    lines.lines().map(id).collect()
}

#[test]
fn people_get_a_table_and_programs_the_lines_as_they_are_in_the_files() {
    let world = World::new();
    let log = open(&world, 1 << 20);
    forward(&log, "edge", "orders.eu", 1..3);
    reject(&log, "stranger", "not in allowed_peers\u{1b}[2J");
    let table = world.ok(&["audit"]);
    let words: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().skip(1).collect()).collect();
    assert_eq!(words[0], ["EVENT", "PEER", "CHANNEL", "DIRECTION", "MESSAGE", "DETAIL"]);
    let acknowledged = ["acknowledged", "after", "1.2", "ms"];
    let forwarded = ["forward", "edge", "orders.eu", "inbound", "m1"];
    assert_eq!(words[1], [&forwarded[..], &acknowledged[..]].concat());
    let refused = ["client_rejected", "stranger", "-", "-", "-", "addr=10.0.0.7:4711", "not", "in"];
    assert_eq!(words[3], [&refused[..], &["allowed_peers\\u{1b}[2J"]].concat());
    assert!(!table.contains('\u{1b}'));
    let file = std::fs::read_to_string(world.data().join("audit/audit.jsonl")).unwrap();
    assert_eq!(world.ok(&["audit", "-o", "jsonl"]), file);
    let all = world.json(&["audit"]);
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(all[2]["event"], "client_rejected");
}

#[test]
fn lines_are_chosen_by_peer_channel_event_and_time_and_counted_from_behind() {
    let world = World::new();
    let log = open(&world, 500);
    forward(&log, "a", "orders.eu", 0..10);
    forward(&log, "b", "orders.us", 10..20);
    reject(&log, "b", "why");
    forward(&log, "b", "stock", 20..23);
    assert!(world.data().join("audit/audit.jsonl.3").exists(), "several files");
    let forwarded =
        |range: std::ops::Range<u32>| range.map(|id| format!("m{id}")).collect::<Vec<_>>();
    assert_eq!(ids(&world, &["--event", "forward"]), forwarded(0..23));
    assert_eq!(ids(&world, &["--peer", "a"]), forwarded(0..10));
    assert_eq!(ids(&world, &["--channel", "orders.>"]), forwarded(0..20));
    assert_eq!(ids(&world, &["--channel", "stock", "--channel", "orders.us"]), forwarded(10..23));
    assert_eq!(ids(&world, &["--event", "client_rejected,loop_dropped"]), ["-"]);
    assert_eq!(ids(&world, &["--peer", "10.0.0.7:4711", "--last", "2"]), ["m21", "m22"]);
    assert_eq!(ids(&world, &["-n", "4", "--channel", "orders.us"]), forwarded(16..20));
    assert_eq!(ids(&world, &["--since", "1h"]).len(), 24);
    assert_eq!(ids(&world, &["--since", "2200-01-01"]), [""; 0]);
    assert_eq!(ids(&world, &[]).len(), 24);
    assert_eq!(world.run(&["audit", "--event", "forwarded"]).code, 2);
}

#[test]
fn following_begins_with_the_newest_and_goes_on_over_rotations() {
    let world = World::new();
    let log = open(&world, 500);
    forward(&log, "edge", "orders", 0..30);
    let mut audit = world.spawn(&["audit", "--follow", "-o", "jsonl", "--event", "forward"]);
    let line = |id: u64| format!("\"message_id\":\"m{id}\",");
    let wait = |audit: &mut pubsub_testkit::Process, id: u64| {
        audit.wait_for_line(Source::Stdout, &line(id), SOON).unwrap();
    };
    wait(&mut audit, 29);
    for id in 30..60 {
        forward(&log, "edge", "orders", id..id + 1);
        reject(&log, "edge", "not asked for");
    }
    wait(&mut audit, 59);
    let output = audit.output();
    let printed = output.lines(Source::Stdout);
    assert_eq!(printed.len(), 40);
    for (id, printed) in (20..60).zip(printed) {
        assert!(printed.contains(&line(id)), "{id}: {printed}");
    }
    assert_eq!(output.lines(Source::Stderr), [""; 0]);
}

#[test]
fn a_log_that_begins_only_now_can_be_followed() {
    let world = World::new();
    assert_eq!(world.run(&["audit", "--follow"]).code, 3, "no data directory");
    world.ok(&["channel", "add", "orders"]);
    let ran = world.run(&["audit"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("nothing was logged yet"), "{ran:?}");
    assert_eq!(world.json(&["audit"]), serde_json::json!([]));
    let mut audit = world.spawn(&["audit", "--follow", "-o", "jsonl"]);
    let log = open(&world, 1 << 20);
    reject(&log, "stranger", "why");
    audit.wait_for_line(Source::Stdout, "stranger", SOON).unwrap();
}

#[test]
fn damaged_lines_are_told_of_and_cost_no_other() {
    let world = World::new();
    let log = open(&world, 1 << 20);
    forward(&log, "edge", "orders", 1..2);
    let path = world.data().join("audit/audit.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let text = [&whole[..], b"{\"ts\":\n", &whole[..], b"{\"ts\":\"2026"].concat();
    std::fs::write(&path, text).unwrap();
    let mut audit = world.spawn(&["audit", "-o", "jsonl"]);
    let ran = finish(&mut audit);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 2));
    let told = format!("audit/audit.jsonl: 7 bytes from byte {} are damaged", whole.len());
    assert!(ran.stderr.contains(&told), "{ran:?}");
}
