//! A node as words: the bytes it adds to the key, and what comes after them.
//!
//! ```text
//!   shape │ age │ place  │ label ...                              a leaf
//!   shape │ age │ leaves │ label ... │ next bytes ... │ nodes ... an inner node
//! ```
//!
//! The next byte of each child is in its parent, ascending, so a look-up reads one short run of
//! bytes and one number. A leaf whose place is [`Place::Local`](crate::Place::Local) leaves that
//! word out. An inner node counts the leaves below it, so counting never walks. Ten children, as
//! numbers have, are a line of a processor's cache.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::arena::At;
use crate::key;

/// Children of a node at most: one for each byte.
const CHILDREN_MAX: usize = 256;
/// Words of the largest node.
pub(crate) const WORDS_MAX: usize =
    HEAD + 1 + key::BYTES_MAX.div_ceil(4) + CHILDREN_MAX.div_ceil(4) + CHILDREN_MAX;
/// Words behind a node that may be read, and mean nothing.
pub(crate) const WORDS_BEHIND: usize = 4;

const _: () = assert!(key::BYTES_MAX < 1 << LABEL_BITS, "a label's length must fit its field");

/// Words before what only some nodes have: shape and age.
const HEAD: usize = 2;

// The shape, from its lowest bit: length of the label, number of children, whether a leaf has the
// word for its place, class of the block.
const LABEL_BITS: u32 = 14;
const CHILDREN_BITS: u32 = 9;
const PLACED: u32 = 1 << (LABEL_BITS + CHILDREN_BITS);
const CLASS_SHIFT: u32 = 24;

/// What a node is like, and where its parts are. Its first word.
pub(crate) type Shape = u32;

/// A node, to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    words: &'a [AtomicU32],
    shape: Shape,
}

impl<'a> Node<'a> {
    /// The node whose words `words` starts with.
    pub(crate) fn new(words: &'a [AtomicU32]) -> Self {
        Self { words, shape: words[0].load(Relaxed) }
    }

    /// The node whose words `words` starts with, given its shape.
    pub(crate) fn of_shape(words: &'a [AtomicU32], shape: Shape) -> Self {
        Self { words, shape }
    }

    pub(crate) fn shape(self) -> Shape {
        self.shape
    }

    pub(crate) fn is_leaf(self) -> bool {
        is_leaf(self.shape)
    }

    /// How many children it has: none, or 2 to 256.
    pub(crate) fn children(self) -> usize {
        ((self.shape >> LABEL_BITS) & ((1 << CHILDREN_BITS) - 1)) as usize
    }

