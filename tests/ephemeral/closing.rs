//! Ending, in good order and otherwise.

use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use pubsub::ephemeral::{ConnectError, PublishError};
use pubsub::{EphemeralMessenger, ErrorKind, Message};
use tokio::sync::Notify;

use crate::common::{inbox, publish_numbers, soon};
use crate::world::{World, until};

/// A close that takes longer is none.
async fn close(client: &EphemeralMessenger) {
    let closed = tokio::time::timeout(Duration::from_millis(500), client.close()).await;
    closed.expect("close comes back within half a second");
}

#[tokio::test]
async fn closing_comes_back_at_once_and_as_often_as_it_is_called() {
    let world = World::new().await;
    let client = world.connected().await;
    for _ in 0..3 {
        close(&client).await;
    }
    assert!(!client.is_connected());
    until(|| world.wire.open() == 0).await;
    let error = soon(client.publish("sales", "", &1).into_future()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessengerClosed);
    assert_eq!(soon(client.connect()).await, Err(ConnectError::Closed));
    let error = client.subscribe("prices", inbox().0.ok()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessengerClosed);
}

#[tokio::test]
async fn a_client_that_was_never_connected_closes() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    close(&client).await;
    close(&client).await;
    assert_eq!(soon(client.connect()).await, Err(ConnectError::Closed));
}

#[tokio::test]
async fn publishes_that_wait_are_told_wherever_they_are() {
    let world = World::new().await;
    let client = world.client().write_queue_size(2).build().unwrap();
    soon(client.connect()).await.unwrap();
    soon(client.publish("sales", "", &0).into_future()).await.unwrap();
    world.wire.answers(false);
    let payload = "x".repeat(1 << 20);
    // Some are sent, some wait for the window, and some for room.
    let publishes: Vec<_> =
        (0..40).map(|_| client.publish("sales", "", payload.as_str()).into_future()).collect();
    let mut publishes = futures_util::future::join_all(publishes);
    assert!(poll!(&mut publishes).is_pending());
    close(&client).await;
    for published in soon(publishes).await {
        assert!(matches!(published, Err(PublishError::Closed)), "{published:?}");
    }
}

#[tokio::test]
async fn closing_while_the_hub_is_away_or_says_nothing_is_prompt() {
    let world = World::new().await;
    world.wire.down();
    let (client, _) = world.lasting_client();
    let client =
        client.reconnect_base(Duration::from_secs(60)).reconnect_max(Duration::from_secs(60));
    let client = client.build().unwrap();
    let mut connect = Box::pin(client.connect());
    assert!(poll!(&mut connect).is_pending());
    until(|| world.wire.dialled() == 1).await;
    let mut waiting = client.publish("sales", "", &1).into_future();
    assert!(poll!(&mut waiting).is_pending());
    close(&client).await;
    assert_eq!(soon(connect).await, Err(ConnectError::Closed));
    assert!(matches!(soon(waiting).await, Err(PublishError::Closed)));

    // It listens, and that is all it does.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    let client = world.client().hub_addr(addr).build().unwrap();
    let mut connect = Box::pin(client.connect());
    assert!(poll!(&mut connect).is_pending());
    let _held_open = soon(silent.accept()).await.unwrap();
    close(&client).await;
    assert_eq!(soon(connect).await, Err(ConnectError::Closed));
}

#[tokio::test]
async fn no_handler_is_called_once_it_is_closed_and_a_running_one_is_not_waited_for() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let (inbox, mut seen) = inbox();
    let entered = Arc::new(Notify::new());
    let enter = entered.clone();
    let inbox = Arc::new(inbox.ok());
    client
        .subscribe("prices", move |message: Message| {
            let (enter, inbox) = (enter.clone(), inbox.clone());
            async move {
                let first = message.seq() == 1;
                inbox(message).await;
                if first {
                    enter.notify_one();
                    std::future::pending::<()>().await;
                }
            }
        })
        .unwrap();
    soon(client.connect()).await.unwrap();
    publish_numbers(&world.hub, "prices", 1..=3).await;
    soon(entered.notified()).await;
    close(&client).await;
    assert_eq!(seen.numbers(1).await, [1]);
    assert_eq!(seen.rest(), [0; 0]);
}

#[tokio::test]
async fn a_handler_may_close_its_own_messenger() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let closing = client.clone();
    let closed = Arc::new(Notify::new());
    let told = closed.clone();
    client
        .subscribe("prices", move |_: Message| {
            let (closing, told) = (closing.clone(), told.clone());
            async move {
                closing.close().await;
                told.notify_one();
            }
        })
        .unwrap();
    soon(client.connect()).await.unwrap();
    publish_numbers(&world.hub, "prices", [1]).await;
    soon(closed.notified()).await;
    assert_eq!(soon(client.connect()).await, Err(ConnectError::Closed));
}

#[tokio::test]
async fn the_connection_ends_with_the_last_clone() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    client.subscribe("prices", inbox().0.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    let clone = client.clone();
    drop(client);
    assert!(clone.is_connected());
    soon(clone.publish("sales", "", &1).into_future()).await.unwrap();
    drop(clone);
    until(|| world.wire.open() == 0).await;
}
