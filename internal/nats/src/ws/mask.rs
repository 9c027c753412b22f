//! The mask that clients lay over what they send, so that no proxy takes it for something else.

/// A key of four bytes, and how far it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    /// The key, turned so that its first byte is the next to use.
    key: [u8; 4],
}

impl Mask {
    pub(crate) const fn new(key: [u8; 4]) -> Self {
        Self { key }
    }

    /// Takes the mask off, or lays it on; the next bytes go on where these end.
    pub(crate) fn apply(&mut self, bytes: &mut [u8]) {
        // Sixteen bytes at once are one instruction on most machines.
        let [a, b, c, d] = self.key;
        let wide = u128::from_ne_bytes([a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d]);
        let (blocks, rest) = bytes.as_chunks_mut::<16>();
        for block in blocks {
            *block = (u128::from_ne_bytes(*block) ^ wide).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.key.iter().cycle()) {
            *byte ^= key;
        }
        self.key.rotate_left(rest.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_masked_like_the_whole(
            key in any::<[u8; 4]>(),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cut in any::<prop::sample::Index>(),
        ) {
            let slow: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let mut fast = bytes.clone();
            let (first, second) = fast.split_at_mut(cut.index(bytes.len() + 1));
            let mut mask = Mask::new(key);
            mask.apply(first);
            mask.apply(second);
            prop_assert_eq!(fast, slow);
        }
    }
}
