//! The messenger: one data directory, published to and subscribed from.

use std::any::Any;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use pubsub_config::Config;
use pubsub_messenger::{
    Encode, IntoOutcome, Message, PayloadTypeAlreadyRegistered, SubscribeOptions,
};
use pubsub_node::subscription::{Handler, Messages, Prepared, Sink, Subscription};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::builder::Settings;
use crate::context::{ContextExt, current_context, of_handler, overlay};
use crate::error::{OpenError, PublishError, ShutdownError, SubscribeError};
use crate::inner::{Inner, check_subscriber};
use crate::outgoing::Outgoing;
use crate::publish::{Publish, Receipt, publish_batch};
use crate::stats::{Diagnostics, Stats};
use crate::{Builder, stats};

/// An open data directory, to publish to and to subscribe from. Clones are the same messenger.
///
/// End it with [`Self::shutdown`], which waits for the handlers and says whether all could be written.
/// When the last clone is dropped instead, the subscribers are told to stop and the directory is closed
/// in the background, as far as the runtime still runs; nothing that was acknowledged is lost by that,
/// but the next start may repeat messages. A handler that owns a clone keeps the messenger open.
#[derive(Clone, Debug)]
pub struct Messenger {
    inner: Arc<Inner>,
    runtime: Handle,
}

impl Messenger {
    /// Opens the messenger in `data_dir`, which is made when it is not there, with the default
    /// configuration.
    ///
    /// # Errors
    /// See [`OpenError`]; the data directory is as it was.
    pub async fn open(data_dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder().data_dir(data_dir.as_ref()).open().await
    }

