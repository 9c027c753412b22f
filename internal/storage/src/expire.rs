//! Messages that expire one by one, each at its own time.
//!
//! A segment knows the earliest expiry in it. When that has come, the segment is read once, what has
//! expired is deleted by a recorded command, and the next earliest is noted. So a channel pays for
//! expiry in proportion to its segments, and nothing in memory for its messages.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pubsub_disk::File;
use pubsub_envelope::Kind;
use pubsub_envelope::control::{Control, Tombstone};
use pubsub_types::Timestamp;

use crate::channel::Channel;
use crate::contents::slot;
use crate::index::SlotSet;
use crate::scan::{Encoding, Found, SEQUENTIAL_BLOCK_BYTES, Scan};
use crate::subjects::{TOMBSTONE_RUNS_MAX, push_run};

/// Time between two passes over one segment, however many messages expire meanwhile.
const PASS_EVERY: Duration = Duration::from_secs(1);

/// A part of a file to be searched for what has expired.
struct Part {
    file: Arc<dyn File>,
    encoding: Encoding,
    at: u64,
    end: u64,
    first_seq: u64,
    deleted: SlotSet,
}

/// What a pass found.
#[derive(Default)]
struct Pass {
    expired: Vec<(u64, u64)>,
    /// Earliest expiry of what has not expired, or 0.
    next: i64,
}

impl Channel {
    /// Whether a message has expired by `now`, as far as is known without reading.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        let due = |nanos: i64| nanos != 0 && nanos <= now.as_nanos();
        let contents = self.contents.read();
        due(contents.active.next_expiry)
            || contents.sealed.iter().any(|sealed| due(sealed.next_expiry()))
    }

    /// Deletes what has expired by `now`.
    pub(crate) fn expire(self: &Arc<Self>, now: Timestamp) {
        let Some(_alone) = self.housekeeping.try_lock() else { return };
        if let Err(error) = self.expire_sealed(now).and_then(|()| self.expire_active(now)) {
            tracing::warn!(channel = %self.name, %error, "expired messages could not be looked for; it is tried again");
        }
    }

    fn expire_sealed(self: &Arc<Self>, now: Timestamp) -> io::Result<()> {
        let snapshot = self.contents.read().snapshot();
        for sealed in snapshot.sealed.iter() {
            let due = sealed.next_expiry();
            if due == 0 || due > now.as_nanos() {
                continue;
            }
            let info = &sealed.info;
            let part = Part {
                file: sealed.file(self.place())?,
                encoding: info.encoding(snapshot.log_id),
                at: info.written.header_bytes(),
                end: info.bytes,
                first_seq: info.first_seq,
                deleted: snapshot.deleted_in(sealed).clone(),
            };
            let pass = part.search(now)?;
            sealed.set_next_expiry(pass.next_look(now));
            self.delete_expired(pass.expired, now);
        }
        Ok(())
    }

    fn expire_active(self: &Arc<Self>, now: Timestamp) -> io::Result<()> {
        let part = {
            let mut contents = self.contents.write();
            let due = contents.active.next_expiry;
            if due == 0 || due > now.as_nanos() {
                return Ok(());
            }
            let encoding = contents.active_encoding();
            let active = &mut contents.active;
            // What is appended meanwhile notes its own expiry.
            active.next_expiry = 0;
            Part {
                file: active.file.clone(),
                encoding,
                at: active.info.written.header_bytes(),
                end: active.end,
                first_seq: active.info.first_seq,
                deleted: active.index.deletes().clone(),
            }
        };
        let first_seq = part.first_seq;
        let pass = part.search(now).inspect_err(|_| {
            self.contents.write().active.next_expiry = now.plus(PASS_EVERY).as_nanos();
        })?;
        {
            let mut contents = self.contents.write();
            let active = &mut contents.active;
            if active.info.first_seq == first_seq {
                active.next_expiry = earliest(active.next_expiry, pass.next_look(now));
            } else if let Some(sealed) =
                contents.sealed.iter().find(|sealed| sealed.info.first_seq == first_seq)
            {
                sealed.set_next_expiry(earliest(sealed.next_expiry(), pass.next_look(now)));
            }
        }
        self.delete_expired(pass.expired, now);
        Ok(())
    }

    fn delete_expired(self: &Arc<Self>, expired: Vec<(u64, u64)>, now: Timestamp) {
        for seqs in expired.chunks(TOMBSTONE_RUNS_MAX) {
            let tombstone = Control::Tombstone(Tombstone { seqs: seqs.to_vec() });
            let _ticket = self.append_control(&tombstone, now);
        }
    }
}

impl Part {
    fn search(self, now: Timestamp) -> io::Result<Pass> {
        let mut scan =
            Scan::new(self.file, self.encoding, self.at, self.end, SEQUENTIAL_BLOCK_BYTES);
        let mut pass = Pass::default();
        while let Some(found) = scan.next()? {
            let Found::Record { record, .. } = found else { continue };
            if record.kind != Kind::Message {
                continue;
            }
            let Some(expires) = record.meta().expires else { continue };
            let at = slot(self.first_seq, record.seq);
            if at.is_some_and(|at| self.deleted.contains(at)) {
                continue;
            }
            if expires <= now {
                push_run(&mut pass.expired, record.seq);
            } else {
                pass.next = earliest(pass.next, expires.as_nanos());
            }
        }
        Ok(pass)
    }
}

impl Pass {
    /// When to look again: at the next expiry, but soon when something was deleted, as the record that
    /// says so may fail to be written.
    fn next_look(&self, now: Timestamp) -> i64 {
        let soon = now.plus(PASS_EVERY).as_nanos();
        match (self.expired.is_empty(), self.next) {
            (true, next) => next.max(if next == 0 { 0 } else { soon }),
            (false, _) => soon,
        }
    }
}

/// The earlier of two times, of which 0 is none.
fn earliest(one: i64, other: i64) -> i64 {
    match (one, other) {
        (0, time) | (time, 0) => time,
        (one, other) => one.min(other),
    }
}
