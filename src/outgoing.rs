//! A message on its way out: what its publisher says of it.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use pubsub_envelope::{MessageId, Meta, NewRecord};
use pubsub_messenger::{Context, Encode, EncodeError};
use pubsub_types::Timestamp;
use uuid::Uuid;

use crate::context::{current_context, overlay};

/// First line of a NATS header block.
const HEADERS_START: &[u8] = b"NATS/1.0\r\n";

/// A message to be published, for [`Messenger::publish_batch`](crate::Messenger::publish_batch).
#[derive(Debug)]
pub struct Outgoing<'a> {
    payload_type: Cow<'a, str>,
    payload: Result<Bytes, EncodeError>,
    headers: Result<Vec<u8>, HeaderError>,
    id: Option<Cow<'a, str>>,
    expires: Option<Expiry>,
    context: Context,
}

#[derive(Clone, Copy, Debug)]
enum Expiry {
    After(Duration),
    At(Timestamp),
}

/// A header that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid header {name:?}: {reason}")]
pub struct HeaderError {
    /// The name as given.
    pub name: Box<str>,
    /// The rule it breaks.
    pub reason: &'static str,
}

impl<'a> Outgoing<'a> {
    /// A message of type `payload_type`, which may be empty, with `payload` as JSON, or as it is when
    /// it is [`Raw`](crate::Raw).
    pub fn new<P: Encode + ?Sized>(payload_type: impl Into<Cow<'a, str>>, payload: &P) -> Self {
        Self {
            payload_type: payload_type.into(),
            payload: payload.encode(),
            headers: Ok(Vec::new()),
            id: None,
            expires: None,
            context: Context::new(),
        }
    }

    /// Adds a header. Names are of printable ASCII without `:` and space, values of one line.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers = self.headers.and_then(|headers| add_header(headers, name, value));
        self
    }

    /// Sets the id, in place of a new UUID. Empty is none.
    #[must_use]
    pub fn id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Is not delivered any more once this time has passed.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires = Some(Expiry::After(time));
        self
    }

    /// Is not delivered any more from this instant on.
    #[must_use]
    pub fn expires_at(mut self, instant: Timestamp) -> Self {
        self.expires = Some(Expiry::At(instant));
        self
    }

    /// Stamps what `context` sets; for what it does not set, the scope's context holds.
    #[must_use]
    pub fn context(mut self, context: &Context) -> Self {
        self.context = overlay(context, &self.context);
        self
    }

    /// Checks it, and fixes what is decided now: id, and the context that holds here.
    pub(crate) fn seal(self, defaults: &Context) -> Result<Sealed<'a>, Unsealed> {
        let context = overlay(&self.context, &current_context());
        Ok(Sealed {
            payload_type: self.payload_type,
            payload: self.payload?,
            headers: self.headers?,
            id: match self.id {
                Some(id) => Id::Text(id),
                None => Id::Uuid(Uuid::now_v7()),
            },
            expires: self.expires,
            context: overlay(&context, defaults),
        })
    }
}

/// A message that cannot be published, to whatever channel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsealed {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// A message that can be published.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    payload_type: Cow<'a, str>,
    payload: Bytes,
    headers: Vec<u8>,
    id: Id<'a>,
    expires: Option<Expiry>,
    context: Context,
}

#[derive(Debug)]
enum Id<'a> {
    Uuid(Uuid),
    Text(Cow<'a, str>),
}

impl Sealed<'_> {
    /// The record that is appended at `now` by the instance `origin`.
    pub(crate) fn record<'b>(&'b self, origin: &'b str, now: Timestamp) -> NewRecord<'b> {
        NewRecord {
            time: now,
            subject: "",
            headers: &self.headers,
            payload: &self.payload,
            meta: Meta {
                id: self.message_id(),
                origin,
                payload_type: &self.payload_type,
                correlation_id: self.context.correlation_id(),
                service_name: self.context.service_name(),
                expires: self.expires.map(|expiry| match expiry {
                    Expiry::After(time) => now.plus(time),
                    Expiry::At(instant) => instant,
                }),
                ..Meta::default()
            },
        }
    }

    pub(crate) fn message_id(&self) -> MessageId<'_> {
        match &self.id {
            Id::Uuid(uuid) => MessageId::Uuid(*uuid),
            Id::Text(text) => MessageId::parse(text),
        }
    }
}

fn add_header(mut headers: Vec<u8>, name: &str, value: &str) -> Result<Vec<u8>, HeaderError> {
    let because = |reason| HeaderError { name: name.into(), reason };
    if name.is_empty() {
        return Err(because("it has no name"));
    }
    if !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        return Err(because("a name is printable ASCII without ':' and space"));
    }
    if value.contains(['\r', '\n']) {
        return Err(because("a value has no line break"));
    }
    if headers.is_empty() {
        headers.extend_from_slice(HEADERS_START);
    } else {
        // The block ends with an empty line, which goes behind the new header.
        headers.truncate(headers.len() - 2);
    }
    for part in [name, ": ", value, "\r\n\r\n"] {
        headers.extend_from_slice(part.as_bytes());
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::add_header;

    #[test]
    fn headers_are_one_block_as_nats_writes_it() {
        let one = add_header(Vec::new(), "A", "1").unwrap();
        let two = add_header(one, "B", "x y").unwrap();
        assert_eq!(two, b"NATS/1.0\r\nA: 1\r\nB: x y\r\n\r\n");
    }

    #[test]
    fn a_header_that_could_forge_another_one_is_refused() {
        for (name, value) in [("", "a"), ("a b", ""), ("a:", ""), ("é", ""), ("A", "b\r\nC: d")] {
            assert!(add_header(Vec::new(), name, value).is_err(), "{name:?} {value:?}");
        }
    }
}
