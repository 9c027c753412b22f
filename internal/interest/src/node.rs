//! A node as words: the bytes it adds to the key, and what comes after them.
//!
//! ```text
//!   shape │ version, 2 words │ place   │ label ...                              a leaf
//!   shape │ version, 2 words │ leaves  │ label ... │ next bytes ... │ nodes ... an inner node
//! ```
//!
//! The next byte of each child is in its parent, ascending, so a look-up reads one short run of
//! bytes and one number. A leaf whose place is [`Place::Local`](crate::Place::Local) leaves that
//! word out. An inner node counts the leaves below it, so counting never walks.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::arena::At;
use crate::key;

/// Children of a node at most: one for each byte.
const CHILDREN_MAX: usize = 256;
/// Words of the largest node.
pub(crate) const WORDS_MAX: usize =
    HEAD + 1 + key::BYTES_MAX.div_ceil(4) + CHILDREN_MAX.div_ceil(4) + CHILDREN_MAX;

const _: () = assert!(key::BYTES_MAX < 1 << LABEL_BITS, "a label's length must fit its field");

/// Words before what only some nodes have: shape and version.
const HEAD: usize = 3;

// The shape, from its lowest bit: length of the label, number of children, whether a leaf has the
// word for its place, class of the block.
const LABEL_BITS: u32 = 14;
const CHILDREN_BITS: u32 = 9;
const PLACED: u32 = 1 << (LABEL_BITS + CHILDREN_BITS);
const CLASS_SHIFT: u32 = 24;

/// A node, to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    words: &'a [AtomicU32],
    shape: u32,
}

impl<'a> Node<'a> {
    /// The node whose words `words` starts with.
    pub(crate) fn new(words: &'a [AtomicU32]) -> Self {
        Self { words, shape: words[0].load(Relaxed) }
    }

    pub(crate) fn is_leaf(self) -> bool {
        self.children() == 0
    }

    /// How many children it has: none, or 2 to 256.
    pub(crate) fn children(self) -> usize {
        ((self.shape >> LABEL_BITS) & ((1 << CHILDREN_BITS) - 1)) as usize
    }

    pub(crate) fn label(self) -> Label<'a> {
        let len = (self.shape & ((1 << LABEL_BITS) - 1)) as usize;
        let start = self.label_at();
        Label { words: &self.words[start..start + len.div_ceil(4)], len }
    }

    /// The build of the tree that made this node.
    pub(crate) fn version(self) -> u64 {
        u64::from(self.words[1].load(Relaxed)) | u64::from(self.words[2].load(Relaxed)) << 32
    }

    /// Number of leaves from here on.
    pub(crate) fn leaves(self) -> u32 {
        if self.is_leaf() { 1 } else { self.words[HEAD].load(Relaxed) }
    }

    /// The word of a leaf's place.
    pub(crate) fn place(self) -> u32 {
        if self.shape & PLACED == 0 { 0 } else { self.words[HEAD].load(Relaxed) }
    }

    /// Which child comes next with `byte`.
    pub(crate) fn find(self, byte: u8) -> Option<usize> {
        let children = self.children();
        let wanted = u32::from(byte) * 0x0101_0101;
        let bytes = self.bytes_at();
        for (number, word) in self.words[bytes..self.nodes_at()].iter().enumerate() {
            // The lowest byte that is the wanted one becomes the lowest byte with its high bit set.
            let other = word.load(Relaxed) ^ wanted;
            let equal = other.wrapping_sub(0x0101_0101) & !other & 0x8080_8080;
            if equal != 0 {
                let position = number * 4 + (equal.trailing_zeros() / 8) as usize;
                // Beyond the last child is what fills the word.
                return (position < children).then_some(position);
            }
        }
        None
    }

    /// The byte that leads to a child.
    pub(crate) fn byte(self, position: usize) -> u8 {
        byte_of(&self.words[self.bytes_at()..], position)
    }

    pub(crate) fn child(self, position: usize) -> At {
        self.words[self.nodes_at() + position].load(Relaxed)
    }

    /// Its children in order of their bytes.
    pub(crate) fn edges(self) -> impl DoubleEndedIterator<Item = (u8, At)> + use<'a> {
        (0..self.children()).map(move |position| (self.byte(position), self.child(position)))
    }

    /// Its class of block.
    pub(crate) fn class(self) -> u8 {
        self.shape.to_le_bytes()[3]
    }

    /// Words it needs, which its block may have more of.
    pub(crate) fn used(self) -> usize {
        self.nodes_at() + self.children()
    }

    /// Says in which class of block the node is.
    pub(crate) fn set_class(words: &[AtomicU32], class: u8) {
        let shape = words[0].load(Relaxed) & ((1 << CLASS_SHIFT) - 1);
        words[0].store(shape | u32::from(class) << CLASS_SHIFT, Relaxed);
    }

    // To be called by the writer, for nodes that no snapshot has seen.

    pub(crate) fn set_version(self, version: u64) {
        self.words[1].store(low(version), Relaxed);
        self.words[2].store(low(version >> 32), Relaxed);
    }

    pub(crate) fn set_leaves(self, leaves: u32) {
        self.words[HEAD].store(leaves, Relaxed);
    }

    pub(crate) fn set_child(self, position: usize, child: At) {
        self.words[self.nodes_at() + position].store(child, Relaxed);
    }

    fn label_at(self) -> usize {
        // An inner node has the number of its leaves there, some leaves their place.
        HEAD + usize::from(self.shape & PLACED != 0 || !self.is_leaf())
    }

    fn bytes_at(self) -> usize {
        self.label_at() + ((self.shape & ((1 << LABEL_BITS) - 1)) as usize).div_ceil(4)
    }

    fn nodes_at(self) -> usize {
        self.bytes_at() + self.children().div_ceil(4)
    }
}

