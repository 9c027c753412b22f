//! Hearing what is published at a hub.

use std::sync::Arc;

use pubsub::ephemeral::SubscribeError;
use pubsub::{Context, ErrorKind, Message, Outcome};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

use crate::common::{inbox, publish_numbers, soon};
use crate::world::{World, allowed, until};

#[tokio::test]
async fn what_is_published_at_the_hub_is_heard_with_all_that_was_said() {
    let world = World::new().await;
    publish_numbers(&world.hub, "prices", 1..=2).await;
    let client = world.client().build().unwrap();
    let (inbox, mut seen) = inbox();
    client.subscribe("prices", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    let context = Context::new().with_correlation_id("run-1").with_service_name("pricing");
    let publish = world.hub.publish("prices", "com.acme.Price", &json!({"cents": 3}));
    let receipt = publish.context(&context).header("A", "b").await.unwrap();
    let message = seen.next().await;
    assert_eq!((message.id().to_string(), message.seq()), (receipt.id, receipt.seq));
    assert_eq!((message.origin(), message.payload_type()), ("hub", "com.acme.Price"));
    assert_eq!((message.correlation_id(), message.service_name()), ("run-1", "pricing"));
    assert_eq!(
        (message.channel().as_str(), message.json().unwrap()),
        ("prices", &json!({"cents": 3}))
    );
    assert_eq!(message.headers(), b"NATS/1.0\r\nA: b\r\n\r\n");
    world.hub.publish("prices", "", &1).await.unwrap();
    let plain = seen.next().await;
    assert_eq!((plain.correlation_id(), plain.service_name()), ("", ""));
}

#[tokio::test]
async fn nothing_from_before_the_connection_is_heard_and_everything_after_it() {
    let world = World::new().await;
    publish_numbers(&world.hub, "prices", 1..=5).await;
    for nth in 10..20 {
        let client = world.client().build().unwrap();
        let (inbox, mut seen) = inbox();
        client.subscribe("prices", inbox.ok()).unwrap();
        soon(client.connect()).await.unwrap();
        publish_numbers(&world.hub, "prices", [nth]).await;
        assert_eq!(seen.numbers(1).await, [nth]);
        soon(client.close()).await;
    }
}

#[tokio::test]
async fn a_channel_that_is_made_after_the_connection_is_heard_from_its_first_message() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let (inbox, mut seen) = inbox();
    client.subscribe("prices", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    publish_numbers(&world.hub, "prices", 1..=3).await;
    assert_eq!(seen.numbers(3).await, [1, 2, 3]);
}

#[tokio::test]
async fn nothing_from_between_two_connections_is_heard() {
    let world = World::new().await;
    publish_numbers(&world.hub, "prices", [0]).await;
    let (client, _) = world.lasting_client();
    let client = client.build().unwrap();
    let (inbox, mut seen) = inbox();
    client.subscribe("prices", inbox.clone().ok()).unwrap();
    client.subscribe("made-meanwhile", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    publish_numbers(&world.hub, "prices", [1]).await;
    assert_eq!(seen.numbers(1).await, [1]);
    for round in 1..=3 {
        world.wire.down();
        until(|| !client.is_connected()).await;
        publish_numbers(&world.hub, "prices", [round * 100]).await;
        publish_numbers(&world.hub, "made-meanwhile", [round * 100]).await;
        world.wire.up();
        until(|| client.is_connected()).await;
        publish_numbers(&world.hub, "prices", [round]).await;
        assert_eq!(seen.numbers(1).await, [round]);
        publish_numbers(&world.hub, "made-meanwhile", [round]).await;
        assert_eq!(seen.numbers(1).await, [round]);
    }
    assert_eq!(seen.rest(), [0; 0]);
}

#[tokio::test]
async fn own_messages_do_not_come_back() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let (inbox, mut seen) = inbox();
    client.subscribe("sales", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    for number in 1..=3 {
        soon(client.publish("sales", "", &number).into_future()).await.unwrap();
    }
    publish_numbers(&world.hub, "sales", [4]).await;
    assert_eq!(seen.numbers(1).await, [4]);
}

#[tokio::test]
async fn all_handlers_of_a_channel_get_each_message_whatever_the_others_do_with_it() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let (one, mut seen_by_one) = inbox();
    let (two, mut seen_by_two) = inbox();
    client.subscribe("prices", one.answering(|_| crate::common::failed("no"))).unwrap();
    client
        .subscribe("prices", |message: Message| {
            assert!(message.seq().is_multiple_of(2), "this handler panics before its first await");
            async move { assert!(message.seq() == 0, "and this one later") }
        })
        .unwrap();
    client.subscribe("prices", two.answering(|_| Outcome::RetryLater)).unwrap();
    soon(client.connect()).await.unwrap();
    publish_numbers(&world.hub, "prices", 1..=4).await;
    assert_eq!(seen_by_one.numbers(4).await, [1, 2, 3, 4]);
    assert_eq!(seen_by_two.numbers(4).await, [1, 2, 3, 4]);
    assert_eq!((seen_by_one.rest().len(), seen_by_two.rest().len()), (0, 0), "none comes again");
}

#[tokio::test]
async fn registered_types_reach_the_handler_and_what_does_not_decode_is_skipped() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Price {
        cents: u64,
    }
    let world = World::new().await;
    let client = world.client().build().unwrap();
    client.register_payload_type::<Price>("com.acme.Price").unwrap();
    client.register_payload_type::<Price>("com.acme.Price").unwrap_err();
    let (inbox, mut seen) = inbox();
    client.subscribe("prices", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    world.hub.publish("prices", "com.acme.Price", &json!({"cents": "many"})).await.unwrap();
    world.hub.publish("prices", "com.acme.Price", &json!({"cents": 5})).await.unwrap();
    world.hub.publish("prices", "com.acme.Other", &json!([1])).await.unwrap();
    assert_eq!(seen.next().await.payload::<Price>(), Some(&Price { cents: 5 }));
    assert_eq!(seen.next().await.json(), Some(&json!([1])));
}

#[tokio::test]
async fn a_payload_type_whose_decoding_panics_costs_its_message_and_nothing_else() {
    struct Bomb;
    impl<'de> Deserialize<'de> for Bomb {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            std::panic::panic_any("a bomb");
        }
    }
    let world = World::new().await;
    let client = world.client().build().unwrap();
    client.register_payload_type::<Bomb>("bomb").unwrap();
    let (inbox, mut seen) = inbox();
    client.subscribe("prices", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    world.hub.publish("prices", "bomb", &1).await.unwrap();
    world.hub.publish("prices", "", &2).await.unwrap();
    assert_eq!(seen.numbers(1).await, [2]);
}

#[tokio::test]
async fn a_handler_that_is_added_later_hears_a_channel_that_was_asked_for() {
    let world = World::new().await;
    let client = world.client().subscribe("prices").build().unwrap();
    let (inbox, mut seen) = inbox();
    soon(client.connect()).await.unwrap();
    client.subscribe("prices", inbox.clone().ok()).unwrap();
    let error = client.subscribe("stock", inbox.clone().ok()).unwrap_err();
    assert!(matches!(error, SubscribeError::TooLate { .. }), "{error}");
    publish_numbers(&world.hub, "prices", [1]).await;
    assert_eq!(seen.numbers(1).await, [1]);
    // Once the connection is gone for good, the next one may ask for more.
    world.wire.cut();
    until(|| !client.is_connected()).await;
    soon(async {
        while client.subscribe("stock", inbox.clone().ok()).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    soon(client.connect()).await.unwrap();
    publish_numbers(&world.hub, "stock", [2]).await;
    assert_eq!(seen.numbers(1).await, [2]);
}

#[tokio::test]
async fn what_cannot_be_heard_is_refused() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let kind = |channel| client.subscribe(channel, inbox().0.ok()).unwrap_err().kind();
    assert_eq!(kind("a b"), ErrorKind::InvalidChannelName);
    assert_eq!(kind("prices.dead-letter"), ErrorKind::ReservedChannelName);
}

#[tokio::test]
async fn a_channel_that_the_hub_does_not_allow_stays_silent() {
    let peers = vec![allowed("edge", &["prices"], &[])];
    let world = World::with(|config| config.hub.allowed_peers = peers).await;
    let client = world.client().build().unwrap();
    let (allowed, mut seen) = inbox();
    let (secret, mut nothing) = inbox();
    client.subscribe("prices", allowed.ok()).unwrap();
    client.subscribe("salaries", secret.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    publish_numbers(&world.hub, "salaries", 1..=3).await;
    publish_numbers(&world.hub, "prices", 1..=3).await;
    assert_eq!(seen.numbers(3).await, [1, 2, 3]);
    assert_eq!(nothing.rest(), [0; 0]);
}

#[tokio::test]
async fn what_a_handler_publishes_carries_the_correlation_id_of_its_message() {
    let world = World::new().await;
    let mut hub = world.hear("replies").await;
    let client = world.client().service_name("till").build().unwrap();
    let replies = client.clone();
    client
        .subscribe("questions", move |message: Message| {
            let replies = replies.clone();
            async move { replies.publish("replies", "", &message.seq()).await.map(drop) }
        })
        .unwrap();
    soon(client.connect()).await.unwrap();
    let context = Context::new().with_correlation_id("q-1").with_service_name("asker");
    world.hub.publish("questions", "", &1).context(&context).await.unwrap();
    let reply = hub.next().await;
    assert_eq!((reply.correlation_id(), reply.service_name()), ("q-1", "till"));
    soon(client.close()).await;
}

#[tokio::test]
async fn what_has_expired_is_not_heard() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let (inbox, mut seen) = inbox();
    client.subscribe("prices", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    world.hub.publish("prices", "", &1).expires_at(pubsub::Timestamp(1)).await.unwrap();
    world.hub.publish("prices", "", &2).await.unwrap();
    assert_eq!(seen.numbers(1).await, [2]);
}

#[tokio::test]
async fn a_handler_that_takes_its_time_holds_up_neither_other_channels_nor_publishing() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let client = world.client().build().unwrap();
    let (inbox, mut seen) = inbox();
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enter, wait) = (entered.clone(), release.clone());
    let (slow, mut seen_slowly) = crate::common::inbox();
    let slow = Arc::new(slow.ok());
    client
        .subscribe("slow", move |message: Message| {
            let (enter, wait, slow) = (enter.clone(), wait.clone(), slow.clone());
            async move {
                enter.notify_one();
                wait.notified().await;
                slow(message).await
            }
        })
        .unwrap();
    client.subscribe("prices", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    publish_numbers(&world.hub, "slow", 1..=2).await;
    soon(entered.notified()).await;
    publish_numbers(&world.hub, "prices", 1..=3).await;
    assert_eq!(seen.numbers(3).await, [1, 2, 3]);
    soon(client.publish("sales", "", &1).into_future()).await.unwrap();
    assert_eq!(hub.numbers(1).await, [1]);
    assert_eq!(seen_slowly.rest(), [0; 0]);
    release.notify_one();
    soon(entered.notified()).await;
    release.notify_one();
    assert_eq!(seen_slowly.numbers(2).await, [1, 2]);
}

#[tokio::test]
async fn much_is_heard_once_and_in_order() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let (inbox, mut seen) = inbox();
    client.subscribe("prices", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    let batch =
        |from: u64| (from..from + 500).map(|n| pubsub::Outgoing::new("", &n)).collect::<Vec<_>>();
    for from in (0..5_000).step_by(500) {
        world.hub.publish_batch("prices", batch(from)).await.unwrap();
    }
    assert!(seen.numbers(5_000).await.into_iter().eq(0..5_000));
    assert_eq!(seen.rest(), [0; 0]);
}
