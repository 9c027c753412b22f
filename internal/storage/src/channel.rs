//! A channel: one log, with the doors through which it is written and read.
//!
//! ```text
//!   append ─▶ open batch ─▶ queue ─▶ committer: limits, roll, write, sync ─▶ contents ─▶ readers
//!    state (one short lock)          whoever finds the file idle             committed, and only that
//! ```
//!
//! Whoever finds the file idle writes what waits, so a lone publisher pays for one write and a
//! thousand of them share it. There are no timers and no lingering in between.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::{Condvar, Mutex, RwLock};
use pubsub_disk::Disk;
use pubsub_envelope::control::Control;
use pubsub_envelope::{Batch, BatchLimits, NewRecord};
use pubsub_types::{ChannelName, Format, Seq, SyncPolicy, Timestamp};
use uuid::Uuid;

use crate::compact::COMPACT_BYTES_MIN;
use crate::config::{ChannelConfig, StoreOptions};
use crate::contents::{Contents, Mark};
use crate::epochs::Epochs;
use crate::error::{AppendError, CommitError};
use crate::job::{Executor, Job, Task};
use crate::manifest::{Manifest, ManifestFile};
use crate::recovery::{Place, Recovered};
use crate::report::Finding;
use crate::synced::Watchers;
use crate::ticket::{Outcome, Ticket};

/// Bytes that may wait to be written to one channel. Beyond, publishers are told to slow down.
///
/// Thirty-two full batches: more would only make the last one wait longer.
pub const BACKLOG_BYTES_MAX: usize = 32 << 20;

/// Rounds that one caller of `append` writes for others before it hands the work over.
const INLINE_ROUNDS: usize = 8;

/// One log. Shared and thread-safe; every method may be called from anywhere.
pub struct Channel {
    pub(crate) name: ChannelName,
    pub(crate) dir: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    executor: Arc<dyn Executor>,
    pub(crate) config: ChannelConfig,
    /// Segments smaller than this are not compacted.
    pub(crate) compact_bytes_min: u64,
    pub(crate) state: Mutex<State>,
    /// Signalled when the committer has nothing more to do.
    pub(crate) idle: Condvar,
    pub(crate) contents: RwLock<Contents>,
    pub(crate) manifest: Mutex<ManifestState>,
    /// Held while the active segment is synced, until it is noted how that ended.
    pub(crate) syncing: Mutex<()>,
    /// Held while files are tidied.
    pub(crate) housekeeping: Mutex<()>,
    /// Sequence of the last committed message.
    pub(crate) last_seq: AtomicU64,
    /// Changes when something is deleted.
    pub(crate) deletes_version: AtomicU64,
    /// Sequence of the last message known to be synced.
    pub(crate) synced_seq: AtomicU64,
    pub(crate) log_id: Uuid,
    pub(crate) epochs: Epochs,
    watchers: Watchers,
    pub(crate) sync_watchers: Watchers,
    pub(crate) counters: Counters,
    findings: Mutex<Vec<Finding>>,
}

/// What waits to be written.
#[derive(Debug)]
pub(crate) struct State {
    /// Full batches, oldest first.
    pub(crate) queue: VecDeque<Pending>,
    /// The batch that the next append goes to.
    pub(crate) open: Pending,
    pub(crate) waiting_bytes: usize,
    /// Somebody writes.
    pub(crate) busy: bool,
    pub(crate) closed: bool,
    /// Closed, and all is written: jobs that still wait do nothing.
    pub(crate) retired: bool,
    /// A write or sync failed and the segment was not yet replaced.
    pub(crate) suspect: bool,
    /// Who waits for the backlog to shrink.
    room: Vec<Waker>,
    /// When the last record was appended, as its publisher says.
    pub(crate) touched: Timestamp,
    pub(crate) synced_at: Timestamp,
}

/// A batch, and who waits for it.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) outcome: Arc<Outcome>,
}

/// The manifest as it was last written.
#[derive(Debug)]
pub(crate) struct ManifestState {
    pub(crate) manifest: Manifest,
    pub(crate) file: ManifestFile,
}

