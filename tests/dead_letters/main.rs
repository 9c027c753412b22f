//! What a handler cannot deal with is tried again, and in the end kept; nothing is passed over unseen.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../common/mod.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{at_position, failed, inbox, open, publish_numbers, soon};
use pubsub::{
    DEAD_LETTER_PAYLOAD_TYPE, DeadLetter, ErrorKind, Message, Messenger, Outcome, Raw, RetryLater,
    StartAt, SubscribeOptions,
};
use tempfile::tempdir;
use tokio::time::Instant;

const QUICK: Duration = Duration::from_millis(1);

/// Three attempts, without noticeable pauses.
fn quick(messenger: &Messenger) -> SubscribeOptions {
    messenger.subscribe_options().retry_backoff(QUICK, QUICK).max_retries(2)
}

/// The letters of a channel, when there are `count`.
async fn letters(messenger: &Messenger, channel: &str, count: usize) -> Vec<(Message, DeadLetter)> {
    let (inbox, mut seen) = inbox();
    let options = messenger.subscribe_options().start(StartAt::FromStart);
    let id = format!("reader-{count}");
    let channel = format!("{channel}.dead-letter");
    messenger.subscribe_with(&channel, &id, options, inbox.ok()).await.unwrap();
    let mut letters = Vec::new();
    while letters.len() < count {
        let message = seen.next().await;
        let letter = DeadLetter::decode(message.bytes()).unwrap();
        letters.push((message, letter));
    }
    letters
}

#[tokio::test]
async fn a_handler_that_succeeds_at_its_last_attempt_leaves_no_dead_letter() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    let flaky = inbox.answering(|message| match message.attempt() {
        3 => Outcome::Done,
        _ => failed("not yet"),
    });
    messenger.subscribe_with("orders", "billing", quick(&messenger), flaky).await.unwrap();
    publish_numbers(&messenger, "orders", 1..=2).await;
    let mut attempts = Vec::new();
    for _ in 0..6 {
        let message = seen.next().await;
        assert_eq!(message.is_redelivered(), message.attempt() > 1);
        attempts.push((message.seq(), message.attempt()));
    }
    assert_eq!(attempts, [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]);
    at_position(&messenger, "orders", "billing", 2).await;
    assert_eq!(messenger.stats().totals.dead_letter_messages, 0);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_message_that_always_fails_is_kept_with_its_error_and_the_next_one_still_comes() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    let options = quick(&messenger);
    let broken = inbox.clone().answering(|_| failed("card refused"));
    messenger.subscribe_with("orders", "billing", options, broken).await.unwrap();
    for number in [1, 2] {
        let id = format!("order-{number}");
        messenger
            .publish("orders", "t.Number", &number)
            .id(id)
            .header("Trace", "on")
            .await
            .unwrap();
    }
    assert_eq!(seen.numbers(6).await, [1, 1, 1, 2, 2, 2]);
    let letters = letters(&messenger, "orders", 2).await;
    for (number, (message, letter)) in (1..).zip(&letters) {
        assert_eq!(message.payload_type(), DEAD_LETTER_PAYLOAD_TYPE);
        assert_eq!((message.origin(), message.correlation_id()), ("alice", ""));
        assert_eq!(
            (letter.channel.as_str(), letter.last_error.as_str()),
            ("orders", "card refused")
        );
        assert_eq!((letter.retries, letter.attempts), (2, Some(3)));
        let original = &letter.original;
        assert_eq!((original.seq, original.payload()), (number, number.to_string().as_bytes()));
        assert_eq!(original.meta().id.to_string(), format!("order-{number}"));
        assert_eq!(original.headers(), b"NATS/1.0\r\nTrace: on\r\n\r\n");
        assert_ne!(
            message.id().to_string(),
            original.meta().id.to_string(),
            "a letter has its own"
        );
    }
    assert_eq!(inbox.calls(), 6);
    at_position(&messenger, "orders", "billing", 2).await;
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_subscriber_without_retries_calls_its_handler_once() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    let options = messenger.subscribe_options().max_retries(0);
    let broken = inbox.answering(|_| failed("no"));
    messenger.subscribe_with("orders", "billing", options, broken).await.unwrap();
    publish_numbers(&messenger, "orders", 1..=3).await;
    assert_eq!(seen.numbers(3).await, [1, 2, 3]);
    assert_eq!(letters(&messenger, "orders", 3).await[0].1.attempts, Some(1));
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_panic_is_a_failure_and_the_subscriber_survives_it() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    let fine = inbox.ok();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    messenger
        .subscribe_with("orders", "billing", quick(&messenger), move |message| {
            counted.fetch_add(1, Ordering::SeqCst);
            let number: u64 = message.decode().unwrap();
            // Before the first await, and behind it.
            assert!(number != 1, "number {number}");
            let handled = fine(message);
            async move {
                tokio::task::yield_now().await;
                assert!(number != 2, "number {number}");
                handled.await
            }
        })
        .await
        .unwrap();
    publish_numbers(&messenger, "orders", 1..=3).await;
    let letters = letters(&messenger, "orders", 2).await;
    assert_eq!(letters[0].1.last_error, "handler panic: number 1");
    assert_eq!(letters[1].1.last_error, "handler panic: number 2");
    at_position(&messenger, "orders", "billing", 3).await;
    assert_eq!(seen.numbers(4).await, [2, 2, 2, 3]);
    assert_eq!(messenger.diagnostics("orders", "billing").delivery.panics, 6);
    assert_eq!(calls.load(Ordering::SeqCst), 7);
    messenger.shutdown().await.unwrap();
}