/// What a node adds to the key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    words: &'a [AtomicU32],
    len: usize,
}

impl Label<'_> {
    pub(crate) fn len(self) -> usize {
        self.len
    }

    pub(crate) fn byte(self, at: usize) -> u8 {
        byte_of(self.words, at)
    }

    /// How many bytes from `at` on are also what `text` begins with.
    pub(crate) fn common(self, at: usize, text: &[u8]) -> usize {
        let most = text.len().min(self.len - at);
        let mut same = 0;
        if at.is_multiple_of(4) {
            let (wholes, _) = text[..most].as_chunks::<4>();
            for (word, whole) in self.words[at / 4..].iter().zip(wholes) {
                let differ = word.load(Relaxed) ^ u32::from_le_bytes(*whole);
                if differ != 0 {
                    return same + (differ.trailing_zeros() / 8) as usize;
                }
                same += 4;
            }
        }
        while same < most && self.byte(at + same) == text[same] {
            same += 1;
        }
        same
    }

    /// Adds the bytes from `at` on to `bytes`.
    pub(crate) fn append_to(self, at: usize, bytes: &mut Vec<u8>) {
        bytes.extend((at..self.len).map(|at| self.byte(at)));
    }

    /// The bytes from `at` on, shifted into `bits` from below.
    pub(crate) fn shift_into(self, at: usize, bits: u64) -> u64 {
        (at..self.len).fold(bits, |bits, at| bits << 8 | u64::from(self.byte(at)))
    }
}

fn byte_of(words: &[AtomicU32], at: usize) -> u8 {
    words[at / 4].load(Relaxed).to_le_bytes()[at % 4]
}

const fn low(version: u64) -> u32 {
    (version & 0xffff_ffff) as u32
}

/// A node in the making.
#[derive(Debug, Default)]
pub(crate) struct Image(Vec<u32>);

impl Image {
    /// Makes it a leaf; `place` is the word of its place.
    pub(crate) fn leaf(&mut self, label: &[u8], place: u32, version: u64) -> &[u32] {
        self.head(label, 0, version);
        if place != 0 {
            self.0[0] |= PLACED;
            self.0.push(place);
        }
        self.bytes(label.iter().copied());
        &self.0
    }

    /// Makes it an inner node. Its children come in order of their bytes.
    pub(crate) fn inner(
        &mut self,
        label: &[u8],
        leaves: u32,
        edges: impl ExactSizeIterator<Item = (u8, At)> + Clone,
        version: u64,
    ) -> &[u32] {
        self.head(label, edges.len(), version);
        self.0.push(leaves);
        self.bytes(label.iter().copied());
        self.bytes(edges.clone().map(|(byte, _)| byte));
        self.0.extend(edges.map(|(_, child)| child));
        &self.0
    }

    fn head(&mut self, label: &[u8], children: usize, version: u64) {
        debug_assert!(label.len() <= key::BYTES_MAX);
        debug_assert!(children != 1 && children <= CHILDREN_MAX);
        let shape = label.len() | children << LABEL_BITS;
        self.0.clear();
        self.0.push(u32::try_from(shape).expect("a label and 256 children fit the shape"));
        self.0.extend([low(version), low(version >> 32)]);
    }

    fn bytes(&mut self, mut bytes: impl Iterator<Item = u8>) {
        while let Some(first) = bytes.next() {
            let mut more = || bytes.next().unwrap_or(0);
            self.0.push(u32::from_le_bytes([first, more(), more(), more()]));
        }
    }
}
