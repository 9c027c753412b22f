//! The handle that everybody logs to, and the thread that writes.
//!
//! ```text
//!   log ──push──▶ queue ──all of it, every few ms──▶ lines ──256 KiB at a time──▶ file
//!                   │                                   ╰─ fails: kept, tried again every second
//!                   ╰─ full: counted
//! ```
//!
//! A caller holds the lock for one push. The thread holds it to take all that waits, and neither to
//! spell nor to write.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex};
use pubsub_disk::Disk;
use pubsub_types::Timestamp;

use crate::event::Event;
use crate::files::Files;
use crate::line::{self, Written};
use crate::queue::{BYTES_MAX, Entry, LINES_MAX, Queue, Weight};
use crate::rotation::Limits;

/// The audit log of a node. A clone is the same log; the last one closes it.
#[derive(Clone, Debug)]
pub struct AuditLog {
    inner: Arc<Inner>,
}

/// What the log is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lines written since it was opened.
    pub written: u64,
    /// Lines that wait to be written.
    pub waiting: u64,
    /// Lines dropped since it was opened.
    pub dropped: u64,
    /// Why it cannot be written at the moment.
    pub failure: Option<String>,
}

/// Not everything that was logged is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotWritten {
    /// How many lines are not.
    pub lines: u64,
    /// Why; `None` when the disk takes too long.
    pub failure: Option<String>,
}

impl std::fmt::Display for NotWritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} audit events are not written: ", self.lines)?;
        f.write_str(self.failure.as_deref().unwrap_or("the disk takes too long"))
    }
}

impl Error for NotWritten {}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Longest wait for a disk that does not answer.
    wait_max: Duration,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do for the thread.
    wanted: Condvar,
    /// A flush was tried, or the thread ended.
    answered: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    written: u64,
    failure: Option<String>,
    /// The thread waits for as long as it takes, and wants to be woken by the next event.
    asleep: bool,
    /// Flushes wanted so far.
    flushes: u64,
    /// How many of them were tried.
    tried: u64,
    closing: bool,
    /// Lines that could not be written when it was closed.
    abandoned: u64,
    ended: bool,
}

/// How long events are collected, so that neither the thread nor those who log are woken for each.
const LINGER: Duration = Duration::from_millis(5);
/// Time between two attempts to write where writing fails.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for a disk that does not answer, when flushing and closing.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Bytes of lines after which they are written.
const WRITE_BYTES: usize = 256 << 10;

impl AuditLog {
    /// Opens the log of the data directory `disk`, of which this process is the only owner.
    ///
    /// The disk is not touched before the first event, and a disk that refuses is no error: see
    /// [`Stats::failure`].
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn open(disk: Arc<dyn Disk>, limits: Limits) -> io::Result<Self> {
        Self::with(disk, limits, Weight { lines: LINES_MAX, bytes: BYTES_MAX }, WAIT_MAX)
    }

    fn with(
        disk: Arc<dyn Disk>,
        limits: Limits,
        room: Weight,
        wait_max: Duration,
    ) -> io::Result<Self> {
        let state = State {
            queue: Queue::new(room),
            written: 0,
            failure: None,
            asleep: false,
            flushes: 0,
            tried: 0,
            closing: false,
            abandoned: 0,
            ended: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wanted: Condvar::new(),
            answered: Condvar::new(),
        });
        let mut writer = Writer {
            shared: shared.clone(),
            files: Files::new(disk, limits),
            entries: VecDeque::new(),
            next: 0,
            chunk: Vec::new(),
            lines: 0,
            finished: Weight::default(),
        };
        let thread = Builder::new().name("pubsub-audit".to_owned()).spawn(move || writer.run())?;
        let thread = Mutex::new(Some(thread));
        Ok(Self { inner: Arc::new(Inner { shared, thread, wait_max }) })
    }

    /// Logs what happened just now. Never waits and never fails.
    pub fn log(&self, event: Event) {
        self.log_at(now(), event);
    }

    /// Logs what happened at `time`. Never waits and never fails.
    pub fn log_at(&self, time: Timestamp, event: Event) {
        let mut state = self.inner.shared.state.lock();
        if state.closing {
            state.queue.drop_untold(event.lines());
            return;
        }
        state.queue.push(Entry { time, event });
        if state.asleep {
            state.asleep = false;
            drop(state);
            self.inner.shared.wanted.notify_one();
        }
    }

    /// Lines dropped since it was opened: the queue was full, or the log was closed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inner.shared.state.lock().queue.dropped()
    }

    /// What it is doing.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = self.inner.shared.state.lock();
        Stats {
            written: state.written,
            waiting: state.queue.waiting(),
            dropped: state.queue.dropped(),
            failure: state.failure.clone(),
        }
    }

    /// Blocks until what was logged before is in the file, which then anybody can read; five seconds
    /// at most.
    ///
    /// # Errors
    /// It is not: writing failed, or takes too long. It will be tried again.
    pub fn flush(&self) -> Result<(), NotWritten> {
        let shared = &self.inner.shared;
        let mut state = shared.state.lock();
        state.flushes += 1;
        let mine = state.flushes;
        shared.wanted.notify_one();
        let missing = |state: &mut State| state.tried < mine && !state.ended;
        let answer = shared.answered.wait_while_for(&mut state, missing, self.inner.wait_max);
        let late = answer.timed_out() && missing(&mut state);
        state.outcome(late)
    }

    /// Blocks until what was logged is in the file, and ends the log; five seconds at most. Where it
    /// cannot be written, that is tried once more. What is logged from now on is dropped.
    ///
    /// # Errors
    /// Not everything was written; what was not is dropped.
    pub fn close(&self) -> Result<(), NotWritten> {
        self.inner.close()
    }
}

