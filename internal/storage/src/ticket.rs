//! Who waits for a batch, and how they learn what became of it.
//!
//! All records of a batch share one [`Ticket`]'s worth of state: when the batch is committed or has
//! failed, everybody is woken at once, and whoever asks later is told the same.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Condvar, Mutex};

use crate::error::CommitError;

const OPEN: u8 = 0;
const COMMITTED: u8 = 1;
const FAILED: u8 = 2;

/// What became of one batch.
pub(crate) struct Outcome {
    state: AtomicU8,
    inner: Mutex<Inner>,
    resolved: Condvar,
}

#[derive(Default)]
struct Inner {
    error: Option<CommitError>,
    wakers: Vec<Waker>,
    /// Threads in [`Outcome::wait`].
    blocked: u32,
}

impl Outcome {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(OPEN),
            inner: Mutex::new(Inner::default()),
            resolved: Condvar::new(),
        })
    }

    /// Tells everybody. The first call counts.
    pub(crate) fn resolve(&self, result: Result<(), CommitError>) {
        let mut inner = self.inner.lock();
        if self.state.load(Ordering::Acquire) != OPEN {
            return;
        }
        let state = match result {
            Ok(()) => COMMITTED,
            Err(error) => {
                inner.error = Some(error);
                FAILED
            }
        };
        self.state.store(state, Ordering::Release);
        let wakers = std::mem::take(&mut inner.wakers);
        if inner.blocked > 0 {
            self.resolved.notify_all();
        }
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn get(&self) -> Option<Result<(), CommitError>> {
        match self.state.load(Ordering::Acquire) {
            OPEN => None,
            COMMITTED => Some(Ok(())),
            _ => self.inner.lock().error.clone().map(Err),
        }
    }
}

/// A claim to know what becomes of the records that one append added.
///
/// It is a future that resolves when they are committed as the channel's policy says, and can be
/// dropped or polled again at any time: the records' fate does not depend on it.
#[derive(Clone)]
pub struct Ticket {
    outcome: Arc<Outcome>,
}

impl Ticket {
    pub(crate) fn new(outcome: &Arc<Outcome>) -> Self {
        Self { outcome: outcome.clone() }
    }

    /// What became of the records, if it is known.
    ///
    /// # Errors
    /// They were not committed.
    #[must_use]
    pub fn result(&self) -> Option<Result<(), CommitError>> {
        self.outcome.get()
    }

    /// Blocks this thread until it is known what became of the records.
    ///
    /// # Errors
    /// They were not committed.
    pub fn wait(&self) -> Result<(), CommitError> {
        if let Some(result) = self.result() {
            return result;
        }
        let mut inner = self.outcome.inner.lock();
        inner.blocked += 1;
        while self.outcome.state.load(Ordering::Acquire) == OPEN {
            self.outcome.resolved.wait(&mut inner);
        }
        inner.blocked -= 1;
        inner.error.clone().map_or(Ok(()), Err)
    }
}

impl Future for Ticket {
    type Output = Result<(), CommitError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.result() {
            return Poll::Ready(result);
        }
        let mut inner = self.outcome.inner.lock();
        if self.outcome.state.load(Ordering::Acquire) != OPEN {
            return Poll::Ready(inner.error.clone().map_or(Ok(()), Err));
        }
        if !inner.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            inner.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&self.result()).finish()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outcome").field(&self.get()).finish()
    }
}
