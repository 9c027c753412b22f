//! What is known to be synced, and who wants to know.
//!
//! A message that is committed under [`SyncPolicy::Periodic`](pubsub_types::SyncPolicy) or `None` can be
//! lost with the power. Whoever tells another node that a message is safe here waits until it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use crate::channel::Channel;
use crate::contents::Contents;

/// Who is to be woken when something moves on.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Vec<Waker>>);

impl Watchers {
    /// Registers `waker` for the next [`Self::wake_all`]. The caller looks again afterwards: what moved
    /// on in between woke nobody.
    pub(crate) fn add(&self, waker: &Waker) {
        let mut wakers = self.0.lock();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    pub(crate) fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.0.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Channel {
    /// Sequence up to which every message is known to be synced: it survives the machine. Moves on with
    /// each commit under [`SyncPolicy::Always`](pubsub_types::SyncPolicy), with the sync behind it under
    /// `Periodic`, and under `None` when a segment ends, the channel goes idle or is closed.
    ///
    /// It never falls while the channel is open.
    #[must_use]
    pub fn synced_seq(&self) -> u64 {
        self.synced_seq.load(Ordering::Acquire)
    }

    /// Resolves when a message after `seq` is known to be synced, and with it all before.
    pub fn synced_after(self: &Arc<Self>, seq: u64) -> impl Future<Output = ()> + Send + use<> {
        let channel = self.clone();
        std::future::poll_fn(move |context| {
            if channel.synced_seq() > seq {
                return Poll::Ready(());
            }
            channel.sync_watchers.add(context.waker());
            if channel.synced_seq() > seq { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    /// Takes note of what `contents` say is synced; whether that is news, for which
    /// [`Self::wake_sync_watchers`] is to be called without any lock.
    pub(crate) fn note_synced(&self, contents: &Contents) -> bool {
        let synced = contents.active.durable.next_seq - 1;
        self.synced_seq.fetch_max(synced, Ordering::AcqRel) < synced
    }

    pub(crate) fn wake_sync_watchers(&self) {
        self.sync_watchers.wake_all();
    }

    /// As both of the above.
    pub(crate) fn publish_synced(&self) {
        let news = self.note_synced(&self.contents.read());
        if news {
            self.wake_sync_watchers();
        }
    }
}