impl State {
    /// Whether something must be done without waiting for more.
    const fn is_urgent(&self) -> bool {
        self.closing || self.tried < self.flushes
    }

    fn outcome(&self, late: bool) -> Result<(), NotWritten> {
        if !late && self.failure.is_none() {
            return Ok(());
        }
        let lines = self.queue.waiting() + self.abandoned;
        Err(NotWritten { lines, failure: self.failure.clone() })
    }
}

impl Inner {
    fn close(&self) -> Result<(), NotWritten> {
        let mut state = self.shared.state.lock();
        state.closing = true;
        self.shared.wanted.notify_one();
        let open = |state: &mut State| !state.ended;
        let answer = self.shared.answered.wait_while_for(&mut state, open, self.wait_max);
        let late = answer.timed_out() && !state.ended;
        let outcome = state.outcome(late);
        drop(state);
        if late {
            // It hangs in the disk; whoever closes must not.
            return outcome;
        }
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the audit log ended with a panic");
        }
        outcome
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(lines = error.lines, error = &error as &dyn Error, "audit log closed");
        }
    }
}

/// The thread's own part.
#[derive(Debug)]
struct Writer {
    shared: Arc<Shared>,
    files: Files,
    /// Taken out of the queue, not yet spelled.
    entries: VecDeque<Entry>,
    /// Where to go on in the first of them.
    next: usize,
    /// Lines to be written together.
    chunk: Vec<u8>,
    /// How many.
    lines: u64,
    /// The room of the events that end in them.
    finished: Weight,
}

impl Writer {
    fn run(&mut self) {
        // However it ends, nobody waits for it in vain.
        let shared = self.shared.clone();
        let _ended = Ended(&shared);
        loop {
            let (flush, closing) = self.take();
            let result = self.write_all();
            let mut state = self.shared.state.lock();
            state.tried = flush;
            state.tell(result.err());
            let failed = state.failure.is_some();
            self.shared.answered.notify_all();
            if closing && (failed || state.queue.is_idle()) {
                state.abandoned = state.queue.abandon();
                return;
            }
            if failed {
                let calm = |state: &mut State| !state.is_urgent();
                let _answer = self.shared.wanted.wait_while_for(&mut state, calm, RETRY_EVERY);
            }
        }
    }

    /// Waits for work, and takes it. Gives the flush that this answers, and whether it is the last.
    fn take(&mut self) -> (u64, bool) {
        let mut state = self.shared.state.lock();
        if !self.entries.is_empty() || !self.chunk.is_empty() {
            // Writing failed. What is told of drops meanwhile would itself have to wait.
            self.entries.append(&mut state.queue.take());
        } else {
            while state.queue.is_idle() && !state.is_urgent() {
                state.asleep = true;
                self.shared.wanted.wait(&mut state);
            }
            state.asleep = false;
            let calm = |state: &mut State| !state.is_urgent();
            let _answer = self.shared.wanted.wait_while_for(&mut state, calm, LINGER);
            self.entries = state.queue.take_and_tell(now());
        }
        (state.flushes, state.closing)
    }

    fn write_all(&mut self) -> io::Result<()> {
        self.files.look();
        loop {
            self.fill();
            if self.chunk.is_empty() {
                return Ok(());
            }
            self.files.write(&self.chunk)?;
            let mut state = self.shared.state.lock();
            state.queue.done(std::mem::take(&mut self.finished));
            state.written += std::mem::take(&mut self.lines);
            drop(state);
            self.chunk.clear();
        }
    }

    /// Spells what was taken, until it is enough for a write.
    fn fill(&mut self) {
        while self.chunk.len() < WRITE_BYTES
            && let Some(Entry { time, event }) = self.entries.front()
        {
            let Written { lines, next } =
                line::write(&mut self.chunk, *time, event, self.next, WRITE_BYTES);
            self.lines += lines;
            self.next = next.unwrap_or(0);
            if next.is_none()
                && let Some(entry) = self.entries.pop_front()
            {
                self.finished = self.finished.plus(entry.weight());
            }
        }
    }
}

impl State {
    /// Takes note of how writing went, and says so when that has changed.
    fn tell(&mut self, error: Option<io::Error>) {
        match (&self.failure, error) {
            (None, Some(error)) => {
                let text = text_of(&error);
                tracing::warn!(error = text, "audit log cannot be written, events wait");
                self.failure = Some(text);
            }
            (Some(_), Some(error)) => self.failure = Some(text_of(&error)),
            (Some(_), None) => {
                tracing::info!(dropped = self.queue.dropped(), "audit log is written again");
                self.failure = None;
            }
            (None, None) => (),
        }
    }
}

/// Says, when it goes, that the thread has ended.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        state.closing = true;
        self.0.answered.notify_all();
    }
}

/// An error with its causes.
fn text_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "an event that comes without a time happens now")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