#[derive(serde::Deserialize)]
struct Order {
    id: u64,
}

#[tokio::test]
async fn a_payload_that_is_not_what_its_type_promises_is_a_dead_letter_and_never_a_surprise() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    messenger.register_payload_type::<Order>("t.Order").unwrap();
    let (inbox, mut seen) = inbox();
    messenger.subscribe("orders", "billing", inbox.ok()).await.unwrap();
    messenger.publish("orders", "t.Order", &Raw::from("{\"id\": \"x\"}")).await.unwrap();
    messenger.publish("orders", "t.Order", &Raw::from("not json")).await.unwrap();
    messenger.publish("orders", "t.Order", &serde_json::json!({"id": 7})).await.unwrap();
    let message = seen.next().await;
    assert_eq!((message.seq(), message.payload::<Order>().unwrap().id), (3, 7));
    let letters = letters(&messenger, "orders", 2).await;
    assert!(letters[0].1.last_error.starts_with("decode payload"), "{}", letters[0].1.last_error);
    assert_eq!(
        (letters[1].1.attempts, letters[1].1.original.payload()),
        (Some(0), &b"not json"[..])
    );
    assert_eq!(messenger.diagnostics("orders", "billing").delivery.decode_skipped, 2);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn unknown_types_are_delivered_as_json_or_bytes_unless_the_subscriber_is_strict() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (lax, mut seen) = inbox();
    messenger.subscribe("orders", "lax", lax.ok()).await.unwrap();
    let (strict, mut strictly_seen) = inbox();
    let options = messenger.subscribe_options().strict();
    messenger.subscribe_with("orders", "strict", options, strict.ok()).await.unwrap();
    messenger.publish("orders", "t.Other", &[1, 2]).await.unwrap();
    messenger.publish("orders", "", &Raw::from(&b"\xff\0"[..])).await.unwrap();
    assert_eq!(seen.next().await.json(), Some(&serde_json::json!([1, 2])));
    let message = seen.next().await;
    assert_eq!((message.json(), &message.bytes()[..]), (None, &b"\xff\0"[..]));
    let letters = letters(&messenger, "orders", 2).await;
    assert!(letters[0].1.last_error.starts_with("unregistered payload type \"t.Other\""));
    assert_eq!(letters[1].1.original.payload(), b"\xff\0");
    assert!(strictly_seen.rest().is_empty());
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn retry_later_keeps_the_message_for_as_long_as_it_takes_and_counts_nothing() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    let ready = Arc::new(AtomicU64::new(0));
    let is_ready = ready.clone();
    let later = inbox.answering(move |_| match is_ready.load(Ordering::SeqCst) {
        0 => Outcome::RetryLater,
        _ => Outcome::Done,
    });
    let options = messenger.subscribe_options().max_retries(0);
    messenger.subscribe_with("orders", "billing", options, later).await.unwrap();
    publish_numbers(&messenger, "orders", [1]).await;
    assert_eq!(seen.numbers(1).await, [1]);
    // A publish hurries it: it does not wait for the second to pass.
    let hurried = Instant::now();
    for number in 2..=4 {
        publish_numbers(&messenger, "orders", [number]).await;
        assert_eq!(seen.numbers(1).await, [1]);
    }
    assert!(hurried.elapsed() < Duration::from_secs(3), "{:?}", hurried.elapsed());
    ready.store(1, Ordering::SeqCst);
    at_position(&messenger, "orders", "billing", 4).await;
    let mut rest = seen.rest();
    rest.dedup();
    assert_eq!(rest, [1, 2, 3, 4]);
    let counted = messenger.diagnostics("orders", "billing").delivery;
    assert!(counted.retry_later_pauses >= 4, "{counted:?}");
    assert_eq!((counted.failed_attempts, counted.dead_letters), (0, 0));
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn retry_later_is_understood_however_deep_an_error_wraps_it() {
    #[derive(Debug, thiserror::Error)]
    #[error("charge the card")]
    struct Charge(#[source] RetryLater);

    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let subscription = messenger
        .subscribe("orders", "billing", |_| async { Err::<(), _>(Charge(RetryLater)) })
        .await
        .unwrap();
    publish_numbers(&messenger, "orders", [1]).await;
    soon(async {
        while subscription.stats().delivery.retry_later_pauses == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(subscription.stats().delivery.failed_attempts, 0);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_handler_of_dead_letters_that_fails_makes_no_dead_letters_of_dead_letters() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let options = messenger.subscribe_options().max_retries(0);
    for channel in ["orders", "orders.dead-letter"] {
        let fails = |_| async { Err::<(), _>("no") };
        messenger.subscribe_with(channel, "billing", options, fails).await.unwrap();
    }
    publish_numbers(&messenger, "orders", 1..=2).await;
    at_position(&messenger, "orders.dead-letter", "billing", 2).await;
    let counted = messenger.diagnostics("orders.dead-letter", "billing").delivery;
    assert_eq!(counted.dead_letters_skipped, 2);
    let channels: Vec<_> =
        messenger.stats().channels.iter().map(|one| one.channel.to_string()).collect();
    assert_eq!(channels, ["orders", "orders.dead-letter"]);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_written_holds_its_message_back_and_is_written_later() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    // Where the channel's directory belongs, there is a file.
    let obstacle = dir.path().join("channels/orders.dead-letter");
    std::fs::OpenOptions::new().create_new(true).write(true).open(&obstacle).unwrap();
    let (inbox, mut seen) = inbox();
    let options = messenger.subscribe_options().max_retries(0);
    let broken = inbox.answering(|_| failed("no"));
    let running = messenger.subscribe_with("orders", "billing", options, broken).await.unwrap();
    publish_numbers(&messenger, "orders", 1..=2).await;
    assert_eq!(seen.numbers(1).await, [1]);
    soon(async {
        while running.stats().delivery.dead_letter_failures < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(running.stats().position, 0, "the message is not passed");
    assert!(seen.rest().is_empty(), "and neither is the next one handed out");
    std::fs::remove_file(&obstacle).unwrap();
    let letters = letters(&messenger, "orders", 2).await;
    assert_eq!(letters.iter().map(|(_, letter)| letter.original.seq).collect::<Vec<_>>(), [1, 2]);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn nobody_but_the_messenger_writes_dead_letters_and_anybody_may_read_them() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let refused = messenger.publish("orders.dead-letter", "", &1).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReservedChannelName);
    let batch = messenger.publish_batch("orders.dead-letter", []).await.unwrap_err();
    assert_eq!(batch.kind(), ErrorKind::ReservedChannelName);
    messenger.subscribe("orders.dead-letter", "ops", |_| async {}).await.unwrap();
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn pauses_between_attempts_are_as_long_as_the_policy_says() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (base, max) = (Duration::from_millis(20), Duration::from_millis(30));
    let options = messenger.subscribe_options().max_retries(3).retry_backoff(base, max);
    let called: Arc<parking_lot::Mutex<Vec<Instant>>> = Arc::default();
    let calls = called.clone();
    let broken = move |_| {
        calls.lock().push(Instant::now());
        async { Err::<(), _>("no") }
    };
    messenger.subscribe_with("orders", "billing", options, broken).await.unwrap();
    publish_numbers(&messenger, "orders", [1]).await;
    letters(&messenger, "orders", 1).await;
    let called = called.lock().clone();
    let pauses: Vec<Duration> = called.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.len(), 3);
    for (pause, least) in pauses.iter().zip([base, max, max]) {
        assert!(*pause >= least, "{pauses:?}");
    }
    messenger.shutdown().await.unwrap();
}
