//! What cannot be done is refused with an error that says whose turn it is, and changes nothing.

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use common::{inbox, open, publish_numbers, soon};
use pubsub::{ErrorKind, Messenger, Outgoing, Raw, SyncPolicy};
use tempfile::tempdir;

#[tokio::test]
async fn names_that_are_none_are_refused_everywhere() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    for name in ["", ".", "..", "a/b", "../evil", "a b", "orders.*", ">", "é", &"x".repeat(256)] {
        assert!(pubsub::validate_channel_name(name).is_err(), "{name}");
        let kind = messenger.publish(name, "", &1).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::InvalidChannelName, "{name}");
        let kind = messenger.publish_batch(name, []).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::InvalidChannelName, "{name}");
        let kind = messenger.subscribe(name, "id", |_| async {}).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::InvalidChannelName, "{name}");
    }
    for id in ["", "a\n", &"x".repeat(256)] {
        let kind = messenger.subscribe("orders", id, |_| async {}).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::InvalidSubscriberId, "{id}");
    }
    assert_eq!(std::fs::read_dir(dir.path().join("channels")).unwrap().count(), 0);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_subscriber_runs_once_at_a_time() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let first = messenger.subscribe("orders", "billing", |_| async {}).await.unwrap();
    let second = messenger.subscribe("orders", "billing", |_| async {}).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AlreadySubscribed);
    messenger.subscribe("invoices", "billing", |_| async {}).await.unwrap();
    soon(first.stop()).await;
    messenger.subscribe("orders", "billing", |_| async {}).await.unwrap();
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_payload_type_stands_for_one_rust_type() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    messenger.register_payload_type::<u64>("t.Number").unwrap();
    let again = messenger.register_payload_type::<String>("t.Number").unwrap_err();
    assert_eq!(again.to_string(), "payload type \"t.Number\" is already registered");
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn after_a_shutdown_nothing_is_taken_and_a_second_shutdown_does_no_harm() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    publish_numbers(&messenger, "orders", [1]).await;
    let clone = messenger.clone();
    let (first, second) = tokio::join!(messenger.shutdown(), clone.shutdown());
    first.unwrap();
    second.unwrap();
    messenger.shutdown().await.unwrap();
    let closed = ErrorKind::MessengerClosed;
    for channel in ["orders", "new"] {
        assert_eq!(messenger.publish(channel, "", &1).await.unwrap_err().kind(), closed);
        assert_eq!(messenger.publish_batch(channel, []).await.unwrap_err().kind(), closed);
        let subscribed = messenger.subscribe(channel, "id", |_| async {}).await;
        assert_eq!(subscribed.unwrap_err().kind(), closed);
        assert_eq!(messenger.unsubscribe(channel, "id").await.unwrap_err().kind(), closed);
    }
    assert_eq!(
        messenger.publish("a b", "", &1).await.unwrap_err().kind(),
        ErrorKind::InvalidChannelName
    );
}

#[tokio::test]
async fn a_batch_is_taken_whole_or_not_at_all() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    messenger.subscribe("orders", "billing", inbox.ok()).await.unwrap();
    assert_eq!(messenger.publish_batch("orders", []).await.unwrap(), []);
    let not_json = BTreeMap::from([((1, 2), 3)]);
    let bad = [Outgoing::new("", &1), Outgoing::new("", &not_json)];
    assert_eq!(messenger.publish_batch("orders", bad).await.unwrap_err().kind(), ErrorKind::Encode);
    let long = Raw::from(vec![0; 9 << 20]);
    let bad = [Outgoing::new("", &1), Outgoing::new("", &long)];
    assert_eq!(
        messenger.publish_batch("orders", bad).await.unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    let bad = [Outgoing::new("", &1).header("a b", "c")];
    let kind = messenger.publish_batch("orders", bad).await.unwrap_err().kind();
    assert_eq!(kind, ErrorKind::InvalidHeader);
    let good = (1..=3_u64).map(|number| Outgoing::new(format!("t.{number}"), &number));
    let receipts = messenger.publish_batch("orders", good).await.unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.seq).collect::<Vec<_>>(), [1, 2, 3]);
    for number in 1..=3 {
        let message = seen.next().await;
        assert_eq!(message.payload_type(), format!("t.{number}"));
        assert_eq!(message.id().to_string(), receipts[number - 1].id);
    }
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_large_message_is_delivered_and_a_larger_one_refused() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    messenger.subscribe("orders", "billing", inbox.ok()).await.unwrap();
    let text = "x".repeat(3 << 20);
    messenger.publish("orders", "", &text).await.unwrap();
    let refused = messenger.publish("orders", "", &"x".repeat(9 << 20)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    assert_eq!(seen.next().await.decode::<String>().unwrap(), text);
    messenger.shutdown().await.unwrap();
}

#[test]
fn a_messenger_needs_a_runtime_and_says_so() {
    let dir = tempdir().unwrap();
    let mut opening = Box::pin(Messenger::open(dir.path().join("data")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(opened) = opening.as_mut().poll(&mut context) else {
        panic!("it waits for what cannot come");
    };
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::NoRuntime);
    assert!(!dir.path().join("data").exists());
}

#[tokio::test]
async fn a_configuration_is_checked_before_anything_is_opened() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let mut config = pubsub::Config::default();
    config.storage.segment_mb = 0;
    config.subscribers.max_retries = u32::MAX;
    let wrong = Messenger::builder().config(config).data_dir(&data).open().await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Config);
    let text = wrong.to_string();
    assert!(text.contains("segment_mb") && text.contains("max_retries"), "{text}");

    assert!(!data.exists(), "nothing was made");
}

#[tokio::test]
async fn files_are_read_as_configuration_with_all_that_is_wrong_told_at_once() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("pubsub.yaml");
    let write = |text: &str| {
        let mut file = std::fs::OpenOptions::new();
        let file = file.create(true).write(true).truncate(true).open(&path).unwrap();
        std::io::Write::write_all(&mut &file, text.as_bytes()).unwrap();
    };
    write("name: bob\nstorage: {sync_policy: always}\nsubscribers: {max_retries: 0}\n");
    let config = pubsub::load_config(&path).unwrap();
    assert_eq!((config.name.as_str(), config.storage.sync_policy), ("bob", SyncPolicy::Always));
    let messenger =
        Messenger::builder().config(config).data_dir(dir.path().join("data")).open().await.unwrap();
    assert_eq!((messenger.name(), messenger.subscribe_options().retry.max_retries), ("bob", 0));
    messenger.shutdown().await.unwrap();

    write("nam: bob\nstorage: {sync_policy: never}\n");
    let wrong = pubsub::load_config(&path).unwrap_err().to_string();
    assert_eq!(wrong.lines().count(), 2, "{wrong}");
    assert!(pubsub::load_config(dir.path().join("none.yaml")).unwrap_err().is_not_found());
}
