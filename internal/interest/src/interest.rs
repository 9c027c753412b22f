//! The subscriptions of one subject space, by who changes them.
//!
//! ```text
//!   insert, remove ──▶ tree in the making ──publish──▶ snapshot 7 ──▶ readers
//!                            ▲                         snapshot 6 ──▶ one reader still there
//!                            ╰── blocks of nodes ◀──── snapshot 5, seen by nobody
//! ```
//!
//! Changes are seen when they are published, all at once; many changes to one snapshot are cheaper
//! than one each. What only older snapshots see is taken back when the last reader is gone, each
//! node as soon as no snapshot that saw it is left.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use pubsub_types::Filter;

use crate::arena::At;
use crate::generations::{Generations, Slot};
use crate::group::{Place, QueueGroup};
use crate::key;
use crate::snapshot::Snapshot;
use crate::subscriber::Subscriber;
use crate::tree::{Inserted, Tree};

/// Older snapshots that are looked at for readers with each publication, besides the youngest one.
const LOOKED_AT: usize = 8;

/// Nodes that a list kept for its space has room for at most: 64 KiB.
const SPACE_MAX: usize = 1 << 14;

/// The subscriptions of one subject space.
///
/// A subscription is a filter, a queue group or none, and a subscriber. The same subscriber may have
/// any number of them; twice the same is one.
///
/// An insertion or removal costs the bytes of the filter, and not how many others there are. A
/// subscription costs about 40 bytes and the part of its filter that no other begins with.
pub struct Interest<S> {
    tree: Tree,
    published: Arc<Snapshot<S>>,
    /// Older snapshots that somebody may have, oldest first.
    older: VecDeque<Older<S>>,
    /// Where the look at older snapshots goes on.
    look: usize,
    generations: Arc<Generations>,
    /// What changed since the last snapshot. Empty = nothing.
    changed: Vec<Slot>,
    totals: Totals,
    // Kept for their space.
    key: Vec<u8>,
    space: Vec<At>,
}

struct Older<S> {
    snapshot: Arc<Snapshot<S>>,
    /// Nodes that this snapshot sees, and no later one.
    nodes: Vec<At>,
}

/// What was done to the subscriptions of one subject space since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Subscriptions added.
    pub inserted: u64,
    /// Subscriptions removed.
    pub removed: u64,
}

/// What the subscriptions of one subject space cost, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Allocated altogether.
    pub total: usize,
    /// Of that, in nodes that this interest or a snapshot needs; the rest is ready for new ones.
    pub nodes: usize,
}

impl<S: Subscriber> Interest<S> {
    /// No subscription.
    #[must_use]
    pub fn new() -> Self {
        let mut tree = Tree::new();
        let published = Arc::new(Snapshot::of(&mut tree, 1));
        tree.begin_next_age(Vec::new());
        Self {
            tree,
            published,
            older: VecDeque::new(),
            look: 0,
            generations: Arc::new(Generations::new()),
            changed: Vec::new(),
            totals: Totals::default(),
            key: Vec::new(),
            space: Vec::new(),
        }
    }

    /// Adds a subscription, or changes its place. Takes effect with the next [`publish`](Self::publish).
    ///
    /// `place` says where the subscriber is, for the choice of a member; a plain subscription gets
    /// every message wherever it is.
    ///
    /// # Panics
    /// More than 16 GiB of subscriptions.
    pub fn insert(
        &mut self,
        filter: &Filter,
        group: Option<QueueGroup<'_>>,
        subscriber: S,
        place: Place,
    ) -> Inserted {
        self.encode(filter, group, subscriber);
        let inserted = self.tree.insert(&self.key, place.to_word());
        if inserted != Inserted::Same {
            self.note_change();
        }
        self.totals.inserted += u64::from(inserted == Inserted::New);
        inserted
    }

    /// Removes a subscription. False when there is none like that.
    /// Takes effect with the next [`publish`](Self::publish).
    pub fn remove(
        &mut self,
        filter: &Filter,
        group: Option<QueueGroup<'_>>,
        subscriber: S,
    ) -> bool {
        self.encode(filter, group, subscriber);
        let is_removed = self.tree.remove(&self.key);
        if is_removed {
            self.note_change();
            self.totals.removed += 1;
        }
        is_removed
    }

    /// Whether there is this subscription, published or not.
    pub fn contains(
        &mut self,
        filter: &Filter,
        group: Option<QueueGroup<'_>>,
        subscriber: S,
    ) -> bool {
        self.encode(filter, group, subscriber);
        self.tree.contains(&self.key)
    }