/// Counts since the channel was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) write_failures: AtomicU64,
    pub(crate) sync_failures: AtomicU64,
    pub(crate) rolled: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) limit_deletes: AtomicU64,
    pub(crate) compacted: AtomicU64,
    /// Bytes of segment files that were removed.
    pub(crate) removed_bytes: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What an append did.
#[derive(Clone, Debug)]
pub struct Appended {
    /// Sequence of the first message.
    pub first: Seq,
    /// Sequence of the last message.
    pub last: Seq,
    /// Tells when they are committed.
    pub ticket: Ticket,
}

/// The turn to write what waits. While somebody has it, nobody else writes to the channel; dropped
/// unused, it goes to the executor.
#[derive(Debug)]
#[must_use = "what was appended waits until the turn is taken"]
pub struct Turn {
    channel: Option<Arc<Channel>>,
}

impl Turn {
    /// Writes what waits: here, or on the executor when the policy asks for a sync.
    pub fn take(mut self) {
        let Some(channel) = self.channel.take() else { return };
        if channel.config.sync == SyncPolicy::Always || !channel.drive(INLINE_ROUNDS) {
            channel.submit(Task::Commit);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            channel.submit(Task::Commit);
        }
    }
}

impl Channel {
    pub(crate) fn new(
        name: ChannelName,
        dir: PathBuf,
        disk: Arc<dyn Disk>,
        executor: Arc<dyn Executor>,
        options: &StoreOptions,
        recovered: Recovered,
    ) -> Arc<Self> {
        let Recovered { manifest, file, contents, findings } = recovered;
        let config = manifest.config.clone();
        let (log_id, epochs) = (manifest.log_id, manifest.epochs.clone());
        let next_seq = contents.next_seq;
        let synced_seq = contents.active.durable.next_seq - 1;
        Arc::new(Self {
            name,
            dir,
            disk,
            executor,
            state: Mutex::new(State::new(config.format, next_seq)),
            config,
            compact_bytes_min: options.compact_bytes_min.unwrap_or(COMPACT_BYTES_MIN),
            idle: Condvar::new(),
            contents: RwLock::new(contents),
            manifest: Mutex::new(ManifestState { manifest, file }),
            syncing: Mutex::default(),
            housekeeping: Mutex::default(),
            last_seq: AtomicU64::new(next_seq - 1),
            deletes_version: AtomicU64::new(0),
            synced_seq: AtomicU64::new(synced_seq),
            log_id,
            epochs,
            watchers: Watchers::default(),
            sync_watchers: Watchers::default(),
            counters: Counters::default(),
            findings: Mutex::new(findings),
        })
    }

    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// The channel's configuration.
    #[must_use]
    pub fn config(&self) -> &ChannelConfig {
        &self.config
    }

