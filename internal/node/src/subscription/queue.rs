//! A stream of messages that its reader acknowledges one by one.
//!
//! ```text
//!   task ──▶ Queue ──▶ Messages (reader)
//!    ▲                     │
//!    ╰── Verdict: ack · nak · progress · gone
//! ```
//!
//! What lies in the queue and was not taken yet has not been seen by anybody, so its time to be
//! acknowledged does not run: the task says so to the delivery before it looks at the clock.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;
use parking_lot::Mutex;
use pubsub_messenger::{Message, Outcome, Token};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a reader says of a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It was taken from the queue: its time begins.
    Taken(Token),
    Outcome(Token, Outcome),
    Progress(Token),
    /// The reader is gone.
    Gone,
}

/// Bounded by what is in flight: every message handed out is answered at most once.
pub(super) type Verdicts = UnboundedReceiver<Verdict>;

/// Messages handed out and not yet taken, at most as many as may be in flight.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<(Token, Message)>,
    waker: Option<Waker>,
    ended: bool,
}

impl Queue {
    pub(super) fn push(&self, token: Token, message: Message) {
        let mut inner = self.0.lock();
        inner.items.push_back((token, message));
        let waker = inner.waker.take();
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
    }

    /// What lies in the queue.
    pub(super) fn tokens(&self) -> Vec<Token> {
        self.0.lock().items.iter().map(|(token, _)| *token).collect()
    }

    /// Nothing more comes, and what was not taken is taken back.
    pub(super) fn end(&self) {
        let mut inner = self.0.lock();
        inner.ended = true;
        inner.items.clear();
        let waker = inner.waker.take();
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// The messages of a subscription, in order, each to be acknowledged.
///
/// Ends when the subscription is stopped. Dropping it stops the subscription; the position stays.
#[derive(Debug)]
pub struct Messages {
    queue: Arc<Queue>,
    verdicts: UnboundedSender<Verdict>,
}

impl Messages {
    pub(super) fn new() -> (Self, Arc<Queue>, Verdicts) {
        let queue = Arc::new(Queue::default());
        let (verdicts, receiver) = unbounded_channel();
        (Self { queue: queue.clone(), verdicts }, queue, receiver)
    }
}

impl Stream for Messages {
    type Item = AckedMessage;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<AckedMessage>> {
        let mut inner = self.queue.0.lock();
        let Some((token, message)) = inner.items.pop_front() else {
            if inner.ended {
                return Poll::Ready(None);
            }
            if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                inner.waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        };
        drop(inner);
        tell(&self.verdicts, Verdict::Taken(token));
        Poll::Ready(Some(AckedMessage { message, token, verdicts: self.verdicts.clone() }))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        tell(&self.verdicts, Verdict::Gone);
    }
}

/// A message that its reader acknowledges.
///
/// The subscriber's position passes it when it and all before it are acknowledged. Dropped without a
/// word it comes again after the subscription's `ack_wait`, which counts as a failed attempt.
pub struct AckedMessage {
    message: Message,
    token: Token,
    verdicts: UnboundedSender<Verdict>,
}

impl AckedMessage {
    /// The message is dealt with.
    pub fn ack(self) {
        tell(&self.verdicts, Verdict::Outcome(self.token, Outcome::Done));
    }

    /// The message could not be dealt with, because of `error`: it comes again after `delay`, or as the
    /// retry policy says; after the last attempt it goes to the dead letters.
    pub fn nak(self, error: impl fmt::Display, delay: Option<Duration>) {
        let outcome = Outcome::Failed { error: error.to_string(), retry_in: delay };
        tell(&self.verdicts, Verdict::Outcome(self.token, outcome));
    }

    /// Not now: it comes again within a second, and no attempt is counted.
    pub fn retry_later(self) {
        tell(&self.verdicts, Verdict::Outcome(self.token, Outcome::RetryLater));
    }

    /// It is still being worked on: its time to be acknowledged begins anew.
    pub fn in_progress(&self) {
        tell(&self.verdicts, Verdict::Progress(self.token));
    }

    /// The message alone.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }
}

impl Deref for AckedMessage {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl fmt::Debug for AckedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

/// After the end of the subscription nobody listens: the message comes again after the next start.
fn tell(verdicts: &UnboundedSender<Verdict>, verdict: Verdict) {
    if verdicts.send(verdict).is_err() {
        tracing::debug!("an answer came after the end of its subscription");
    }
}
