//! Where messages go that a delivery hands out.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use pubsub_messenger::{Message, Outcome};

use super::queue::{Messages, Queue, Verdicts};

/// Deals with one message.
pub type Handler = Arc<dyn Fn(Message) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// Where messages go.
pub struct Sink(pub(super) Kind);

pub(super) enum Kind {
    /// To a handler, which is called in the subscriber's task.
    Handler(Handler),
    /// To a queue, whose reader answers when it likes.
    Queue(Arc<Queue>, Verdicts),
}

impl Sink {
    /// Messages are handed to `handler`. A panic in it counts as a failure.
    #[must_use]
    pub fn handler(handler: Handler) -> Self {
        Self(Kind::Handler(handler))
    }

    /// Messages wait for whoever reads the stream.
    #[must_use]
    pub fn queue() -> (Self, Messages) {
        let (messages, queue, verdicts) = Messages::new();
        (Self(Kind::Queue(queue, verdicts)), messages)
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Handler(_) => "Sink::Handler",
            Kind::Queue(..) => "Sink::Queue",
        })
    }
}
