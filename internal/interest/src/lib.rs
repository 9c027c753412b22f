//! Who wants this subject.
//!
//! ```text
//!   SUB, UNSUB,        ┌──────────┐  publish   ┌──────────┐  matches   ┌─────────┐
//!   interest of ─────▶ │ Interest │ ─────────▶ │ Snapshot │ ─────────▶ │ Matches │ ──▶ plain: all
//!   links              └──────────┘            └──────────┘      ▲     └─────────┘     groups: one each
//!                        one writer             any reader       │
//!                                                              Cache, one a thread
//! ```
//!
//! Subscriptions are kept as strings of bytes in a radix tree of which every snapshot shares all that
//! did not change. So a change costs the length of its filter and not the number of others; readers
//! take no lock; and two snapshots are compared by what differs.
//!
//! Nothing here reads a clock, draws a random number or waits: the choice of a member takes its
//! number from outside.
//!
//! ```
//! use std::sync::Arc;
//! use pubsub_interest::{Cache, CacheLimits, Place, Prefer, QueueGroup, Shared};
//! use pubsub_types::Filter;
//!
//! let interest = Arc::new(Shared::<u64>::default());
//! let orders = Filter::new("orders.*").unwrap();
//! let mail = QueueGroup::new("mail").unwrap();
//! interest.change(|interest| {
//!     interest.insert(&orders, None, 1, Place::Local);
//!     interest.insert(&orders, Some(mail), 2, Place::Local);
//!     interest.insert(&orders, Some(mail), 3, Place::Near { weight: 5 });
//! });
//!
//! let mut cache = Cache::new(interest, CacheLimits::default(), 42);
//! let matches = cache.matches("orders.eu");
//! assert_eq!(matches.plain(), [1]);
//! for group in matches.groups() {
//!     let first = group.choices(0xfeed_beef, Prefer::Nearest).next();
//!     assert_eq!(first.map(|member| member.subscriber), Some(2));
//! }
//! ```

mod arena;
mod cache;
mod changes;
mod cursor;
mod generations;
mod group;
mod interest;
mod key;
mod matches;
mod node;
mod overlap;
mod shared;
mod snapshot;
mod subscriber;
mod tree;
mod walk;

pub use cache::{Cache, CacheLimits, CacheStats};
pub use changes::{Change, Changes, Filters, Wanted};
pub use cursor::{Cursor, Subscription};
pub use group::{InvalidQueueGroup, Place, QUEUE_GROUP_MAX_BYTES, QueueGroup};
pub use interest::{Interest, Memory, Totals};
pub use matches::{Choices, Group, Matches, Member, Prefer};
pub use shared::{Latest, Shared};
pub use snapshot::Snapshot;
pub use subscriber::Subscriber;
pub use tree::Inserted;
