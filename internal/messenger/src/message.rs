//! A message as its reader sees it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use pubsub_envelope::{MessageId, Record};
use pubsub_types::{ChannelName, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::payload::{self, Payload};
use crate::registry::{DecodeError, Registry};

/// A message as its reader sees it. Cheap to clone.
///
/// It shares the block of the log it was read in (at most a few megabytes); who keeps many messages
/// for long keeps what they need of them instead.
#[derive(Clone)]
pub struct Message {
    inner: Arc<Inner>,
    attempt: u32,
}

struct Inner {
    channel: ChannelName,
    record: Record,
    payload: Payload,
}

impl Message {
    /// The message in `record` of `channel`, its payload decoded.
    ///
    /// The error says why the payload could not be; the message then has its bytes only.
    pub fn receive(
        channel: &ChannelName,
        record: Record,
        registry: &Registry,
        strict: bool,
    ) -> (Self, Result<(), DecodeError>) {
        let bytes = record.payload_bytes();
        let decoded = registry.decode(record.meta().payload_type, bytes.clone(), strict);
        let (payload, result) = match decoded {
            Ok(payload) => (payload, Ok(())),
            Err(error) => (Payload::untyped(bytes), Err(error)),
        };
        let inner = Arc::new(Inner { channel: channel.clone(), record, payload });
        (Self { inner, attempt: 1 }, result)
    }

    /// The same message as this attempt's, counted from 1.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Identifies the message across channels and nodes.
    #[must_use]
    pub fn id(&self) -> MessageId<'_> {
        self.inner.record.meta().id
    }

    /// The channel it was published to.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.inner.channel
    }

    /// Its position among the channel's messages, from 1.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.inner.record.seq
    }

    /// The subject it was published on; a messenger channel's name, unless NATS clients publish to it.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self.inner.record.subject() {
            "" => self.inner.channel.as_str(),
            subject => subject,
        }
    }

    /// The instance that published it first, however often it was forwarded since.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.inner.record.meta().origin
    }

    /// Type of the payload, such as `com.acme.OrderCreated`; "" when it has none.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        self.inner.record.meta().payload_type
    }

    /// Groups the messages of one multi-step process; "" when the publisher set none.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        self.inner.record.meta().correlation_id
    }

    /// The service that published it; "" when the publisher set none.
    #[must_use]
    pub fn service_name(&self) -> &str {
        self.inner.record.meta().service_name
    }

    /// When it was published.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.inner.record.time
    }

    /// NATS header block as published, or nothing.
    #[must_use]
    pub fn headers(&self) -> &[u8] {
        self.inner.record.headers()
    }

    /// Which attempt to deal with it this is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether it has been handed out before, and that failed. A restart forgets this.
    #[must_use]
    pub const fn is_redelivered(&self) -> bool {
        self.attempt > 1
    }

    /// The payload, when its type is registered as `T`.
    #[must_use]
    pub fn payload<T: 'static>(&self) -> Option<&T> {
        self.inner.payload.get()
    }

    /// The payload as JSON, or `None` when it is not JSON.
    #[must_use]
    pub fn json(&self) -> Option<&Value> {
        self.inner.payload.json()
    }

    /// The payload as published.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.inner.payload.bytes()
    }

    /// Decodes the payload as a `T`, registered or not.
    ///
    /// # Errors
    /// It is not the JSON of a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        payload::decode(self.payload_type(), self.bytes())
    }

    /// The record it was read from.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.inner.record
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("channel", self.channel())
            .field("seq", &self.seq())
            .field("id", &format_args!("{}", self.id()))
            .field("payload_type", &self.payload_type())
            .field("payload_bytes", &self.bytes().len())
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Message;
    use crate::{DecodeError, Registry};
    use pubsub_envelope::jsonl;
    use pubsub_types::ChannelName;

    const LINE: &str = r#"{"v":1,"id":"01a1fe4b-57a6-701d-95e6-c46db8b9ecc0","ts":"2026-11-21T13:28:32.5Z","channel":"orders","origin":"alice","payload_type":"t.M","correlation_id":"corr-1","service_name":"svc","headers":"NATS/1.0\r\nA: b\r\n\r\n","payload":[1,2]}"#;

    fn receive(registry: &Registry, strict: bool) -> (Message, Result<(), DecodeError>) {
        let record = jsonl::decode_legacy_line(LINE.as_bytes(), 7).unwrap();
        Message::receive(&ChannelName::new("orders").unwrap(), record, registry, strict)
    }

    #[test]
    fn a_message_shows_all_that_its_envelope_says() {
        let (message, decoded) = receive(&Registry::new(), false);
        decoded.unwrap();
        assert_eq!(message.id().to_string(), "01a1fe4b-57a6-701d-95e6-c46db8b9ecc0");
        assert_eq!((message.channel().as_str(), message.subject()), ("orders", "orders"));
        assert_eq!((message.seq(), message.origin(), message.payload_type()), (7, "alice", "t.M"));
        assert_eq!((message.correlation_id(), message.service_name()), ("corr-1", "svc"));
        assert_eq!(message.timestamp().to_string(), "2026-11-21T13:28:32.5Z");
        assert_eq!(message.headers(), b"NATS/1.0\r\nA: b\r\n\r\n");
        assert_eq!(message.bytes(), "[1,2]");
        assert_eq!(message.json(), Some(&serde_json::json!([1, 2])));
        assert_eq!(message.decode::<(u8, u8)>().unwrap(), (1, 2));
    }

    #[test]
    fn a_registered_type_reaches_the_handler_as_its_rust_type() {
        let mut registry = Registry::new();
        registry.register::<Vec<u32>>("t.M").unwrap();
        let (message, decoded) = receive(&registry, true);
        decoded.unwrap();
        assert_eq!(message.payload::<Vec<u32>>(), Some(&vec![1, 2]));
    }

    #[test]
    fn a_message_that_does_not_decode_keeps_its_bytes_for_the_dead_letter() {
        let mut registry = Registry::new();
        registry.register::<String>("t.M").unwrap();
        let (message, decoded) = receive(&registry, false);
        decoded.unwrap_err();
        assert_eq!((message.payload::<String>(), message.bytes().as_ref()), (None, &b"[1,2]"[..]));
    }

    #[test]
    fn a_repeated_delivery_says_so() {
        let (message, _) = receive(&Registry::new(), false);
        assert!(!message.is_redelivered());
        assert!(message.with_attempt(2).is_redelivered());
    }

    #[test]
    fn payloads_do_not_reach_logs() {
        let (message, _) = receive(&Registry::new(), false);
        assert!(!format!("{message:?}").contains("[1,2]"));
    }
}
