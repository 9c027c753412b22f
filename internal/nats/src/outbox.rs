//! Bytes on their way to one connection: copied while they are small, shared when they are not.
//!
//! ```text
//!   own ▕MSG a 1 5␍␊hello␍␊MSG b 2 9000␍␊▏ shared ▕…9000 bytes…▏ own ▕␍␊MSG …▏
//!    ▲ sent up to here
//! ```
//!
//! What was handed to the socket is dropped chunk by chunk, so a slow reader holds what it has not
//! read and no more. The bound on that is the session's to watch: see [`Outbox::pending`].

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Room of the first chunk of a connection that had nothing to say, in bytes: an `INFO`, a few lines.
const CHUNK_MIN_BYTES: usize = 512;

/// Room of the chunks of a busy connection, in bytes.
const CHUNK_MAX_BYTES: usize = 64 << 10;

/// What waits to be written to one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are written.
    sent: usize,
    /// Bytes that are not.
    pending: usize,
}

#[derive(Debug)]
enum Chunk {
    Own(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Outbox {
    /// Bytes that wait.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.pending
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Appends what `write` writes. `room`: how much that is, in bytes; a guess too low costs a copy.
    #[inline]
    pub fn write(&mut self, room: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let fits = match self.chunks.back() {
            Some(Chunk::Own(chunk)) => chunk.capacity() - chunk.len() >= room,
            _ => false,
        };
        if !fits {
            self.add_chunk(room);
        }
        let Some(Chunk::Own(chunk)) = self.chunks.back_mut() else { return };
        let before = chunk.len();
        write(chunk);
        self.pending += chunk.len() - before;
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn copy(&mut self, bytes: &[u8]) {
        self.write(bytes.len(), |chunk| chunk.extend_from_slice(bytes));
    }

    /// Appends `bytes` without copying them.
    pub fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pending += bytes.len();
            self.chunks.push_back(Chunk::Shared(bytes));
        }
    }

    /// Fills `slices` with what waits, in order, and returns how many it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for bytes in self.chunks().take(slices.len()) {
            slices[count] = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// What waits, in order, in pieces that are not empty.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut sent = self.sent;
        self.chunks
            .iter()
            .map(move |chunk| &chunk.bytes()[std::mem::take(&mut sent)..])
            .filter(|bytes| !bytes.is_empty())
    }

    /// The first `bytes` of what waits are written.
    ///
    /// # Panics
    /// If so many do not wait.
    pub fn advance(&mut self, bytes: usize) {
        assert!(bytes <= self.pending, "more was written than waited");
        self.pending -= bytes;
        self.sent += bytes;
        loop {
            let is_last = self.chunks.len() == 1;
            let Some(first) = self.chunks.front_mut() else { break };
            let len = first.bytes().len();
            if self.sent < len {
                break;
            }
            // The last chunk of our own is written to again, from its start.
            if let Chunk::Own(chunk) = first
                && is_last
            {
                chunk.clear();
                self.sent = 0;
                break;
            }
            self.sent -= len;
            self.chunks.pop_front();
        }
    }

    /// Gives back the memory of a connection that has nothing to say.
    pub fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// The first `bytes` of what waits, or all of it, in pieces that are not empty.
    pub fn first(&self, bytes: usize) -> impl Iterator<Item = &[u8]> {
        let mut left = bytes;
        self.chunks().map_while(move |chunk| {
            let part = &chunk[..chunk.len().min(left)];
            left -= part.len();
            (!part.is_empty()).then_some(part)
        })
    }

    /// Moves the first `bytes` of what waits to the end of `other`.
    ///
    /// # Panics
    /// If so many do not wait.
    pub fn move_to(&mut self, bytes: usize, other: &mut Self) {
        let (mut left, mut sent) = (bytes, self.sent);
        for chunk in &self.chunks {
            let from = std::mem::take(&mut sent);
            let to = chunk.bytes().len().min(from + left);
            left -= to - from;
            match chunk {
                Chunk::Own(bytes) => other.copy(&bytes[from..to]),
                Chunk::Shared(bytes) => other.share(bytes.slice(from..to)),
            }
            if left == 0 {
                break;
            }
        }
        self.advance(bytes);
    }

