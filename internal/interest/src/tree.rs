//! The tree as the writer sees it: keys go in and out, and what a snapshot may see is never touched.
//!
//! ```text
//!   published      ●                 building        ◉            one change copies the nodes from
//!                 ╱ ╲                               ╱ ╲           the root to the key, and shares
//!                ●   ●                             ●   ◉          the rest. Until the next snapshot
//!                   ╱ ╲                               ╱ ╲         the copies are changed in place.
//!                  ●   ●                             ●   ●◀─ new
//! ```
//!
//! A radix tree over bytes: chains of single children are one node with a longer label, so there are
//! fewer inner nodes than keys. Its shape depends on the keys alone, and not on how they came.

use crate::arena::{Arena, At, NONE};
use crate::node::Image;

/// What became of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is there now.
    New,
    /// It was there, with another place or weight.
    Changed,
    /// It was there just so.
    Same,
}

/// The tree in the making.
#[derive(Debug)]
pub(crate) struct Tree {
    arena: Arena,
    root: At,
    /// Nodes of this age were made since the last snapshot.
    age: u32,
    /// The last age before ages begin again.
    age_max: u32,
    /// Nodes that the last snapshot sees, and this tree does not.
    retired: Vec<At>,
    // Kept for their space.
    path: Vec<(At, usize)>,
    label: Vec<u8>,
    edges: Vec<(u8, At)>,
    image: Image,
}

/// Where a key leaves the tree.
enum Leaves {
    /// Nowhere: there is a leaf for it.
    Found(At),
    /// In the label of a node, after `same` bytes of it and `used` of the key.
    InLabel { node: At, same: usize, used: usize },
    /// Behind a node that has no child for the byte at `used`.
    Behind { node: At, used: usize },
    /// The tree is empty.
    Empty,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self {
            arena: Arena::new(),
            root: NONE,
            age: 1,
            age_max: u32::MAX,
            retired: Vec::new(),
            path: Vec::new(),
            label: Vec::new(),
            edges: Vec::new(),
            image: Image::default(),
        }
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    pub(crate) fn arena_mut(&mut self) -> &mut Arena {
        &mut self.arena
    }

    pub(crate) fn root(&self) -> At {
        self.root
    }

    /// The age of nodes that are made now.
    pub(crate) fn age(&self) -> u32 {
        self.age
    }

    /// Whether it has to be moved before the next snapshot.
    pub(crate) fn is_old(&self) -> bool {
        self.age >= self.age_max
    }

