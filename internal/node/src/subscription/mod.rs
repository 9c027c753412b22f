//! Subscribers: one task each, which does what its [`Delivery`](pubsub_messenger::Delivery) says.
//!
//! ```text
//!            ╭──────────────────────────── Task ───────────────────────────╮
//!   Reader ──▶ feed ──▶ Delivery ──▶ Sink: handler, or queue of a stream   │
//!            │             │  ╰────▶ burial in {channel}.dead-letter       │
//!            │             ╰───────▶ PositionFile                          │
//!            ╰──────────────────────────────────────────────────────────────╯
//! ```
//!
//! Everything of one subscriber happens in its task, handlers included: from the commit of a message to
//! its handler is one wake-up. So a handler that blocks its thread holds up its own subscriber and, on a
//! runtime of one thread, everybody; whoever must block does so in `spawn_blocking`, or subscribes
//! through the blocking face, which gives each subscriber a thread.

mod burial;
mod feed;
mod figures;
mod notices;
mod queue;
mod set;
mod sink;
mod task;

pub use figures::SubscriptionStats;
pub use queue::{AckedMessage, Messages};
pub use set::{Prepared, SubscribeError, Subscription, SubscriptionSettings, Subscriptions, Types};
pub use sink::{Handler, Sink};
