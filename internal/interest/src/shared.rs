//! One interest for many threads: they match without a lock, and change it one at a time.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use crate::generations::Generations;
use crate::interest::Interest;
use crate::snapshot::Snapshot;
use crate::subscriber::Subscriber;

/// The subscriptions of one subject space, for many threads.
pub struct Shared<S> {
    interest: Mutex<Interest<S>>,
    published: ArcSwap<Snapshot<S>>,
    generations: Arc<Generations>,
}

impl<S: Subscriber> Shared<S> {
    /// Shares `interest`; what is not published in it yet is published now.
    #[must_use]
    pub fn new(mut interest: Interest<S>) -> Self {
        let published = ArcSwap::new(interest.publish());
        let generations = interest.generations().clone();
        Self { interest: Mutex::new(interest), published, generations }
    }

    /// Changes the subscriptions, and publishes what `change` did when it returns.
    ///
    /// Once this returned, every thread sees the changes and no cache answers without them. All
    /// changes of one call are seen at once, and cost one publication together (about a
    /// microsecond): hand over what one read of a connection brought.
    pub fn change<T>(&self, change: impl FnOnce(&mut Interest<S>) -> T) -> T {
        let mut interest = self.interest.lock();
        let result = change(&mut interest);
        if interest.publish().version() != self.published.load().version() {
            self.published.store(interest.published().clone());
            interest.take_back();
        }
        result
    }

    /// The latest snapshot, for a moment: to ask it something and let it go.
    #[must_use]
    pub fn load(&self) -> Latest<S> {
        Latest(self.published.load())
    }

    /// The latest snapshot, to be kept.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<S>> {
        self.published.load_full()
    }

    pub(crate) fn generations(&self) -> &Generations {
        &self.generations
    }
}

impl<S: Subscriber> Default for Shared<S> {
    fn default() -> Self {
        Self::new(Interest::new())
    }
}

impl<S: Subscriber> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("published", &**self.load()).finish_non_exhaustive()
    }
}

/// The latest snapshot, for a moment; see [`Shared::load`].
pub struct Latest<S>(Guard<Arc<Snapshot<S>>>);

impl<S> Deref for Latest<S> {
    type Target = Arc<Snapshot<S>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Subscriber> fmt::Debug for Latest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