    /// Lets ages begin again after so many snapshots.
    #[cfg(test)]
    pub(crate) fn set_age_max(&mut self, age_max: u32) {
        self.age_max = age_max;
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> u32 {
        if self.root == NONE { 0 } else { self.arena.node(self.root).leaves() }
    }

    /// From here on nodes made before are a snapshot's too. Returns those that only snapshots have,
    /// and notes the next ones in `space`, which is empty.
    pub(crate) fn begin_next_age(&mut self, space: Vec<At>) -> Vec<At> {
        debug_assert!(space.is_empty());
        self.age += 1;
        std::mem::replace(&mut self.retired, space)
    }

    /// Bytes of its lists, those of the arena among them.
    pub(crate) fn bytes_of_lists(&self) -> usize {
        self.arena.bytes_of_lists() + self.retired.capacity() * size_of::<At>()
    }

    pub(crate) fn contains(&mut self, key: &[u8]) -> bool {
        matches!(self.descend(key), Leaves::Found(_))
    }

    pub(crate) fn insert(&mut self, key: &[u8], place: u32) -> Inserted {
        match self.descend(key) {
            Leaves::Found(leaf) if self.arena.node(leaf).place() == place => return Inserted::Same,
            Leaves::Found(leaf) => {
                self.read_label(leaf, 0);
                let new = self.put_leaf_from_label(place);
                self.retire(leaf);
                self.relink(new, 0);
                return Inserted::Changed;
            }
            Leaves::Empty => self.root = self.put_leaf(key, place),
            Leaves::InLabel { node, same, used } => {
                let leaf = self.put_leaf(&key[used + 1..], place);
                let fork = self.split(node, same, (key[used], leaf));
                self.relink(fork, 1);
            }
            Leaves::Behind { node, used } => {
                let leaf = self.put_leaf(&key[used + 1..], place);
                let wider = self.add_child(node, (key[used], leaf));
                self.relink(wider, 1);
            }
        }
        Inserted::New
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let Leaves::Found(leaf) = self.descend(key) else { return false };
        self.retire(leaf);
        let Some((parent, position)) = self.path.pop() else {
            self.root = NONE;
            return true;
        };
        let rest = if self.arena.node(parent).children() == 2 {
            self.join(parent, 1 - position)
        } else {
            self.remove_child(parent, position)
        };
        self.relink(rest, -1);
        true
    }

    /// Moves every node to a new arena, without gaps, where ages begin again.
    pub(crate) fn compact(&mut self) {
        self.age = 1;
        let mut arena = Arena::new();
        let old = self.arena.words();
        let mut to_copy = Vec::new();
        let mut root = NONE;
        if self.root != NONE {
            root = arena.copy_from(old, self.root);
            to_copy.push(root);
        }
        while let Some(node) = to_copy.pop() {
            arena.node(node).set_age(self.age);
            for position in 0..arena.node(node).children() {
                let child = arena.copy_from(old, arena.node(node).child(position));
                arena.node(node).set_child(position, child);
                to_copy.push(child);
            }
        }
        self.arena = arena;
        self.root = root;
        self.retired = Vec::new();
    }

    /// Follows `key`, and leaves the nodes it went through, with the child taken, in `path`.
    fn descend(&mut self, key: &[u8]) -> Leaves {
        self.path.clear();
        if self.root == NONE {
            return Leaves::Empty;
        }
        let mut at = self.root;
        let mut used = 0;
        loop {
            let node = self.arena.node(at);
            let label = node.label();
            let same = label.common(0, key, used);
            used += same;
            if same < label.len() {
                return Leaves::InLabel { node: at, same, used };
            }
            if node.is_leaf() {
                debug_assert_eq!(used, key.len(), "no key begins with another");
                return Leaves::Found(at);
            }
            let Some(position) = node.find(key[used]) else {
                return Leaves::Behind { node: at, used };
            };
            self.path.push((at, position));
            at = node.child(position);
            used += 1;
        }
    }

    /// Makes the nodes of `path` lead to `new`, and count `more` leaves.
    fn relink(&mut self, mut new: At, more: i32) {
        while let Some((at, position)) = self.path.pop() {
            let own = self.own(at);
            let node = self.arena.node(own);
            node.set_child(position, new);
            node.set_leaves(node.leaves().strict_add_signed(more));
            new = own;
        }
        self.root = new;
    }

    /// The node itself when no snapshot has seen it, a copy otherwise.
    fn own(&mut self, at: At) -> At {
        if self.arena.node(at).age() == self.age {
            return at;
        }
        let copy = self.arena.copy(at);
        self.arena.node(copy).set_age(self.age);
        self.retired.push(at);
        copy
    }

    /// Takes a node out of the tree.
    fn retire(&mut self, at: At) {
        if self.arena.node(at).age() == self.age {
            self.arena.free(at);
        } else {
            self.retired.push(at);
        }
    }

    fn put_leaf(&mut self, label: &[u8], place: u32) -> At {
        self.arena.put(self.image.leaf(label, place, self.age))
    }

    fn put_leaf_from_label(&mut self, place: u32) -> At {
        self.arena.put(self.image.leaf(&self.label, place, self.age))
    }

    /// Parts a node after `same` bytes of its label, where `other` turns off.
    fn split(&mut self, at: At, same: usize, other: (u8, At)) -> At {
        let leaves = self.arena.node(at).leaves();
        let label = self.arena.node(at).label();
        let byte = label.byte(same);
        self.read_label(at, same + 1);
        let lower = self.put_with_label(at);
        let mut edges = [(byte, lower), other];
        edges.sort_unstable();
        self.read_label(at, 0);
        let upper = self.image.inner(&self.label[..same], leaves + 1, edges.into_iter(), self.age);
        let upper = self.arena.put(upper);
        self.retire(at);
        upper
    }

    /// Makes one node of `parent` and the child that is left of it.
    fn join(&mut self, parent: At, position: usize) -> At {
        let node = self.arena.node(parent);
        let child = node.child(position);
        self.label.clear();
        node.label().append_to(0, &mut self.label);
        self.label.push(node.byte(position));
        self.arena.node(child).label().append_to(0, &mut self.label);
        let joined = self.put_with_label(child);
        self.retire(child);
        // What `relink` does not reach, as this node is gone from the path.
        self.retire(parent);
        joined
    }

    fn add_child(&mut self, at: At, edge: (u8, At)) -> At {
        let node = self.arena.node(at);
        self.edges.clear();
        self.edges.extend(node.edges());
        let position = self.edges.partition_point(|other| other.0 < edge.0);
        self.edges.insert(position, edge);
        let leaves = node.leaves() + 1;
        self.replace(at, leaves)
    }

    fn remove_child(&mut self, at: At, position: usize) -> At {
        let node = self.arena.node(at);
        self.edges.clear();
        self.edges.extend(node.edges());
        self.edges.remove(position);
        let leaves = node.leaves() - 1;
        self.replace(at, leaves)
    }

    /// Puts a node with the children in `edges` in the place of `at`.
    fn replace(&mut self, at: At, leaves: u32) -> At {
        self.read_label(at, 0);
        let edges = self.edges.iter().copied();
        let image = self.image.inner(&self.label, leaves, edges, self.age);
        let is_own = self.arena.node(at).age() == self.age;
        if is_own && self.arena.overwrite(at, image) {
            return at;
        }
        let new = self.arena.put(image);
        self.retire(at);
        new
    }

    /// Puts a node like `at`, but with the label in `label`.
    fn put_with_label(&mut self, at: At) -> At {
        let node = self.arena.node(at);
        let image = if node.is_leaf() {
            self.image.leaf(&self.label, node.place(), self.age)
        } else {
            self.edges.clear();
            self.edges.extend(node.edges());
            let edges = self.edges.iter().copied();
            self.image.inner(&self.label, node.leaves(), edges, self.age)
        };
        self.arena.put(image)
    }

    fn read_label(&mut self, at: At, from: usize) {
        self.label.clear();
        self.arena.node(at).label().append_to(from, &mut self.label);
    }
}
