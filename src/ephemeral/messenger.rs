//! The messenger without files, and what its async face and its blocking one share.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use pubsub_messenger::{Context, Encode, IntoOutcome, Message, PayloadTypeAlreadyRegistered};
use pubsub_node::clock;
use pubsub_node::ephemeral::{Client, ConnectError, OnRejected, Settings, record_of};
use pubsub_node::subscription::{Handler, Types};
use pubsub_types::ChannelName;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use super::builder::{Builder, EphemeralConfig};
use super::error::{BuildError, PublishError, SubscribeError};
use super::handlers::Handlers;
use super::publish::{Publish, Receipt};
use crate::context::{ContextExt, current_context, of_handler, overlay};
use crate::outgoing::Outgoing;

/// A messenger without files, to publish to a hub and to hear what is published there. Clones are the
/// same messenger. See the [module](super) for what it promises.
///
/// Its connection lives on a thread of its own. End it with [`Self::close`]; when the last clone is
/// dropped it ends too. A handler that owns a clone keeps the messenger open.
#[derive(Clone, Debug)]
pub struct EphemeralMessenger {
    inner: Arc<Inner>,
    runtime: Handle,
}

impl EphemeralMessenger {
    /// What a messenger without files may be made of.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn start(inner: Inner, runtime: Handle) -> Result<Self, BuildError> {
        let messenger = Self { inner: Arc::new(inner), runtime };
        for channel in &messenger.inner.config.subscribe {
            messenger.inner.declare(channel, |run| messenger.spawn(run))?;
        }
        Ok(messenger)
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "a thread, in the other face, is not always to be had"
    )]
    fn spawn(&self, run: BoxFuture<'static, ()>) -> io::Result<()> {
        drop(self.runtime.spawn(run));
        Ok(())
    }

    /// This instance's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.config.name
    }

    /// The configuration that holds.
    #[must_use]
    pub fn config(&self) -> &EphemeralConfig {
        &self.inner.config
    }

    /// Whether the hub is connected now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.inner.client.is_connected()
    }

    /// From now on, payloads of type `payload_type` are decoded as `T`: [`Message::payload`] gives the
    /// value, and what does not decode is skipped with a warning. Publishing needs no registration.
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

    /// Calls `handler` with every message of `channel` that is published at the hub while it is
    /// connected, one after the other. All handlers of a channel get each message, at the same time, and
    /// the next one when all are done; their errors and panics are logged, and that is all.
    ///
    /// Call this before [`Self::connect`]; afterwards it works for channels that were asked for then.
    /// Without a place in the hub's list of allowed peers a channel stays silent. Handlers run on the
    /// runtime that the messenger was built in. A slow one slows its hub down, and in the end the other
    /// channels too; it does not cut the connection.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub fn subscribe<F, R>(&self, channel: &str, handler: F) -> Result<(), SubscribeError>
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
        self.inner.subscribe(channel, handler, |run| self.spawn(run))
    }

    /// Connects to the hub, or comes back at once when it is connected. Whatever is published at the hub
    /// after this has come back reaches the handlers.
    ///
    /// With [`EphemeralConfig::auto_reconnect`] it tries until it succeeds or the hub refuses this
    /// instance, and connects again behind the scenes whenever the connection is lost. Without, it tries
    /// once, and a connection that is lost stays so until this is called again.
    ///
    /// Dropping the future gives a first connection up. Once it has come back, nothing that becomes of
    /// the caller ends the connection.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self) -> Result<(), ConnectError> {
        self.inner.client.connect().await
    }

    /// Publishes `payload` to `channel` at the hub. Await the result:
    ///
    /// ```no_run
    /// # async fn run(messenger: pubsub::EphemeralMessenger) -> Result<(), Box<dyn std::error::Error>> {
    /// let receipt = messenger.publish("sales", "com.acme.Sale", &7).header("Trace", "on").await?;
    /// println!("the hub has message {}", receipt.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `payload_type` says what the payload is, and may be empty. The payload is written as JSON, or as
    /// it is when it is [`Raw`](crate::Raw). When [`EphemeralConfig::write_queue_size`] messages wait
    /// already, this waits for room; while a lost connection is being made again, it waits for that.
    pub fn publish<'a, P: Encode + ?Sized>(
        &'a self,
        channel: &'a str,
        payload_type: &'a str,
        payload: &P,
    ) -> Publish<'a> {
        Publish::new(&self.inner, channel, Outgoing::new(payload_type, payload))
    }

    /// Ends the connection; comes back when it has ended, within half a second. Whoever waits for a
    /// publish or a connection is told [`PublishError::Closed`] or [`ConnectError::Closed`]. No handler
    /// is called any more, and those that run are not waited for, so one of them may call this. A second
    /// call does no harm.
    pub async fn close(&self) {
        self.inner.close().await;
    }
}

