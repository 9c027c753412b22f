//! Compression of messages, each for itself (RFC 7692, without context takeover).
//!
//! Nothing of a message is needed for the next one, so the large tables of the compressor are shared
//! by all connections of a thread, and a connection borrows an inflater only while it reads a
//! compressed message.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::ws::Fault;

/// What ends every block that is flushed; senders leave it out, readers put it back.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// How many inflaters are kept for the next message.
const IDLE_MAX: usize = 4;

/// How much is inflated or deflated at once, in bytes.
const STEP_BYTES: usize = 8 << 10;

/// Compressors and inflaters of one thread.
#[derive(Debug, Default)]
pub struct Pool {
    inflaters: Vec<Inflater>,
    deflater: Option<Compress>,
}

impl Pool {
    pub(crate) fn inflater(&mut self) -> Inflater {
        self.inflaters.pop().unwrap_or_else(|| Inflater(Box::new(Decompress::new(false))))
    }

    pub(crate) fn put_back(&mut self, mut inflater: Inflater) {
        if self.inflaters.len() < IDLE_MAX {
            inflater.0.reset(false);
            self.inflaters.push(inflater);
        }
    }

    /// The compressed form of `parts`, as one message.
    pub(crate) fn deflate<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let deflater =
            self.deflater.get_or_insert_with(|| Compress::new(Compression::fast(), false));
        deflater.reset();
        let mut out = Vec::with_capacity(STEP_BYTES);
        for part in parts {
            deflate_part(deflater, part, FlushCompress::None, &mut out);
        }
        deflate_part(deflater, &[], FlushCompress::Sync, &mut out);
        debug_assert!(out.ends_with(&TAIL), "a flush ends so");
        out.truncate(out.len() - TAIL.len());
        out
    }
}

fn deflate_part(deflater: &mut Compress, mut part: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    loop {
        out.reserve(STEP_BYTES);
        let before = deflater.total_in();
        deflater.compress_vec(part, out, flush).expect("a compressor takes any bytes");
        let taken = usize::try_from(deflater.total_in() - before).expect("no more than the part");
        part = &part[taken..];
        // It is done when it left room.
        if part.is_empty() && out.len() < out.capacity() {
            return;
        }
    }
}

/// Inflates one message at a time.
#[derive(Debug)]
pub(crate) struct Inflater(Box<Decompress>);

/// How an [`Inflater`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It needs more input.
    Hungry,
    /// It needs more room.
    Full,
    /// The message ended, whatever follows in it.
    Ended,
}

impl Inflater {
    /// Inflates from the front of `input` to the end of `out`, by `room` bytes at most.
    pub(crate) fn inflate(
        &mut self,
        input: &mut &[u8],
        out: &mut bytes::BytesMut,
        room: usize,
    ) -> Result<Stop, Fault> {
        let mut room = room;
        loop {
            if room == 0 {
                return Ok(Stop::Full);
            }
            let (start, step) = (out.len(), room.min(STEP_BYTES));
            out.resize(start + step, 0);
            let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
            let status = self.0.decompress(input, &mut out[start..], FlushDecompress::None);
            let taken = difference(self.0.total_in(), before_in);
            let made = difference(self.0.total_out(), before_out);
            out.truncate(start + made);
            *input = &input[taken..];
            room -= made;
            match status {
                Err(_) => return Err(Fault::Corrupt),
                Ok(Status::StreamEnd) => return Ok(Stop::Ended),
                Ok(Status::Ok | Status::BufError) if made == step => (),
                Ok(Status::Ok | Status::BufError) if input.is_empty() => return Ok(Stop::Hungry),
                // Neither used up nor full: it cannot go on.
                Ok(Status::Ok | Status::BufError) if taken == 0 && made == 0 => {
                    return Err(Fault::Corrupt);
                }
                Ok(Status::Ok | Status::BufError) => (),
            }
        }
    }

    /// Puts back what the sender left out, at the end of a message.
    pub(crate) fn finish(
        &mut self,
        tail: &mut Tail,
        out: &mut bytes::BytesMut,
        room: usize,
    ) -> Result<Stop, Fault> {
        let mut rest = &TAIL[tail.used..];
        let stop = self.inflate(&mut rest, out, room);
        tail.used = TAIL.len() - rest.len();
        stop
    }
}

/// How much of the end that the sender left out was put back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tail {
    used: usize,
}

fn difference(now: u64, before: u64) -> usize {
    usize::try_from(now - before).expect("no more than was given")
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    fn inflate(bytes: &[u8], piece: usize, room: usize) -> Result<Vec<u8>, Fault> {
        let mut inflater = Pool::default().inflater();
        let mut out = BytesMut::new();
        let mut ended = false;
        for part in bytes.chunks(piece) {
            let mut input = part;
            while !ended {
                match inflater.inflate(&mut input, &mut out, room)? {
                    Stop::Hungry => break,
                    Stop::Full => (),
                    Stop::Ended => ended = true,
                }
            }
        }
        let mut tail = Tail::default();
        while !ended && inflater.finish(&mut tail, &mut out, room)? == Stop::Full {}
        Ok(out.to_vec())
    }

    proptest! {
        #[test]
        fn what_was_deflated_in_any_parts_is_inflated_in_any_pieces(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a')], 0..30_000),
            part in 1usize..9000,
            piece in 1usize..9000,
            room in 1usize..20_000,
        ) {
            let mut pool = Pool::default();
            let mut first = pool.deflate(bytes.chunks(part));
            // Nothing of a message is left for the next.
            prop_assert_eq!(&pool.deflate(bytes.chunks(part)), &first);
            prop_assert_eq!(inflate(&first, piece, room).unwrap(), bytes);
            first.truncate(first.len() / 2);
            let _cut = inflate(&first, piece, room);
        }

        #[test]
        fn any_bytes_are_inflated_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), room in 1usize..99) {
            if let Ok(out) = inflate(&bytes, 7, room) {
                prop_assert!(out.len() <= 200 * 1100);
            }
        }
    }

    #[test]
    fn inflater_is_used_again_by_the_next_message() {
        let mut pool = Pool::default();
        let bytes = pool.deflate([&b"hello"[..]].into_iter());
        for _ in 0..3 {
            let (mut inflater, mut out) = (pool.inflater(), BytesMut::new());
            assert_eq!(inflater.inflate(&mut &bytes[..], &mut out, 100), Ok(Stop::Hungry));
            assert_eq!(inflater.finish(&mut Tail::default(), &mut out, 100), Ok(Stop::Hungry));
            assert_eq!(out, "hello");
            pool.put_back(inflater);
            assert_eq!(pool.inflaters.len(), 1);
        }
    }
}
