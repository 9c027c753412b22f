//! Ids of many messages in one piece of memory.

use uuid::Uuid;

/// Ids of messages, in order.
///
/// They are kept as bytes, 17 for a UUID, so that a batch costs one allocation and a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    bytes: Vec<u8>,
    len: u64,
}

/// One id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Id<'a> {
    /// A message that had none.
    None,
    /// A UUID.
    Uuid(Uuid),
    /// Anything else.
    Text(&'a str),
}

/// Longest id that is kept whole, in bytes.
const TEXT_MAX_BYTES: u8 = u8::MAX;
/// First byte of an id: nothing follows.
const NONE: u8 = 0;
/// First byte of an id: 16 bytes follow.
const UUID: u8 = 1;
/// First byte of an id: a length and as many bytes follow.
const TEXT: u8 = 2;

impl Ids {
    /// No ids, with room for `len` UUIDs.
    #[must_use]
    pub fn with_capacity(len: usize) -> Self {
        Self { bytes: Vec::with_capacity(len.saturating_mul(17)), len: 0 }
    }

    /// Adds a UUID.
    pub fn push_uuid(&mut self, id: Uuid) {
        self.bytes.push(UUID);
        self.bytes.extend_from_slice(id.as_bytes());
        self.len += 1;
    }

    /// Adds an id that is no UUID; what is longer than 255 bytes is cut. An empty text is a message
    /// without an id.
    pub fn push_text(&mut self, id: &str) {
        self.len += 1;
        if id.is_empty() {
            self.bytes.push(NONE);
            return;
        }
        let id = &id[..id.floor_char_boundary(usize::from(TEXT_MAX_BYTES))];
        self.bytes.push(TEXT);
        self.bytes.push(u8::try_from(id.len()).unwrap_or(TEXT_MAX_BYTES));
        self.bytes.extend_from_slice(id.as_bytes());
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) const fn weight(&self) -> usize {
        self.bytes.capacity()
    }

    /// The id at a place, and the place of the next; the first is at 0.
    pub(crate) fn at(&self, at: usize) -> Option<(Id<'_>, usize)> {
        let bytes = self.bytes.get(at..)?;
        match *bytes.first()? {
            NONE => Some((Id::None, at + 1)),
            UUID => {
                let id = bytes.get(1..17)?.try_into().ok()?;
                Some((Id::Uuid(Uuid::from_bytes(id)), at + 17))
            }
            _ => {
                let end = 2 + usize::from(*bytes.get(1)?);
                let text = std::str::from_utf8(bytes.get(2..end)?).ok()?;
                Some((Id::Text(text), at + end))
            }
        }
    }
}

impl FromIterator<Uuid> for Ids {
    fn from_iter<T: IntoIterator<Item = Uuid>>(ids: T) -> Self {
        let ids = ids.into_iter();
        let mut all = Self::with_capacity(ids.size_hint().0);
        ids.for_each(|id| all.push_uuid(id));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_kind_come_back_in_order() {
        let long = "ü".repeat(200);
        let mut ids = Ids::default();
        assert_eq!((ids.is_empty(), ids.at(0)), (true, None));
        ids.push_text("");
        ids.push_uuid(Uuid::from_u128(7));
        ids.push_text("order-7");
        ids.push_text(&long);
        let mut at = 0;
        let mut found = Vec::new();
        while let Some((id, next)) = ids.at(at) {
            found.push(id);
            at = next;
        }
        let cut = &long[..254];
        let expected = [Id::None, Id::Uuid(Uuid::from_u128(7)), Id::Text("order-7"), Id::Text(cut)];
        assert_eq!(found, expected);
        assert_eq!(ids.len(), 4);
    }
}
