//! Ids seen lately, so that what is published twice is kept once.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;

/// Ids remembered when nothing else is said.
pub const SEEN_IDS_DEFAULT: NonZeroUsize = NonZeroUsize::new(100_000).expect("100,000 is not zero");

/// The ids seen lately, at most a fixed number of them; memory only.
///
/// A hit does not refresh an id: what is forgotten next depends only on when ids were first seen, so
/// a publisher that repeats one message for ever cannot keep it remembered for ever.
pub struct SeenIds<K: Hash + Eq> {
    ids: LruCache<K, ()>,
    most: NonZeroUsize,
}

impl<K: Hash + Eq> SeenIds<K> {
    /// Remembers up to `most` ids. Memory is taken as they come.
    #[must_use]
    pub fn new(most: NonZeroUsize) -> Self {
        Self { ids: LruCache::unbounded(), most }
    }

    /// Whether `id` was seen before; if not, it is from now on, and the oldest may be forgotten.
    pub fn seen_or_add(&mut self, id: K) -> bool {
        if self.ids.contains(&id) {
            return true;
        }
        self.ids.put(id, ());
        if self.ids.len() > self.most.get() {
            self.ids.pop_lru();
        }
        false
    }

    /// Forgets `id`, because what carried it was not kept after all. Unknown ids are nothing to
    /// forget.
    pub fn remove(&mut self, id: &K) {
        self.ids.pop(id);
    }

    /// Number of ids remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl<K: Hash + Eq> fmt::Debug for SeenIds<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenIds").field("len", &self.len()).field("most", &self.most).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::SeenIds;
    use std::num::NonZeroUsize;

    fn seen(most: usize) -> SeenIds<u32> {
        SeenIds::new(NonZeroUsize::new(most).unwrap())
    }

    #[test]
    fn a_repeated_id_is_recognised_until_it_is_evicted() {
        let mut seen = seen(2);
        assert_eq!([1, 1, 2, 3].map(|id| seen.seen_or_add(id)), [false, true, false, false]);
        assert!(!seen.seen_or_add(1));
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn a_hit_does_not_make_an_id_younger() {
        let mut seen = seen(2);
        assert_eq!([1, 2, 1, 3].map(|id| seen.seen_or_add(id)), [false, false, true, false]);
        assert!(!seen.seen_or_add(1), "1 was the oldest although it was hit last");
    }

    #[test]
    fn a_removed_id_is_new_again_and_removing_an_unknown_one_does_nothing() {
        let mut seen = seen(2);
        seen.seen_or_add(1);
        seen.remove(&1);
        seen.remove(&9);
        assert!(seen.is_empty());
        assert!(!seen.seen_or_add(1));
    }
}
