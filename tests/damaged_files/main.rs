//! Damage costs what is damaged, is told of, and never stops a channel.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../common/mod.rs"]
mod common;

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use common::{at_position, inbox, open, publish_numbers};
use pubsub::{Config, ErrorKind, Messenger, StartAt};
use tempfile::tempdir;

const FIRST_SEGMENT: &str = "channels/orders/00000000000000000001.jsonl";

/// Publishes numbers and ends.
async fn with_messages(dir: &Path, numbers: impl IntoIterator<Item = u64>) -> PathBuf {
    let messenger = open(dir).await;
    publish_numbers(&messenger, "orders", numbers).await;
    messenger.shutdown().await.unwrap();
    dir.join(FIRST_SEGMENT)
}

async fn everything(messenger: &Messenger, count: usize) -> Vec<u64> {
    let (inbox, mut seen) = inbox();
    let options = messenger.subscribe_options().start(StartAt::FromStart);
    messenger.subscribe_with("orders", "everything", options, inbox.ok()).await.unwrap();
    seen.numbers(count).await
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    OpenOptions::new().read(true).open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_last_line_without_its_end_is_no_message_and_is_never_delivered() {
    for whole in [false, true] {
        let dir = tempdir().unwrap();
        let segment = with_messages(dir.path(), 1..=3).await;
        let text = read(&segment);
        let last = text.lines().last().unwrap().replace("\"seq\":3", "\"seq\":4");
        let torn = if whole { last.as_str() } else { &last[..last.len() / 2] };
        let mut file = OpenOptions::new().append(true).open(&segment).unwrap();
        file.write_all(torn.as_bytes()).unwrap();

        let messenger = open(dir.path()).await;
        publish_numbers(&messenger, "orders", [40]).await;
        assert_eq!(everything(&messenger, 4).await, [1, 2, 3, 40], "whole line: {whole}");
        at_position(&messenger, "orders", "everything", 4).await;
        messenger.shutdown().await.unwrap();
        assert!(read(&segment).ends_with("}\n"));
        assert!(dir.path().join("channels/orders/quarantine").is_dir(), "what was cut is kept");
    }
}

#[tokio::test]
async fn a_damaged_record_is_passed_and_counted_and_its_neighbours_are_delivered() {
    let dir = tempdir().unwrap();
    let segment = with_messages(dir.path(), 1..=5).await;
    let text = read(&segment);
    let at = text.find("\"payload\":3").unwrap() + "\"payload\":".len();
    let mut file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(b"7").unwrap();

    let messenger = open(dir.path()).await;
    assert_eq!(everything(&messenger, 4).await, [1, 2, 4, 5]);
    at_position(&messenger, "orders", "everything", 5).await;
    let counted = messenger.diagnostics("orders", "everything").delivery;
    assert_eq!(counted.damaged_skipped, 1);
    publish_numbers(&messenger, "orders", [6]).await;
    assert_eq!(messenger.stats().channels[0].last_seq, 6);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_damaged_position_repeats_messages_for_its_subscriber_and_changes_nothing_for_others() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    for id in ["hurt", "well"] {
        messenger.subscribe("orders", id, |_| async {}).await.unwrap();
    }
    publish_numbers(&messenger, "orders", 1..=3).await;
    for id in ["hurt", "well"] {
        at_position(&messenger, "orders", id, 3).await;
    }
    messenger.shutdown().await.unwrap();
    for copy in ["a", "b"] {
        let path = dir.path().join(format!("subscribers/orders/hurt.offset.{copy}"));
        OpenOptions::new().write(true).truncate(true).open(path).unwrap().write_all(b"?").unwrap();
    }

    let messenger = open(dir.path()).await;
    let (hurt, mut hurt_seen) = inbox();
    messenger.subscribe("orders", "hurt", hurt.ok()).await.unwrap();
    let (well, mut well_seen) = inbox();
    messenger.subscribe("orders", "well", well.ok()).await.unwrap();
    publish_numbers(&messenger, "orders", [4]).await;
    assert_eq!(hurt_seen.numbers(4).await, [1, 2, 3, 4], "rather again than not at all");
    assert_eq!(well_seen.numbers(1).await, [4]);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_channel_that_could_not_begin_a_new_segment_goes_on_as_soon_as_it_can() {
    let dir = tempdir().unwrap();
    let config = Config::from_yaml("storage: {segment_mb: 1}", "test.yaml", &|_| None).unwrap();
    let messenger = Messenger::builder().config(config).data_dir(dir.path()).open().await.unwrap();
    let text = "x".repeat(400 << 10);
    messenger.publish("orders", "", &text).await.unwrap();
    // Where the next segments belong, there is something else.
    let obstacles: Vec<PathBuf> = (2..=9)
        .map(|index| dir.path().join(format!("channels/orders/{index:020}.jsonl")))
        .collect();
    obstacles.iter().for_each(|path| fs::create_dir(path).unwrap());
    let mut acked = 1;
    let refused = loop {
        match messenger.publish("orders", "", &text).await {
            Ok(receipt) => acked = receipt.seq,
            Err(refused) => break refused,
        }
        assert!(acked < 9, "the segment is never full");
    };
    assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
    let (inbox, mut seen) = inbox();
    let options = messenger.subscribe_options().start(StartAt::FromStart);
    messenger.subscribe_with("orders", "billing", options, inbox.ok()).await.unwrap();
    for seq in 1..=acked {
        assert_eq!(seen.next().await.seq(), seq, "what is there is read");
    }
    obstacles.iter().for_each(|path| fs::remove_dir(path).unwrap());
    messenger.publish("orders", "", &text).await.unwrap();
    seen.next().await;
    messenger.shutdown().await.unwrap();
}
