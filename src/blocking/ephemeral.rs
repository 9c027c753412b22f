//! The messenger without files, for code without async.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::thread;

use futures_util::future::BoxFuture;
use pubsub_messenger::{Encode, IntoOutcome, Message, PayloadTypeAlreadyRegistered};
use pubsub_node::subscription::Handler;
use serde::de::DeserializeOwned;

use super::block_on;
use crate::context::{ContextExt, current_context, of_handler, overlay};
use crate::ephemeral::{
    BuildError, Builder, ConnectError, EphemeralConfig, Inner, PublishError, Receipt,
    SubscribeError,
};
use crate::outgoing::Outgoing;

/// A messenger without files, for code without async. Clones are the same messenger.
///
/// See [`crate::EphemeralMessenger`], whose methods these are.
#[derive(Clone, Debug)]
pub struct EphemeralMessenger {
    inner: Arc<Inner>,
}

impl EphemeralMessenger {
    /// What a messenger without files may be made of; end it with [`Builder::build_blocking`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(inner: Inner) -> Result<Self, BuildError> {
        let messenger = Self { inner: Arc::new(inner) };
        for channel in &messenger.inner.config.subscribe {
            messenger.inner.declare(channel, spawn)?;
        }
        Ok(messenger)
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

    /// See [`crate::EphemeralMessenger::register_payload_type`].
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

    /// Calls `handler` with every message of `channel`, one after the other, on a thread that the
    /// channel's handlers share; see [`crate::EphemeralMessenger::subscribe`].
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub fn subscribe<R: IntoOutcome>(
        &self,
        channel: &str,
        handler: impl Fn(Message) -> R + Send + Sync + 'static,
    ) -> Result<(), SubscribeError> {
        let subscribed = overlay(&current_context(), &self.inner.defaults);
        let handler = Arc::new(handler);
        let handler: Handler = Arc::new(move |message: Message| {
            let context = of_handler(&message, &subscribed);
            let handler = handler.clone();
            Box::pin(async move { context.sync_scope(|| handler(message).into_outcome()) })
        });
        self.inner.subscribe(channel, handler, spawn)
    }

    /// See [`crate::EphemeralMessenger::connect`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(&self) -> Result<(), ConnectError> {
        block_on(self.inner.client.connect())
    }

    /// Publishes `payload` to `channel` at the hub; see [`crate::EphemeralMessenger::publish`].
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn publish<P: Encode + ?Sized>(
        &self,
        channel: &str,
        payload_type: &str,
        payload: &P,
    ) -> Result<Receipt, PublishError> {
        self.publish_message(channel, Outgoing::new(payload_type, payload))
    }

    /// Publishes a message with all that an [`Outgoing`] may say.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn publish_message(
        &self,
        channel: &str,
        message: Outgoing<'_>,
    ) -> Result<Receipt, PublishError> {
        block_on(self.inner.publish(channel, message))
    }

    /// See [`crate::EphemeralMessenger::close`].
    pub fn close(&self) {
        block_on(self.inner.close());
    }
}

fn spawn(run: BoxFuture<'static, ()>) -> io::Result<()> {
    let name = "pubsub-handlers".to_owned();
    thread::Builder::new().name(name).spawn(move || block_on(run)).map(drop)
}