    pub(crate) fn label(self) -> Label<'a> {
        Label { words: &self.words[self.label_at()..], len: self.label_len() }
    }

    fn label_len(self) -> usize {
        (self.shape & ((1 << LABEL_BITS) - 1)) as usize
    }

    /// When it was made.
    pub(crate) fn age(self) -> u32 {
        self.words[1].load(Relaxed)
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
        let wanted = u64::from(byte) * ONES;
        let mut bytes = &self.words[self.bytes_at()..];
        let mut before = 0;
        while before < children {
            let ([first, second, third, fourth], more) = bytes.split_first_chunk()?;
            let in_low = zeroes(two(first, second) ^ wanted);
            let in_high = zeroes(two(third, fourth) ^ wanted);
            if in_low | in_high != 0 {
                let high = 64 + in_high.trailing_zeros();
                let bit = if in_low == 0 { high } else { in_low.trailing_zeros() };
                // What is behind the bytes may look like the wanted one too.
                let position = before + (bit / 8) as usize;
                return (position < children).then_some(position);
            }
            before += 16;
            bytes = more;
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

    pub(crate) fn set_age(self, age: u32) {
        self.words[1].store(age, Relaxed);
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
        self.label_at() + self.label_len().div_ceil(4)
    }

    fn nodes_at(self) -> usize {
        self.bytes_at() + self.children().div_ceil(4)
    }
}

/// Whether a node of this shape is a leaf.
pub(crate) const fn is_leaf(shape: Shape) -> bool {
    (shape >> LABEL_BITS) & ((1 << CHILDREN_BITS) - 1) == 0
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

    /// How many bytes from `at` on are also what `text` has from `from` on.
    pub(crate) fn common(self, at: usize, text: &[u8], from: usize) -> usize {
        let most = (self.len - at).min(text.len() - from);
        let mut same = 0;
        while same < most {
            let differ = self.eight(at + same) ^ eight_of(&text[from + same..]);
            let found = (differ.trailing_zeros() / 8) as usize;
            same += found;
            if found < 8 {
                break;
            }
        }
        same.min(most)
    }

    /// The eight bytes from `at` on; those behind the label mean nothing.
    fn eight(self, at: usize) -> u64 {
        let Some([first, second, third]) = self.words[at / 4..].first_chunk() else { return 0 };
        let odd = 8 * (at % 4);
        // In two steps, as a shift by all 64 bits is none.
        let high = u64::from(third.load(Relaxed)) << 32 << (32 - odd);
        two(first, second) >> odd | high
    }

    /// Adds the bytes from `at` on to `bytes`.
    pub(crate) fn append_to(self, at: usize, bytes: &mut Vec<u8>) {
        bytes.extend((at..self.len).map(|at| self.byte(at)));
    }

    /// The bytes from `at` on, shifted into `bits` from below.
    pub(crate) fn shift_into(self, at: usize, bits: u64) -> u64 {
        if self.len - at == 8 {
            return self.eight(at).swap_bytes();
        }
        (at..self.len).fold(bits, |bits, at| bits << 8 | u64::from(self.byte(at)))
    }
}

fn byte_of(words: &[AtomicU32], at: usize) -> u8 {
    words[at / 4].load(Relaxed).to_le_bytes()[at % 4]
}

/// A one in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// The high bit of each byte that is zero; above the lowest such byte also others.
const fn zeroes(bytes: u64) -> u64 {
    bytes.wrapping_sub(ONES) & !bytes & (ONES << 7)
}

/// Two words as they are in memory.
fn two(first: &AtomicU32, second: &AtomicU32) -> u64 {
    u64::from(first.load(Relaxed)) | u64::from(second.load(Relaxed)) << 32
}

/// The first eight bytes of `text`, and zeroes when it is shorter.
fn eight_of(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => text.iter().rev().fold(0, |eight, byte| eight << 8 | u64::from(*byte)),
    }
}

/// A node in the making.
#[derive(Debug, Default)]
pub(crate) struct Image(Vec<u32>);

impl Image {
    /// Makes it a leaf; `place` is the word of its place.
    pub(crate) fn leaf(&mut self, label: &[u8], place: u32, age: u32) -> &[u32] {
        self.head(label, 0, age);
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
        age: u32,
    ) -> &[u32] {
        self.head(label, edges.len(), age);
        self.0.push(leaves);
        self.bytes(label.iter().copied());
        self.bytes(edges.clone().map(|(byte, _)| byte));
        self.0.extend(edges.map(|(_, child)| child));
        &self.0
    }

    fn head(&mut self, label: &[u8], children: usize, age: u32) {
        debug_assert!(label.len() <= key::BYTES_MAX);
        debug_assert!(children != 1 && children <= CHILDREN_MAX);
        let shape = label.len() | children << LABEL_BITS;
        self.0.clear();
        self.0.push(u32::try_from(shape).expect("a label and 256 children fit the shape"));
        self.0.push(age);
    }

    fn bytes(&mut self, mut bytes: impl Iterator<Item = u8>) {
        while let Some(first) = bytes.next() {
            let mut more = || bytes.next().unwrap_or(0);
            self.0.push(u32::from_le_bytes([first, more(), more(), more()]));
        }
    }
}
