//! Publishing to a hub.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use pubsub::ephemeral::PublishError;
use pubsub::{Context, ContextExt, ErrorKind, Raw, SyncPolicy};
use serde_json::json;

use crate::common::soon;
use crate::world::{World, allowed, until};

#[tokio::test]
async fn a_publish_comes_back_when_the_hub_has_the_message_with_all_that_was_said() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let client = world.client().service_name("till").build().unwrap();
    soon(client.connect()).await.unwrap();
    let context = Context::new().with_correlation_id("order-7");
    let publish = client.publish("sales", "com.acme.Sale", &json!({"cents": 250}));
    let receipt = soon(context.scope(publish.header("Trace", "on").into_future())).await.unwrap();
    let message = hub.next().await;
    assert_eq!(message.id().to_string(), receipt.id);
    assert_eq!((message.origin(), message.payload_type()), ("edge", "com.acme.Sale"));
    assert_eq!((message.correlation_id(), message.service_name()), ("order-7", "till"));
    assert_eq!(message.json(), Some(&json!({"cents": 250})));
    assert_eq!(message.headers(), b"NATS/1.0\r\nTrace: on\r\n\r\n");
}

#[tokio::test]
async fn what_the_publisher_did_not_set_is_empty_and_bytes_stay_bytes() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let client = world.connected().await;
    soon(client.publish("sales", "", &Raw(b"\x00\xff".as_slice().into())).id("mine").into_future())
        .await
        .unwrap();
    let message = hub.next().await;
    assert_eq!((message.correlation_id(), message.service_name()), ("", ""));
    assert_eq!((message.id().to_string().as_str(), message.payload_type()), ("mine", ""));
    assert_eq!(message.bytes().as_ref(), b"\x00\xff");
}

#[tokio::test]
async fn a_publish_waits_for_the_hubs_acknowledgement() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let client = world.connected().await;
    soon(client.publish("sales", "", &1).into_future()).await.unwrap();
    world.wire.answers(false);
    let mut publish = client.publish("sales", "", &2).into_future();
    assert!(poll!(&mut publish).is_pending());
    assert_eq!(hub.numbers(2).await, [1, 2]);
    assert!(poll!(&mut publish).is_pending(), "the hub has it, and has not said so");
    world.wire.answers(true);
    soon(publish).await.unwrap();
}

#[tokio::test]
async fn publishes_at_the_same_time_are_all_stored_and_once_however_small_queue_and_batches_are() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    for (queue, batch) in [(256, 64 << 10), (1, 1), (7, 2_000)] {
        let client = world.client().write_queue_size(queue).max_batch_bytes(batch).build().unwrap();
        soon(client.connect()).await.unwrap();
        let payload = |nth: u64| json!({"nth": nth, "padding": "x".repeat(700)});
        let publishes =
            (0..300).map(|nth| client.publish("sales", "", &payload(nth)).into_future());
        for published in soon(join_all(publishes)).await {
            published.unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..300 {
            seen.push(hub.next().await.json().unwrap()["nth"].as_u64().unwrap());
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..300));
        soon(client.close()).await;
    }
}

#[tokio::test]
async fn messages_larger_than_a_frame_and_a_queue_get_through() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let client = world.client().write_queue_bytes(1_000).build().unwrap();
    soon(client.connect()).await.unwrap();
    let payload = "x".repeat(1 << 20);
    soon(client.publish("sales", "", payload.as_str()).into_future()).await.unwrap();
    assert_eq!(hub.next().await.decode::<String>().unwrap(), payload);
}

#[tokio::test]
async fn one_publishers_messages_keep_their_order_on_each_channel() {
    let world = World::new().await;
    let (mut sales, mut stock) = (world.hear("sales").await, world.hear("stock").await);
    let client = world.connected().await;
    for number in 0..20 {
        for channel in ["sales", "stock"] {
            soon(client.publish(channel, "", &number).into_future()).await.unwrap();
        }
    }
    assert!(sales.numbers(20).await.into_iter().eq(0..20));
    assert!(stock.numbers(20).await.into_iter().eq(0..20));
}

