//! The channel log: what was acknowledged stays, whatever dies next.
//!
//! ```text
//!   append ──▶ commit pipeline ──write, sync──▶ segments          the truth
//!                                                  ╰──▶ indexes, checkpoints, manifest   conveniences
//! ```
//!
//! A [`Store`] is a data directory, a [`Channel`] one log in it, a [`Reader`] a position in that log.
//! Files are reached through `pubsub_disk::Disk` only, time is an argument, and threads are somebody
//! else's ([`Executor`]): so the simulator runs this very code and takes it apart at every step.

mod blocks;
mod channel;
mod commit;
mod compact;
mod config;
mod contents;
mod deletes;
mod epochs;
mod error;
mod expire;
mod follow;
pub mod index;
mod inspect;
mod job;
mod lag;
mod legacy;
mod limits;
mod manifest;
mod notes;
mod positions;
mod reader;
mod recovery;
mod report;
mod roll;
mod scan;
mod sealed;
mod stats;
mod store;
mod subjects;
mod synced;
mod tail;
mod ticket;
mod twin;
mod walk;

pub use channel::{Appended, BACKLOG_BYTES_MAX, Channel, Turn};
pub use config::{ChannelConfig, Chosen, Limits, RECORD_BYTES_MAX, Resolver, StoreOptions};
pub use error::{AppendError, ChannelError, CommitError, OpenError, PublishError, ReadError};
pub use follow::{FollowFrom, Followed, Follower};
pub use inspect::{
    Diagnosis, Inspected, Inspection, Problem, Progress, Severity, inspect, recorded_config,
};
pub use job::{Executor, Job};
pub use notes::{NOTE_DIRECTORIES, Note, Noted};
pub use positions::{Position, PositionFile};
pub use reader::{Item, Reader};
pub use report::Finding;
pub use stats::ChannelStats;
pub use store::{LAYOUT_VERSION, LOCK_FILE, NodeInfo, Start, Store};
pub use subjects::{FilterTotals, SubjectInfo};
pub use ticket::Ticket;