    /// What was found wrong with the channel's files since it was opened.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.lock().clone()
    }

    pub(crate) fn report(&self, finding: Finding) {
        let mut findings = self.findings.lock();
        if !findings.contains(&finding) {
            tracing::warn!(channel = %self.name, %finding, "channel files need attention");
            findings.push(finding);
        }
    }

    /// Sequence of the last committed message; 0 when there is none yet.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq.load(Ordering::Acquire)
    }

    /// Sequence of the first message that was not deleted with all before it; one more than
    /// [`Self::last_seq`] when there is none.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.contents.read().first_seq
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place { disk: &*self.disk, dir: &self.dir, name: &self.name }
    }

    /// Adds messages, in this order and with dense sequences, and gives back a ticket that tells when
    /// they are committed. They are committed whether or not anybody waits for the ticket.
    ///
    /// Under [`SyncPolicy::Always`] the write happens on the executor; otherwise here, when the file
    /// is idle, which takes as long as a copy to the page cache.
    ///
    /// # Errors
    /// One of the records is not acceptable, too much waits, or the channel is closed. None of the
    /// records was taken.
    pub fn append(self: &Arc<Self>, records: &[NewRecord<'_>]) -> Result<Appended, AppendError> {
        let (appended, start) = self.enqueue(records)?;
        if start && (self.config.sync == SyncPolicy::Always || !self.drive(INLINE_ROUNDS)) {
            self.submit(Task::Commit);
        }
        Ok(appended)
    }

    /// As [`Self::append`], but writes nothing yet: when the file is idle, the caller gets the turn to
    /// write, and may let others append first, who are then written with the same call.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_later(
        self: &Arc<Self>,
        records: &[NewRecord<'_>],
    ) -> Result<(Appended, Option<Turn>), AppendError> {
        let (appended, start) = self.enqueue(records)?;
        Ok((appended, start.then(|| Turn { channel: Some(self.clone()) })))
    }

    /// As [`Self::append`], but does the writing and syncing on this thread when the file is idle, and
    /// blocks until the records are committed.
    ///
    /// # Errors
    /// As [`Self::append`], or what kept the records from being committed.
    pub fn append_blocking(
        self: &Arc<Self>,
        records: &[NewRecord<'_>],
    ) -> Result<Appended, crate::PublishError> {
        let (appended, start) = self.enqueue(records)?;
        if start && !self.drive(INLINE_ROUNDS) {
            self.submit(Task::Commit);
        }
        appended.ticket.wait()?;
        Ok(appended)
    }

    fn enqueue(
        self: &Arc<Self>,
        records: &[NewRecord<'_>],
    ) -> Result<(Appended, bool), AppendError> {
        let limit = self.config.max_record_bytes;
        for record in records {
            let len = (record.headers.len() + record.payload.len()) as u64;
            if len > limit {
                let channel = self.name.clone();
                return Err(AppendError::MessageTooLarge { channel, len, limit });
            }
        }
        let mut state = self.state.lock();
        if state.closed {
            return Err(AppendError::Closed(self.name.clone()));
        }
        if state.waiting_bytes > BACKLOG_BYTES_MAX {
            let waiting_bytes = state.waiting_bytes;
            return Err(AppendError::Backlogged { channel: self.name.clone(), waiting_bytes });
        }
        let first = state.open.batch.next_seq();
        state.push_all(&self.name, records)?;
        if let Some(record) = records.last() {
            state.touched = state.touched.max(record.time);
        }
        let last = state.open.batch.next_seq() - 1;
        let ticket = Ticket::new(&state.open.outcome);
        let start = !state.busy && !state.open.batch.is_empty();
        state.busy |= start;
        drop(state);
        self.counters.appended.fetch_add(records.len() as u64, Ordering::Relaxed);
        let number = crate::contents::seq;
        Ok((Appended { first: number(first), last: number(last), ticket }, start))
    }

    /// Logs something that is not a message. It is applied when it is committed.
    pub(crate) fn append_control(self: &Arc<Self>, control: &Control, now: Timestamp) -> Ticket {
        let payload = control.payload();
        let record = NewRecord { time: now, payload: &payload, ..NewRecord::default() };
        let mut state = self.state.lock();
        if state.closed {
            let outcome = Outcome::new();
            outcome.resolve(Err(CommitError::Closed(self.name.clone())));
            return Ticket::new(&outcome);
        }
        let pushed = state.open.batch.push_control(self.name.as_str(), control.kind(), &record);
        debug_assert!(pushed.is_ok(), "a control record is small");
        let ticket = Ticket::new(&state.open.outcome);
        let start = !state.busy;
        state.busy |= start;
        drop(state);
        if start {
            self.submit(Task::Commit);
        }
        ticket
    }

    /// Resolves when the backlog has room again.
    pub fn room(&self) -> impl Future<Output = ()> + '_ {
        std::future::poll_fn(move |context| {
            let mut state = self.state.lock();
            if state.closed || state.waiting_bytes <= BACKLOG_BYTES_MAX {
                return std::task::Poll::Ready(());
            }
            state.room.push(context.waker().clone());
            std::task::Poll::Pending
        })
    }

    /// Whether nothing may be written any more: its directory may be another's by now.
    pub(crate) fn is_retired(&self) -> bool {
        self.state.lock().retired
    }

    pub(crate) fn submit(self: &Arc<Self>, task: Task) {
        self.executor.submit(Job::channel(self.clone(), task));
    }

    /// Registers who wants to know when something is committed after `seq`; true when something is
    /// already, and nobody was registered.
    pub(crate) fn watch(&self, seq: u64, waker: &Waker) -> bool {
        if self.last_seq() > seq {
            return true;
        }
        self.watchers.add(waker);
        // What was committed in between woke nobody.
        self.last_seq() > seq
    }

    pub(crate) fn wake_watchers(&self) {
        self.watchers.wake_all();
    }

    /// Where the log ends, and up to where it is known to be synced.
    pub(crate) fn marks(&self) -> (Mark, Mark) {
        let contents = self.contents.read();
        (contents.mark(), contents.active.durable)
    }
}

impl State {
    fn new(format: Format, next_seq: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            open: Pending::new(format, next_seq),
            waiting_bytes: 0,
            busy: false,
            closed: false,
            retired: false,
            suspect: false,
            room: Vec::new(),
            touched: Timestamp(0),
            synced_at: Timestamp(0),
        }
    }

    /// Encodes `records`, all or none of them.
    fn push_all(
        &mut self,
        channel: &ChannelName,
        records: &[NewRecord<'_>],
    ) -> Result<(), AppendError> {
        let limits = BatchLimits::default();
        let (queued, in_open, bytes) =
            (self.queue.len(), self.open.batch.entries().len(), self.waiting_bytes);
        for record in records {
            if !self.open.batch.has_room(limits) {
                self.close_open();
            }
            if self.open.batch.is_empty() {
                // Room for one, so that a lone message takes one allocation and no more than it needs.
                self.open.batch.reserve_for(record);
            }
            let before = self.open.batch.bytes().len();
            // The channel's own name is understood, and not stored with every message.
            let own = record.subject == channel.as_str();
            let record = NewRecord { subject: if own { "" } else { record.subject }, ..*record };
            if let Err(error) = self.open.batch.push_message(channel.as_str(), &record) {
                self.undo(queued, in_open, bytes);
                return Err(error.into());
            }
            self.waiting_bytes += self.open.batch.bytes().len() - before;
        }
        Ok(())
    }

    fn undo(&mut self, queued: usize, in_open: usize, bytes: usize) {
        while self.queue.len() > queued {
            if let Some(last) = self.queue.pop_back() {
                self.open = last;
            }
        }
        self.open.batch.truncate(in_open);
        self.waiting_bytes = bytes;
    }

    /// Starts a new open batch; the old one joins the queue.
    fn close_open(&mut self) {
        let next = Pending::new(self.open.batch.format(), self.open.batch.next_seq());
        self.queue.push_back(std::mem::replace(&mut self.open, next));
    }

    /// Takes what waits, up to `max_bytes` but at least one batch, oldest first.
    pub(crate) fn take(&mut self, max_bytes: usize) -> Vec<Pending> {
        if !self.open.batch.is_empty() {
            self.close_open();
        }
        let mut work: Vec<Pending> = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.queue.front() {
            bytes += next.batch.bytes().len();
            if !work.is_empty() && bytes > max_bytes {
                break;
            }
            work.extend(self.queue.pop_front());
        }
        work
    }

    /// Counts `bytes` as no longer waiting.
    pub(crate) fn release(&mut self, bytes: usize) -> Vec<Waker> {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        if self.waiting_bytes <= BACKLOG_BYTES_MAX / 2 {
            std::mem::take(&mut self.room)
        } else {
            Vec::new()
        }
    }

    /// Drops what waits, to go on with `next_seq`; gives back who waited for it.
    pub(crate) fn reset(&mut self, next_seq: u64) -> (Vec<Arc<Outcome>>, Vec<Waker>) {
        let fresh = Pending::new(self.open.batch.format(), next_seq);
        let open = std::mem::replace(&mut self.open, fresh);
        let waiting = self.queue.drain(..).chain([open]).map(|pending| pending.outcome).collect();
        self.waiting_bytes = 0;
        (waiting, std::mem::take(&mut self.room))
    }
}

impl Pending {
    fn new(format: Format, first_seq: u64) -> Self {
        Self { batch: Batch::new(format, first_seq, Vec::new()), outcome: Outcome::new() }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("name", &self.name)
            .field("last_seq", &self.last_seq())
            .finish_non_exhaustive()
    }
}
