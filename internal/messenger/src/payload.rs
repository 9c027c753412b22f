//! What a message carries: bytes, and what they mean if anybody knows.
//!
//! ```text
//!   registered type  ──▶ the Rust value it was registered with
//!   any other        ──▶ JSON, if it is; parsed when asked for
//!   everything       ──▶ the bytes, as published
//! ```

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::registry::DecodeError;

/// The payload of a message.
pub struct Payload {
    bytes: Bytes,
    typed: Option<Box<dyn Any + Send + Sync>>,
    /// `Some(None)` once it is known not to be JSON.
    json: OnceLock<Option<Value>>,
}

impl Payload {
    /// A payload of no registered type.
    #[must_use]
    pub const fn untyped(bytes: Bytes) -> Self {
        Self { bytes, typed: None, json: OnceLock::new() }
    }

    pub(crate) fn typed(bytes: Bytes, value: Box<dyn Any + Send + Sync>) -> Self {
        Self { bytes, typed: Some(value), json: OnceLock::new() }
    }

    /// The value, when the message's type is registered as `T`.
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.typed.as_deref().and_then(|value| value.downcast_ref())
    }

    /// The payload as JSON, or `None` when it is not JSON.
    #[must_use]
    pub fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| serde_json::from_slice(&self.bytes).ok()).as_ref()
    }

    /// The bytes as published.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Payload {
    // Without the content: payloads do not belong into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("bytes", &self.bytes.len())
            .field("typed", &self.typed.is_some())
            .finish_non_exhaustive()
    }
}

/// Decodes JSON bytes as a `T`; `payload_type` is for the error.
pub(crate) fn decode<T: DeserializeOwned>(
    payload_type: &str,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    serde_json::from_slice(bytes)
        .map_err(|source| DecodeError::Decode { payload_type: payload_type.into(), source })
}

/// What can be published: any serializable value as compact JSON, or [`Raw`] bytes as they are.
pub trait Encode {
    /// The bytes to publish.
    ///
    /// # Errors
    /// The value's `Serialize` refuses, or it has a map whose keys are not strings.
    fn encode(&self) -> Result<Bytes, EncodeError>;
}

impl<T: Serialize + ?Sized> Encode for T {
    fn encode(&self) -> Result<Bytes, EncodeError> {
        Ok(serde_json::to_vec(self)?.into())
    }
}

/// Bytes or text to be published as they are.
///
/// ```
/// use pubsub_messenger::{Encode, Raw};
///
/// assert_eq!("a".encode()?, "\"a\"");
/// assert_eq!(Raw::from("a").encode()?, "a");
/// # Ok::<(), pubsub_messenger::EncodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub Bytes);

impl Encode for Raw {
    fn encode(&self) -> Result<Bytes, EncodeError> {
        Ok(self.0.clone())
    }
}

impl From<&[u8]> for Raw {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl From<&str> for Raw {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for Raw {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Vec<u8>> for Raw {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<Bytes> for Raw {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

/// The value cannot be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("encode the payload as JSON")]
pub struct EncodeError(#[from] serde_json::Error);

#[cfg(test)]
mod tests {
    use super::{Encode, Payload, Raw};
    use std::collections::BTreeMap;

    #[test]
    fn values_are_published_as_compact_json_and_raw_bytes_as_they_are() {
        let value = BTreeMap::from([("b", 1), ("a", 2)]);
        assert_eq!(value.encode().unwrap(), r#"{"a":2,"b":1}"#);
        assert_eq!(Raw::from(&b"\xff\0 "[..]).encode().unwrap(), &b"\xff\0 "[..]);
        assert_eq!(Raw::from(String::from(" {} ")).encode().unwrap(), " {} ");
        assert_eq!(().encode().unwrap(), "null");
    }

    #[test]
    fn a_value_that_json_cannot_hold_is_refused() {
        assert!(BTreeMap::from([((1, 2), 3)]).encode().is_err());
    }

    #[test]
    fn a_payload_that_is_not_json_is_bytes_and_nothing_else() {
        let payload = Payload::untyped("{".into());
        assert_eq!((payload.json(), payload.get::<u32>()), (None, None));
        assert_eq!(payload.bytes(), "{");
        assert_eq!(Payload::untyped("[1]".into()).json(), Some(&serde_json::json!([1])));
    }
}
