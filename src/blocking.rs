//! The messenger for code without async.
//!
//! ```no_run
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let messenger = pubsub::blocking::Messenger::open("data")?;
//! messenger.subscribe("orders", "billing", |message: pubsub::Message| {
//!     println!("{:?}", message.json());
//! })?;
//! messenger.publish("orders", "com.acme.Order", &7)?;
//! messenger.shutdown()?;
//! # Ok(())
//! # }
//! ```
//!
//! A publish writes and, where the policy says so, syncs on the thread that calls it, together with
//! whatever other threads publish meanwhile. Each subscriber has a thread of its own, so handlers may
//! block. No runtime is needed, and it does no harm to call this from within one, except that it blocks.

mod ephemeral;

pub use ephemeral::EphemeralMessenger;

use std::any::Any;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};

use pubsub_config::Config;
use pubsub_envelope::NewRecord;
use pubsub_messenger::{
    Encode, IntoOutcome, Message, PayloadTypeAlreadyRegistered, SubscribeOptions,
};
use pubsub_node::clock;
use pubsub_node::subscription::{Handler, Sink, Subscription as Running};
use pubsub_storage::{AppendError, Appended};
use pubsub_types::Timestamp;
use serde::de::DeserializeOwned;

use crate::builder::Settings;
use crate::context::{ContextExt, current_context, of_handler, overlay};
use crate::error::{OpenError, PublishError, ShutdownError, SubscribeError};
use crate::inner::{Inner, check_subscriber};
use crate::outgoing::Outgoing;
use crate::publish::{Receipt, receipt, receipts, seal_all};
use crate::stats::{Diagnostics, Stats};
use crate::{Builder, stats};

/// An open data directory, for code without async. Clones are the same messenger.
///
/// See [`crate::Messenger`], whose methods these are.
#[derive(Clone, Debug)]
pub struct Messenger {
    inner: Arc<Inner>,
}

impl Messenger {
    /// See [`crate::Messenger::open`].
    ///
    /// # Errors
    /// See [`OpenError`]; the data directory is as it was.
    pub fn open(data_dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder().data_dir(data_dir.as_ref()).open_blocking()
    }

    /// What a messenger may be opened with; end it with [`Builder::open_blocking`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(settings: Settings) -> Result<Self, OpenError> {
        Ok(Self { inner: Inner::open(settings)? })
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

    /// See [`crate::Messenger::hub_addr`].
    #[must_use]
    pub fn hub_addr(&self) -> Option<SocketAddr> {
        self.inner.hub_addr()
    }

    /// See [`crate::Messenger::register_payload_type`].
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

