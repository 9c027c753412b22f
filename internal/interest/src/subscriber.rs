//! What the shell calls a subscriber.

/// A name for a subscriber, of 64 bits.
///
/// The shell chooses what is in it: a shard, a connection and a slot in its table, a link, a channel
/// that captures. Bits in the order of the values keep subscribers sorted: with the shard in the
/// highest ones, a message leaves for each shard once.
pub trait Subscriber: Copy + Ord {
    /// The name as bits. Different names have different bits.
    fn to_bits(self) -> u64;

    /// The name that had these bits.
    fn from_bits(bits: u64) -> Self;
}

impl Subscriber for u64 {
    fn to_bits(self) -> u64 {
        self
    }

    fn from_bits(bits: u64) -> Self {
        bits
    }
}

impl Subscriber for (u32, u32) {
    fn to_bits(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.1)
    }

    fn from_bits(bits: u64) -> Self {
        ((bits >> 32) as u32, (bits & 0xffff_ffff) as u32)
    }
}
