//! Bytes that came from one connection and are not read yet.
//!
//! ```text
//!   socket ──▶ ▕PUB a 2␍␊hi␍␊PUB b 90000␍␊…▏
//!              ╰───── take ─────╯╰─ give back ─╯      the payload "hi" may be kept, by reference
//! ```
//!
//! A block that was taken shares its memory with whoever keeps a part of it; when nobody does, the
//! memory is read into again. What is given back is copied only if somebody keeps a part of its
//! block, and only once: an operation that needs more is not taken before it is whole.

use bytes::{Bytes, BytesMut};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;

/// What came from one connection and is not read yet.
#[derive(Debug, Default)]
pub struct Inbox {
    buffer: BytesMut,
}

impl Inbox {
    /// Where to read to: behind what is there. `needed` is what [`Session::needed`] said.
    ///
    /// [`Session::needed`]: crate::Session::needed
    pub fn spare(&mut self, needed: usize) -> &mut BytesMut {
        let missing = needed.saturating_sub(self.buffer.len());
        if self.buffer.capacity() - self.buffer.len() < missing.max(1) {
            self.buffer.reserve(missing.max(READ_BYTES));
        }
        &mut self.buffer
    }

    /// Bytes that are there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes all that is there.
    #[must_use = "it is not kept anywhere else"]
    pub fn take(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// Puts back the end of what was taken last, which could not be read yet.
    pub fn give_back(&mut self, rest: Bytes) {
        if rest.is_empty() {
            return;
        }
        debug_assert!(self.buffer.is_empty(), "nothing came in between");
        // The room behind the block belongs to it; without it the block is the only owner, if it is.
        self.buffer = BytesMut::new();
        self.buffer = rest.try_into_mut().unwrap_or_else(|rest| BytesMut::from(&rest[..]));
    }

    /// Gives back the memory of a connection that says nothing.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_comes_first_again() {
        let mut inbox = Inbox::default();
        inbox.spare(0).extend_from_slice(b"one two");
        let block = inbox.take();
        let kept = block.slice(..3);
        inbox.give_back(block.slice(4..));
        drop(block);
        inbox.spare(0).extend_from_slice(b" three");
        assert_eq!(inbox.take(), "two three");
        assert_eq!(kept, "one");
    }

    #[test]
    fn memory_of_what_nobody_keeps_is_read_into_again() {
        let mut inbox = Inbox::default();
        for _ in 0..10_000 {
            inbox.spare(0).extend_from_slice(&[b'x'; 1000]);
            let block = inbox.take();
            inbox.give_back(block.slice(990..));
            drop(block);
            inbox.spare(0).extend_from_slice(b"y");
            assert_eq!(inbox.take().len(), 11);
        }
        assert!(inbox.memory_bytes() <= READ_BYTES * 2, "{}", inbox.memory_bytes());
        inbox.release();
        assert_eq!(inbox.memory_bytes(), 0);
    }

    #[test]
    fn rest_that_nobody_shares_is_not_copied() {
        let mut inbox = Inbox::default();
        inbox.spare(0).extend_from_slice(b"one two");
        let block = inbox.take();
        let place = block[4..].as_ptr();
        let rest = block.slice(4..);
        drop(block);
        inbox.give_back(rest);
        assert_eq!(inbox.take().as_ptr(), place);
    }

    #[test]
    fn room_is_made_for_all_that_is_needed_at_once() {
        let mut inbox = Inbox::default();
        inbox.spare(0).extend_from_slice(b"PUB a 1000000\r\n");
        let needed = 1_000_017;
        let buffer = inbox.spare(needed);
        assert!(buffer.capacity() >= needed);
        let place = buffer.as_ptr();
        while inbox.len() < needed {
            let more = [b'x'; 1000];
            let more = &more[..more.len().min(needed - inbox.len())];
            inbox.spare(needed).extend_from_slice(more);
        }
        assert_eq!(inbox.take().as_ptr(), place);
    }
}
