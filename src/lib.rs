//! A messenger that keeps every message in files you can read.
//!
//! ```no_run
//! use pubsub::{Message, Messenger};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let messenger = Messenger::open("data").await?;
//! messenger
//!     .subscribe("orders", "billing", |message: Message| async move {
//!         println!("{}", message.json().ok_or("not JSON")?["id"]);
//!         Ok::<(), &str>(())
//!     })
//!     .await?;
//! messenger.publish("orders", "com.acme.Order", &serde_json::json!({"id": 7})).await?;
//! messenger.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A publish comes back when the message is as safe as the channel's [`SyncPolicy`] says. Every
//! subscriber has a name and a position of its own, gets every message at least once and in order, and
//! goes on where it was after a restart. What a handler cannot deal with is tried again, and in the end
//! kept in `{channel}.dead-letter`. Everything is in one directory, which belongs to one process at a
//! time.
//!
//! # Runtime
//! The library runs on the tokio runtime it is opened in, of one thread or many, with time enabled
//! (`enable_all` or `enable_time`). The subscribers are tasks of that runtime; publishing works from
//! any other one too. Services without async use [`blocking`].

pub mod blocking;
mod builder;
mod context;
mod control;
pub mod ephemeral;
mod error;
mod inner;
mod messenger;
mod outgoing;
mod publish;
mod stats;

pub use builder::Builder;
pub use context::{ContextExt, current_context};
pub use ephemeral::{EphemeralConfig, EphemeralMessenger};
pub use error::{ErrorKind, OpenError, PublishError, ShutdownError, SubscribeError, Unbuilt};
pub use futures_util::Stream;
pub use messenger::Messenger;
pub use outgoing::{HeaderError, Outgoing};
pub use publish::{Publish, Receipt};
pub use pubsub_config::{self as config, Config, ConfigErrors, LoadError};
pub use pubsub_messenger::{
    BadDeadLetter, BoxError, Context, DEAD_LETTER_PAYLOAD_TYPE, DeadLetter, DecodeError,
    DeliveryStats, Encode, EncodeError, IntoOutcome, LatencyStats, Message, Outcome,
    PayloadTypeAlreadyRegistered, Raw, RetryLater, RetryPolicy, StartAt, SubscribeOptions,
};
pub use pubsub_node::subscription::{AckedMessage, Messages, Subscription, SubscriptionStats};
pub use pubsub_types::{
    ChannelName, DEAD_LETTER_SUFFIX, Filter, Format, InvalidChannelName, SubscriberId, SyncPolicy,
    Timestamp,
};
pub use stats::{ChannelStats, Diagnostics, Latency, Stats, SubscriberStats, Totals};

use std::path::Path;

/// Reads a configuration file, with `${VARIABLES}` from the environment, and fills in what only the
/// machine knows.
///
/// # Errors
/// The file cannot be read, or everything that is wrong with it.
pub fn load_config(path: impl AsRef<Path>) -> Result<Config, LoadError> {
    let mut config = Config::load(path.as_ref(), &|name| std::env::var(name).ok())?;
    config.apply_defaults(&pubsub_node::host_name());
    Ok(config)
}

/// Makes the data directory and the directories in it. [`Messenger::open`] does so by itself.
///
/// # Errors
/// One could not be made.
pub fn ensure_directories(config: &Config) -> std::io::Result<()> {
    pubsub_node::ensure_directories(&config.storage.data_dir)
}

/// Checks a channel's name: 1 to 243 characters of `A-Z a-z 0-9 . _ -`, without leading, trailing or
/// double dots.
///
/// # Errors
/// Says which rule the name breaks.
pub fn validate_channel_name(name: &str) -> Result<(), InvalidChannelName> {
    ChannelName::new(name).map(drop)
}
