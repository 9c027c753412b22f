//! A list that grows by the piece: pushing never copies more than one piece, and no more than one
//! piece is ever unused.
//!
//! A doubling `Vec` of a million entries copies megabytes in the middle of a publish, and on average
//! wastes a third of what it holds.

/// An append-only list of small values.
#[derive(Clone, Debug)]
pub(super) struct Chunked<T> {
    /// All full but the last. The first grows by doubling, so that a short list stays small.
    chunks: Vec<Vec<T>>,
    len: usize,
}

/// Entries in one piece.
const CHUNK: usize = 1 << 12;

impl<T: Copy> Chunked<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, value: T) {
        if self.len.is_multiple_of(CHUNK) {
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        let chunk = self.chunks.last_mut().expect("a chunk with room was just made sure of");
        chunk.push(value);
        self.len += 1;
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK).copied()
    }

    /// The entry at `at`, which must be below [`Self::len`].
    #[inline]
    pub(super) fn at(&self, at: usize) -> T {
        self.chunks[at / CHUNK][at % CHUNK]
    }

    /// [`Self::at`], to be changed.
    #[inline]
    pub(super) fn at_mut(&mut self, at: usize) -> &mut T {
        &mut self.chunks[at / CHUNK][at % CHUNK]
    }

    pub(super) fn last(&self) -> Option<T> {
        self.get(self.len.checked_sub(1)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> {
        self.chunks.iter().flatten().copied()
    }

    /// How many entries, from the first on, satisfy `before`; those that do come first.
    pub(super) fn partition_point(&self, mut before: impl FnMut(&T) -> bool) -> usize {
        let full = self.chunks.partition_point(|chunk| chunk.last().is_some_and(&mut before));
        let rest = self.chunks.get(full).map_or(0, |chunk| chunk.partition_point(before));
        // The last piece may be short and yet all before.
        self.len.min(full * CHUNK + rest)
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        let entries: usize = self.chunks.iter().map(Vec::capacity).sum();
        entries * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

impl<T: Copy> FromIterator<T> for Chunked<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut chunked = Self::new();
        values.into_iter().for_each(|value| chunked.push(value));
        chunked
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Chunked};

    #[test]
    fn a_list_of_any_length_is_what_was_pushed() {
        for len in [0, 1, 5, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let list: Chunked<usize> = (0..len).collect();
            assert_eq!(list.len(), len);
            assert!(list.iter().eq(0..len));
            assert_eq!(list.last(), len.checked_sub(1));
            assert_eq!(list.get(len), None);
            for bound in [0, 1, len / 2, len, len + 1] {
                assert_eq!(list.partition_point(|&value| value < bound), bound.min(len));
            }
        }
    }

    #[test]
    fn a_short_list_is_small_and_a_long_one_has_no_slack() {
        let short: Chunked<u32> = (0..3).collect();
        assert!(short.memory_bytes() <= 128, "{}", short.memory_bytes());
        let long: Chunked<u32> = (0..1_000_000).collect();
        assert!(long.memory_bytes() < 4_000_000 + 40_000, "{}", long.memory_bytes());
    }
}
