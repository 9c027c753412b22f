//! Records and batches to bytes and back, binary and JSONL. No files here.
//!
//! ```text
//!   NewRecord ──▶ Batch ──▶ bytes of one group commit ──▶ RecordRef, each verified by itself
//!                  │
//!                  ├ binary  64 B header, then records of 32 B + body, 8-aligned
//!                  └ JSONL   one line a record, nothing around it
//! ```
//!
//! The rule that makes it work: a record proves itself. Its checksum covers its length and is seeded
//! with the log and segment it belongs to, so a reader can start at any record, a damaged length
//! hides nothing behind it, and stale bytes of another file never pass.

mod batch;
pub mod binary;
pub mod control;
mod envelope;
pub mod jsonl;
mod line;
mod meta;
mod record;
mod source;

pub use batch::{Batch, BatchLimits, Entry, Place, TooLarge};
pub use meta::{MEMBERS_MAX_BYTES, MessageId, Meta, MetaTooLong};
pub use record::{Kind, NewRecord, Record, RecordRef};
pub use source::{NotARouteName, Route, RouteBuf, Source};
