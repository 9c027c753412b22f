//! The same without async.

use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};

use pubsub::blocking::EphemeralMessenger;
use pubsub::ephemeral::{ConnectError, PublishError};
use pubsub::{Context, ContextExt, ErrorKind, Message, Outgoing};

use crate::common::{SOON, soon};
use crate::world::{World, allowed};

/// Runs blocking code beside a world.
async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    soon(tokio::task::spawn_blocking(run)).await.unwrap()
}

#[tokio::test]
async fn a_service_without_async_publishes_hears_and_closes() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let client = world.client().service_name("till").build_blocking().unwrap();
    let (to, from) = channel();
    let echo = client.clone();
    client
        .subscribe("prices", move |message: Message| {
            echo.publish("sales", "", &message.seq()).map_err(|error| error.to_string())?;
            to.send(message).map_err(|_| "gone".to_owned())
        })
        .unwrap();
    client
        .subscribe("prices", |message: Message| assert_eq!(message.seq(), 0, "one of two"))
        .unwrap();
    let connected = client.clone();
    blocking(move || connected.connect()).await.unwrap();
    let context = Context::new().with_correlation_id("p-1");
    world.hub.publish("prices", "", &5).context(&context).await.unwrap();
    let message = blocking(move || from.recv_timeout(SOON).unwrap()).await;
    assert_eq!(message.decode::<u64>().unwrap(), 5);
    let reply = hub.next().await;
    assert_eq!((reply.correlation_id(), reply.service_name()), ("p-1", "till"));
    let (publishing, context) = (client.clone(), Context::new().with_correlation_id("s-1"));
    let publish = move || context.sync_scope(|| publishing.publish("sales", "t.N", &7));
    let receipt = blocking(publish).await.unwrap();
    let message = hub.next().await;
    assert_eq!((message.id().to_string(), message.correlation_id()), (receipt.id, "s-1"));
    let publishing = client.clone();
    let outgoing = move || publishing.publish_message("sales", Outgoing::new("", &8).id("mine"));
    assert_eq!(blocking(outgoing).await.unwrap().id, "mine");
    let closing = client.clone();
    blocking(move || (0..3).for_each(|_| closing.close())).await;
    let error = client.publish("sales", "", &1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessengerClosed);
    assert_eq!(client.connect(), Err(ConnectError::Closed));
}

#[tokio::test]
async fn a_lost_connection_is_an_error_until_connect_is_called_again() {
    let world = World::new().await;
    let client = world.client().build_blocking().unwrap();
    let unconnected = client.publish("sales", "", &1).unwrap_err();
    assert!(matches!(unconnected, PublishError::ConnectionLost { sent: false, .. }));
    let connecting = client.clone();
    blocking(move || connecting.connect()).await.unwrap();
    world.wire.cut();
    crate::world::until(|| !client.is_connected()).await;
    let publishing = client.clone();
    let lost = blocking(move || publishing.publish("sales", "", &1)).await.unwrap_err();
    assert!(matches!(lost, PublishError::ConnectionLost { sent: false, .. }));
    let publishing = client.clone();
    let again = move || {
        publishing.connect().unwrap();
        publishing.publish("sales", "", &1)
    };
    blocking(again).await.unwrap();
}

#[tokio::test]
async fn the_callback_for_a_refusal_may_close_the_messenger() {
    let peers = vec![allowed("somebody", &[], &[])];
    let world = World::with(|config| config.hub.allowed_peers = peers).await;
    let messenger: Arc<OnceLock<EphemeralMessenger>> = Arc::default();
    let (to, from) = channel();
    let closing = messenger.clone();
    let client = world
        .client()
        .auto_reconnect(true)
        .on_fatal(move |rejected| {
            closing.get().unwrap().close();
            to.send(rejected).unwrap();
        })
        .build_blocking()
        .unwrap();
    messenger.set(client.clone()).unwrap();
    let connecting = client.clone();
    let refused = blocking(move || connecting.connect()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Rejected(_)), "{refused}");
    let rejected = blocking(move || from.recv_timeout(SOON).unwrap()).await;
    assert!(rejected.to_string().contains("allowlist"), "{rejected}");
    let closing = client.clone();
    blocking(move || closing.close()).await;
}
