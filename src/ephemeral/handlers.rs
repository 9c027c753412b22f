//! The handlers of one channel: all of them get each message, and none is waited for by the link.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::join_all;
use parking_lot::RwLock;
use pubsub_envelope::Record;
use pubsub_messenger::{Message, Outcome};
use pubsub_node::clock;
use pubsub_node::ephemeral::Delivery;
use pubsub_node::subscription::{Handler, Types};
use pubsub_types::ChannelName;
use tokio::sync::mpsc::UnboundedReceiver;

/// The handlers of one channel.
pub(crate) struct Handlers {
    channel: ChannelName,
    types: Arc<Types>,
    list: RwLock<Vec<Handler>>,
    closed: AtomicBool,
}

impl Handlers {
    pub(super) fn new(channel: ChannelName, types: Arc<Types>) -> Arc<Self> {
        Arc::new(Self { channel, types, list: RwLock::default(), closed: AtomicBool::new(false) })
    }

    pub(super) fn add(&self, handler: Handler) {
        self.list.write().push(handler);
    }

    /// Calls no handler any more, and lets go of them.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let handlers = std::mem::take(&mut *self.list.write());
        // Now that the lock is free: they may own a messenger.
        drop(handlers);
    }

    /// Hands on messages until there are no more: one after the other, each to all handlers at once.
    pub(super) async fn run(self: Arc<Self>, mut deliveries: UnboundedReceiver<Delivery>) {
        while let Some(Delivery { records, ticket }) = deliveries.recv().await {
            for record in records {
                if self.closed.load(Ordering::Acquire) {
                    return;
                }
                self.hand_on(record).await;
            }
            drop(ticket);
        }
    }

    async fn hand_on(&self, record: Record) {
        if record.meta().expires.is_some_and(|expires| expires <= clock::now()) {
            return;
        }
        let handlers = self.list.read().clone();
        if handlers.is_empty() {
            return;
        }
        let Some(message) = self.decode(record) else { return };
        let attempts = handlers.iter().map(|handler| {
            let (handler, message) = (handler.clone(), message.clone());
            // Called inside, so that a panic before its first await is caught too.
            AssertUnwindSafe(async move { handler(message).await }).catch_unwind()
        });
        for attempt in join_all(attempts).await {
            let outcome = attempt.unwrap_or_else(|_| Outcome::Panicked { message: String::new() });
            let why = match outcome {
                Outcome::Done => continue,
                Outcome::Failed { error, .. } => error,
                Outcome::Panicked { .. } => "it panicked".to_owned(),
                Outcome::RetryLater => "it wants the message later".to_owned(),
            };
            let (channel, seq) = (&self.channel, message.seq());
            tracing::warn!(%channel, seq, why, "a handler failed; it does not get the message again");
        }
    }

    /// The message, unless its payload is not what its type says.
    fn decode(&self, record: Record) -> Option<Message> {
        let (channel, seq) = (&self.channel, record.seq);
        let types = self.types.current();
        // What a payload is decoded to is others' code.
        let decode = AssertUnwindSafe(|| Message::receive(channel, record, &types, false));
        let why = match catch_unwind(decode) {
            Ok((message, Ok(()))) => return Some(message),
            Ok((_, Err(error))) => error.to_string(),
            Err(_panic) => "decoding it panicked".to_owned(),
        };
        tracing::warn!(%channel, seq, why, "a message cannot be decoded, and is skipped");
        None
    }
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handlers").field("channel", &self.channel).finish_non_exhaustive()
    }
}