    /// Bytes of memory held, beyond the box itself; shared chunks count as if they were its own.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| match chunk {
            Chunk::Own(bytes) => bytes.capacity(),
            Chunk::Shared(bytes) => bytes.len(),
        });
        chunks.sum::<usize>() + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// Chunks grow with what waits, so that a connection pays for what it has to say.
    #[cold]
    fn add_chunk(&mut self, room: usize) {
        let usual = (self.pending * 2).clamp(CHUNK_MIN_BYTES, CHUNK_MAX_BYTES);
        let chunk = Vec::with_capacity(room.max(usual));
        match self.chunks.back_mut() {
            // It was written and emptied, and is too small.
            Some(last @ Chunk::Own(_)) if last.bytes().is_empty() => *last = Chunk::Own(chunk),
            _ => self.chunks.push_back(Chunk::Own(chunk)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contents(outbox: &Outbox) -> Vec<u8> {
        outbox.chunks().flatten().copied().collect()
    }

    #[test]
    fn copied_and_shared_bytes_keep_their_order() {
        let mut outbox = Outbox::default();
        outbox.copy(b"one ");
        outbox.share(Bytes::from_static(b"two "));
        outbox.copy(b"three");
        assert_eq!(contents(&outbox), b"one two three");
        assert_eq!(outbox.pending(), 13);
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(outbox.slices(&mut slices), 2);
        assert_eq!((&*slices[0], &*slices[1]), (&b"one "[..], &b"two "[..]));
    }

    #[test]
    fn written_bytes_are_dropped_and_their_memory_used_again() {
        let mut outbox = Outbox::default();
        outbox.copy(&[b'x'; 100]);
        let held = outbox.memory_bytes();
        for _ in 0..1000 {
            outbox.advance(100);
            outbox.copy(&[b'x'; 100]);
        }
        assert_eq!(outbox.memory_bytes(), held);
        outbox.advance(100);
        outbox.release();
        assert_eq!(outbox.memory_bytes(), 0);
    }

    #[test]
    fn slow_reader_holds_what_it_has_not_read() {
        let mut outbox = Outbox::default();
        for _ in 0..10_000 {
            outbox.copy(&[b'x'; 1000]);
            if outbox.pending() > 100_000 {
                outbox.advance(1000);
            }
        }
        assert!(outbox.memory_bytes() < 300_000, "{}", outbox.memory_bytes());
    }

    proptest! {
        #[test]
        fn whatever_is_appended_and_written_comes_out_once_and_in_order(
            steps in prop::collection::vec((0u8..4, 0usize..3000), 1..60)
        ) {
            let (mut outbox, mut expected, mut next) = (Outbox::default(), VecDeque::new(), 0u8);
            for (what, size) in steps {
                let bytes: Vec<u8> = (0..size).map(|_| { next = next.wrapping_add(1); next }).collect();
                match what {
                    0 => { outbox.copy(&bytes); expected.extend(bytes); }
                    1 => { expected.extend(&bytes); outbox.share(bytes.into()); }
                    2 => {
                        let size = size.min(outbox.pending());
                        outbox.advance(size);
                        expected.drain(..size);
                    }
                    _ => {
                        let size = size.min(outbox.pending());
                        let first: Vec<u8> = outbox.first(size).flatten().copied().collect();
                        let mut other = Outbox::default();
                        outbox.move_to(size, &mut other);
                        prop_assert_eq!(contents(&other), &first[..]);
                        prop_assert_eq!(first, expected.drain(..size).collect::<Vec<u8>>());
                    }
                }
                prop_assert_eq!(contents(&outbox), Vec::from(expected.clone()));
                prop_assert_eq!(outbox.pending(), expected.len());
            }
        }
    }
}
