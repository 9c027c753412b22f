//! Small numbers in few bytes: seven bits a byte, least significant first, one spelling per number.

/// Appends `value` to `out`: one byte below 128, at most ten.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

/// Takes a number off the front of `bytes`, or `None` when there is none or it is spelled longer
/// than it need be.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    take_rest(bytes, u64::from(first & 0x7f))
}

/// [`take`] for a number that must fit 32 bits.
#[inline]
pub(super) fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(take(bytes)?).ok()
}

/// How many bytes [`put`] appends.
pub(super) fn len(value: u64) -> usize {
    let bits = (u64::BITS - value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

fn take_rest(bytes: &mut &[u8], mut value: u64) -> Option<u64> {
    for shift in (7..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits.leading_zeros() < shift {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            // A zero at the end would be a second spelling.
            return (byte != 0).then_some(value);
        }
    }
    None
}

fn low_bits(value: u64) -> u8 {
    (value & 0x7f).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::{len, put, take};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_has_one_spelling(shift in 0..64u32, value in any::<u64>()) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            prop_assert_eq!(bytes.len(), len(value));
            let mut rest = &bytes[..];
            prop_assert_eq!(take(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = &bytes[..];
            if let Some(value) = take(&mut rest) {
                let mut again = Vec::new();
                put(&mut again, value);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - rest.len()]);
            }
        }
    }

    #[test]
    fn longer_spellings_and_numbers_beyond_64_bits_are_refused() {
        for bad in [&[0x80, 0x00][..], &[0x80], &[], &[0xff; 11], &[0x80; 10]] {
            assert_eq!(take(&mut &bad[..]), None, "{bad:?}");
        }
        let mut ten = [0xff; 10];
        ten[9] = 0x02;
        assert_eq!(take(&mut &ten[..]), None);
    }
}