#[tokio::test]
async fn without_a_connection_a_publish_fails_at_once_and_was_not_sent() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let error = soon(client.publish("sales", "", &1).into_future()).await.unwrap_err();
    assert!(matches!(error, PublishError::ConnectionLost { sent: false, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
}

#[tokio::test]
async fn a_lost_connection_fails_publishes_until_connect_is_called_again() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let client = world.connected().await;
    soon(client.publish("sales", "", &1).into_future()).await.unwrap();
    world.wire.cut();
    until(|| !client.is_connected()).await;
    for _ in 0..2 {
        let error = soon(client.publish("sales", "", &2).into_future()).await.unwrap_err();
        assert!(matches!(error, PublishError::ConnectionLost { sent: false, .. }), "{error}");
    }
    soon(client.connect()).await.unwrap();
    soon(client.publish("sales", "", &3).into_future()).await.unwrap();
    assert_eq!(hub.numbers(2).await, [1, 3]);
}

#[tokio::test]
async fn a_message_whose_acknowledgement_is_lost_is_told_so_and_stored_once() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let (client, _) = world.lasting_client();
    let client = client.build().unwrap();
    soon(client.connect()).await.unwrap();
    soon(client.publish("sales", "", &1).into_future()).await.unwrap();
    for number in [2, 4] {
        world.wire.answers(false);
        let mut publish = client.publish("sales", "", &number).into_future();
        assert!(poll!(&mut publish).is_pending());
        assert_eq!(hub.numbers(if number == 2 { 2 } else { 1 }).await.pop(), Some(number));
        world.wire.cut();
        let error = soon(publish).await.unwrap_err();
        assert!(matches!(error, PublishError::ConnectionLost { sent: true, .. }), "{error}");
        world.wire.answers(true);
        // Behind it, were it sent again.
        soon(client.publish("sales", "", &(number + 1)).into_future()).await.unwrap();
        assert_eq!(hub.numbers(1).await, [number + 1]);
    }
}

#[tokio::test]
async fn what_is_published_while_the_hub_is_away_waits_for_it() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let (client, _) = world.lasting_client();
    let client = client.write_queue_size(2).build().unwrap();
    soon(client.connect()).await.unwrap();
    world.wire.down();
    until(|| !client.is_connected()).await;
    let publishes: Vec<_> =
        (0..5).map(|nth| client.publish("sales", "", &nth).into_future()).collect();
    let mut publishes = join_all(publishes);
    assert!(poll!(&mut publishes).is_pending());
    let dialled = world.wire.dialled();
    until(|| world.wire.dialled() >= dialled + 2).await;
    assert!(poll!(&mut publishes).is_pending());
    world.wire.up();
    assert!(soon(publishes).await.iter().all(Result::is_ok));
    let mut numbers = hub.numbers(5).await;
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_publish_that_nobody_waits_for_any_more_is_not_sent_and_takes_no_room() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let (client, _) = world.lasting_client();
    let client = client.write_queue_size(1).build().unwrap();
    soon(client.connect()).await.unwrap();
    world.wire.down();
    until(|| !client.is_connected()).await;
    for number in 0..3 {
        let mut dropped = client.publish("sales", "", &number).into_future();
        assert!(poll!(&mut dropped).is_pending());
        drop(dropped);
    }
    let mut kept = client.publish("sales", "", &7).into_future();
    assert!(poll!(&mut kept).is_pending());
    world.wire.up();
    soon(kept).await.unwrap();
    assert_eq!(hub.numbers(1).await, [7]);
}

#[tokio::test]
async fn a_channel_that_the_hub_does_not_allow_says_so_and_the_others_flow() {
    let peers = vec![allowed("edge", &[], &["sales.>"])];
    let world = World::with(|config| config.hub.allowed_peers = peers).await;
    let mut hub = world.hear("sales.eu").await;
    let client = world.connected().await;
    let error = soon(client.publish("stock", "", &1).into_future()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAllowed);
    assert!(error.to_string().contains("stock"), "{error}");
    soon(client.publish("sales.eu", "", &2).into_future()).await.unwrap();
    assert_eq!(hub.numbers(1).await, [2]);
}

