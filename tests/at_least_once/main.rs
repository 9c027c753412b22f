//! Every subscriber gets every message, in order, at least once, whatever is restarted in between.

#[path = "../common/mod.rs"]
mod common;

use common::{at_position, failed, inbox, open, publish_numbers};
use pubsub::{Messenger, StartAt};
use tempfile::tempdir;

const NOTHING: [u64; 0] = [];

#[tokio::test]
async fn a_message_goes_from_its_publisher_through_a_file_to_its_subscriber() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    messenger.subscribe("orders", "billing", inbox.ok()).await.unwrap();
    let order = serde_json::json!({"id": 7, "html": "<a>"});
    let receipt = messenger.publish("orders", "com.acme.Order", &order).await.unwrap();
    let message = seen.next().await;
    assert_eq!((receipt.seq, message.seq()), (1, 1));
    assert_eq!(message.id().to_string(), receipt.id);
    assert_eq!((message.channel().as_str(), message.origin()), ("orders", "alice"));
    assert_eq!((message.payload_type(), message.json()), ("com.acme.Order", Some(&order)));
    let file = dir.path().join("channels/orders/00000000000000000001.jsonl");
    let line = std::fs::read_to_string(file).unwrap();
    assert!(line.contains(r#""payload":{"html":"<a>","id":7}"#), "{line}");
    assert!(line.ends_with("}\n"), "{line}");
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_subscriber_goes_on_where_it_was_and_a_new_one_begins_at_the_end() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    publish_numbers(&messenger, "orders", 1..=3).await;
    let (first, mut seen) = inbox();
    messenger.subscribe("orders", "billing", first.ok()).await.unwrap();
    publish_numbers(&messenger, "orders", 4..=6).await;
    assert_eq!(seen.numbers(3).await, [4, 5, 6], "history is skipped");
    messenger.shutdown().await.unwrap();

    let messenger = open(dir.path()).await;
    publish_numbers(&messenger, "orders", 7..=8).await;
    let (second, mut seen) = inbox();
    messenger.subscribe("orders", "billing", second.ok()).await.unwrap();
    assert_eq!(seen.numbers(2).await, [7, 8], "nothing is repeated, nothing is skipped");
    messenger.shutdown().await.unwrap();
    assert_eq!(seen.rest(), NOTHING);
}

#[tokio::test]
async fn stopping_while_a_failed_message_waits_for_its_next_attempt_does_not_skip_it() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox_1, mut seen) = inbox();
    let hour = std::time::Duration::from_secs(3600);
    let options = messenger.subscribe_options().retry_backoff(hour, hour);
    let subscription = messenger
        .subscribe_with("orders", "billing", options, inbox_1.answering(|_| failed("not today")))
        .await
        .unwrap();
    publish_numbers(&messenger, "orders", 1..=3).await;
    assert_eq!(seen.numbers(1).await, [1]);
    subscription.stop().await;
    assert_eq!(seen.rest(), NOTHING, "later messages wait behind the failed one");

    let (inbox_2, mut seen) = inbox();
    messenger.subscribe("orders", "billing", inbox_2.ok()).await.unwrap();
    assert_eq!(seen.numbers(3).await, [1, 2, 3]);
    let letters = dir.path().join("channels/orders.dead-letter");
    assert!(!letters.exists(), "nothing was given up");
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn subscribers_are_independent_of_each_other() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let mut all = Vec::new();
    for id in ["a", "b", "../../evil", "a/b"] {
        let (inbox, seen) = inbox();
        messenger.subscribe("orders", id, inbox.ok()).await.unwrap();
        all.push(seen);
    }
    publish_numbers(&messenger, "orders", 1..=5).await;
    for seen in &mut all {
        assert_eq!(seen.numbers(5).await, [1, 2, 3, 4, 5]);
    }
    messenger.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_many_publishers_come_once_each_and_in_the_order_of_each_publisher() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    messenger.subscribe("orders", "billing", inbox.ok()).await.unwrap();
    let publishers = (0..8).map(|publisher: u64| {
        let messenger = messenger.clone();
        tokio::spawn(async move {
            publish_numbers(&messenger, "orders", (0..200).map(|n| publisher * 1000 + n)).await;
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    let numbers = seen.numbers(1600).await;
    for publisher in 0..8 {
        let of_one: Vec<u64> =
            numbers.iter().copied().filter(|number| number / 1000 == publisher).collect();
        assert!(of_one.iter().copied().eq((0..200).map(|n| publisher * 1000 + n)));
    }
    messenger.shutdown().await.unwrap();
    assert_eq!(seen.rest(), NOTHING);
}

#[tokio::test]
async fn a_message_that_was_not_finished_when_the_grace_period_ends_comes_again() {
    let dir = tempdir().unwrap();
    let messenger = Messenger::builder()
        .data_dir(dir.path())
        .grace(std::time::Duration::from_millis(20))
        .open()
        .await
        .unwrap();
    let (started, mut is_started) = tokio::sync::mpsc::channel(1);
    messenger
        .subscribe("orders", "billing", move |_| {
            let started = started.clone();
            async move {
                started.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }
        })
        .await
        .unwrap();
    publish_numbers(&messenger, "orders", [1]).await;
    common::soon(is_started.recv()).await.unwrap();
    common::soon(messenger.shutdown()).await.unwrap();

    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    messenger.subscribe("orders", "billing", inbox.ok()).await.unwrap();
    assert_eq!(seen.numbers(1).await, [1]);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_handler_that_runs_when_its_subscriber_is_stopped_may_finish() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (started, mut is_started) = tokio::sync::mpsc::channel(1);
    let finish = std::sync::Arc::new(tokio::sync::Notify::new());
    let may_finish = finish.clone();
    let subscription = messenger
        .subscribe("orders", "billing", move |_| {
            let (started, may_finish) = (started.clone(), may_finish.clone());
            async move {
                started.send(()).await.unwrap();
                may_finish.notified().await;
            }
        })
        .await
        .unwrap();
    publish_numbers(&messenger, "orders", 1..=2).await;
    common::soon(is_started.recv()).await.unwrap();
    subscription.cancel();
    finish.notify_one();
    common::soon(subscription.ended()).await;
    assert_eq!(subscription.stats().position, 1, "the first is done, the second was not begun");
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_subscriber_begins_where_it_is_told_to() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    publish_numbers(&messenger, "orders", 1..=4).await;
    let since = {
        let (inbox, mut seen) = inbox();
        let options = messenger.subscribe_options().start(StartAt::Last);
        messenger.subscribe_with("orders", "last", options, inbox.ok()).await.unwrap();
        let message = seen.next().await;
        assert_eq!(message.decode::<u64>().unwrap(), 4);
        message.timestamp()
    };
    for (start, expected) in [
        (StartAt::FromStart, vec![1, 2, 3, 4]),
        (StartAt::After(2), vec![3, 4]),
        (StartAt::Since(since), vec![4]),
    ] {
        let (inbox, mut seen) = inbox();
        let options = messenger.subscribe_options().start(start);
        let id = format!("{start:?}");
        messenger.subscribe_with("orders", &id, options, inbox.ok()).await.unwrap();
        assert_eq!(seen.numbers(expected.len()).await, expected, "{start:?}");
    }
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_unsubscribes_is_forgotten_and_may_begin_anew() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (first, mut seen) = inbox();
    messenger.subscribe("orders", "billing", first.ok()).await.unwrap();
    publish_numbers(&messenger, "orders", [1]).await;
    assert_eq!(seen.numbers(1).await, [1]);
    at_position(&messenger, "orders", "billing", 1).await;
    let files = || {
        let dir = std::fs::read_dir(dir.path().join("subscribers/orders")).unwrap();
        dir.count()
    };
    assert!(files() > 0);
    messenger.unsubscribe("orders", "billing").await.unwrap();
    assert_eq!(files(), 0);
    let again = messenger.unsubscribe("orders", "billing").await.unwrap_err();
    assert_eq!(again.kind(), pubsub::ErrorKind::NotSubscribed);

    publish_numbers(&messenger, "orders", [2]).await;
    let (second, mut seen) = inbox();
    messenger.subscribe("orders", "billing", second.ok()).await.unwrap();
    publish_numbers(&messenger, "orders", [3]).await;
    assert_eq!(seen.numbers(1).await, [3]);
    messenger.shutdown().await.unwrap();
}