    /// Publishes `payload` to `channel`; see [`crate::Messenger::publish`]. When the disk cannot keep
    /// up, this waits.
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
        if self.inner.known_channel(channel)?.is_none() {
            self.inner.check_channel(channel)?;
        }
        let message = message
            .seal(&self.inner.defaults)
            .map_err(|error| PublishError::unsealed(channel, error))?;
        let appended = self.append(channel, |origin, now| [message.record(origin, now)])?;
        Ok(receipt(&message, appended.first.get()))
    }

    /// See [`crate::Messenger::publish_batch`].
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn publish_batch<'a>(
        &self,
        channel: &str,
        messages: impl IntoIterator<Item = Outgoing<'a>>,
    ) -> Result<Vec<Receipt>, PublishError> {
        let messages = seal_all(&self.inner, channel, messages.into_iter().collect())?;
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let records = |origin, now| -> Vec<NewRecord<'_>> {
            messages.iter().map(|message| message.record(origin, now)).collect()
        };
        let appended = self.append(channel, records)?;
        Ok(receipts(&messages, &appended))
    }

    fn append<'r, R: AsRef<[NewRecord<'r>]>>(
        &'r self,
        name: &str,
        records: impl Fn(&'r str, Timestamp) -> R,
    ) -> Result<Appended, PublishError> {
        loop {
            let channel = match self.inner.known_channel(name)? {
                Some(channel) => channel,
                None => self.inner.open_channel(&self.inner.check_channel(name)?)?,
            };
            let started = clock::both();
            let records = records(&self.inner.config.name, started.wall);
            let error = match channel.append_blocking(records.as_ref()) {
                Ok(appended) => {
                    self.inner.note_published(records.as_ref().len(), started.since_start);
                    return Ok(appended);
                }
                Err(pubsub_storage::PublishError::Append(AppendError::Backlogged { .. })) => {
                    block_on(channel.room());
                    continue;
                }
                Err(error) => error,
            };
            if let Some(error) = self.inner.publish_failed(name, error) {
                return Err(error);
            }
        }
    }

    /// See [`crate::Messenger::subscribe_options`].
    #[must_use]
    pub fn subscribe_options(&self) -> SubscribeOptions {
        self.inner.subscribe_options(SubscribeOptions::default())
    }

    /// Calls `handler` with every message of `channel`, one after the other, on a thread of its own;
    /// see [`crate::Messenger::subscribe`].
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub fn subscribe<R: IntoOutcome>(
        &self,
        channel: &str,
        id: &str,
        handler: impl Fn(Message) -> R + Send + Sync + 'static,
    ) -> Result<Subscription, SubscribeError> {
        self.subscribe_with(channel, id, self.subscribe_options(), handler)
    }

    /// As [`Self::subscribe`], with these options.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub fn subscribe_with<R: IntoOutcome>(
        &self,
        channel: &str,
        id: &str,
        options: SubscribeOptions,
        handler: impl Fn(Message) -> R + Send + Sync + 'static,
    ) -> Result<Subscription, SubscribeError> {
        let (channel, id) = check_subscriber(channel, id)?;
        let prepared = self
            .inner
            .subscriptions
            .prepare(&channel, &id, options)
            .map_err(|error| SubscribeError::new(error, &channel, &id))?;
        let subscribed = overlay(&current_context(), &self.inner.defaults);
        let handler = Arc::new(handler);
        let handler: Handler = Arc::new(move |message: Message| {
            let context = of_handler(&message, &subscribed);
            let handler = handler.clone();
            Box::pin(async move { context.sync_scope(|| handler(message).into_outcome()) })
        });
        let files = |source| SubscribeError::Files {
            channel: channel.clone(),
            id: id.clone(),
            source: Box::new(source),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(files)?;
        let (running, task) = prepared.start(Sink::handler(handler));
        let name = format!("pubsub-{id}");
        let thread = thread::Builder::new().name(name).spawn(move || runtime.block_on(task));
        thread.map_err(files)?;
        Ok(Subscription { running })
    }

    /// Stops a subscriber and forgets its position; see [`crate::Messenger::unsubscribe`].
    ///
    /// # Errors
    /// There is no such subscriber, or its position could not be removed.
    pub fn unsubscribe(&self, channel: &str, id: &str) -> Result<(), SubscribeError> {
        let (channel, id) = check_subscriber(channel, id)?;
        let subscriptions = &self.inner.subscriptions;
        let running = subscriptions.get(&channel, &id);
        if let Some(running) = &running {
            running.cancel();
            block_on(running.ended());
        }
        match block_on(subscriptions.forget(&channel, &id)) {
            Err(pubsub_node::subscription::SubscribeError::NotSubscribed { .. })
                if running.is_some() =>
            {
                Ok(())
            }
            result => result.map_err(|error| SubscribeError::new(error, &channel, &id)),
        }
    }

    /// See [`crate::Messenger::stats`].
    #[must_use]
    pub fn stats(&self) -> Stats {
        stats::of(&self.inner)
    }

    /// See [`crate::Messenger::diagnostics`].
    #[must_use]
    pub fn diagnostics(&self, channel: &str, id: &str) -> Diagnostics {
        stats::diagnostics(&self.inner, channel, id)
    }

    /// Stops the subscribers, however long their handlers take, saves their positions, and syncs and
    /// closes the data directory. A second call waits for the first and does no harm.
    ///
    /// # Errors
    /// Something could not be written; everything is closed all the same.
    pub fn shutdown(&self) -> Result<(), ShutdownError> {
        self.inner.begin_shutdown();
        self.inner.subscriptions.cancel_all();
        for running in self.inner.subscriptions.running() {
            block_on(running.ended());
        }
        self.inner.close()
    }
}

/// A running subscriber. Dropping this does not stop it.
#[derive(Clone, Debug)]
pub struct Subscription {
    running: Running,
}

impl Subscription {
    /// Stops it and waits until it has ended, however long its handler takes. A handler tells its own
    /// subscriber to stop with [`Self::cancel`].
    pub fn stop(&self) {
        self.running.cancel();
        block_on(self.running.ended());
    }

    /// Tells it to stop, without waiting for it.
    pub fn cancel(&self) {
        self.running.cancel();
    }

    /// What it has done, and what it has before it.
    #[must_use]
    pub fn stats(&self) -> crate::SubscriptionStats {
        self.running.stats()
    }
}

/// Waits on this thread for a future that needs no runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            // May return early; then the future is only asked once more.
            Poll::Pending => thread::park(),
        }
    }
}
