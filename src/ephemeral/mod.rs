//! A messenger without files: it publishes to a hub and hears what is published there.
//!
//! ```no_run
//! use pubsub::{EphemeralMessenger, Message};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let messenger = EphemeralMessenger::builder()
//!     .hub_addr("hub.example:7740")
//!     .name("till-7")
//!     .tls("till-7.crt", "till-7.key", "ca.crt")
//!     .build()?;
//! messenger.subscribe("prices", |message: Message| async move {
//!     println!("{:?}", message.json());
//! })?;
//! messenger.connect().await?;
//! messenger.publish("sales", "com.acme.Sale", &serde_json::json!({"cents": 250})).await?;
//! messenger.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! A publish comes back when the message is in the hub's log, as safe as the sync policy says that its
//! channel has there, or with [`PublishError::ConnectionLost`]. A message is sent once: when its
//! acknowledgement was lost with the connection, the hub may have it or not, and this messenger never
//! sends it again. Who publishes it again gives it an id of his own to know it by
//! ([`Publish::id`]).
//!
//! Handlers hear what is published at the hub from the connection on, and nothing from before it, nor
//! from between two connections. Nothing is kept for this messenger anywhere, so a handler that fails
//! has failed. Own messages do not come back.
//!
//! For a messenger that goes on while the hub is away, open a [`Messenger`](crate::Messenger) and list the
//! hub in its configuration.

mod builder;
mod error;
mod handlers;
mod messenger;
mod publish;

pub use builder::{Builder, EphemeralConfig};
pub use error::{BuildError, PublishError, SubscribeError};
pub use messenger::EphemeralMessenger;
pub use publish::{Publish, Receipt};
pub use pubsub_node::ephemeral::{ConnectError, Rejected};

pub(crate) use messenger::Inner;
