//! Connecting, being refused, and connecting again.

use futures_util::poll;
use pubsub::ephemeral::{ConnectError, PublishError};
use pubsub_testkit::certs::{Authority, Spec};

use crate::common::{inbox, publish_numbers, soon};
use crate::world::{World, allowed, lasting, until};

#[tokio::test]
async fn a_hub_that_is_not_there_is_told_after_one_attempt() {
    let world = World::new().await;
    world.wire.down();
    let client = world.client().build().unwrap();
    for nth in 1..=2 {
        let error = soon(client.connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
        assert_eq!(world.wire.dialled(), nth);
    }
    world.wire.up();
    soon(client.connect()).await.unwrap();
    assert!(client.is_connected());
    soon(client.connect()).await.unwrap();
    assert_eq!(world.wire.dialled(), 3, "it was connected already");
}

#[tokio::test]
async fn with_reconnection_the_first_connection_is_tried_until_the_hub_is_there() {
    let world = World::new().await;
    world.wire.down();
    let (client, _) = world.lasting_client();
    let client = client.build().unwrap();
    let mut connect = Box::pin(client.connect());
    assert!(poll!(&mut connect).is_pending());
    until(|| world.wire.dialled() >= 3).await;
    assert!(poll!(&mut connect).is_pending());
    world.wire.up();
    soon(connect).await.unwrap();
    assert!(client.is_connected());
}

#[tokio::test]
async fn whoever_gives_a_first_connection_up_ends_the_attempts() {
    let world = World::new().await;
    world.wire.down();
    let (client, _) = world.lasting_client();
    let client = client.build().unwrap();
    let mut connect = Box::pin(client.connect());
    assert!(poll!(&mut connect).is_pending());
    until(|| world.wire.dialled() >= 1).await;
    let waiting = client.publish("sales", "", &1).into_future();
    drop(connect);
    let error = soon(waiting).await.unwrap_err();
    assert!(matches!(error, PublishError::ConnectionLost { sent: false, .. }), "{error}");
    world.wire.up();
    let error = soon(client.publish("sales", "", &1).into_future()).await.unwrap_err();
    assert!(matches!(error, PublishError::ConnectionLost { .. }), "{error}");
    soon(client.connect()).await.unwrap();
}

#[tokio::test]
async fn a_connection_outlives_the_task_that_made_it() {
    let world = World::new().await;
    let mut hub = world.hear("sales").await;
    let client = world.client().build().unwrap();
    let connecting = client.clone();
    soon(tokio::spawn(async move { connecting.connect().await })).await.unwrap().unwrap();
    soon(client.publish("sales", "", &1).into_future()).await.unwrap();
    assert_eq!(hub.numbers(1).await, [1]);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_behind_the_scenes() {
    let mut world = World::new().await;
    let (client, fatal) = world.lasting_client();
    let client = client.build().unwrap();
    let (inbox, mut seen) = inbox();
    client.subscribe("prices", inbox.ok()).unwrap();
    soon(client.connect()).await.unwrap();
    for round in 1..=3 {
        match round {
            1 => world.wire.cut(),
            2 => world.restart_hub(vec![allowed("edge", &[], &[])]).await,
            _ => {
                world.wire.answers(false);
                world.wire.cut();
                world.wire.answers(true);
            }
        }
        soon(client.publish("sales", "", &round).into_future()).await.ok();
        until(|| client.is_connected()).await;
        soon(client.publish("sales", "", &round).into_future()).await.unwrap();
        publish_numbers(&world.hub, "prices", [round]).await;
        assert_eq!(seen.numbers(1).await, [round]);
    }
    assert_eq!(fatal.calls(), 0);
}

#[tokio::test]
async fn a_client_that_the_hub_does_not_know_is_told_once_and_tries_no_more() {
    let peers = vec![allowed("somebody", &[], &[])];
    let world = World::with(|config| config.hub.allowed_peers = peers).await;
    let (client, fatal) = world.lasting_client();
    let client = client.build().unwrap();
    let error = soon(client.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected(_)), "{error}");
    until(|| fatal.calls() == 1).await;
    assert!(fatal.reason().contains("allowlist"), "{}", fatal.reason());
    let error = soon(client.publish("sales", "", &1).into_future()).await.unwrap_err();
    assert!(matches!(error, PublishError::ConnectionLost { sent: false, .. }), "{error}");
    assert_eq!((world.wire.dialled(), fatal.calls()), (1, 1));
}

#[tokio::test]
async fn a_client_that_the_hub_knows_no_longer_is_told_once_and_tries_no_more() {
    let mut world = World::new().await;
    let (client, fatal) = world.lasting_client();
    let client = client.build().unwrap();
    soon(client.connect()).await.unwrap();
    world.wire.down();
    until(|| !client.is_connected()).await;
    let mut waiting = client.publish("sales", "", &1).into_future();
    assert!(poll!(&mut waiting).is_pending());
    world.restart_hub(vec![allowed("somebody", &[], &[])]).await;
    world.wire.up();
    let error = soon(waiting).await.unwrap_err();
    assert!(matches!(error, PublishError::ConnectionLost { sent: false, .. }), "{error}");
    until(|| fatal.calls() == 1).await;
    let dialled = world.wire.dialled();
    let error = soon(client.publish("sales", "", &1).into_future()).await.unwrap_err();
    assert!(error.to_string().contains("allowlist"), "{error}");
    assert_eq!((world.wire.dialled(), fatal.calls()), (dialled, 1));
    // Whoever changed that calls connect again.
    world.restart_hub(vec![allowed("edge", &[], &[])]).await;
    soon(client.connect()).await.unwrap();
    soon(client.publish("sales", "", &1).into_future()).await.unwrap();
}

#[tokio::test]
async fn a_client_whose_certificate_the_hub_refuses_is_told_once_and_tries_no_more() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let revoked =
        world.authority.issue(&Spec { file: "revoked".into(), ..Spec::new("edge") }).unwrap();
    world.authority.revoke(&revoked).unwrap();
    // The list is read again by and by; a hub that starts has it.
    let mut world = world;
    world.restart_hub(vec![allowed("edge", &[], &[])]).await;
    let (client, fatal) = lasting(world.client_with(&revoked));
    let client = client.build().unwrap();
    let error = soon(client.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected(_)), "{error}");
    until(|| fatal.calls() == 1).await;
    assert!(fatal.reason().contains("revoked"), "{}", fatal.reason());
    assert_eq!(world.wire.dialled(), 1);
    drop(dir);
}

