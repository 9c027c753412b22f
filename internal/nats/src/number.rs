//! Decimal numbers as they stand in control lines.

/// Most digits a size in a control line may have; nats-server refuses a longer one, zeros included.
const DIGITS_MAX: usize = 9;

/// Most digits a `usize` has.
const USIZE_DIGITS: usize = 20;

/// Reads a size: 1 to 9 digits and nothing else.
pub(crate) fn parse_size(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > DIGITS_MAX {
        return None;
    }
    let mut value = 0usize;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Nine digits stay below 2^30.
        value = value * 10 + usize::from(digit);
    }
    Some(value)
}

/// A number as text, without allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    digits: [u8; USIZE_DIGITS],
    start: usize,
}

impl Decimal {
    pub(crate) fn new(value: usize) -> Self {
        let mut digits = [0; USIZE_DIGITS];
        let (mut start, mut rest) = (USIZE_DIGITS, value);
        loop {
            start -= 1;
            digits[start] = b'0' + u8::try_from(rest % 10).expect("a remainder of ten is a digit");
            rest /= 10;
            if rest == 0 {
                return Self { digits, start };
            }
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_one_to_nine_digits() {
        for (text, size) in [("0", 0), ("7", 7), ("000000001", 1), ("999999999", 999_999_999)] {
            assert_eq!(parse_size(text.as_bytes()), Some(size), "{text}");
        }
        for text in [
            "",
            "0000000001",
            "9999999999",
            "+1",
            "-1",
            "1x",
            "x",
            " 1",
            "1\r",
            "18446744073709551617",
        ] {
            assert_eq!(parse_size(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        for value in [0, 1, 9, 10, 99, 100, 1_048_576, usize::MAX] {
            assert_eq!(Decimal::new(value).as_bytes(), value.to_string().as_bytes());
        }
    }
}
