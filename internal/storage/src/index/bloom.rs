//! "Never heard of it", in ten bits a subject.
//!
//! A split-block Bloom filter: the hash picks one block of 256 bits, which is half a cache line, and
//! one bit in each of its eight words. A subject that was added is always found; one that was not is
//! found about once in eighty times.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The set of subjects of a sealed segment, roughly.
#[derive(Clone, Debug)]
pub(super) struct Bloom {
    blocks: Box<[Block]>,
}

type Block = [u32; 8];

const BLOCK_BYTES: usize = size_of::<Block>();
const BITS_PER_SUBJECT: usize = 10;

impl Bloom {
    pub(super) fn for_subjects(count: u32) -> Self {
        let blocks = (count as usize * BITS_PER_SUBJECT).div_ceil(BLOCK_BYTES * 8).max(1);
        Self { blocks: vec![Block::default(); blocks].into() }
    }

    pub(super) fn insert(&mut self, hash: u64) {
        let block = &mut self.blocks[self.block_of(hash)];
        for (word, mask) in block.iter_mut().zip(masks(hash)) {
            *word |= mask;
        }
    }

    pub(super) fn contains(&self, hash: u64) -> bool {
        let block = &self.blocks[self.block_of(hash)];
        block.iter().zip(masks(hash)).all(|(word, mask)| word & mask != 0)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.blocks.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        if blocks.is_empty() || !rest.is_empty() {
            return None;
        }
        let word = |word: &[u8; 4]| u32::from_le_bytes(*word);
        let block = |bytes: &[u8; BLOCK_BYTES]| {
            let mut block = Block::default();
            block.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, from)| *to = word(from));
            block
        };
        Some(Self { blocks: blocks.iter().map(block).collect() })
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }

    fn block_of(&self, hash: u64) -> usize {
        // The upper half of the hash as a fraction, of the number of blocks.
        let fraction = u128::from(hash >> 32) * self.blocks.len() as u128;
        usize::try_from(fraction >> 32).expect("a fraction of a usize")
    }
}

/// The hash of a subject, for ever: it is part of the format. Seeded with the log's id, so that
/// subjects which collide here do so nowhere else.
pub(super) fn hash(log_id: u128, subject: &[u8]) -> u64 {
    xxh3_64_with_seed(subject, low_half(log_id) ^ low_half(log_id >> 64))
}

fn low_half(id: u128) -> u64 {
    u64::try_from(id & u128::from(u64::MAX)).expect("64 bits are left")
}

/// One bit a word, picked by the lower half of the hash.
fn masks(hash: u64) -> impl Iterator<Item = u32> {
    let low = u32::try_from(hash & u64::from(u32::MAX)).expect("32 bits are left");
    SALTS.into_iter().map(move |salt| 1 << (low.wrapping_mul(salt) >> 27))
}

/// Odd numbers that mix well, as in the Parquet format's filter.
const SALTS: Block = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

#[cfg(test)]
mod tests {
    use super::{Bloom, hash};

    #[test]
    fn what_was_added_is_found_and_little_else() {
        let key = |n: u32| hash(7, format!("orders.{n}").as_bytes());
        let mut bloom = Bloom::for_subjects(100_000);
        (0..100_000).for_each(|n| bloom.insert(key(n)));
        let bloom = Bloom::decode(&bloom.encode()).unwrap();
        assert!((0..100_000).all(|n| bloom.contains(key(n))));
        let wrong = (100_000..200_000).filter(|&n| bloom.contains(key(n))).count();
        assert!(wrong < 2_000, "{wrong} of 100000 found that were never added");
        assert!(bloom.memory_bytes() <= 125_024);
    }
}
