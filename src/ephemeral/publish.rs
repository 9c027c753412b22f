//! Publishing to a hub.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use pubsub_messenger::Context;
use pubsub_types::Timestamp;

use super::error::PublishError;
use super::messenger::Inner;
use crate::outgoing::Outgoing;

/// Says that a message is in the hub's log, as safely as its channel's sync policy says there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The message's id.
    pub id: String,
}

/// A publish that begins when it is awaited.
///
/// Dropping the future before the message was sent takes it back: the hub never has it. Afterwards the
/// hub has it or not, as with a connection that is lost. Who must know awaits it to the end.
#[must_use = "a message is published when this is awaited"]
pub struct Publish<'a> {
    inner: &'a Inner,
    channel: &'a str,
    message: Outgoing<'a>,
}

impl<'a> Publish<'a> {
    pub(super) fn new(inner: &'a Inner, channel: &'a str, message: Outgoing<'a>) -> Self {
        Self { inner, channel, message }
    }

    /// See [`Outgoing::header`].
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.message = self.message.header(name, value);
        self
    }

    /// See [`Outgoing::id`].
    pub fn id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.message = self.message.id(id);
        self
    }

    /// See [`Outgoing::expires_in`].
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.message = self.message.expires_in(time);
        self
    }

    /// See [`Outgoing::expires_at`].
    pub fn expires_at(mut self, instant: Timestamp) -> Self {
        self.message = self.message.expires_at(instant);
        self
    }

    /// See [`Outgoing::context`].
    pub fn context(mut self, context: &Context) -> Self {
        self.message = self.message.context(context);
        self
    }
}

impl<'a> IntoFuture for Publish<'a> {
    type Output = Result<Receipt, PublishError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { inner, channel, message } = self;
        Box::pin(inner.publish(channel, message))
    }
}

impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("channel", &self.channel).finish_non_exhaustive()
    }
}
