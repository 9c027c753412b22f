//! The subscribers of a node, each known by channel and id, so that nobody runs twice.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use pubsub_messenger::{PayloadTypeAlreadyRegistered, Registry, StartAt, SubscribeOptions};
use pubsub_storage::{Channel, ChannelError, PositionFile, Start};
use pubsub_types::{ChannelName, SubscriberId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::figures::{Figures, SubscriptionStats};
use super::sink::Sink;
use super::task::Task;
use crate::claims::{Claim, Claimant, Claimed};
use crate::{Node, clock};

/// What holds for all subscribers of a node.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionSettings {
    /// Time between two saves of a position; zero saves after each message.
    pub offset_flush_interval: Duration,
    /// Unread bytes of one subscriber that are worth a warning; 0 is none.
    pub lag_warning_bytes: u64,
    /// Time that handlers get to finish when their subscriber is stopped.
    pub grace: Duration,
}

impl Default for SubscriptionSettings {
    fn default() -> Self {
        Self {
            offset_flush_interval: Duration::ZERO,
            lag_warning_bytes: 512 << 20,
            grace: Duration::from_secs(10),
        }
    }
}

/// The payload types that are registered now; types may be added while messages are delivered.
#[derive(Debug, Default)]
pub struct Types(RwLock<Arc<Registry>>);

impl Types {
    /// The types that are registered now.
    #[must_use]
    pub fn current(&self) -> Arc<Registry> {
        self.0.read().clone()
    }

    /// Registers `T`, for messages that are read from now on.
    ///
    /// # Errors
    /// The type is registered already.
    pub fn register<T>(&self, payload_type: &str) -> Result<(), PayloadTypeAlreadyRegistered>
    where
        T: serde::de::DeserializeOwned + std::any::Any + Send + Sync,
    {
        Arc::make_mut(&mut self.0.write()).register::<T>(payload_type)
    }
}

/// A subscriber could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// Somebody reads as it already.
    #[error("{0}; stop that first, or use another id")]
    AlreadySubscribed(#[from] Claimed),
    /// The channel has no such subscriber.
    #[error("channel {channel} has no subscriber {id}")]
    NotSubscribed {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
    },
    /// The node stops.
    #[error("the node stops; nobody can subscribe any more")]
    Closed,
    /// The channel or the position could not be opened.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The position could not be read or removed.
    #[error("position of subscriber {id} of channel {channel}")]
    Position {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
        /// What the file system said.
        source: io::Error,
    },
}

type Key = (ChannelName, SubscriberId);

/// The subscribers of a node.
#[derive(Debug)]
pub struct Subscriptions {
    node: Arc<Node>,
    types: Arc<Types>,
    settings: SubscriptionSettings,
    active: Mutex<Active>,
}

#[derive(Debug, Default)]
struct Active {
    /// `None` while one is being opened.
    tasks: BTreeMap<Key, Option<Subscription>>,
    closed: bool,
}

impl Subscriptions {
    /// A node without subscribers yet.
    #[must_use]
    pub fn new(node: Arc<Node>, types: Arc<Types>, settings: SubscriptionSettings) -> Arc<Self> {
        Arc::new(Self { node, types, settings, active: Mutex::default() })
    }

    /// Opens channel and position of a new subscriber, whose messages nobody reads yet. Blocks.
    ///
    /// # Errors
    /// It runs already, or its files cannot be opened.
    pub fn prepare(
        self: &Arc<Self>,
        channel: &ChannelName,
        id: &SubscriberId,
        options: SubscribeOptions,
    ) -> Result<Prepared, SubscribeError> {
        let place = Place::take(self, channel, id)?;
        let log = self.node.channel(channel)?;
        let store = self.node.store();
        let is_new = store
            .position(channel, id)
            .map_err(|source| SubscribeError::Position {
                channel: channel.clone(),
                id: id.clone(),
                source,
            })?
            .is_none();
        let position = store.subscriber(&log, id, start_of(options.start))?;
        if is_new {
            // What is gone already was not missed by somebody who is only now beginning.
            position.set(position.seq().max(log.first_seq().saturating_sub(1)).min(log.last_seq()));
        }
        Ok(Prepared { place, log, position, options })
    }

    /// The subscriptions that run, sorted by channel and id.
    #[must_use]
    pub fn running(&self) -> Vec<Subscription> {
        self.active.lock().tasks.values().flatten().cloned().collect()
    }

    /// The subscription of this name, while it runs.
    #[must_use]
    pub fn get(&self, channel: &ChannelName, id: &SubscriberId) -> Option<Subscription> {
        self.active.lock().tasks.get(&(channel.clone(), id.clone())).cloned().flatten()
    }

    /// Stops a subscriber, if it runs, and forgets its position.
    ///
    /// # Errors
    /// There is neither, or the position could not be removed.
    pub async fn forget(
        self: &Arc<Self>,
        channel: &ChannelName,
        id: &SubscriberId,
    ) -> Result<(), SubscribeError> {
        let running = self.get(channel, id);
        if let Some(running) = &running {
            running.stop().await;
        }
        let place = Place::take(self, channel, id)?;
        let found = place.set.node.store().forget(channel, id).map_err(|source| {
            SubscribeError::Position { channel: channel.clone(), id: id.clone(), source }
        })?;
        if !found && running.is_none() {
            return Err(SubscribeError::NotSubscribed { channel: channel.clone(), id: id.clone() });
        }
        Ok(())
    }