/// What both faces share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) config: EphemeralConfig,
    pub(crate) types: Arc<Types>,
    /// Stamped where nothing else is.
    pub(crate) defaults: Context,
    channels: Mutex<BTreeMap<ChannelName, Arc<Handlers>>>,
}

impl Inner {
    pub(super) fn start(
        config: EphemeralConfig,
        settings: Settings,
        rejected: Option<OnRejected>,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            client: Client::start(settings, rejected)?,
            defaults: Context::new().with_service_name(config.service_name.as_str()),
            config,
            types: Arc::default(),
            channels: Mutex::default(),
        })
    }

    /// Asks the hub for a channel at the next connection. `run` runs what calls its handlers.
    pub(crate) fn declare(
        &self,
        channel: &str,
        run: impl FnOnce(BoxFuture<'static, ()>) -> io::Result<()>,
    ) -> Result<Arc<Handlers>, SubscribeError> {
        let channel = ChannelName::new(channel)?;
        if channel.is_dead_letter() {
            return Err(SubscribeError::DeadLetters { channel });
        }
        let mut channels = self.channels.lock();
        let deliveries = self.client.subscribe(&channel)?;
        if let Some(handlers) = channels.get(&channel) {
            return Ok(handlers.clone());
        }
        let handlers = Handlers::new(channel.clone(), self.types.clone());
        if let Some(deliveries) = deliveries {
            let started = run(Box::pin(handlers.clone().run(deliveries)));
            started
                .map_err(|source| SubscribeError::Thread { channel: channel.clone(), source })?;
        }
        channels.insert(channel, handlers.clone());
        Ok(handlers)
    }

    /// The same, with a handler.
    pub(crate) fn subscribe(
        &self,
        channel: &str,
        handler: Handler,
        run: impl FnOnce(BoxFuture<'static, ()>) -> io::Result<()>,
    ) -> Result<(), SubscribeError> {
        self.declare(channel, run)?.add(handler);
        Ok(())
    }

    pub(crate) async fn publish(
        &self,
        channel: &str,
        message: Outgoing<'_>,
    ) -> Result<Receipt, PublishError> {
        let channel = ChannelName::new(channel)?;
        if let Some(of) = channel.dead_letter_of() {
            return Err(PublishError::ReservedChannelName { channel, of });
        }
        if self.client.is_closed() {
            return Err(PublishError::Closed);
        }
        let message = message
            .seal(&self.defaults)
            .map_err(|error| PublishError::unsealed(&channel, error))?;
        let record = record_of(&message.record(&self.config.name, clock::now()))?;
        self.client.publish(&channel, record).await?;
        Ok(Receipt { id: message.message_id().to_string() })
    }

    /// Ends everything; resolves when the connection has ended.
    pub(crate) fn close(&self) -> impl Future<Output = ()> + use<> {
        let ended = self.client.close();
        let channels: Vec<Arc<Handlers>> = self.channels.lock().values().cloned().collect();
        channels.iter().for_each(|handlers| handlers.close());
        ended
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.close());
    }
}
