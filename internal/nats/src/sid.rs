//! The client's name for a subscription: nearly always a short number.

/// Longest name that is kept in place, in bytes.
const SHORT_MAX: usize = 14;

/// A name, in 16 bytes.
#[derive(Clone, Debug)]
pub(crate) enum Sid {
    Short(u8, [u8; SHORT_MAX]),
    /// Boxed twice, as the length does not fit here.
    Long(Box<Box<str>>),
}

const _: () = assert!(size_of::<Sid>() == 16, "there is one in every subscription");

impl Sid {
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short(len, bytes)
            }
            _ => Self::Long(Box::new(text.into())),
        }
    }

    /// The bytes of the name.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => &bytes[..usize::from(*len)],
            Self::Long(text) => text.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("it was made from a string")
    }

    /// Bytes of memory held, beyond the value itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Short(..) => 0,
            Self::Long(text) => text.len() + size_of::<Box<str>>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_come_back() {
        for len in 0..40 {
            let text = "ä1".repeat(len);
            assert_eq!(Sid::new(&text).as_str(), text);
            assert_eq!(Sid::new(&"7".repeat(len)).as_bytes().len(), len);
        }
    }
}