    /// Stops every subscriber and starts no more; comes back when all have ended.
    pub async fn stop_all(&self) {
        self.cancel_all();
        let running = self.running();
        join_all(running.iter().map(Subscription::stop)).await;
    }

    /// Tells every subscriber to stop, and starts no more.
    pub fn cancel_all(&self) {
        self.active.lock().closed = true;
        for running in self.running() {
            running.cancel();
        }
    }
}

/// A subscriber's place in the set, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    set: Arc<Subscriptions>,
    key: Key,
    _claim: Claim,
}

impl Place {
    fn take(
        set: &Arc<Subscriptions>,
        channel: &ChannelName,
        id: &SubscriberId,
    ) -> Result<Self, SubscribeError> {
        let key = (channel.clone(), id.clone());
        let mut active = set.active.lock();
        if active.closed {
            return Err(SubscribeError::Closed);
        }
        let claim = set.node.claims().take(channel, id, Claimant::embedded())?;
        active.tasks.insert(key.clone(), None);
        drop(active);
        Ok(Self { set: set.clone(), key, _claim: claim })
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.set.node
    }

    pub(super) fn types(&self) -> &Types {
        &self.set.types
    }

    pub(super) fn settings(&self) -> &SubscriptionSettings {
        &self.set.settings
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.set.active.lock().tasks.remove(&self.key);
    }
}

/// A subscriber whose files are open and that does not run yet.
#[derive(Debug)]
pub struct Prepared {
    pub(super) place: Place,
    pub(super) log: Arc<Channel>,
    pub(super) position: Arc<PositionFile>,
    pub(super) options: SubscribeOptions,
}

impl Prepared {
    /// The subscription, and the task that must be run for it. Needs a tokio runtime with time; ends
    /// when the subscription is stopped.
    pub fn start(self, sink: Sink) -> (Subscription, impl Future<Output = ()> + Send + use<>) {
        let (ended, end) = watch::channel(());
        let shared = Arc::new(Shared {
            position: self.position.clone(),
            log: self.log.clone(),
            figures: Mutex::default(),
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
            grace: self.place.settings().grace,
        });
        let subscription = Subscription { shared: shared.clone(), end };
        let mut active = self.place.set.active.lock();
        active.tasks.insert(self.place.key.clone(), Some(subscription.clone()));
        if active.closed {
            subscription.cancel();
        }
        drop(active);
        let task = Task::new(self, sink, shared);
        (subscription, async move {
            task.run().await;
            drop(ended);
        })
    }
}

/// What the task shares with those who hold its subscription.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) position: Arc<PositionFile>,
    pub(super) log: Arc<Channel>,
    pub(super) figures: Mutex<Figures>,
    pub(super) stop: CancellationToken,
    pub(super) abandon: CancellationToken,
    grace: Duration,
}

/// A running subscriber. Dropping this does not stop it.
#[derive(Clone, Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    end: watch::Receiver<()>,
}

impl Subscription {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        self.shared.position.channel()
    }

    /// The subscriber's id.
    #[must_use]
    pub fn id(&self) -> &SubscriberId {
        self.shared.position.id()
    }

    /// Tells it to stop, without waiting for it.
    pub fn cancel(&self) {
        self.shared.stop.cancel();
    }

    /// Stops it and waits until it has ended. Handlers that run may finish within the node's grace
    /// period and are dropped then; whatever was not dealt with comes again after the next start.
    ///
    /// Must not be awaited by its own handler, which would wait for itself: use [`Self::cancel`].
    pub async fn stop(&self) {
        self.cancel();
        if tokio::time::timeout(self.shared.grace, self.ended()).await.is_err() {
            self.shared.abandon.cancel();
            self.ended().await;
        }
    }

    /// Waits until it has ended, for whatever reason.
    pub async fn ended(&self) {
        let mut end = self.end.clone();
        while end.changed().await.is_ok() {}
    }

    /// What it has done, and what it has before it.
    #[must_use]
    pub fn stats(&self) -> SubscriptionStats {
        let Shared { position, log, figures, .. } = &*self.shared;
        let figures = figures.lock().clone();
        let seq = position.seq();
        let since_start = clock::since_start();
        SubscriptionStats {
            channel: self.channel().clone(),
            id: self.id().clone(),
            position: seq,
            saved_position: position.written_seq(),
            lag_bytes: log.bytes_after(seq),
            lag_messages: log.last_seq().saturating_sub(seq),
            oldest_pending: figures.oldest_pending,
            delivery: figures.delivery,
            consume: figures.consume.read(since_start),
            handler: figures.handler.read(since_start),
        }
    }
}

fn start_of(start: StartAt) -> Start {
    match start {
        StartAt::New => Start::New,
        StartAt::FromStart => Start::FromStart,
        StartAt::Last => Start::Last,
        StartAt::Since(time) => Start::Since(time),
        StartAt::After(seq) => Start::After(seq),
    }
}
