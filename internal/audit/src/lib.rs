//! The audit log: who connected, who was refused, and what crossed the links.
//!
//! ```text
//!   links ──Event──▶ AuditLog ──queue──▶ one thread ──▶ audit/audit.jsonl ──▶ .1 ──▶ .2 … .N
//!                       ╰─ full: dropped, counted                │
//!                                                                ╰──▶ Reader ──▶ pubsub audit
//! ```
//!
//! The rule that makes it work: nobody who delivers messages waits for it. [`AuditLog::log`] puts an
//! event into a bounded queue, or counts it as dropped; everything else, down to the spelling of the
//! line, is done by a thread of its own. What was dropped is told in the log itself as soon as it
//! can be written again.
//!
//! The lines are the predecessor's. What was written survives the end of the process; it is never
//! synced, so a power cut can take what the system had not yet written back. A torn or damaged line
//! costs itself, and no other.

mod event;
mod files;
mod filter;
mod ids;
mod line;
mod log;
mod queue;
mod reader;
mod rotation;

pub use event::{
    Attempt, Direction, Event, EventKind, Messages, Peer, TEXT_MAX_BYTES, UnknownEvent,
};
pub use filter::{ChannelPattern, Filter};
pub use ids::Ids;
pub use line::Line;
pub use log::{AuditLog, NotWritten, Stats};
pub use reader::{Found, Piece, Reader};
pub use rotation::Limits;

/// The directory of the audit log, in the data directory.
pub const DIRECTORY: &str = "audit";
/// The file that is written. Finished ones have `.1` behind this, `.2`, and so on, the newest first.
pub const FILE: &str = "audit.jsonl";
