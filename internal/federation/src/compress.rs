//! Batches squeezed and swelled again, where both peers agreed to.
//!
//! The length that a batch will have is said before it and checked against two limits: what a batch may
//! be, and what LZ4 can make of so few bytes. So a bomb is refused before it has a byte of memory.

use bytes::Bytes;

use crate::wire::BadFrame;

/// Batches below this are sent as they are, in bytes.
const WORTH_BYTES: usize = 512;

/// LZ4 makes at most 255 bytes of one.
const RATIO_MAX: u64 = 255;

/// Batches not tried after one that did not get smaller.
const REST: u32 = 16;

/// Compresses what gets smaller by it, and does not go on trying where nothing does.
#[derive(Debug, Default)]
pub(crate) struct Compressor {
    resting: u32,
}

impl Compressor {
    /// Appends `records` to `out`, compressed; `false` when that is not worth it, and `out` is as it was.
    pub(crate) fn compress(&mut self, records: &[u8], out: &mut Vec<u8>) -> bool {
        if records.len() < WORTH_BYTES {
            return false;
        }
        if self.resting > 0 {
            self.resting -= 1;
            return false;
        }
        let start = out.len();
        out.resize(start + lz4_flex::block::get_maximum_output_size(records.len()), 0);
        match lz4_flex::block::compress_into(records, &mut out[start..]) {
            // An eighth less is worth the other side's work.
            Ok(len) if len < records.len() - records.len() / 8 => {
                out.truncate(start + len);
                true
            }
            _ => {
                out.truncate(start);
                self.resting = REST;
                false
            }
        }
    }
}

/// The records that `compressed` was made of, `len` bytes and at most `max`.
pub(crate) fn inflate(compressed: &[u8], len: u64, max: usize) -> Result<Bytes, BadFrame> {
    let limit = RATIO_MAX.saturating_mul(compressed.len() as u64).min(max as u64);
    let len = match usize::try_from(len) {
        Ok(fits) if len <= limit => fits,
        _ => return Err(BadFrame::Limit { field: "inflated length", found: len, limit }),
    };
    let mut records = vec![0; len];
    match lz4_flex::block::decompress_into(compressed, &mut records) {
        Ok(inflated) if inflated == len => Ok(records.into()),
        _ => Err(BadFrame::Invalid("compressed batch")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_gets_smaller_comes_back() {
        let records = b"{\"order\":17,\"state\":\"paid\"}".repeat(100);
        let mut out = b"head".to_vec();
        assert!(Compressor::default().compress(&records, &mut out));
        assert!(out.starts_with(b"head") && out.len() < records.len() / 4);
        let inflated = inflate(&out[4..], records.len() as u64, 1 << 20).unwrap();
        assert_eq!(inflated, records);
    }

    #[test]
    fn what_does_not_get_smaller_is_sent_as_it_is_and_not_tried_each_time() {
        let mut rng = pubsub_sim::Rng::new(1);
        let mut noise = vec![0; 4096];
        rng.fill(&mut noise);
        let (mut compressor, mut out) = (Compressor::default(), vec![7]);
        assert!(!compressor.compress(&noise, &mut out));
        assert_eq!(out, [7]);
        let text = vec![b'a'; 4096];
        let tries = (0..100).take_while(|_| !compressor.compress(&text, &mut out)).count();
        assert_eq!(tries, REST as usize);
        assert!(!compressor.compress(b"short", &mut out));
    }

    #[test]
    fn a_bomb_is_refused_by_what_it_says() {
        let bomb = [0_u8; 64];
        for (len, max) in [(1 << 40, 1 << 20), (u64::MAX, usize::MAX), (64 * 255 + 1, 1 << 20)] {
            let refused = inflate(&bomb, len, max).unwrap_err();
            assert!(matches!(refused, BadFrame::Limit { .. }), "{refused}");
        }
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        let records = vec![b'a'; 2000];
        let mut out = Vec::new();
        assert!(Compressor::default().compress(&records, &mut out));
        for len in [0, 1, 1999, 2001, 2100] {
            inflate(&out, len, 1 << 20).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_inflating_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..100), len in 0_u64..10_000,
        ) {
            let _inflated = inflate(&bytes, len, 1 << 16);
        }
    }
}
