//! A stream of messages that are acknowledged one by one, in any order.

#[path = "../common/mod.rs"]
mod common;

use std::time::Duration;

use common::{at_position, open, publish_numbers, soon};
use futures_util::StreamExt;
use pubsub::{AckedMessage, Messages, StartAt, SubscribeOptions};
use tempfile::tempdir;

async fn next(messages: &mut Messages) -> AckedMessage {
    soon(messages.next()).await.expect("the stream goes on")
}

#[tokio::test]
async fn the_position_passes_a_message_when_it_and_all_before_it_are_acknowledged() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let mut messages = messenger.subscribe_stream("orders", "billing").await.unwrap();
    publish_numbers(&messenger, "orders", 1..=3).await;
    let [first, second, third] =
        [next(&mut messages).await, next(&mut messages).await, next(&mut messages).await];
    assert_eq!([first.seq(), second.seq(), third.seq()], [1, 2, 3]);
    third.ack();
    first.ack();
    at_position(&messenger, "orders", "billing", 1).await;
    assert_eq!(messenger.diagnostics("orders", "billing").current_position, 1);
    second.ack();
    at_position(&messenger, "orders", "billing", 3).await;
    messenger.shutdown().await.unwrap();
    assert!(soon(messages.next()).await.is_none(), "the stream ends with its messenger");
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_after_a_restart() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let mut messages = messenger.subscribe_stream("orders", "billing").await.unwrap();
    publish_numbers(&messenger, "orders", 1..=3).await;
    next(&mut messages).await.ack();
    drop(next(&mut messages).await);
    next(&mut messages).await.ack();
    at_position(&messenger, "orders", "billing", 1).await;
    drop(messages);
    messenger.shutdown().await.unwrap();

    let messenger = open(dir.path()).await;
    let mut messages = messenger.subscribe_stream("orders", "billing").await.unwrap();
    assert_eq!([next(&mut messages).await.seq(), next(&mut messages).await.seq()], [2, 3]);
    drop(messages);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_refused_message_comes_again_when_its_reader_says_and_is_a_dead_letter_in_the_end() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let options = SubscribeOptions::stream().max_retries(1);
    let mut messages = messenger.subscribe_stream_with("orders", "billing", options).await.unwrap();
    publish_numbers(&messenger, "orders", [1]).await;
    for attempt in 1..=2 {
        let message = next(&mut messages).await;
        assert_eq!((message.seq(), message.attempt()), (1, attempt));
        message.nak("no", Some(Duration::from_millis(1)));
    }
    at_position(&messenger, "orders", "billing", 1).await;
    assert_eq!(messenger.stats().totals.dead_letter_messages, 1);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_dropped_without_a_word_comes_again_and_one_in_progress_does_not() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let wait = Duration::from_millis(100);
    let options =
        SubscribeOptions::stream().ack_wait(wait).retry_backoff(Duration::from_millis(1), wait);
    let mut messages = messenger.subscribe_stream_with("orders", "billing", options).await.unwrap();
    publish_numbers(&messenger, "orders", 1..=2).await;
    let slow = next(&mut messages).await;
    drop(next(&mut messages).await);
    let again = loop {
        slow.in_progress();
        let waited = tokio::time::timeout(wait / 4, messages.next()).await;
        if let Ok(message) = waited {
            break message.unwrap();
        }
    };
    assert_eq!((again.seq(), again.attempt()), (2, 2));
    again.ack();
    slow.ack();
    at_position(&messenger, "orders", "billing", 2).await;
    assert_eq!(messenger.diagnostics("orders", "billing").delivery.ack_timeouts, 1);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn messages_that_the_reader_has_not_taken_yet_are_not_counted_as_late() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    publish_numbers(&messenger, "orders", 1..=5).await;
    let wait = Duration::from_millis(20);
    let options =
        SubscribeOptions::stream().ack_wait(wait).max_retries(0).start(StartAt::FromStart);
    let mut messages = messenger.subscribe_stream_with("orders", "billing", options).await.unwrap();
    // The reader is busy with something else for many times the wait.
    let busy = tokio::time::timeout(wait * 10, std::future::pending::<()>()).await;
    assert!(busy.is_err());
    for seq in 1..=5 {
        let message = next(&mut messages).await;
        assert_eq!((message.seq(), message.attempt()), (seq, 1));
        message.ack();
    }
    at_position(&messenger, "orders", "billing", 5).await;
    assert_eq!(messenger.diagnostics("orders", "billing").delivery.ack_timeouts, 0);
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn no_more_messages_are_handed_out_than_may_be_in_flight() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let options = SubscribeOptions::stream().max_in_flight(2);
    let mut messages = messenger.subscribe_stream_with("orders", "billing", options).await.unwrap();
    publish_numbers(&messenger, "orders", 1..=3).await;
    let (first, second) = (next(&mut messages).await, next(&mut messages).await);
    let third = tokio::time::timeout(Duration::from_millis(50), messages.next()).await;
    assert!(third.is_err(), "two are in flight");
    first.ack();
    assert_eq!(next(&mut messages).await.seq(), 3);
    // What is held is waited for at the shutdown.
    drop((second, messages));
    messenger.shutdown().await.unwrap();
}
