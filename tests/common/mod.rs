//! What the tests of the library share: a directory, a deadline, a handler that keeps what it got.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "every test uses its own part of this, and what fails here fails the test"
)]

use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pubsub::{Message, Messenger, Outcome};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What must happen happens within this, also on a machine that does ten things at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits for `future`, and fails the test when it takes too long.
#[track_caller]
pub(crate) fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(SOON, future).await;
        waited.unwrap_or_else(|_| panic!("not within {SOON:?}, at {caller}"))
    }
}

/// A messenger in `dir`, named `alice`.
pub(crate) async fn open(dir: &Path) -> Messenger {
    Messenger::builder().data_dir(dir).name("alice").open().await.unwrap()
}

/// Takes in messages, answers each as it is told, and hands on what it saw.
#[derive(Clone)]
pub(crate) struct Inbox {
    seen: UnboundedSender<Message>,
    calls: Arc<AtomicU64>,
}

/// What an [`Inbox`] saw.
pub(crate) struct Seen(UnboundedReceiver<Message>);

pub(crate) fn inbox() -> (Inbox, Seen) {
    let (seen, receiver) = unbounded_channel();
    (Inbox { seen, calls: Arc::default() }, Seen(receiver))
}

impl Inbox {
    /// A handler that answers with `answer`.
    pub(crate) fn answering(
        self,
        answer: impl Fn(&Message) -> Outcome + Send + Sync + 'static,
    ) -> impl Fn(Message) -> std::future::Ready<Outcome> + Send + Sync + 'static {
        move |message| {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let outcome = answer(&message);
            // The test may have seen enough.
            drop(self.seen.send(message));
            ready(outcome)
        }
    }

    /// A handler to which all is well.
    pub(crate) fn ok(
        self,
    ) -> impl Fn(Message) -> std::future::Ready<Outcome> + Send + Sync + 'static {
        self.answering(|_| Outcome::Done)
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Seen {
    /// The next message.
    pub(crate) async fn next(&mut self) -> Message {
        soon(self.0.recv()).await.expect("the handler is there")
    }

    /// The payloads of the next messages, as numbers.
    pub(crate) async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            numbers.push(self.next().await.decode().unwrap());
        }
        numbers
    }

    /// What was seen and not asked for yet.
    pub(crate) fn rest(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.0.try_recv().ok())
            .map(|message| message.decode().unwrap())
            .collect()
    }
}

pub(crate) fn failed(error: &str) -> Outcome {
    Outcome::Failed { error: error.into(), retry_in: None }
}

/// Publishes numbers.
pub(crate) async fn publish_numbers(
    messenger: &Messenger,
    channel: &str,
    numbers: impl IntoIterator<Item = u64>,
) {
    for number in numbers {
        messenger.publish(channel, "t.Number", &number).await.unwrap();
    }
}

/// The subscriber's position, when it has come to `seq`.
pub(crate) async fn at_position(messenger: &Messenger, channel: &str, id: &str, seq: u64) {
    soon(async {
        while messenger.diagnostics(channel, id).current_position < seq {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
