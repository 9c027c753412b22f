//! What a channel holds and has done, in figures.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use pubsub_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;

/// What a channel holds, and what it has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelStats {
    /// Sequence of the first message that was not trimmed.
    pub first_seq: u64,
    /// Sequence of the last message; 0 when there was none yet.
    pub last_seq: u64,
    /// Messages that are not deleted.
    pub messages: u64,
    /// Bytes of their records on disk; estimated where some of a segment were deleted.
    pub bytes: u64,
    /// Segment files, the active one included.
    pub segments: u64,
    /// File of the active segment, in the channel's directory.
    pub active_file: String,
    /// Time of the newest message that a file holds; `None` when there is none.
    pub last_time: Option<Timestamp>,
    /// Bytes of memory that indexes and the newest batches take.
    pub memory_bytes: u64,
    /// Records that wait to be written, in bytes.
    pub waiting_bytes: u64,
    /// Messages taken in since the channel was opened.
    pub appended: u64,
    /// Writes of one or more batches.
    pub writes: u64,
    /// `fdatasync` calls on segments.
    pub syncs: u64,
    /// Writes that failed.
    pub write_failures: u64,
    /// Syncs that failed.
    pub sync_failures: u64,
    /// Segments that were ended.
    pub rolled: u64,
    /// Gaps that readers were told of.
    pub gaps: u64,
    /// Times that a limit deleted messages.
    pub limit_deletes: u64,
    /// Segments that were written again without what was deleted of them.
    pub compacted: u64,
}

impl Channel {
    /// What the channel holds now, and what it has done since it was opened.
    #[must_use]
    pub fn stats(&self) -> ChannelStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let waiting_bytes = self.state.lock().waiting_bytes as u64;
        let contents = self.contents.read();
        let active = &contents.active;
        let newest = if active.messages > 0 {
            Some(active.last_time)
        } else {
            let holding = contents.sealed.iter().rev().find(|sealed| sealed.info.messages > 0);
            holding.map(|sealed| sealed.info.last_time)
        };
        let sealed: usize = contents.sealed.iter().map(|sealed| sealed.index_memory()).sum();
        let memory = sealed + active.index.memory_bytes() + contents.tail.bytes();
        ChannelStats {
            first_seq: contents.first_seq,
            last_seq: contents.next_seq - 1,
            messages: contents.messages,
            bytes: contents.bytes,
            segments: contents.sealed.len() as u64 + 1,
            active_file: active.info.file.clone(),
            last_time: newest,
            memory_bytes: memory as u64,
            waiting_bytes,
            appended: read(&counters.appended),
            writes: read(&counters.writes),
            syncs: read(&counters.syncs),
            write_failures: read(&counters.write_failures),
            sync_failures: read(&counters.sync_failures),
            rolled: read(&counters.rolled),
            gaps: read(&counters.gaps),
            limit_deletes: read(&counters.limit_deletes),
            compacted: read(&counters.compacted),
        }
    }

    /// The channel's directory, from the data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.dir
    }

    /// Whether the channel was closed or removed; nothing comes any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}
