//! What was acknowledged is there after `kill -9`, and every subscriber goes on at most where it was.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]
#![expect(clippy::print_stdout, reason = "the process that is killed says what it did")]

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::env;
use std::path::Path;

use common::{SOON, inbox, open};
use pubsub::{Messenger, StartAt, SyncPolicy};
use pubsub_testkit::{Process, Source, Workdir};

/// Where the publishing process finds its data; set in that process only.
const DATA: &str = "KILL_NINE_DATA";
const POLICY: &str = "KILL_NINE_POLICY";

const ROUNDS: u64 = 5;

/// The process that is killed: publishes without end from several tasks, says what was acknowledged,
/// and what its subscriber saw.
async fn load(dir: String) {
    let policy: SyncPolicy = env::var(POLICY).unwrap().parse().unwrap();
    let messenger = Messenger::builder().data_dir(dir).sync_policy(policy).open().await.unwrap();
    let options = messenger.subscribe_options().start(StartAt::FromStart);
    let handler = |message: pubsub::Message| async move {
        println!("got {}", message.decode::<String>()?);
        Ok::<(), pubsub::DecodeError>(())
    };
    messenger.subscribe_with("orders", "billing", options, handler).await.unwrap();
    let publishers = (0..4).map(|publisher| {
        let messenger = messenger.clone();
        tokio::spawn(async move {
            for nth in 0.. {
                let text = format!("{}-{publisher}-{nth}", std::process::id());
                messenger.publish("orders", "", &text).await.unwrap();
                println!("acked {text}");
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
}

/// Kills the process some rounds long, and checks each time what it left behind.
async fn killed_again_and_again(test: &str, policy: &str) {
    if let Ok(dir) = env::var(DATA) {
        return load(dir).await;
    }
    let work = Workdir::new().unwrap();
    let data = work.path().join("data");
    let (mut acked, mut got) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        let mut command = work.command(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(DATA, &data).env(POLICY, policy);
        let mut process = Process::spawn(&mut command).unwrap();
        let enough = 100 + usize::try_from(round).unwrap() * 37;
        process
            .wait_until("messages are acknowledged", SOON, |output| {
                said(output.lines(Source::Stdout), "acked ").count() >= enough
            })
            .unwrap();
        process.kill().unwrap();
        // What it said last may not have been read when it is gone.
        process.wait_for_exit(SOON).unwrap();
        let output = process.output();
        acked.extend(said(output.lines(Source::Stdout), "acked "));
        got.extend(said(output.lines(Source::Stdout), "got "));
        check(&data, &acked, &mut got).await;
    }
}

/// Complete lines only: the last one may have been cut by the kill.
fn said<'a>(
    lines: impl IntoIterator<Item = impl AsRef<str> + 'a>,
    word: &'static str,
) -> impl Iterator<Item = String> {
    lines.into_iter().filter_map(move |line| {
        line.as_ref().strip_prefix(word).filter(|text| text.contains('-')).map(String::from)
    })
}

async fn check(data: &Path, acked: &BTreeSet<String>, got: &mut BTreeSet<String>) {
    let messenger = open(data).await;
    let (everything, mut seen) = inbox();
    let options = messenger.subscribe_options().start(StartAt::FromStart);
    messenger.subscribe_with("orders", "checker", options, everything.ok()).await.unwrap();
    let count = messenger.stats().channels[0].messages;
    let mut found = BTreeSet::new();
    for _ in 0..count {
        let text: String = seen.next().await.decode().unwrap();
        assert!(found.insert(text.clone()), "{text} is there twice");
    }
    let lost: Vec<_> = acked.difference(&found).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    messenger.unsubscribe("orders", "checker").await.unwrap();

    let (rest, mut seen) = inbox();
    messenger.subscribe("orders", "billing", rest.ok()).await.unwrap();
    while got.len() < found.len() {
        got.insert(seen.next().await.decode().unwrap());
    }
    assert_eq!(*got, found, "the subscriber has seen all, before the kill or after");
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn acknowledged_messages_survive_kill_9_under_the_periodic_policy() {
    let test = "acknowledged_messages_survive_kill_9_under_the_periodic_policy";
    killed_again_and_again(test, "periodic").await;
}

#[tokio::test]
async fn acknowledged_messages_survive_kill_9_under_the_always_policy() {
    let test = "acknowledged_messages_survive_kill_9_under_the_always_policy";
    killed_again_and_again(test, "always").await;
}
