//! The words that nodes are made of, and who may write them.
//!
//! ```text
//!   chunk │ node │ node │ free │ node │ ...      words are atomic, so that a reader and the writer
//!   chunk │ node │ node │ ...                    may have the same chunk open without `unsafe`
//! ```
//!
//! A node that a snapshot can reach is never written: the writer fills a block first and publishes
//! it after, and takes a block back only when no snapshot that could reach it is alive. So plain
//! (relaxed) loads see whole nodes, and a node refers to another by a number of four bytes, without
//! a reference count: copying a node touches that node and none of its children.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::node::{self, Node, Shape};

/// Where a node begins: chunk in the high half, word within it in the low half.
pub(crate) type At = u32;

/// No node.
pub(crate) const NONE: At = At::MAX;

/// Words of the first chunk; a tenant with three subscriptions should not cost a page.
const CHUNK_MIN: usize = 256;
/// Words of the largest chunk: what the low half of [`At`] can say.
const CHUNK_MAX: usize = 1 << 16;
/// So that [`NONE`] is in no chunk.
const CHUNKS_MAX: usize = (1 << 16) - 1;
/// Words of a line of the processor's cache.
const LINE: usize = 16;
/// Arenas below this many words are not worth a sweep.
const SWEEP_MIN: usize = 4 * CHUNK_MAX;

/// Blocks come in so many sizes: every word up to 8, then four sizes for each doubling.
const CLASSES: usize = 39;
const SIZES: [u16; CLASSES] = sizes();
const CLASS_OF: [u8; node::WORDS_MAX + 1] = classes();
const _: () = assert!(SIZES[CLASSES - 1] as usize >= node::WORDS_MAX, "every node has a block");
const _: () = assert!(SIZES[CLASSES - 1] as usize <= CHUNK_MAX, "every block has a chunk");

const fn sizes() -> [u16; CLASSES] {
    let mut sizes = [0; CLASSES];
    let mut class = 0;
    let mut size = 3;
    let mut step = 1;
    while class < CLASSES {
        sizes[class] = size;
        if size == 8 * step {
            step *= 2;
        }
        size += step;
        class += 1;
    }
    sizes
}

const fn classes() -> [u8; node::WORDS_MAX + 1] {
    let mut classes = [0; node::WORDS_MAX + 1];
    let mut class = 0_u8;
    let mut words = 0;
    while words <= node::WORDS_MAX {
        if words > SIZES[class as usize] as usize {
            class += 1;
        }
        classes[words] = class;
        words += 1;
    }
    classes
}

type Chunk = Arc<[AtomicU32]>;

/// The chunks of one snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Directory(Arc<[Chunk]>);

impl Directory {
    pub(crate) fn words(&self) -> Words<'_> {
        Words(&self.0)
    }
}

/// The chunks, to read nodes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a>(&'a [Chunk]);

impl<'a> Words<'a> {
    pub(crate) fn node(self, at: At) -> Node<'a> {
        Node::new(self.block(at))
    }

    pub(crate) fn node_of_shape(self, at: At, shape: Shape) -> Node<'a> {
        Node::of_shape(self.block(at), shape)
    }

    /// The words from `at` to the end of the chunk.
    fn block(self, at: At) -> &'a [AtomicU32] {
        &self.0[(at >> 16) as usize][(at & 0xffff) as usize..]
    }
}

