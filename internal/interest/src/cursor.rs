//! All subscriptions of a snapshot, one after the other.

use std::fmt;
use std::sync::Arc;

use crate::group::Place;
use crate::key::Texts;
use crate::snapshot::Snapshot;
use crate::subscriber::Subscriber;
use crate::walk::Spot;

/// A subscription as it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a, S> {
    /// What it wants.
    pub filter: &'a str,
    /// The queue group it is in.
    pub group: Option<&'a str>,
    /// Who made it.
    pub subscriber: S,
    /// Where that is.
    pub place: Place,
}

/// All subscriptions of a snapshot: by filter, the plain ones first, then by group; ascending.
///
/// Keeps its snapshot, so what it shows is of one instant, however long it takes.
pub struct Cursor<S> {
    snapshot: Arc<Snapshot<S>>,
    /// Subtrees to come, the next one last, with the length of the key above and the byte between.
    stack: Vec<(Spot, usize, Option<u8>)>,
    key: Vec<u8>,
    texts: Texts,
}

impl<S: Subscriber> Cursor<S> {
    pub(crate) fn new(snapshot: Arc<Snapshot<S>>) -> Self {
        let stack = snapshot.root().into_iter().map(|root| (root, 0, None)).collect();
        Self { snapshot, stack, key: Vec::new(), texts: Texts::default() }
    }

    /// Leaves out the next `count` subscriptions. Costs a walk down the tree, not one over them.
    pub fn skip(&mut self, mut count: usize) {
        while let Some((spot, len, byte)) = self.stack.pop() {
            let leaves = self.snapshot.leaves_at(spot);
            if leaves <= count {
                count -= leaves;
                continue;
            }
            if count == 0 {
                self.stack.push((spot, len, byte));
                return;
            }
            self.enter(spot, len, byte);
        }
    }

    /// The next subscription. None at the end, and again when asked again.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend what it yields")]
    pub fn next(&mut self) -> Option<Subscription<'_, S>> {
        loop {
            let (spot, len, byte) = self.stack.pop()?;
            self.enter(spot, len, byte);
            let node = self.snapshot.words().node(spot.node);
            if node.is_leaf() {
                let (key, bits) = self.key.split_last_chunk::<8>()?;
                self.texts.read(key);
                return Some(Subscription {
                    filter: self.texts.filter(),
                    group: self.texts.group(),
                    subscriber: S::from_bits(u64::from_be_bytes(*bits)),
                    place: Place::from_word(node.place()),
                });
            }
        }
    }

    /// Makes the key that of a subtree, and puts off its children.
    fn enter(&mut self, spot: Spot, len: usize, byte: Option<u8>) {
        self.key.truncate(len);
        self.key.extend(byte);
        let node = self.snapshot.words().node(spot.node);
        node.label().append_to(spot.at, &mut self.key);
        let len = self.key.len();
        let children = node.edges().rev();
        self.stack.extend(children.map(|(byte, child)| (Spot::start_of(child), len, Some(byte))));
    }
}

impl<S: Subscriber> fmt::Debug for Cursor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}
