//! Numbers and texts to bytes and back.
//!
//! Numbers are LEB128: seven bits a byte, low ones first, at most ten bytes. Texts and byte strings
//! have their length before them. A reader checks each length against what is there and against the
//! caller's limit before it takes a byte, so a length that lies allocates nothing.

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// The bytes end inside a field.
    #[error("the frame ends inside {0}")]
    Short(&'static str),
    /// Bytes are left over.
    #[error("{0} bytes are left over behind the frame")]
    Long(usize),
    /// A number, text or list is beyond its limit.
    #[error("{field} of {found} is beyond the limit of {limit}")]
    Limit {
        /// What it is.
        field: &'static str,
        /// What was said.
        found: u64,
        /// What may be.
        limit: u64,
    },
    /// A field has a value that it cannot have.
    #[error("{0} cannot be")]
    Invalid(&'static str),
    /// The first byte names no frame.
    #[error("no frame has type {0}")]
    UnknownType(u8),
}

/// Most bytes of a number.
pub(crate) const VARINT_MAX_BYTES: usize = 10;

pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Small numbers of either sign to small numbers.
pub(crate) const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

pub(crate) const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// Takes fields off the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// What was not taken yet.
    pub(crate) const fn left(&self) -> &'a [u8] {
        self.left
    }

    pub(crate) fn byte(&mut self, field: &'static str) -> Result<u8, BadFrame> {
        let (&byte, left) = self.left.split_first().ok_or(BadFrame::Short(field))?;
        self.left = left;
        Ok(byte)
    }

    pub(crate) fn number(&mut self, field: &'static str) -> Result<u64, BadFrame> {
        let mut number = 0_u64;
        for nth in 0..VARINT_MAX_BYTES {
            let byte = self.byte(field)?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if nth == VARINT_MAX_BYTES - 1 && bits > 1 {
                return Err(BadFrame::Invalid(field));
            }
            number |= bits << (7 * nth);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(BadFrame::Invalid(field))
    }

    pub(crate) fn number_to(&mut self, field: &'static str, limit: u64) -> Result<u64, BadFrame> {
        let found = self.number(field)?;
        if found > limit { Err(BadFrame::Limit { field, found, limit }) } else { Ok(found) }
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, BadFrame> {
        let number = self.number_to(field, u64::from(u32::MAX))?;
        u32::try_from(number).map_err(|_| BadFrame::Invalid(field))
    }

    /// A length that must not exceed `limit`, nor what is left.
    pub(crate) fn length(&mut self, field: &'static str, limit: usize) -> Result<usize, BadFrame> {
        let len = self.number_to(field, limit as u64)?;
        match usize::try_from(len) {
            Ok(len) if len <= self.left.len() => Ok(len),
            _ => Err(BadFrame::Short(field)),
        }
    }

    pub(crate) fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], BadFrame> {
        let (taken, left) = self.left.split_at_checked(len).ok_or(BadFrame::Short(field))?;
        self.left = left;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], BadFrame> {
        let (taken, left) = self.left.split_first_chunk::<N>().ok_or(BadFrame::Short(field))?;
        self.left = left;
        Ok(*taken)
    }

    pub(crate) fn bytes(
        &mut self,
        field: &'static str,
        limit: usize,
    ) -> Result<&'a [u8], BadFrame> {
        let len = self.length(field, limit)?;
        self.take(field, len)
    }

    pub(crate) fn text(&mut self, field: &'static str, limit: usize) -> Result<&'a str, BadFrame> {
        std::str::from_utf8(self.bytes(field, limit)?).map_err(|_| BadFrame::Invalid(field))
    }

    /// That nothing is left.
    pub(crate) const fn end(&self) -> Result<(), BadFrame> {
        if self.left.is_empty() { Ok(()) } else { Err(BadFrame::Long(self.left.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>(), signed in any::<i64>()) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            prop_assert!(bytes.len() <= VARINT_MAX_BYTES);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.number("n"), Ok(number));
            prop_assert_eq!(reader.end(), Ok(()));
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_refused() {
        for bytes in [[0xff; 10].as_slice(), &[0xff; 11], &[0x80; 20]] {
            assert_eq!(Reader::new(bytes).number("n"), Err(BadFrame::Invalid("n")));
        }
        let mut largest = [0xff; 10];
        largest[9] = 1;
        assert_eq!(Reader::new(&largest).number("n"), Ok(u64::MAX));
        assert_eq!(Reader::new(&[0x80]).number("n"), Err(BadFrame::Short("n")));
    }

    #[test]
    fn a_length_beyond_what_is_there_or_allowed_takes_nothing() {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, b"abcd");
        let limit = BadFrame::Limit { field: "t", found: 4, limit: 3 };
        assert_eq!(Reader::new(&bytes).text("t", 3), Err(limit));
        assert_eq!(Reader::new(&bytes[..4]).text("t", 9), Err(BadFrame::Short("t")));
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Reader::new(&huge).bytes("t", usize::MAX), Err(BadFrame::Short("t")));
    }
}
