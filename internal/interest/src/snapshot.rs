//! The subscriptions as they were at one instant. Nobody changes them any more.
//!
//! Questions cost what the answer is long, and not how many subscriptions there are: a match goes
//! through the bytes of the subject once for each way through the wildcards that the tree has.

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use pubsub_types::Filter;

use crate::arena::{At, Directory, NONE, Words};
use crate::changes::{Changes, Filters};
use crate::cursor::Cursor;
use crate::group::QueueGroup;
use crate::key;
use crate::matches::Matches;
use crate::overlap;
use crate::subscriber::Subscriber;
use crate::tree::Tree;
use crate::walk::{self, Spot};

/// The subscriptions as they were at one instant.
///
/// Holding one costs the nodes that changed since, about 0.5 KiB for each change; not a copy.
pub struct Snapshot<S> {
    directory: Directory,
    /// Numbers of nodes mean the same within one arena only.
    arena: Arc<()>,
    root: At,
    /// The age of its youngest nodes.
    age: u32,
    version: u64,
    subscribers: PhantomData<fn() -> S>,
}

impl<S: Subscriber> Snapshot<S> {
    /// The tree as it is now.
    pub(crate) fn of(tree: &mut Tree, version: u64) -> Self {
        let directory = tree.arena_mut().directory();
        let arena = tree.arena().identity().clone();
        let (root, age) = (tree.root(), tree.age());
        Self { directory, arena, root, age, version, subscribers: PhantomData }
    }

    pub(crate) const fn age(&self) -> u32 {
        self.age
    }

