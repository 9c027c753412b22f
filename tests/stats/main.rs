//! The figures say what happened.

#[path = "../common/mod.rs"]
mod common;

use std::time::Duration;

use common::{at_position, inbox, open, publish_numbers, soon};
use pubsub::{Diagnostics, Outcome, Outgoing, StartAt};
use tempfile::tempdir;

#[tokio::test]
async fn an_idle_messenger_has_nothing_to_tell() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let stats = messenger.stats();
    assert!(stats.channels.is_empty());
    assert_eq!((stats.totals.channels, stats.totals.messages_published), (0, 0));
    assert_eq!(messenger.diagnostics("orders", "nobody"), Diagnostics::default());
    assert_eq!(messenger.diagnostics("a b", ""), Diagnostics::default());
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn bytes_and_messages_grow_with_publishes_and_the_lag_goes_with_delivery() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    let options = messenger.subscribe_options().start(StartAt::FromStart);
    publish_numbers(&messenger, "orders", 1..=3).await;
    publish_numbers(&messenger, "invoices", [1]).await;
    let before = messenger.stats();
    let of = |stats: &pubsub::Stats, channel: &str| {
        stats.channels.iter().find(|one| one.channel.as_str() == channel).unwrap().clone()
    };
    let orders = of(&before, "orders");
    assert_eq!((orders.message_count, orders.messages, orders.last_seq), (3, 3, 3));
    let file = dir.path().join("channels/orders/00000000000000000001.jsonl");
    assert_eq!(orders.disk_bytes, std::fs::metadata(file).unwrap().len());
    assert_eq!(orders.stream_bytes, orders.disk_bytes);
    assert_eq!((before.totals.channels, before.totals.messages_published), (2, 4));
    assert_eq!(before.totals.disk_bytes, orders.disk_bytes + of(&before, "invoices").disk_bytes);

    let parked = inbox.clone().answering(|_| Outcome::RetryLater);
    let subscription =
        messenger.subscribe_with("orders", "billing", options, parked).await.unwrap();
    let parked = seen.next().await;
    let lag = soon(async {
        loop {
            let billing = of(&messenger.stats(), "orders").subscribers[0].clone();
            if billing.oldest_pending_unix_ms.is_some() {
                break billing;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((lag.id.as_str(), lag.lag_messages), ("billing", 3));
    assert!(lag.lag_bytes > 0 && lag.lag_bytes <= orders.disk_bytes);
    assert_eq!(lag.oldest_pending_unix_ms, Some(parked.timestamp().as_millis()));
    soon(subscription.stop()).await;

    messenger.subscribe_with("orders", "billing", options, inbox.ok()).await.unwrap();
    at_position(&messenger, "orders", "billing", 3).await;
    let after = messenger.stats();
    let billing = &of(&after, "orders").subscribers[0];
    assert_eq!((billing.lag_bytes, billing.lag_messages), (0, 0));
    soon(async {
        while of(&messenger.stats(), "orders").subscribers[0].oldest_pending_unix_ms.is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((after.totals.subscribers, after.totals.lag_bytes), (1, 0));
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn latencies_are_counted_once_per_publish_and_once_per_call_and_merged_over_subscribers() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    for id in ["a", "b"] {
        messenger.subscribe("orders", id, |_| async {}).await.unwrap();
    }
    publish_numbers(&messenger, "orders", 1..=2).await;
    let batch = (1..=5).map(|number| Outgoing::new("", &number));
    messenger.publish_batch("orders", batch).await.unwrap();
    for id in ["a", "b"] {
        at_position(&messenger, "orders", id, 7).await;
    }
    let latency = messenger.stats().latency;
    assert_eq!(latency.publish_to_disk.count, 3, "a batch is one");
    assert_eq!((latency.consume.count, latency.handler.count), (14, 14));
    assert!(latency.consume.sum_nanos >= latency.consume.count);
    assert!(latency.consume.p50_nanos <= latency.consume.p99_nanos);
    let minute = Duration::from_secs(60);
    assert!(u128::from(latency.consume.p99_nanos) < minute.as_nanos());
    let counted = messenger.diagnostics("orders", "a");
    assert_eq!((counted.current_position, counted.saved_position), (7, 7));
    assert_eq!((counted.delivery.dispatched, counted.delivery.succeeded), (7, 7));
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_figures_can_be_written_as_json() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    publish_numbers(&messenger, "orders", [1]).await;
    let stats = serde_json::to_value(messenger.stats()).unwrap();
    assert_eq!(stats["channels"][0]["channel"], "orders");
    assert_eq!(stats["totals"]["messages_published"], 1);
    let counted = serde_json::to_value(messenger.diagnostics("orders", "a")).unwrap();
    assert_eq!(counted["dispatched"], 0);
    messenger.shutdown().await.unwrap();
}
