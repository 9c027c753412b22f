//! A full disk refuses publishes, loses nothing that was acknowledged, and is forgotten when there is
//! room again.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;

use common::{at_position, inbox};
use pubsub::{ErrorKind, Messenger, StartAt, SyncPolicy};
use pubsub_testkit::SmallDisk;

async fn fills_up_and_goes_on(policy: SyncPolicy) {
    let Some(disk) = SmallDisk::mount_or_skip(8 << 20) else { return };
    let data = disk.path_from_here().join("data");
    let builder = || Messenger::builder().data_dir(&data).sync_policy(policy).control(false);
    let messenger = builder().open().await.unwrap();
    let (first, mut seen) = inbox();
    messenger.subscribe("orders", "billing", first.ok()).await.unwrap();
    let mut acked = BTreeSet::new();
    let text = "x".repeat(100 << 10);
    let publish = |number: u64| {
        let (messenger, text) = (&messenger, &text);
        async move { messenger.publish("orders", "", &(number, text)).await }
    };
    for number in 0..5 {
        publish(number).await.unwrap();
        acked.insert(number);
    }
    disk.fill().unwrap();
    for number in 5..10 {
        match publish(number).await {
            Ok(_) => _ = acked.insert(number),
            Err(refused) => assert_eq!(refused.kind(), ErrorKind::NoRoom, "{refused}"),
        }
    }
    assert!(acked.len() < 10, "the disk was full");
    disk.make_room().unwrap();
    for number in 10..15 {
        publish(number).await.unwrap();
        acked.insert(number);
    }
    let number = |message: pubsub::Message| message.decode::<(u64, String)>().unwrap().0;
    let mut delivered = BTreeSet::new();
    while !acked.is_subset(&delivered) {
        delivered.insert(number(seen.next().await));
    }
    let last = messenger.stats().channels[0].last_seq;
    at_position(&messenger, "orders", "billing", last).await;
    messenger.shutdown().await.unwrap();

    let messenger = builder().open().await.unwrap();
    let (again, mut seen) = inbox();
    let options = messenger.subscribe_options().start(StartAt::FromStart);
    messenger.subscribe_with("orders", "again", options, again.ok()).await.unwrap();
    let mut found = BTreeSet::new();
    while !acked.is_subset(&found) {
        found.insert(number(seen.next().await));
    }
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_costs_nothing_acknowledged_under_the_periodic_policy() {
    fills_up_and_goes_on(SyncPolicy::Periodic).await;
}

#[tokio::test]
async fn a_full_disk_costs_nothing_acknowledged_under_the_always_policy() {
    fills_up_and_goes_on(SyncPolicy::Always).await;
}