    /// Which one it is: later ones of the same interest have higher numbers.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Number of subscriptions.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.root == NONE { 0 } else { self.words().node(self.root).leaves() as usize }
    }

    /// Whether there is no subscription.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root == NONE
    }

    /// Fills `matches` with who wants `subject`, and forgets what was in it.
    ///
    /// A text that is not a literal subject (control bytes, spaces, empty tokens) matches nothing;
    /// tokens `*` and `>` in it are tokens like others. Allocates nothing once `matches` has grown.
    pub fn matches(&self, subject: impl AsRef<[u8]>, matches: &mut Matches<S>) {
        matches.fill(self.words(), |waiting, found| {
            let _never_breaks = self.each_match(subject.as_ref(), waiting, |spot| {
                found(spot);
                ControlFlow::Continue(())
            });
        });
    }

    /// Whether anybody wants `subject`.
    #[must_use]
    pub fn has_interest(&self, subject: impl AsRef<[u8]>) -> bool {
        let found = |_| ControlFlow::Break(());
        self.each_match(subject.as_ref(), &mut walk::Waiting::new(), found).is_break()
    }

    /// How many subscriptions `subject` matches, members of queue groups each counted.
    #[must_use]
    pub fn count_matching(&self, subject: impl AsRef<[u8]>) -> usize {
        let mut count = 0;
        let _never_breaks = self.each_match(subject.as_ref(), &mut walk::Waiting::new(), |spot| {
            count += self.leaves_at(spot);
            ControlFlow::Continue(())
        });
        count
    }

    /// Whether a subscription has a subject in common with `filter`.
    ///
    /// Where `filter` has a wildcard this goes through the tokens that subscriptions have there,
    /// until one fits.
    #[must_use]
    pub fn overlaps(&self, filter: &Filter) -> bool {
        self.each_overlap(filter, |_| ControlFlow::Break(())).is_break()
    }

    /// How many subscriptions have a subject in common with `filter`.
    #[must_use]
    pub fn count_overlapping(&self, filter: &Filter) -> usize {
        let mut count = 0;
        let _never_breaks = self.each_overlap(filter, |spot| {
            count += self.leaves_at(spot);
            ControlFlow::Continue(())
        });
        count
    }

    /// Fills `matches` with the subscriptions that have a subject in common with `filter`, and
    /// forgets what was in it.
    pub fn overlapping(&self, filter: &Filter, matches: &mut Matches<S>) {
        matches.fill(self.words(), |_, found| {
            let _never_breaks = self.each_overlap(filter, |spot| {
                found(spot);
                ControlFlow::Continue(())
            });
        });
    }

    /// How many subscriptions have this very filter, in whatever group or none.
    #[must_use]
    pub fn count(&self, filter: &Filter) -> usize {
        let mut key = Vec::new();
        key::encode_filter(filter, &mut key);
        key.push(key::END);
        self.find(&key).map_or(0, |spot| self.leaves_at(spot))
    }

    /// How many subscriptions have this very filter in this group, or in none.
    #[must_use]
    pub fn count_in(&self, filter: &Filter, group: Option<QueueGroup<'_>>) -> usize {
        let mut key = Vec::new();
        key::encode_filter(filter, &mut key);
        key::encode_group(group, &mut key);
        self.find(&key).map_or(0, |spot| self.leaves_at(spot))
    }

    /// Whether there is this subscription.
    #[must_use]
    pub fn contains(&self, filter: &Filter, group: Option<QueueGroup<'_>>, subscriber: S) -> bool {
        let mut key = Vec::new();
        key::encode_filter(filter, &mut key);
        key::encode_group(group, &mut key);
        key.extend_from_slice(&subscriber.to_bits().to_be_bytes());
        self.find(&key).is_some()
    }

    /// All subscriptions in order, to go through at leisure.
    #[must_use]
    pub fn cursor(self: &Arc<Self>) -> Cursor<S> {
        Cursor::new(self.clone())
    }

    /// The distinct filters and groups, with how many subscriptions each has.
    #[must_use]
    pub fn filters(self: &Arc<Self>) -> Filters<S> {
        Filters::new(self.clone())
    }

    /// What changed from `older` to this one, filter by filter and group by group, as seen by who
    /// counts only the subscribers that `include` names.
    ///
    /// Parts that the two share are skipped, so this costs what changed, whenever both are of one
    /// interest that was not compacted in between; otherwise everything is compared. Without an
    /// `older` one, everything is new.
    pub fn changes_since<F: FnMut(S) -> bool>(
        self: &Arc<Self>,
        older: Option<&Arc<Self>>,
        include: F,
    ) -> Changes<S, F> {
        Changes::new(older.cloned(), self.clone(), include)
    }

    pub(crate) fn words(&self) -> Words<'_> {
        self.directory.words()
    }

    pub(crate) fn root(&self) -> Option<Spot> {
        (self.root != NONE).then_some(Spot::start_of(self.root))
    }

    pub(crate) fn shares_nodes_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.arena, &other.arena)
    }

    pub(crate) fn leaves_at(&self, spot: Spot) -> usize {
        self.words().node(spot.node).leaves() as usize
    }

    fn each_match(
        &self,
        subject: &[u8],
        waiting: &mut walk::Waiting,
        found: impl FnMut(Spot) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        walk::matching(self.words(), self.root, subject, waiting, found)
    }

    fn each_overlap(
        &self,
        filter: &Filter,
        found: impl FnMut(Spot) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut asked = Vec::new();
        key::encode_filter(filter, &mut asked);
        overlap::overlapping(self.words(), self.root, &asked, found)
    }

    /// The spot behind the beginning of a key.
    fn find(&self, key: &[u8]) -> Option<Spot> {
        let words = self.words();
        let mut spot = self.root()?;
        let mut used = 0;
        loop {
            let node = words.node(spot.node);
            let label = node.label();
            let same = label.common(0, key, used);
            used += same;
            if used == key.len() {
                return Some(Spot { at: same, ..spot });
            }
            if same < label.len() {
                return None;
            }
            spot = Spot::start_of(node.child(node.find(key[used])?));
            used += 1;
        }
    }
}

impl<S: Subscriber> fmt::Debug for Snapshot<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
