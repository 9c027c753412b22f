//! The envelope's fields besides subject, headers and payload, as tagged extensions.
//!
//! ```text
//!   tag u8 · length u16 · value      …repeated; absent fields are not written, unknown tags are skipped
//! ```

use std::fmt;

use pubsub_types::Timestamp;
use uuid::Uuid;

use crate::source::{Route, SOURCE_BYTES, Source};

const TAG_ID_UUID: u8 = 1;
const TAG_ID_TEXT: u8 = 2;
const TAG_ORIGIN: u8 = 3;
const TAG_PAYLOAD_TYPE: u8 = 4;
const TAG_CORRELATION_ID: u8 = 5;
const TAG_SERVICE_NAME: u8 = 6;
const TAG_EXPIRES: u8 = 7;
const TAG_SOURCE: u8 = 8;
const TAG_ROUTE: u8 = 9;
const TAG_MEMBERS: u8 = 10;
/// Tag and length of a field, in bytes.
const FIELD_HEADER_BYTES: usize = 3;

/// Longest [`Meta::members`] kept of a line that was read, in bytes: far more than any envelope has, and
/// leaves the other fields their share of the 65,535 that all of them have together.
pub const MEMBERS_MAX_BYTES: usize = 16 << 10;

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
    /// Its place in the log of the node that published it first; `None` when that is this one.
    pub source: Option<Source>,
    /// The nodes it went through, its origin first; empty when it was published here.
    pub route: Route<'a>,
    /// What its JSON envelope had besides, `"key":value` with commas between, as it was spelled. Other
    /// text than that is not written to JSONL.
    pub members: &'a str,
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
        if let Some(source) = self.source {
            put(out, TAG_SOURCE, "source", &source.encode())?;
        }
        if !self.route.is_empty() {
            put(out, TAG_ROUTE, "route", self.route.as_str().as_bytes())?;
        }
        if !self.members.is_empty() {
            put(out, TAG_MEMBERS, "members", self.members.as_bytes())?;
        }
        Ok(())
    }

    /// Checks that [`Self::encode`] has room for each field.
    ///
    /// # Errors
    /// Names the one that is too long.
    pub(crate) fn check(&self) -> Result<(), MetaTooLong> {
        if self.encoded_bytes() <= usize::from(u16::MAX) {
            return Ok(());
        }
        self.encode(&mut Vec::new())
    }

    /// Bytes that [`Self::encode`] appends, were each field short enough.
    pub(crate) fn encoded_bytes(&self) -> usize {
        let id = match self.id {
            MessageId::None => "",
            // As long as a UUID packed.
            MessageId::Uuid(_) => "0123456789abcdef",
            MessageId::Text(text) => text,
        };
        let texts = [
            id,
            self.origin,
            self.payload_type,
            self.correlation_id,
            self.service_name,
            self.route.as_str(),
            self.members,
        ];
        let field = |len: usize| if len == 0 { 0 } else { FIELD_HEADER_BYTES + len };
        texts.iter().map(|text| field(text.len())).sum::<usize>()
            + self.expires.map_or(0, |_| field(8))
            + self.source.map_or(0, |_| field(SOURCE_BYTES))
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
                TAG_SOURCE => meta.source = Source::decode(value),
                TAG_ROUTE => meta.route = Route::parse(text()).unwrap_or_default(),
                TAG_MEMBERS => meta.members = text(),
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
    use crate::source::RouteBuf;
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
            [id, origin, payload_type, correlation_id, service_name, members]
                in prop::array::uniform6(".{0,20}"), expires in any::<Option<i64>>(),
            source in any::<Option<(u128, u64, u64, u64)>>(),
            names in prop::collection::vec("[a-z:é]{1,9}", 0..4),
        ) {
            let mut route = RouteBuf::new();
            for name in &names {
                route.push(name).unwrap();
            }
            let meta = Meta {
                id: MessageId::parse(&id), origin: &origin, payload_type: &payload_type,
                correlation_id: &correlation_id, service_name: &service_name,
                expires: expires.map(Timestamp),
                source: source.and_then(|(log, epoch, seq, previous)| {
                    Source { log: Uuid::from_u128(log), epoch, seq, previous }.checked()
                }),
                route: route.as_route(),
                members: &members,
            };
            let mut bytes = Vec::new();
            meta.encode(&mut bytes).unwrap();
            prop_assert_eq!(bytes.len(), meta.encoded_bytes());
            prop_assert_eq!(Meta::decode(&bytes), meta);
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _meta = Meta::decode(&bytes);
        }
    }
}