    /// What a messenger may be opened with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn start(settings: Settings) -> Result<Self, OpenError> {
        let runtime = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        let opened = runtime.spawn_blocking(move || Inner::open(settings)).await;
        let inner = opened.unwrap_or(Err(OpenError::NoRuntime))?;
        Ok(Self { inner, runtime })
    }

    /// The instance's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.inner.node.name()
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.inner.node.data_dir()
    }

    /// The configuration that holds.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The address that the hub listens on, with the port that the system chose where the configuration
    /// says 0; `None` when this is no hub.
    #[must_use]
    pub fn hub_addr(&self) -> Option<SocketAddr> {
        self.inner.hub_addr()
    }

    /// From now on, payloads of type `payload_type` are decoded as `T`: [`Message::payload`] gives the
    /// value, and what does not decode goes to the dead letters. Publishing needs no registration.
    ///
    /// # Errors
    /// The type is registered already.
    pub fn register_payload_type<T>(
        &self,
        payload_type: &str,
    ) -> Result<(), PayloadTypeAlreadyRegistered>
    where
        T: DeserializeOwned + Any + Send + Sync,
    {
        self.inner.types.register::<T>(payload_type)
    }

    /// Publishes `payload` to `channel`, which is made when it is not there. Await the result:
    ///
    /// ```no_run
    /// # async fn run(messenger: pubsub::Messenger) -> Result<(), pubsub::PublishError> {
    /// let receipt = messenger.publish("orders", "com.acme.Order", &7).header("Trace", "on").await?;
    /// println!("message {} is number {}", receipt.id, receipt.seq);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `payload_type` says what the payload is, and may be empty. The payload is written as JSON, or as
    /// it is when it is [`Raw`](crate::Raw). When the disk cannot keep up, this waits.
    pub fn publish<'a, P: Encode + ?Sized>(
        &'a self,
        channel: &'a str,
        payload_type: &'a str,
        payload: &P,
    ) -> Publish<'a> {
        Publish::new(&self.inner, &self.runtime, channel, Outgoing::new(payload_type, payload))
    }

    /// Publishes several messages in this order, with nothing in between, one write and one sync. None
    /// of them is taken when one cannot be; after a crash it may be that only the first ones are there.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_batch<'a>(
        &self,
        channel: &str,
        messages: impl IntoIterator<Item = Outgoing<'a>>,
    ) -> Result<Vec<Receipt>, PublishError> {
        let messages = messages.into_iter().collect();
        publish_batch(&self.inner, &self.runtime, channel, messages).await
    }

    /// What a subscriber gets that chooses nothing: what the configuration says.
    #[must_use]
    pub fn subscribe_options(&self) -> SubscribeOptions {
        self.inner.subscribe_options(SubscribeOptions::default())
    }

    /// Calls `handler` with every message of `channel`, one after the other.
    ///
    /// A subscriber of this id that was here before goes on where it was; a new one begins with what is
    /// published from now on. `Ok` moves the position on; an error or a panic is tried again as the
    /// configuration says, and goes to the dead letters in the end;
    /// [`RetryLater`](crate::RetryLater) keeps the message without counting. What the handler
    /// publishes carries the correlation id of its message.
    ///
    /// The handler runs on the messenger's runtime, in the subscriber's task. Dropping the
    /// [`Subscription`] does not end it.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub async fn subscribe<F, R>(
        &self,
        channel: &str,
        id: &str,
        handler: F,
    ) -> Result<Subscription, SubscribeError>
    where
        F: Fn(Message) -> R + Send + Sync + 'static,
        R: Future<Output: IntoOutcome> + Send + 'static,
    {
        self.subscribe_with(channel, id, self.subscribe_options(), handler).await
    }

    /// As [`Self::subscribe`], with these options.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub async fn subscribe_with<F, R>(
        &self,
        channel: &str,
        id: &str,
        options: SubscribeOptions,
        handler: F,
    ) -> Result<Subscription, SubscribeError>
    where
        F: Fn(Message) -> R + Send + Sync + 'static,
        R: Future<Output: IntoOutcome> + Send + 'static,
    {
        let subscribed = overlay(&current_context(), &self.inner.defaults);
        let handler: Handler = Arc::new(move |message: Message| {
            let context = of_handler(&message, &subscribed);
            // Called in the scope, for what the handler does before its first await.
            let handled = context.clone().sync_scope(|| handler(message));
            Box::pin(context.scope(async move { handled.await.into_outcome() }))
        });
        Ok(self.run(self.prepare(channel, id, options).await?, Sink::handler(handler)))
    }

    /// The messages of `channel` as a stream, each to be acknowledged; up to 64 of them at a time.
    ///
    /// ```no_run
    /// # use futures_util::StreamExt;
    /// # async fn run(messenger: pubsub::Messenger) -> Result<(), pubsub::SubscribeError> {
    /// let mut messages = messenger.subscribe_stream("orders", "billing").await?;
    /// while let Some(message) = messages.next().await {
    ///     println!("{:?}", message.json());
    ///     message.ack();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub async fn subscribe_stream(
        &self,
        channel: &str,
        id: &str,
    ) -> Result<Messages, SubscribeError> {
        let options = self.inner.subscribe_options(SubscribeOptions::stream());
        self.subscribe_stream_with(channel, id, options).await
    }

    /// As [`Self::subscribe_stream`], with these options; begin with
    /// [`SubscribeOptions::stream`].
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub async fn subscribe_stream_with(
        &self,
        channel: &str,
        id: &str,
        options: SubscribeOptions,
    ) -> Result<Messages, SubscribeError> {
        let (sink, messages) = Sink::queue();
        let _subscription = self.run(self.prepare(channel, id, options).await?, sink);
        Ok(messages)
    }

    async fn prepare(
        &self,
        channel: &str,
        id: &str,
        options: SubscribeOptions,
    ) -> Result<Prepared, SubscribeError> {
        let (channel, id) = check_subscriber(channel, id)?;
        let subscriptions = self.inner.subscriptions.clone();
        let prepared = self.runtime.spawn_blocking(move || {
            subscriptions
                .prepare(&channel, &id, options)
                .map_err(|error| SubscribeError::new(error, &channel, &id))
        });
        prepared.await.unwrap_or(Err(SubscribeError::Closed))
    }

    fn run(&self, prepared: Prepared, sink: Sink) -> Subscription {
        let (subscription, task) = prepared.start(sink);
        drop(self.runtime.spawn(task));
        subscription
    }

    /// Stops a subscriber and forgets its position: the next one of this id begins anew.
    ///
    /// Must not be awaited by the subscriber's own handler, which would wait for itself.
    ///
    /// # Errors
    /// There is no such subscriber, or its position could not be removed.
    pub async fn unsubscribe(&self, channel: &str, id: &str) -> Result<(), SubscribeError> {
        let (channel, id) = check_subscriber(channel, id)?;
        let subscriptions = self.inner.subscriptions.clone();
        // In a task of its own, so that half of it is never done.
        let forgotten = self.runtime.spawn(async move {
            subscriptions
                .forget(&channel, &id)
                .await
                .map_err(|error| SubscribeError::new(error, &channel, &id))
        });
        forgotten.await.unwrap_or(Err(SubscribeError::Closed))
    }

    /// What the open channels hold and what was done since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        stats::of(&self.inner)
    }

    /// What one subscriber did; all zero when it does not run.
    #[must_use]
    pub fn diagnostics(&self, channel: &str, id: &str) -> Diagnostics {
        stats::diagnostics(&self.inner, channel, id)
    }

    /// Stops the subscribers, whose handlers may finish within the grace period, saves their positions,
    /// and syncs and closes the data directory. Publishing and subscribing are refused from the call on.
    /// A second call waits for the first and does no harm.
    ///
    /// # Errors
    /// Something could not be written; everything is closed all the same.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        self.inner.begin_shutdown();
        let inner = self.inner.clone();
        // In a task of its own, so that it goes on when the caller does not wait.
        let closed = self.runtime.spawn(async move {
            inner.subscriptions.stop_all().await;
            tokio::task::spawn_blocking(move || inner.close()).await
        });
        match closed.await {
            Ok(Ok(result)) => result,
            // The runtime ends: what is open is closed when it is dropped.
            _ => Ok(()),
        }
    }
}
