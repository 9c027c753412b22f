//! The messenger works without async, and on whatever runtime there is.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../common/mod.rs"]
mod common;

use std::sync::mpsc::channel;
use std::thread;

use common::{SOON, open, publish_numbers, soon};
use pubsub::blocking::Messenger;
use pubsub::{Context, ContextExt, ErrorKind, Outgoing, StartAt, SyncPolicy};
use tempfile::tempdir;

#[test]
fn a_service_without_async_publishes_and_handles() {
    let dir = tempdir().unwrap();
    for policy in [SyncPolicy::Periodic, SyncPolicy::Always, SyncPolicy::None] {
        let data = dir.path().join(policy.as_str());
        let messenger =
            Messenger::builder().data_dir(data).sync_policy(policy).open_blocking().unwrap();
        let (to, from) = channel();
        messenger
            .subscribe("orders", "billing", move |message| to.send(message).map_err(|_| "gone"))
            .unwrap();
        let receipt = messenger.publish("orders", "t.Number", &7).unwrap();
        let message = from.recv_timeout(SOON).unwrap();
        assert_eq!((message.seq(), message.json()), (receipt.seq, Some(&serde_json::json!(7))));
        messenger.publish_batch("orders", (8..10).map(|n| Outgoing::new("", &n))).unwrap();
        for number in [8, 9] {
            let message = from.recv_timeout(SOON).unwrap();
            assert_eq!(message.decode::<u64>().unwrap(), number);
        }
        messenger.shutdown().unwrap();
        messenger.shutdown().unwrap();
        let closed = messenger.publish("orders", "", &1).unwrap_err();
        assert_eq!(closed.kind(), ErrorKind::MessengerClosed);
    }
}

#[test]
fn threads_that_publish_at_the_same_time_lose_nothing() {
    let dir = tempdir().unwrap();
    let messenger = Messenger::open(dir.path()).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..100 {
                    messenger.publish("orders", "", &number).unwrap();
                }
            });
        }
    });
    assert_eq!(messenger.stats().channels[0].messages, 800);
    messenger.shutdown().unwrap();
}

#[test]
fn a_handler_that_blocks_holds_up_nobody_else_and_a_stopped_subscriber_goes_on_where_it_was() {
    let dir = tempdir().unwrap();
    let messenger = Messenger::open(dir.path()).unwrap();
    let (entered, enters) = channel();
    let (release, released) = channel::<()>();
    let released = parking_lot::Mutex::new(released);
    let slow = messenger
        .subscribe("orders", "slow", move |_| {
            entered.send(()).unwrap();
            released.lock().recv_timeout(SOON).map_err(|_| "gone")
        })
        .unwrap();
    let (to, from) = channel();
    messenger
        .subscribe("orders", "quick", move |message| to.send(message).map_err(|_| "gone"))
        .unwrap();
    for number in 1..=3 {
        messenger.publish("orders", "", &number).unwrap();
    }
    enters.recv_timeout(SOON).unwrap();
    for number in 1..=3_u64 {
        assert_eq!(from.recv_timeout(SOON).unwrap().decode::<u64>().unwrap(), number);
    }
    slow.cancel();
    release.send(()).unwrap();
    slow.stop();
    assert_eq!(slow.stats().position, 1);
    assert!(enters.try_recv().is_err(), "the next one was not begun");

    let (to, from) = channel();
    messenger
        .subscribe("orders", "slow", move |message| to.send(message).map_err(|_| "gone"))
        .unwrap();
    assert_eq!(from.recv_timeout(SOON).unwrap().seq(), 2);
    messenger.unsubscribe("orders", "slow").unwrap();
    let again = messenger.unsubscribe("orders", "slow").unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotSubscribed);
    messenger.shutdown().unwrap();
}

#[test]
fn the_correlation_id_goes_from_a_message_to_what_its_handler_publishes_without_async_too() {
    let dir = tempdir().unwrap();
    let messenger = Messenger::open(dir.path()).unwrap();
    let (to, from) = channel();
    messenger
        .subscribe("invoices", "mail", move |message| to.send(message).map_err(|_| "gone"))
        .unwrap();
    let replies = messenger.clone();
    messenger
        .subscribe("orders", "billing", move |_| replies.publish("invoices", "", &1).map(drop))
        .unwrap();
    let context = Context::new().with_correlation_id("corr-1");
    context.sync_scope(|| messenger.publish("orders", "", &1)).unwrap();
    assert_eq!(from.recv_timeout(SOON).unwrap().correlation_id(), "corr-1");
    messenger.shutdown().unwrap();
}

/// Publishes, handles and shuts down on `runtime`.
fn works_on(runtime: &tokio::runtime::Runtime) {
    let dir = tempdir().unwrap();
    runtime.block_on(async {
        let messenger = open(dir.path()).await;
        let (inbox, mut seen) = common::inbox();
        let options = messenger.subscribe_options().start(StartAt::FromStart);
        messenger.subscribe_with("orders", "billing", options, inbox.ok()).await.unwrap();
        publish_numbers(&messenger, "orders", 1..=100).await;
        assert!(seen.numbers(100).await.into_iter().eq(1..=100));
        soon(messenger.shutdown()).await.unwrap();
    });
}

#[test]
fn one_thread_without_io_is_runtime_enough() {
    works_on(&tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap());
}

#[test]
fn many_threads_are_as_good() {
    works_on(&tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
}

#[test]
fn a_messenger_that_is_only_dropped_leaves_a_directory_that_opens_again() {
    let dir = tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let messenger = open(dir.path()).await;
        messenger.subscribe("orders", "billing", |_| async {}).await.unwrap();
        publish_numbers(&messenger, "orders", 1..=3).await;
    });
    drop(runtime);
    // The control socket's thread may hold the directory a moment longer.
    let opened = pubsub_testkit::eventually("the directory is free", SOON, || {
        Messenger::open(dir.path()).ok()
    });
    let messenger = opened.unwrap();
    messenger.publish("orders", "", &4).unwrap();
    assert_eq!(messenger.stats().channels[0].messages, 4);
    messenger.shutdown().unwrap();
}