#[tokio::test]
async fn a_hub_that_is_not_the_one_wanted_is_not_talked_to() {
    let world = World::new().await;
    let client = world.client().hub_name("another").build().unwrap();
    let error = soon(client.connect()).await.unwrap_err();
    assert!(error.to_string().contains("another"), "{error}");
    let client = world.client().hub_name("hub").build().unwrap();
    soon(client.connect()).await.unwrap();
}

#[tokio::test]
async fn a_hub_of_another_authority_is_not_talked_to() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let other = Authority::new(dir.path(), "other").unwrap();
    let edge = other.issue(&Spec::new("edge")).unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let client =
        world.client().tls(path(&edge.cert), path(&edge.key), path(other.ca())).build().unwrap();
    let error = soon(client.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn several_may_wait_for_the_same_connection() {
    let world = World::new().await;
    let client = world.client().build().unwrap();
    let (one, two) = tokio::join!(client.connect(), client.connect());
    one.unwrap();
    two.unwrap();
    assert_eq!(world.wire.dialled(), 1);
}

#[tokio::test]
async fn a_hub_on_this_machine_may_go_without_certificates() {
    let world = World::with(|config| {
        config.tls = pubsub::config::TlsConfig::default();
        config.hub.insecure = pubsub::config::Insecure::Loopback;
    })
    .await;
    let client = pubsub::EphemeralMessenger::builder()
        .hub_addr(world.wire.addr.to_string())
        .name("edge")
        .insecure(pubsub::config::Insecure::Loopback)
        .build()
        .unwrap();
    soon(client.connect()).await.unwrap();
    soon(client.publish("sales", "", &1).into_future()).await.unwrap();
}