/// The chunks, to make nodes in.
#[derive(Debug)]
pub(crate) struct Arena {
    chunks: Vec<Chunk>,
    /// Words in blocks that are taken, by chunk.
    taken: Vec<u32>,
    /// Numbers of chunks that were given back.
    vacant: Vec<usize>,
    /// Free blocks for leaves and for inner nodes, by class.
    free: [[Vec<At>; CLASSES]; 2],
    /// What is left of the chunk that new blocks are cut from.
    cutting: Option<(usize, Range<usize>)>,
    directory: Directory,
    /// Whether `directory` is not what `chunks` is.
    is_stale: bool,
    /// Tells arenas apart: the same number means the same node only within one.
    identity: Arc<()>,
    words: usize,
    words_taken: usize,
    /// Words given back since the last sweep.
    words_freed: usize,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            taken: Vec::new(),
            vacant: Vec::new(),
            free: [const { [const { Vec::new() }; CLASSES] }; 2],
            cutting: None,
            directory: Directory([].into()),
            is_stale: false,
            identity: Arc::new(()),
            words: 0,
            words_taken: 0,
            words_freed: 0,
        }
    }

    pub(crate) fn identity(&self) -> &Arc<()> {
        &self.identity
    }

    pub(crate) fn words(&self) -> Words<'_> {
        Words(&self.chunks)
    }

    pub(crate) fn node(&self, at: At) -> Node<'_> {
        self.words().node(at)
    }

    /// The chunks as they are now. Costs one reference for each chunk when there are new ones.
    pub(crate) fn directory(&mut self) -> Directory {
        if self.is_stale {
            self.directory = Directory(self.chunks.as_slice().into());
            self.is_stale = false;
        }
        self.directory.clone()
    }

    /// Puts a node into a free block.
    pub(crate) fn put(&mut self, image: &[u32]) -> At {
        let class = CLASS_OF[image.len()];
        let at = self.take(Kind::of(node::is_leaf(image[0])), class);
        self.write(at, class, image);
        at
    }

    /// Puts a node where another is that no snapshot has seen, if it fits there.
    pub(crate) fn overwrite(&mut self, at: At, image: &[u32]) -> bool {
        let class = self.node(at).class();
        debug_assert_eq!(self.node(at).is_leaf(), node::is_leaf(image[0]));
        let fits = image.len() <= usize::from(SIZES[usize::from(class)])
            // A node that shrank much gets a smaller block, or the space is lost for long.
            && CLASS_OF[image.len()] + 4 >= class;
        if fits {
            self.write(at, class, image);
        }
        fits
    }

    /// Puts the same node into another block.
    pub(crate) fn copy(&mut self, at: At) -> At {
        let node = self.node(at);
        let (class, used) = (node.class(), node.used());
        let copy = self.take(Kind::of(node.is_leaf()), class);
        let words = self.words();
        for (from, to) in words.block(at)[..used].iter().zip(words.block(copy)) {
            to.store(from.load(Relaxed), Relaxed);
        }
        copy
    }

    /// Puts the same node of another arena into a block here.
    pub(crate) fn copy_from(&mut self, other: Words<'_>, at: At) -> At {
        let node = other.node(at);
        let from = &other.block(at)[..node.used()];
        let class = CLASS_OF[from.len()];
        let copy = self.take(Kind::of(node.is_leaf()), class);
        let to = self.words().block(copy);
        for (from, to) in from.iter().zip(to) {
            to.store(from.load(Relaxed), Relaxed);
        }
        Node::set_class(to, class);
        copy
    }

    /// Takes a block back. Nobody may reach it any more.
    pub(crate) fn free(&mut self, at: At) {
        let node = self.node(at);
        let class = usize::from(node.class());
        let size = SIZES[class];
        let kind = Kind::of(node.is_leaf());
        self.free[kind as usize][class].push(at);
        self.taken[(at >> 16) as usize] -= u32::from(size);
        self.words_taken -= usize::from(size);
        self.words_freed += usize::from(size);
    }

    /// Bytes of all chunks, and of the blocks in them that are taken.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.words * 4, self.words_taken * 4)
    }

    /// Bytes of the lists that keep order here.
    pub(crate) fn bytes_of_lists(&self) -> usize {
        let free: usize = self.free.iter().flatten().map(Vec::capacity).sum();
        free * size_of::<At>()
            + (self.chunks.capacity() + self.directory.0.len()) * size_of::<Chunk>()
            + self.taken.capacity() * size_of::<u32>()
    }

    /// Whether so much was given back that moving the rest together is worth it: less than a quarter
    /// is taken, of a megabyte or more.
    pub(crate) fn is_sparse(&self) -> bool {
        self.words >= SWEEP_MIN && self.words_taken < self.words / 4
    }

    /// Gives back chunks that hold nothing, when so much was freed that looking is worth it.
    pub(crate) fn sweep(&mut self) {
        if self.words < SWEEP_MIN || self.words_freed < self.words / 2 {
            return;
        }
        self.words_freed = 0;
        let cutting = self.cutting.as_ref().map(|(chunk, _)| *chunk);
        for (number, chunk) in self.chunks.iter_mut().enumerate() {
            if self.taken[number] == 0 && !chunk.is_empty() && Some(number) != cutting {
                self.words -= chunk.len();
                *chunk = [].into();
                self.vacant.push(number);
                self.is_stale = true;
            }
        }
        for free in self.free.iter_mut().flatten() {
            free.retain(|at| !self.chunks[(at >> 16) as usize].is_empty());
            free.shrink_to(free.len() * 2);
        }
    }

    fn write(&mut self, at: At, class: u8, image: &[u32]) {
        let block = self.words().block(at);
        for (from, to) in image.iter().zip(block) {
            to.store(*from, Relaxed);
        }
        Node::set_class(block, class);
    }

    fn take(&mut self, kind: Kind, class: u8) -> At {
        let class = usize::from(class);
        let size = usize::from(SIZES[class]);
        let free = self.free[kind as usize][class].pop();
        let at = free.unwrap_or_else(|| self.cut(kind, size));
        self.taken[(at >> 16) as usize] += u32::from(SIZES[class]);
        self.words_taken += size;
        at
    }

    /// A block that was never used.
    fn cut(&mut self, kind: Kind, size: usize) -> At {
        loop {
            if let Some((chunk, rest)) = self.cutting.take() {
                let start = match kind {
                    Kind::Leaf => Some(rest.start),
                    Kind::Inner => self.start_before(chunk, rest.end, size),
                };
                let block = start.map(|start| start..start + size);
                if let Some(block) = block.filter(|it| rest.start <= it.start && it.end <= rest.end)
                {
                    let rest = match kind {
                        Kind::Leaf => block.end..rest.end,
                        Kind::Inner => {
                            self.shelve(chunk, block.end..rest.end);
                            rest.start..block.start
                        }
                    };
                    self.cutting = Some((chunk, rest));
                    return at(chunk, block.start);
                }
                self.shelve(chunk, rest);
            }
            let chunk = self.add_chunk(size);
            self.cutting = Some((chunk, 0..self.chunks[chunk].len() - node::WORDS_BEHIND));
        }
    }

    /// Where the last block of this size starts that ends at `end` or before, and that is in one line
    /// or starts with one.
    fn start_before(&self, chunk: usize, end: usize, size: usize) -> Option<usize> {
        let last = end.checked_sub(size)?;
        let address = self.chunks[chunk].as_ptr().addr() / size_of::<u32>();
        let in_line = (address + last) % LINE;
        if in_line == 0 || in_line + size <= LINE {
            return Some(last);
        }
        last.checked_sub(if size <= LINE { in_line + size - LINE } else { in_line })
    }

    fn add_chunk(&mut self, size: usize) -> usize {
        // An eighth at a time: that is what is allocated and not used at most, for larger arenas.
        let len = (self.words / 8).next_multiple_of(CHUNK_MIN).clamp(CHUNK_MIN, CHUNK_MAX);
        let least = size + 2 * LINE + node::WORDS_BEHIND;
        let chunk: Chunk = (0..len.max(least)).map(|_| AtomicU32::new(0)).collect();
        self.words += chunk.len();
        self.is_stale = true;
        if let Some(number) = self.vacant.pop() {
            self.chunks[number] = chunk;
            return number;
        }
        assert!(self.chunks.len() < CHUNKS_MAX, "one interest holds at most 16 GiB");
        self.chunks.push(chunk);
        self.taken.push(0);
        self.chunks.len() - 1
    }

    /// Makes free blocks for leaves of what is left between others.
    fn shelve(&mut self, chunk: usize, mut words: Range<usize>) {
        while let Some(class) = SIZES.iter().rposition(|size| usize::from(*size) <= words.len()) {
            self.free[Kind::Leaf as usize][class].push(at(chunk, words.start));
            words.start += usize::from(SIZES[class]);
        }
    }
}

/// What a block is for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A leaf, next to the one before.
    Leaf,
    /// An inner node, in one line of the processor's cache or beginning with one: a walk reads many.
    Inner,
}

impl Kind {
    const fn of(is_leaf: bool) -> Self {
        if is_leaf { Self::Leaf } else { Self::Inner }
    }
}

fn at(chunk: usize, start: usize) -> At {
    let number = (chunk << 16) | start;
    At::try_from(number).expect("chunks and their words are counted in 16 bits each")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_the_smallest_block_it_fits_in() {
        for (words, class) in CLASS_OF.iter().enumerate() {
            let class = usize::from(*class);
            assert!(usize::from(SIZES[class]) >= words, "{words}");
            assert!(class == 0 || usize::from(SIZES[class - 1]) < words, "{words}");
        }
        assert!(SIZES.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(SIZES.windows(2).all(|pair| pair[1] <= pair[0] + pair[0] / 4 + 1));
    }
}