#[tokio::test]
async fn what_can_never_be_published_is_refused_before_it_is_sent() {
    struct Never;
    impl serde::Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    let world = World::new().await;
    let client = world.connected().await;
    let kind = async |publish: pubsub::ephemeral::Publish<'_>| {
        soon(publish.into_future()).await.unwrap_err().kind()
    };
    assert_eq!(kind(client.publish("a b", "", &1)).await, ErrorKind::InvalidChannelName);
    let letters = client.publish("sales.dead-letter", "", &1);
    assert_eq!(kind(letters).await, ErrorKind::ReservedChannelName);
    assert_eq!(kind(client.publish("sales", "", &Never)).await, ErrorKind::Encode);
    let header = client.publish("sales", "", &1).header("a b", "");
    assert_eq!(kind(header).await, ErrorKind::InvalidHeader);
    let long = "x".repeat(70_000);
    assert_eq!(kind(client.publish("sales", &long, &1)).await, ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_message_beyond_the_hubs_limit_is_told_so_and_the_next_one_gets_through() {
    let world = World::with(|config| config.storage.max_record_bytes = 1 << 20).await;
    let mut hub = world.hear("sales").await;
    let client = world.connected().await;
    let payload = "x".repeat(2 << 20);
    let error =
        soon(client.publish("sales", "", payload.as_str()).into_future()).await.unwrap_err();
    let limit = 1 << 20;
    assert!(matches!(error, PublishError::TooLarge { limit: l, .. } if l == limit), "{error}");
    soon(client.publish("sales", "", &1).into_future()).await.unwrap();
    assert_eq!(hub.numbers(1).await, [1]);
}

#[tokio::test]
async fn every_instance_counts_for_itself() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    for number in 0..3 {
        let client = world.connected().await;
        soon(client.publish("sales", "", &number).into_future()).await.unwrap();
        soon(client.close()).await;
    }
    assert_eq!(hub.numbers(3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_hub_keeps_no_position_of_a_client_without_files() {
    let world = World::with(|config| {
        config.storage.sync_policy = SyncPolicy::Always;
        config.hub.fed_client_offset_ttl = Duration::from_secs(3600);
    })
    .await;
    world.hub.publish("prices", "", &1).await.unwrap();
    let client = world.client().subscribe("prices").subscribe("sales").build().unwrap();
    let (inbox, mut seen) = crate::common::inbox();
    client.subscribe("prices", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    for number in 0..3 {
        soon(client.publish("sales", "", &number).into_future()).await.unwrap();
        world.hub.publish("prices", "", &number).await.unwrap();
    }
    assert_eq!(seen.numbers(3).await, [0, 1, 2]);
    world.wire.cut();
    until(|| !client.is_connected()).await;
    soon(client.connect()).await.unwrap();
    soon(client.publish("sales", "", &3).into_future()).await.unwrap();
    soon(client.close()).await;
    soon(world.hub.shutdown()).await.unwrap();
    let mut files = Vec::new();
    list(&world.data_dir(), &mut files);
    assert!(files.iter().any(|file| file.contains("sales")), "{files:?}");
    let of_peers: Vec<&String> =
        files.iter().filter(|file| file.contains("edge") || file.contains("link")).collect();
    assert!(of_peers.is_empty(), "{of_peers:?}");
}

fn list(dir: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push(path.to_str().unwrap().to_owned());
        }
    }
}

#[tokio::test]
async fn a_publish_works_from_any_runtime_and_the_messenger_outlives_the_one_that_connected() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let client = world.connected().await;
    let other = client.clone();
    let published = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(other.publish("sales", "", &1).into_future()).map(drop)
    });
    assert_eq!(hub.numbers(1).await, [1]);
    published.join().unwrap().unwrap();
    assert!(client.is_connected());
    client.publish("sales", "", &2).await.unwrap();
    assert_eq!(hub.numbers(1).await, [2]);
}
