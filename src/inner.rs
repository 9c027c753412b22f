//! What the async face and the blocking one share: a node, its subscribers, and what was published.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use pubsub_config::Config;
use pubsub_messenger::{Context, Histogram, RetryPolicy, SubscribeOptions};
use pubsub_node::link::{LinkSettings, Links, LinksError, forget_hubs};
use pubsub_node::subscription::{SubscriptionSettings, Subscriptions, Types};
use pubsub_node::{Node, clock, options};
use pubsub_storage::{AppendError, Channel, ChannelError};
use pubsub_types::{ChannelName, SubscriberId};

use crate::builder::Settings;
use crate::control::Control;
use crate::error::{OpenError, PublishError, ShutdownError, SubscribeError, Unbuilt};

/// An open messenger.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    /// Stamped where nothing else is.
    pub(crate) defaults: Context,
    pub(crate) node: Arc<Node>,
    pub(crate) types: Arc<Types>,
    pub(crate) subscriptions: Arc<Subscriptions>,
    /// Channels that were published to, so that the next publish finds them without a check.
    channels: RwLock<BTreeMap<ChannelName, Arc<Channel>>>,
    closed: AtomicBool,
    closing: Mutex<()>,
    control: Option<Control>,
    /// Hub and clients, where the configuration has them.
    pub(crate) links: Option<Arc<Links>>,
    pub(crate) published: Mutex<Published>,
}

/// What was published since the start.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) messages: u64,
    /// From the call to the commit. A batch is one observation.
    pub(crate) latency: Histogram,
}

impl Inner {
    /// Opens the data directory. Blocks.
    pub(crate) fn open(settings: Settings) -> Result<Arc<Self>, OpenError> {
        let Settings { mut config, ignore_unbuilt, service_name, grace, control } = settings;
        config.apply_defaults(&pubsub_node::host_name());
        config.validate()?;
        let unbuilt = config.unbuilt();
        if !unbuilt.is_empty() && !ignore_unbuilt {
            return Err(OpenError::Unbuilt(Unbuilt(unbuilt)));
        }
        let store_options = options::store_options(&config);
        let node = Node::start(&config.name, &config.storage.data_dir, store_options)?;
        let types = Arc::new(Types::default());
        let subscribers = SubscriptionSettings {
            offset_flush_interval: options::offset_flush_interval(&config),
            lag_warning_bytes: config.storage.max_subscriber_lag_mb.saturating_mul(1 << 20),
            grace,
        };
        let defaults = match service_name {
            Some(name) => Context::new().with_service_name(name),
            None => Context::new(),
        };
        let links = start_links(&node, &config)?;
        let control = if control { start_control(&node) } else { None };
        Ok(Arc::new(Self {
            defaults,
            control,
            links,
            subscriptions: Subscriptions::new(node.clone(), types.clone(), subscribers),
            types,
            node,
            config,
            channels: RwLock::default(),
            closed: AtomicBool::new(false),
            closing: Mutex::default(),
            published: Mutex::default(),
        }))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The address that the hub listens on.
    pub(crate) fn hub_addr(&self) -> Option<SocketAddr> {
        self.links.as_ref().and_then(|links| links.local_addr())
    }

    /// What a subscriber gets that chooses nothing.
    pub(crate) fn subscribe_options(&self, mut options: SubscribeOptions) -> SubscribeOptions {
        let config = &self.config.subscribers;
        options.retry = RetryPolicy {
            max_retries: config.max_retries,
            base: Duration::from_millis(config.retry_backoff_base_ms),
            max: Duration::from_millis(config.retry_backoff_max_ms),
        };
        options.max_age = (!config.max_age.is_zero()).then_some(config.max_age);
        options.strict = config.strict_payload_types;
        options
    }

    /// The channel to publish to, when it was published to before.
    ///
    /// Whoever gets `None` checks the name and opens it.
    pub(crate) fn known_channel(&self, name: &str) -> Result<Option<Arc<Channel>>, PublishError> {
        let known = self.channels.read().get(name).cloned();
        if known.is_some() && self.is_closed() {
            return Err(PublishError::Closed);
        }
        Ok(known)
    }

    /// Checks that one may publish to the channel of this name.
    pub(crate) fn check_channel(&self, name: &str) -> Result<ChannelName, PublishError> {
        let channel = ChannelName::new(name)?;
        if let Some(of) = channel.dead_letter_of() {
            return Err(PublishError::ReservedChannelName { channel, of });
        }
        if self.is_closed() {
            return Err(PublishError::Closed);
        }
        Ok(channel)
    }

    /// Opens the channel, or makes it. Blocks.
    pub(crate) fn open_channel(&self, name: &ChannelName) -> Result<Arc<Channel>, PublishError> {
        let channel = self.node.channel(name).map_err(|error| match error {
            ChannelError::Closed => PublishError::Closed,
            error => PublishError::Channel(error),
        })?;
        self.channels.write().insert(name.clone(), channel.clone());
        Ok(channel)
    }

    /// What to say of a publish that failed; `None` to try it again, as the channel was only replaced.
    pub(crate) fn publish_failed(
        &self,
        name: &str,
        error: pubsub_storage::PublishError,
    ) -> Option<PublishError> {
        let pubsub_storage::PublishError::Append(AppendError::Closed(_)) = &error else {
            return Some(error.into());
        };
        if self.is_closed() {
            return Some(PublishError::Closed);
        }
        // Removed and, it may be, made again since.
        self.channels.write().remove(name).is_none().then(|| error.into())
    }

    pub(crate) fn note_published(&self, messages: usize, since_start: Duration) {
        let now = clock::since_start();
        let mut published = self.published.lock();
        published.messages += messages as u64;
        published.latency.observe(now.saturating_sub(since_start), now);
    }

    /// Refuses what comes from now on.
    pub(crate) fn begin_shutdown(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Writes and closes everything. Blocks; a second call waits for the first.
    pub(crate) fn close(&self) -> Result<(), ShutdownError> {
        let _one_at_a_time = self.closing.lock();
        self.channels.write().clear();
        if let Some(control) = &self.control {
            control.stop();
        }
        if let Some(links) = &self.links {
            links.stop();
        }
        self.node
            .close()
            .map_err(|source| ShutdownError { data_dir: self.node.data_dir().to_owned(), source })
    }
}

impl Drop for Inner {
    /// Tells the subscribers to stop. The last of them closes the node.
    fn drop(&mut self) {
        self.subscriptions.cancel_all();
    }
}

/// The messenger does its work without the socket too, so that is no reason not to start.
fn start_control(node: &Arc<Node>) -> Option<Control> {
    let started = Control::start(node.clone());
    if let Err(error) = &started {
        let data_dir = node.data_dir().display();
        tracing::warn!(%data_dir, %error, "no control socket; the command line cannot reach this node");
    }
    started.ok()
}

fn start_links(node: &Arc<Node>, config: &Config) -> Result<Option<Arc<Links>>, LinksError> {
    let Some(settings) = LinkSettings::from_config(config)? else {
        forget_hubs(node);
        return Ok(None);
    };
    Links::start(node, settings).map(Some)
}

/// Checks the names of a subscriber and its channel.
pub(crate) fn check_subscriber(
    channel: &str,
    id: &str,
) -> Result<(ChannelName, SubscriberId), SubscribeError> {
    Ok((ChannelName::new(channel)?, SubscriberId::new(id)?))
}
