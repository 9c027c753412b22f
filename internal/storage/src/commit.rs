//! The committer: writes what waits, one round after the other, and says what became of it.
//!
//! ```text
//!   take ─▶ limits ─▶ roll? ─▶ seal ─▶ write ─▶ sync? ─▶ apply ─▶ acknowledge ─▶ wake readers
//!                                        ╰── failed ─▶ nobody is told "stored"; a fresh segment begins
//! ```
//!
//! There is one committer per channel at a time: whoever set `busy`. Only it changes the contents.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use pubsub_envelope::{Place as BatchPlace, binary::Seed};
use pubsub_types::SyncPolicy;

use crate::channel::{Channel, Pending, count};
use crate::contents::Mark;
use crate::error::CommitError;
use crate::job::Task;
use crate::recovery::describe;
use crate::scan::Encoding;

/// Bytes written in one round at most, so that the first waiter does not wait for all the others.
const ROUND_BYTES_MAX: usize = 4 << 20;

/// What a round could not do.
#[derive(Debug)]
pub(crate) struct Failure {
    what: &'static str,
    source: io::Error,
    /// The active segment can no longer be trusted.
    suspect: bool,
    by_sync: bool,
}

impl Failure {
    pub(crate) fn new(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { what, source, suspect: true, by_sync: false }
    }

    /// A sync that failed, for whatever reason: what it was for is lost or not, and another sync that
    /// succeeds proves nothing.
    pub(crate) fn sync(source: io::Error) -> Self {
        Self { what: "sync", source, suspect: true, by_sync: true }
    }

    /// A failure that leaves the active segment as good as it was.
    fn harmless(what: &'static str, source: io::Error) -> Self {
        Self { what, source, suspect: false, by_sync: false }
    }

    fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl Channel {
    /// Commits until nothing waits, at most `rounds` times; whether nothing waits any more.
    ///
    /// The caller must have set `busy`, and hands it on when this says no.
    pub(crate) fn drive(self: &Arc<Self>, rounds: usize) -> bool {
        for _ in 0..rounds {
            let (work, suspect) = {
                let mut state = self.state.lock();
                let work = state.take(ROUND_BYTES_MAX);
                if work.is_empty() && !state.suspect {
                    state.busy = false;
                    self.idle.notify_all();
                    return true;
                }
                (work, state.suspect)
            };
            let bytes = work.iter().map(|pending| pending.batch.bytes().len()).sum();
            let ready = if suspect { self.replace_suspect() } else { Ok(()) };
            let room = match ready {
                Ok(()) => self.round(work),
                Err(failure) => {
                    let failed = self.fail(work, &failure);
                    // Nobody to answer, and trying again at once would spin.
                    let mut state = self.state.lock();
                    if state.queue.is_empty() && state.open.batch.is_empty() {
                        state.busy = false;
                        self.idle.notify_all();
                        drop(state);
                        failed.into_iter().for_each(Waker::wake);
                        return true;
                    }
                    failed
                }
            };
            // What a segment that was begun made durable.
            self.publish_synced();
            let released = self.state.lock().release(bytes);
            room.into_iter().chain(released).for_each(Waker::wake);
        }
        false
    }

    /// Commits until nothing waits.
    pub(crate) fn drive_to_idle(self: &Arc<Self>) {
        while !self.drive(usize::MAX) {}
    }

    fn round(self: &Arc<Self>, mut work: Vec<Pending>) -> Vec<Waker> {
        if work.is_empty() {
            return Vec::new();
        }
        match self.write(&mut work) {
            Ok(written) => {
                self.accept(work, written);
                Vec::new()
            }
            Err(failure) => {
                let room = self.fail(work, &failure);
                // A write that found no room is written again at the same place.
                if failure.suspect && (failure.by_sync || !failure.is_full()) {
                    self.state.lock().suspect = true;
                    // At once, so that the next publisher finds a fresh segment.
                    if let Err(again) = self.replace_suspect() {
                        tracing::error!(channel = %self.name, what = again.what, error = %again.source, "no fresh segment could be begun; it is tried again with the next publish");
                    }
                }
                room
            }
        }
    }

    /// Writes `work`, and syncs it when the policy says so.
    fn write(self: &Arc<Self>, work: &mut [Pending]) -> Result<Written, Failure> {
        self.enforce_limits(work)
            .map_err(|error| Failure::harmless("look up subjects", io::Error::other(error)))?;
        self.roll_if_due(work)?;
        let (file, place, at, seed) = {
            let contents = self.contents.read();
            let active = &contents.active;
            let place = BatchPlace {
                index: contents.next_index,
                previous: active.previous,
                durable_index: active.durable.next_index - 1,
            };
            let seed = match contents.active_encoding() {
                Encoding::Binary(seed) => seed,
                Encoding::Jsonl | Encoding::Legacy { .. } => Seed::new(0, 0),
            };
            (active.file.clone(), place, active.end, seed)
        };
        let mut place = place;
        let mut headers = Vec::with_capacity(work.len());
        for pending in work.iter_mut() {
            place.previous = pending.batch.seal(seed, place);
            headers.push(place.previous);
            place.index += pending.batch.entries().len() as u64;
        }
        let parts: Vec<IoSlice<'_>> =
            work.iter().map(|pending| IoSlice::new(pending.batch.bytes())).collect();
        count(&self.counters.writes);
        if let Err(error) = file.write_at(&parts, at) {
            count(&self.counters.write_failures);
            // What was written of it must not be found by a later opening; should this fail too, the
            // next batch is written over it, or it is cut as a torn end.
            let _cut = file.set_len(at);
            return Err(Failure::new("write")(error));
        }
        if self.config.sync == SyncPolicy::Always {
            count(&self.counters.syncs);
            file.sync().map_err(|source| {
                count(&self.counters.sync_failures);
                Failure::sync(source)
            })?;
        }
        Ok(Written { at, headers })
    }

    /// Makes what was written visible, and acknowledges it.
    fn accept(&self, work: Vec<Pending>, written: Written) {
        let mut at = written.at;
        let mut outcomes = Vec::with_capacity(work.len());
        let mut contents = self.contents.write();
        for (pending, header) in work.into_iter().zip(written.headers) {
            contents.apply(pending.batch, at, header);
            at = contents.active.end;
            outcomes.push(pending.outcome);
        }
        if self.config.sync == SyncPolicy::Always {
            contents.active.durable = contents.mark();
        }
        self.deletes_version.store(contents.deletes_version, Ordering::Release);
        self.last_seq.store(contents.next_seq - 1, Ordering::Release);
        let synced = self.note_synced(&contents);
        drop(contents);
        for outcome in outcomes {
            outcome.resolve(Ok(()));
        }
        self.wake_watchers();
        if synced {
            self.wake_sync_watchers();
        }
    }

    /// Tells everybody who waits that nothing of theirs was stored.
    fn fail(&self, work: Vec<Pending>, failure: &Failure) -> Vec<Waker> {
        let source = Arc::new(io::Error::new(failure.source.kind(), failure.source.to_string()));
        let channel = self.name.clone();
        let error = if failure.is_full() {
            CommitError::Full { channel, source }
        } else {
            CommitError::Device { channel, what: failure.what, source }
        };
        tracing::error!(channel = %self.name, what = failure.what, error = %failure.source, "messages were not stored");
        let next_seq = self.contents.read().next_seq;
        let (waiting, room) = self.state.lock().reset(next_seq);
        for pending in work {
            pending.outcome.resolve(Err(error.clone()));
        }
        for outcome in waiting {
            outcome.resolve(Err(CommitError::Predecessor(self.name.clone())));
        }
        room
    }

    /// Makes durable what was written until now.
    pub(crate) fn sync_written(self: &Arc<Self>) {
        // One at a time: of two, one may be told of the failure, and the other that all is well.
        let _alone = self.syncing.lock();
        if self.state.lock().suspect {
            return;
        }
        let (file, first_index, mark) = {
            let contents = self.contents.read();
            let active = &contents.active;
            if active.durable == contents.mark() {
                return;
            }
            (active.file.clone(), active.info.first_index, contents.mark())
        };
        count(&self.counters.syncs);
        match file.sync() {
            Ok(()) => self.note_durable(first_index, mark),
            Err(error) => {
                count(&self.counters.sync_failures);
                tracing::error!(channel = %self.name, %error, "sync failed; what was acknowledged since the last one is written again to a fresh segment");
                let mut state = self.state.lock();
                state.suspect = true;
                // Who closes the channel repairs it, too.
                let start = !state.busy && !state.closed;
                state.busy |= start;
                drop(state);
                if start {
                    self.submit(Task::Commit);
                }
            }
        }
    }

    /// Takes over the committer's place when the segment is suspect; whether it is.
    pub(crate) fn begin_repair(&self) -> bool {
        let mut state = self.state.lock();
        state.busy |= state.suspect;
        state.suspect
    }

    fn note_durable(&self, first_index: u64, mark: Mark) {
        let mut contents = self.contents.write();
        let active = &mut contents.active;
        // A segment that was sealed meanwhile was synced before that.
        if active.info.first_index == first_index && active.durable.next_index <= mark.next_index {
            active.durable = mark;
        }
        drop(contents);
        self.publish_synced();
    }

    /// Makes durable what is committed now; whether it is.
    pub(crate) fn sync_to_here(self: &Arc<Self>) -> bool {
        let here = self.marks().0.next_index;
        self.sync_written();
        self.marks().1.next_index >= here
    }

    /// Notes in the manifest what is durable, after making it so.
    pub(crate) fn mark_durable(self: &Arc<Self>) {
        self.sync_written();
        if let Err(error) = self.store_manifest(false) {
            tracing::warn!(channel = %self.name, %error, "the manifest was not written; it is tried again");
        }
    }

    pub(crate) fn store_manifest(&self, clean: bool) -> io::Result<()> {
        let mut state = self.manifest.lock();
        let mut manifest = state.manifest.clone();
        describe(&mut manifest, &self.contents.read());
        manifest.clean = clean;
        if manifest == state.manifest {
            return Ok(());
        }
        state.file.store(self.place(), &manifest)?;
        state.manifest = manifest;
        Ok(())
    }
}

/// Where a round was written.
struct Written {
    at: u64,
    /// Checksum of each batch's header.
    headers: Vec<u32>,
}
