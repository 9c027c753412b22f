//! The envelope's fields besides subject, headers and payload, as tagged extensions.
//!
//! ```text
//!   tag u8 · length u16 · value      …repeated; absent fields are not written, unknown tags are skipped
//! ```

use std::fmt;

use pubsub_types::Timestamp;
use uuid::Uuid;

const TAG_ID_UUID: u8 = 1;
const TAG_ID_TEXT: u8 = 2;
const TAG_ORIGIN: u8 = 3;
const TAG_PAYLOAD_TYPE: u8 = 4;
const TAG_CORRELATION_ID: u8 = 5;
const TAG_SERVICE_NAME: u8 = 6;
const TAG_EXPIRES: u8 = 7;

/// Identifies a message across channels and nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MessageId<'a> {
    /// The publisher gave none.
    #[default]
    None,
    /// A UUID; version 7 when we made it, any when others did.
    Uuid(Uuid),
    /// Anything else that another system uses.
    Text(&'a str),
}

impl<'a> MessageId<'a> {
    /// The id that `text` spells: a UUID when it is the canonical spelling of one.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        if text.is_empty() {
            return Self::None;
        }
        match Uuid::try_parse(text) {
            // Only the canonical spelling comes back as it was.
            Ok(uuid) if text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Self::Uuid(uuid)
            }
            _ => Self::Text(text),
        }
    }
}

impl fmt::Display for MessageId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Uuid(uuid) => uuid.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The envelope's fields besides subject, headers and payload. Empty means absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta<'a> {
    /// Identifies the message.
    pub id: MessageId<'a>,
    /// Instance that published it first.
    pub origin: &'a str,
    /// Type discriminator of the payload, such as `com.acme.OrderCreated`.
    pub payload_type: &'a str,
    /// Groups the messages of one multi-step process.
    pub correlation_id: &'a str,
    /// Service that published it.
    pub service_name: &'a str,
    /// From when on it is no longer delivered.
    pub expires: Option<Timestamp>,
}

/// A field of the envelope is longer than its length field can say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} of {len} bytes exceeds the limit of 65535")]
pub struct MetaTooLong {
    /// The field's name in the envelope.
    pub field: &'static str,
    /// Its length in bytes.
    pub len: usize,
}

impl<'a> Meta<'a> {
    /// Appends the fields that are present to `out`.
    ///
    /// # Errors
    /// A field is too long; `out` then holds a part of them.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), MetaTooLong> {
        match self.id {
            MessageId::None => (),
            MessageId::Uuid(uuid) => put(out, TAG_ID_UUID, "id", uuid.as_bytes())?,
            MessageId::Text(text) => put(out, TAG_ID_TEXT, "id", text.as_bytes())?,
        }
        let texts = [
            (TAG_ORIGIN, "origin", self.origin),
            (TAG_PAYLOAD_TYPE, "payload_type", self.payload_type),
            (TAG_CORRELATION_ID, "correlation_id", self.correlation_id),
            (TAG_SERVICE_NAME, "service_name", self.service_name),
        ];
        for (tag, field, text) in texts {
            if !text.is_empty() {
                put(out, tag, field, text.as_bytes())?;
            }
        }
        if let Some(expires) = self.expires {
            put(out, TAG_EXPIRES, "expires", &expires.as_nanos().to_le_bytes())?;
        }
        Ok(())
    }

    /// The fields in `bytes`, which a checksum has vouched for. What does not parse reads as absent.
    #[must_use]
    pub fn decode(mut bytes: &'a [u8]) -> Self {
        let mut meta = Self::default();
        while let Some((tag, value, rest)) = take(bytes) {
            bytes = rest;
            let text = || std::str::from_utf8(value).unwrap_or_default();
            match tag {
                TAG_ID_UUID => {
                    meta.id = Uuid::from_slice(value).map_or(MessageId::None, MessageId::Uuid);
                }
                TAG_ID_TEXT => meta.id = MessageId::Text(text()),
                TAG_ORIGIN => meta.origin = text(),
                TAG_PAYLOAD_TYPE => meta.payload_type = text(),
                TAG_CORRELATION_ID => meta.correlation_id = text(),
                TAG_SERVICE_NAME => meta.service_name = text(),
                TAG_EXPIRES => {
                    meta.expires =
                        value.try_into().ok().map(|nanos| Timestamp(i64::from_le_bytes(nanos)));
                }
                // A later version's field: not ours to read, and not a reason to refuse the record.
                _ => (),
            }
        }
        meta
    }
}

fn put(out: &mut Vec<u8>, tag: u8, field: &'static str, value: &[u8]) -> Result<(), MetaTooLong> {
    let len = u16::try_from(value.len()).map_err(|_| MetaTooLong { field, len: value.len() })?;
    out.push(tag);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(value);
    Ok(())
}

fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_spelling_of_a_uuid_is_packed() {
        let text = "01a1fe4b-57a6-701d-95e6-c46db8b9ecc0";
        assert!(matches!(MessageId::parse(text), MessageId::Uuid(_)));
        for other in [text.to_uppercase(), text.replace('-', ""), format!("{{{text}}}")] {
            assert_eq!(MessageId::parse(&other), MessageId::Text(&other));
            assert_eq!(MessageId::parse(&other).to_string(), other);
        }
    }

    #[test]
    fn a_field_that_would_not_fit_is_named() {
        let long = "x".repeat(65_536);
        let meta = Meta { service_name: &long, ..Meta::default() };
        let refused = meta.encode(&mut Vec::new()).unwrap_err();
        assert_eq!(refused.field, "service_name");
    }

    proptest! {
        #[test]
        fn every_field_comes_back(
            texts in prop::array::uniform5(".{0,20}"), expires in any::<Option<i64>>(),
        ) {
            let meta = Meta {
                id: MessageId::parse(&texts[0]), origin: &texts[1], payload_type: &texts[2],
                correlation_id: &texts[3], service_name: &texts[4],
                expires: expires.map(Timestamp),
            };
            let mut bytes = Vec::new();
            meta.encode(&mut bytes).unwrap();
            prop_assert_eq!(Meta::decode(&bytes), meta);
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _meta = Meta::decode(&bytes);
        }
    }
}