    /// Number of subscriptions, published or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tree.len() as usize
    }

    /// Whether there is no subscription, published or not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The subscriptions as they are now; the last snapshot when nothing changed since.
    pub fn publish(&mut self) -> Arc<Snapshot<S>> {
        self.take_back();
        if self.tree.arena().is_sparse() || self.tree.is_old() {
            return self.compact();
        }
        if self.changed.is_empty() {
            return self.published.clone();
        }
        let before = self.replace_published();
        let space = std::mem::take(&mut self.space);
        let nodes = self.tree.begin_next_age(space);
        self.older.push_back(Older { snapshot: before, nodes });
        self.published.clone()
    }

    /// Takes back the space of nodes that only snapshots saw that nobody has any more.
    ///
    /// [`publish`](Self::publish) does this too. Done once more when the snapshot before was let go,
    /// its nodes are there for the next change.
    pub fn take_back(&mut self) {
        let looked_at = self.older.len().min(LOOKED_AT);
        if let Some(youngest) = self.older.len().checked_sub(1) {
            self.take_back_one(youngest);
        }
        for _ in 1..looked_at {
            if self.look >= self.older.len() {
                self.look = 0;
            }
            if !self.take_back_one(self.look) {
                self.look += 1;
            }
        }
        self.tree.arena_mut().sweep();
    }

    /// Moves everything together, into as little memory as it needs, and publishes it.
    ///
    /// Costs a walk over everything, and [`Snapshot::changes_since`] a snapshot from before compares
    /// everything. Happens by itself with a publication when less than a quarter of the memory is
    /// used, and once in four billion publications; [`memory`](Self::memory) says what there is to gain.
    pub fn compact(&mut self) -> Arc<Snapshot<S>> {
        self.tree.compact();
        // The nodes that only older ones see are in the chunks left behind, and go with them.
        self.older.clear();
        self.replace_published();
        self.tree.begin_next_age(Vec::new());
        self.published.clone()
    }

    /// What was done so far.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// What it costs.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let (total, nodes) = self.tree.arena().bytes();
        let older: usize = self.older.iter().map(|older| older.nodes.capacity()).sum();
        let lists = self.tree.bytes_of_lists() + (older + self.space.capacity()) * size_of::<At>();
        Memory { total: total + lists + size_of::<Self>() + size_of::<Generations>(), nodes }
    }

    pub(crate) fn generations(&self) -> &Arc<Generations> {
        &self.generations
    }

    pub(crate) fn published(&self) -> &Arc<Snapshot<S>> {
        &self.published
    }

    /// Publishes the tree as it is, and tells caches where it differs. Returns what was published.
    fn replace_published(&mut self) -> Arc<Snapshot<S>> {
        let version = self.published.version() + 1;
        let snapshot = Arc::new(Snapshot::of(&mut self.tree, version));
        for slot in self.changed.drain(..) {
            self.generations.set(slot, version);
        }
        std::mem::replace(&mut self.published, snapshot)
    }

    /// Takes back what the snapshot at `place` saw, if nobody has it.
    fn take_back_one(&mut self, place: usize) -> bool {
        let Some(older) = self.older.get_mut(place) else { return false };
        if Arc::get_mut(&mut older.snapshot).is_none() {
            return false;
        }
        let Some(mut gone) = self.older.remove(place) else { return false };
        let before = place.checked_sub(1).and_then(|place| self.older.get_mut(place));
        let mut keep = before.map(|older| (older.snapshot.age(), &mut older.nodes));
        for node in gone.nodes.drain(..) {
            let made = self.tree.arena().node(node).age();
            match &mut keep {
                // The snapshot before saw it too, and is still there.
                Some((age, nodes)) if made <= *age => nodes.push(node),
                _ => self.tree.arena_mut().free(node),
            }
        }
        if gone.nodes.capacity() <= SPACE_MAX {
            self.space = gone.nodes;
        }
        true
    }

    fn encode(&mut self, filter: &Filter, group: Option<QueueGroup<'_>>, subscriber: S) {
        self.key.clear();
        key::encode_filter(filter, &mut self.key);
        key::encode_group(group, &mut self.key);
        self.key.extend_from_slice(&subscriber.to_bits().to_be_bytes());
    }

    /// Notes where the key changed something.
    fn note_change(&mut self) {
        let slot = Slot::of_key(&self.key);
        // Changes come in runs of the same first token; a few repetitions do no harm.
        if self.changed.last() != Some(&slot) {
            self.changed.push(slot);
        }
    }
}

impl<S: Subscriber> Default for Interest<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Subscriber> fmt::Debug for Interest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest")
            .field("len", &self.len())
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_begin_again_and_no_snapshot_notices() {
        let mut interest = Interest::<u64>::new();
        interest.tree.set_age_max(7);
        let mut kept = Vec::new();
        for number in 0..200 {
            let filter = Filter::new(&format!("a.{number}")).unwrap();
            interest.insert(&filter, None, number, Place::Local);
            let snapshot = interest.publish();
            assert!(snapshot.age() <= 7);
            assert_eq!(snapshot.version(), number + 2);
            if number % 3 == 0 {
                kept.push((snapshot, number + 1));
            }
            if number % 20 == 0 {
                kept.drain(..kept.len() / 2);
            }
            for (snapshot, len) in &kept {
                assert_eq!(snapshot.len() as u64, *len);
                let mut cursor = snapshot.cursor();
                let mut seen = 0;
                while let Some(it) = cursor.next() {
                    assert!(it.subscriber < *len);
                    seen += 1;
                }
                assert_eq!(seen, *len);
            }
        }
    }
}
