//! A world that lies, from one seed: a disk that loses, tears, reorders and fails.
//!
//! ```text
//!             write        sync             power cut
//!   process ───────▶ cache ────▶ durable ◀─────────────╮
//!      ▲               │                   kept, lost or torn, each by itself
//!      ╰──── reads ────┴──── not synced ───────────────╯
//! ```
//!
//! [`SimDisk`] is a [`Disk`](pubsub_disk::Disk) for tests of whatever must survive: it stops at any
//! step, forgets what it never promised, and fails where it is told to. What it does *not* do is lie
//! about a sync that succeeded: what was synced stays, until a test damages it on purpose.
//!
//! [`conformance`] asks it, and every other disk, the questions that all must answer alike, so that
//! a lie is always about time and never about what a call means.

pub mod conformance;

mod content;
mod door;
mod fate;
mod fault;
mod pages;
mod pending;
mod ranges;
mod rng;
mod sim_disk;
mod trace;
mod tree;
mod world;

pub use fate::Survival;
pub use fault::{Corruption, Crashed, Fault, InFlight, Loss, Op, is_crash};
pub use rng::Rng;
pub use sim_disk::{Directories, SimDisk, Snapshot};
