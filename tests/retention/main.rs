//! Nothing is deleted unasked; what is asked for is deleted, and who missed it is told.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::time::Duration;

use common::{at_position, inbox, open, publish_numbers};
use pubsub::{Config, Messenger, StartAt};
use tempfile::tempdir;

async fn configured(dir: &std::path::Path, yaml: &str) -> Messenger {
    let config = Config::from_yaml(yaml, "test.yaml", &|_| None).unwrap();
    Messenger::builder().config(config).data_dir(dir).open().await.unwrap()
}

#[tokio::test]
async fn messages_stay_over_many_segments_and_restarts_whether_or_not_anybody_reads_them() {
    let dir = tempdir().unwrap();
    let small = "storage: {segment_mb: 1}";
    let text = "x".repeat(300 << 10);
    for round in 0..3_u64 {
        let messenger = configured(dir.path(), small).await;
        messenger.subscribe("orders", "reader", |_| async {}).await.unwrap();
        for channel in ["orders", "unread"] {
            for _ in 0..5 {
                messenger.publish(channel, "", &text).await.unwrap();
            }
        }
        at_position(&messenger, "orders", "reader", (round + 1) * 5).await;
        for channel in messenger.stats().channels {
            assert_eq!(channel.messages, (round + 1) * 5, "{}", channel.channel);
            assert_eq!(channel.first_seq, 1);
        }
        messenger.shutdown().await.unwrap();
    }
    let segments = fs::read_dir(dir.path().join("channels/unread")).unwrap();
    let segments = segments.filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "jsonl")
    });
    assert!(segments.count() >= 4);
}

#[tokio::test]
async fn who_was_away_while_a_limit_deleted_messages_goes_on_with_the_oldest_and_it_is_counted() {
    let dir = tempdir().unwrap();
    let messenger =
        configured(dir.path(), "storage: {channels: {orders: {max_messages: 5}}}").await;
    let away = messenger.subscribe("orders", "away", |_| async {}).await.unwrap();
    away.stop().await;
    publish_numbers(&messenger, "orders", 1..=20).await;
    let (inbox, mut seen) = inbox();
    messenger.subscribe("orders", "away", inbox.ok()).await.unwrap();
    assert_eq!(seen.numbers(5).await, [16, 17, 18, 19, 20]);
    at_position(&messenger, "orders", "away", 20).await;
    assert_eq!(messenger.diagnostics("orders", "away").delivery.compaction_drops, 1);

    // Who only begins now has missed nothing.
    let (inbox, mut seen) = common::inbox();
    let options = messenger.subscribe_options().start(StartAt::FromStart);
    messenger.subscribe_with("orders", "new", options, inbox.ok()).await.unwrap();
    assert_eq!(seen.numbers(5).await, [16, 17, 18, 19, 20]);
    at_position(&messenger, "orders", "new", 20).await;
    assert_eq!(messenger.diagnostics("orders", "new").delivery.compaction_drops, 0);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_message_that_has_expired_is_not_delivered() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let publish = |number: u64| {
        let messenger = messenger.clone();
        async move {
            let publish = messenger.publish("orders", "", &number);
            match number {
                1 => publish.expires_in(Duration::ZERO).await.unwrap(),
                2 => publish.expires_at(pubsub::Timestamp(1)).await.unwrap(),
                3 => publish.expires_in(Duration::from_secs(3600)).await.unwrap(),
                _ => publish.await.unwrap(),
            }
        }
    };
    for number in 1..=4 {
        publish(number).await;
    }
    let (inbox, mut seen) = inbox();
    let options = messenger.subscribe_options().start(StartAt::FromStart);
    messenger.subscribe_with("orders", "billing", options, inbox.ok()).await.unwrap();
    assert_eq!(seen.numbers(2).await, [3, 4]);
    publish(2).await;
    at_position(&messenger, "orders", "billing", 5).await;
    assert!(seen.rest().is_empty());
    messenger.shutdown().await.unwrap();
}

/// A record of the predecessor, from 2020.
fn old_line(number: u64) -> String {
    format!(
        "{{\"v\":1,\"id\":\"01a1fe4b-57a6-701d-95e6-c46db8b9ecc{number}\",\"ts\":\"2020-11-21T13:28:32.5Z\",\"channel\":\"orders\",\"origin\":\"alice\",\"payload_type\":\"t.M\",\"payload\":{number}}}\n"
    )
}

fn write(path: &std::path::Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::OpenOptions::new();
    let file = file.create_new(true).write(true).open(path).unwrap();
    std::io::Write::write_all(&mut &file, text.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_data_directory_of_the_predecessor_is_taken_over_with_messages_and_positions() {
    let dir = tempdir().unwrap();
    let lines: Vec<String> = (1..=4).map(old_line).collect();
    let segment = dir.path().join("channels/orders/00000000000000000000.jsonl");
    write(&segment, &lines.concat());
    let offset = lines[0].len() + lines[1].len();
    write(&dir.path().join("subscribers/orders/billing.offset"), &format!("{offset}\n"));

    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    messenger.subscribe("orders", "billing", inbox.ok()).await.unwrap();
    publish_numbers(&messenger, "orders", [5]).await;
    assert_eq!(seen.numbers(3).await, [3, 4, 5]);

    // What is older than max_age at the start is skipped; what comes later is not.
    let (inbox, mut seen) = common::inbox();
    let hour = Duration::from_secs(3600);
    let options = messenger.subscribe_options().start(StartAt::FromStart).max_age(hour);
    let fresh = messenger.subscribe_with("orders", "fresh", options, inbox.ok()).await.unwrap();
    assert_eq!(seen.numbers(1).await, [5]);
    let counted = fresh.stats().delivery;
    assert_eq!(counted.startup_skipped, 4);
    assert!(counted.startup_skipped_bytes > 0);
    messenger.shutdown().await.unwrap();
}
