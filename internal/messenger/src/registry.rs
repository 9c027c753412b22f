//! Which Rust type a payload type stands for.
//!
//! Publishing needs no registration, and neither does receiving: a type that nobody registered is
//! delivered as JSON. Registering is a promise that the payload decodes, so what does not is a dead
//! letter instead of a surprise in the handler.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::payload::{self, Payload};

type Decoder = fn(&str, &[u8]) -> Result<Box<dyn Any + Send + Sync>, DecodeError>;

/// Which Rust type a payload type stands for.
#[derive(Clone, Default)]
pub struct Registry {
    decoders: BTreeMap<Box<str>, Decoder>,
}

impl Registry {
    /// A registry that knows no type.
    #[must_use]
    pub const fn new() -> Self {
        Self { decoders: BTreeMap::new() }
    }

    /// From now on, payloads of type `payload_type` are decoded as `T`.
    ///
    /// # Errors
    /// The type is registered already; nothing changes.
    pub fn register<T>(&mut self, payload_type: &str) -> Result<(), PayloadTypeAlreadyRegistered>
    where
        T: DeserializeOwned + Any + Send + Sync,
    {
        if self.decoders.contains_key(payload_type) {
            return Err(PayloadTypeAlreadyRegistered { payload_type: payload_type.into() });
        }
        let decoder: Decoder =
            |payload_type, bytes| Ok(Box::new(payload::decode::<T>(payload_type, bytes)?));
        self.decoders.insert(payload_type.into(), decoder);
        Ok(())
    }

    /// The registered types, sorted.
    pub fn known_types(&self) -> impl Iterator<Item = &str> {
        self.decoders.keys().map(|payload_type| &**payload_type)
    }

    /// Decodes the payload of a message; `payload_type` is empty when it has none.
    ///
    /// # Errors
    /// The type is registered and the payload does not decode; or, when `strict`, it is not
    /// registered.
    pub fn decode(
        &self,
        payload_type: &str,
        bytes: Bytes,
        strict: bool,
    ) -> Result<Payload, DecodeError> {
        match self.decoders.get(payload_type) {
            Some(decoder) => {
                let value = decoder(payload_type, &bytes)?;
                Ok(Payload::typed(bytes, value))
            }
            None if strict => Err(DecodeError::Unregistered { payload_type: payload_type.into() }),
            None => Ok(Payload::untyped(bytes)),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.decoders.keys()).finish()
    }
}

/// A payload type can stand for one Rust type only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("payload type {payload_type:?} is already registered")]
pub struct PayloadTypeAlreadyRegistered {
    /// The type.
    pub payload_type: Box<str>,
}

/// Why a payload could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The subscriber is strict and nobody registered the type.
    #[error("unregistered payload type {payload_type:?}; register it, or subscribe without strict")]
    Unregistered {
        /// The message's type; empty when it has none.
        payload_type: Box<str>,
    },
    /// The payload is not what the type promises.
    #[error("decode payload of type {payload_type:?}")]
    Decode {
        /// The message's type.
        payload_type: Box<str>,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::{DecodeError, Registry};
    use crate::error_text;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Order {
        id: u32,
    }

    fn registry() -> Registry {
        let mut registry = Registry::new();
        registry.register::<Order>("t.Order").unwrap();
        registry
    }

    #[test]
    fn a_registered_type_decodes_to_its_rust_type() {
        let payload = registry().decode("t.Order", r#"{"id":7}"#.into(), true).unwrap();
        assert_eq!(payload.get::<Order>(), Some(&Order { id: 7 }));
        assert_eq!(payload.get::<u32>(), None);
        assert_eq!(payload.json(), Some(&serde_json::json!({"id": 7})));
    }

    #[test]
    fn a_type_is_registered_once() {
        let mut registry = registry();
        let refused = registry.register::<u32>("t.Order").unwrap_err();
        assert_eq!(refused.to_string(), r#"payload type "t.Order" is already registered"#);
        let payload = registry.decode("t.Order", r#"{"id":7}"#.into(), true).unwrap();
        assert!(payload.get::<Order>().is_some(), "the first registration stays");
    }

    #[test]
    fn unknown_types_are_delivered_as_json_whatever_kind_of_json() {
        for json in ["{}", "[1]", "\"a\"", "1.5", "true", "null"] {
            for payload_type in ["", "t.Other"] {
                let payload = registry().decode(payload_type, json.into(), false).unwrap();
                assert_eq!(payload.json().unwrap().to_string(), json);
            }
        }
        let bytes = registry().decode("t.Other", "{".into(), false).unwrap();
        assert_eq!((bytes.json(), bytes.bytes().as_ref()), (None, &b"{"[..]));
    }

    #[test]
    fn strict_decoding_refuses_unknown_and_absent_types_of_every_json_kind() {
        for json in ["{}", "[1]", "\"a\"", "1.5", "true", "null", "{"] {
            for payload_type in ["", "t.Other"] {
                let refused = registry().decode(payload_type, json.into(), true).unwrap_err();
                assert!(matches!(refused, DecodeError::Unregistered { .. }), "{json}");
            }
        }
    }

    #[test]
    fn a_registered_type_that_does_not_decode_says_what_is_wrong() {
        let refused = registry().decode("t.Order", r#"{"id":"x"}"#.into(), false).unwrap_err();
        let text = error_text(&refused);
        assert!(text.starts_with("decode payload of type \"t.Order\": invalid type"), "{text}");
    }

    #[test]
    fn known_types_are_sorted() {
        let mut registry = registry();
        registry.register::<Order>("b").unwrap();
        registry.register::<Order>("a").unwrap();
        assert_eq!(registry.known_types().collect::<Vec<_>>(), ["a", "b", "t.Order"]);
    }
}
