//! Publishing: one message or many, and what one learns of it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use pubsub_envelope::NewRecord;
use pubsub_messenger::Context;
use pubsub_node::{append, clock};
use pubsub_storage::{Appended, Channel};
use pubsub_types::Timestamp;
use tokio::runtime::Handle;

use crate::error::PublishError;
use crate::inner::Inner;
use crate::outgoing::{Outgoing, Sealed};

/// Says that a message is stored, as safely as its channel's sync policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The message's id.
    pub id: String,
    /// The message's position among its channel's, from 1.
    pub seq: u64,
}

/// A publish that begins when it is awaited.
///
/// Dropping the future before the message was handed to the log publishes nothing; afterwards the
/// message is stored, or fails to be, whether or not anybody waits. Who must know awaits it to the end.
#[must_use = "a message is published when this is awaited"]
pub struct Publish<'a> {
    inner: &'a Arc<Inner>,
    runtime: &'a Handle,
    channel: &'a str,
    message: Outgoing<'a>,
}

impl<'a> Publish<'a> {
    pub(crate) fn new(
        inner: &'a Arc<Inner>,
        runtime: &'a Handle,
        channel: &'a str,
        message: Outgoing<'a>,
    ) -> Self {
        Self { inner, runtime, channel, message }
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
        let Self { inner, runtime, channel, message } = self;
        Box::pin(async move {
            let known = inner.known_channel(channel)?;
            if known.is_none() {
                // A name that is wrong is told before a payload that is.
                inner.check_channel(channel)?;
            }
            let message = message
                .seal(&inner.defaults)
                .map_err(|error| PublishError::unsealed(channel, error))?;
            let record = |origin, now| [message.record(origin, now)];
            let appended = append_to(inner, runtime, channel, record).await?;
            Ok(receipt(&message, appended.first.get()))
        })
    }
}

impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// Publishes `messages` in this order, one behind the other.
pub(crate) async fn publish_batch(
    inner: &Arc<Inner>,
    runtime: &Handle,
    channel: &str,
    messages: Vec<Outgoing<'_>>,
) -> Result<Vec<Receipt>, PublishError> {
    let messages = seal_all(inner, channel, messages)?;
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let records = |origin, now| -> Vec<NewRecord<'_>> {
        messages.iter().map(|message| message.record(origin, now)).collect()
    };
    let appended = append_to(inner, runtime, channel, records).await?;
    Ok(receipts(&messages, &appended))
}

/// Checks a batch; an empty one needs a valid channel, too.
pub(crate) fn seal_all<'a>(
    inner: &Inner,
    channel: &str,
    messages: Vec<Outgoing<'a>>,
) -> Result<Vec<Sealed<'a>>, PublishError> {
    inner.check_channel(channel)?;
    let unsealed = |error| PublishError::unsealed(channel, error);
    messages.into_iter().map(|message| message.seal(&inner.defaults).map_err(unsealed)).collect()
}

/// What to tell the publisher of messages that were appended together.
pub(crate) fn receipts(messages: &[Sealed<'_>], appended: &Appended) -> Vec<Receipt> {
    messages
        .iter()
        .zip(appended.first.get()..)
        .map(|(message, seq)| receipt(message, seq))
        .collect()
}

pub(crate) fn receipt(message: &Sealed<'_>, seq: u64) -> Receipt {
    Receipt { id: message.message_id().to_string(), seq }
}

/// Appends what `records` makes of the instance's name and the time, and waits for the commit.
async fn append_to<'r, R: AsRef<[NewRecord<'r>]>>(
    inner: &'r Arc<Inner>,
    runtime: &Handle,
    name: &str,
    records: impl Fn(&'r str, Timestamp) -> R,
) -> Result<Appended, PublishError> {
    loop {
        let channel = match inner.known_channel(name)? {
            Some(channel) => channel,
            None => open(inner, runtime, name).await?,
        };
        let started = clock::both();
        let records = records(&inner.config.name, started.wall);
        match append(&channel, records.as_ref()).await {
            Ok(appended) => {
                inner.note_published(records.as_ref().len(), started.since_start);
                return Ok(appended);
            }
            Err(error) => match inner.publish_failed(name, error) {
                Some(error) => return Err(error),
                None => continue,
            },
        }
    }
}

/// Opens the channel where blocking hurts nobody.
async fn open(
    inner: &Arc<Inner>,
    runtime: &Handle,
    name: &str,
) -> Result<Arc<Channel>, PublishError> {
    let (inner, name) = (inner.clone(), inner.check_channel(name)?);
    let opened = runtime.spawn_blocking(move || inner.open_channel(&name)).await;
    // The runtime that the messenger lives on has ended.
    opened.unwrap_or(Err(PublishError::Closed))
}
