//! The newest bytes of a channel, kept as the very buffers they were written from, so that readers at
//! the head never touch the disk.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes of one channel's newest batches that stay in memory.
///
/// Enough that a reader which wakes up late, after a few full batches, still finds them here.
const TAIL_BYTES_MAX: usize = 4 << 20;

/// The newest batches of a channel.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    blocks: VecDeque<Block>,
    bytes: usize,
}

#[derive(Debug)]
struct Block {
    /// First log index of the segment it was written to.
    segment: u64,
    /// Where in the file it was written.
    at: u64,
    bytes: Bytes,
}

impl Tail {
    /// Keeps what was written at `at` of the segment that starts with `segment`.
    pub(crate) fn push(&mut self, segment: u64, at: u64, bytes: Bytes) {
        self.bytes += bytes.len();
        self.blocks.push_back(Block { segment, at, bytes });
        while self.bytes > TAIL_BYTES_MAX && self.blocks.len() > 1 {
            if let Some(oldest) = self.blocks.pop_front() {
                self.bytes -= oldest.bytes.len();
            }
        }
    }

    /// The bytes from `at` of that segment to the end of the block that holds them.
    pub(crate) fn get(&self, segment: u64, at: u64) -> Option<Bytes> {
        let nth = self.blocks.partition_point(|block| (block.segment, block.at) <= (segment, at));
        let block = self.blocks.get(nth.checked_sub(1)?)?;
        if block.segment != segment {
            return None;
        }
        let offset = usize::try_from(at - block.at).ok()?;
        (offset < block.bytes.len()).then(|| block.bytes.slice(offset..))
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets go of everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_there_is_found() {
        let mut tail = Tail::default();
        tail.push(1, 64, Bytes::from_static(b"abcd"));
        tail.push(1, 68, Bytes::from_static(b"efgh"));
        tail.push(9, 64, Bytes::from_static(b"ijkl"));
        assert_eq!(tail.get(1, 66).as_deref(), Some(b"cd".as_slice()));
        assert_eq!(tail.get(1, 68).as_deref(), Some(b"efgh".as_slice()));
        assert_eq!(tail.get(1, 72), None);
        assert_eq!(tail.get(9, 64).as_deref(), Some(b"ijkl".as_slice()));
        assert_eq!(tail.get(9, 0), None);
        assert_eq!(tail.get(0, 64), None);
    }

    #[test]
    fn memory_is_bounded_by_forgetting_the_oldest() {
        let mut tail = Tail::default();
        for nth in 0..10 {
            tail.push(1, nth << 20, Bytes::from(vec![0; 1 << 20]));
        }
        assert_eq!(tail.bytes(), TAIL_BYTES_MAX);
        assert_eq!(tail.get(1, 0), None);
        assert!(tail.get(1, 9 << 20).is_some());
    }
}
