//! Blocks that files are read into, used again once the last message in them is let go.
//!
//! ```text
//!   file ──read──▶ block ──▶ messages that share it ──last one dropped──▶ kept for the next read
//! ```
//!
//! A fresh block costs more than reading into it: the kernel finds its pages one by one, and they are
//! zeroed twice. Only a few are kept, for all channels together.

use bytes::Bytes;
use parking_lot::Mutex;

/// Length of the blocks that are kept, in bytes: large enough that a read call costs nothing beside
/// the bytes.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// Blocks kept at most.
///
/// Sixteen, which is 4 MiB: a reader that takes a few at a time finds them again, and memory that
/// nobody uses stays small.
const KEPT_MAX: usize = 16;

static KEPT: Kept = Kept(Mutex::new(Vec::new()));

/// Blocks that nobody uses.
#[derive(Debug)]
struct Kept(Mutex<Vec<Box<[u8]>>>);

/// Bytes to read into.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Box<[u8]>,
    /// How many of them count.
    len: usize,
    home: &'static Kept,
}

impl Block {
    /// A block of `len` bytes, whose content is whatever it was.
    pub(crate) fn new(len: usize) -> Self {
        KEPT.take(len)
    }

    /// The bytes to read into.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// The first `len` bytes, to be shared.
    pub(crate) fn share(mut self, len: usize) -> Bytes {
        self.len = self.len.min(len);
        Bytes::from_owner(self)
    }
}

impl Kept {
    fn take(&'static self, len: usize) -> Block {
        // What is much smaller would only hold the memory of a whole block.
        let kept = if (BLOCK_BYTES / 4..=BLOCK_BYTES).contains(&len) {
            self.0.lock().pop().unwrap_or_else(|| vec![0; BLOCK_BYTES].into())
        } else {
            vec![0; len].into()
        };
        Block { bytes: kept, len, home: self }
    }

    fn give_back(&self, block: Box<[u8]>) {
        let mut kept = self.0.lock();
        if kept.len() < KEPT_MAX {
            kept.push(block);
        }
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.bytes.len() == BLOCK_BYTES {
            self.home.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> &'static Kept {
        Box::leak(Box::new(Kept(Mutex::default())))
    }

    #[test]
    fn a_block_is_kept_when_the_last_who_shares_it_lets_go() {
        let kept = kept();
        let mut block = kept.take(BLOCK_BYTES - 1);
        block.bytes_mut()[..4].copy_from_slice(b"abcd");
        let whole = block.share(4);
        assert_eq!(whole, b"abcd".as_slice());
        let part = whole.slice(1..3);
        drop(whole);
        assert_eq!(part, b"bc".as_slice());
        assert!(kept.0.lock().is_empty());
        drop(part);
        assert_eq!(kept.0.lock().len(), 1);
        assert_eq!(kept.take(BLOCK_BYTES).bytes_mut().len(), BLOCK_BYTES);
    }

    #[test]
    fn no_more_are_kept_than_a_few_and_only_whole_ones() {
        let kept = kept();
        drop((0..KEPT_MAX + 9).map(|_| kept.take(BLOCK_BYTES)).collect::<Vec<_>>());
        assert_eq!(kept.0.lock().len(), KEPT_MAX);
        drop((kept.take(100), kept.take(BLOCK_BYTES + 1)));
        assert!(kept.0.lock().iter().all(|block| block.len() == BLOCK_BYTES));
    }
}
