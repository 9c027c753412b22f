//! Dead letters: a failed message, whole, with what went wrong; and the message back out of one.
//!
//! ```text
//!   {"original":{the envelope},"retries":5,"last_error":"…","failed_at":"…","attempts":6,"original_seq":57}
//! ```
//!
//! The first four keys and the type's name are the predecessor's, so its readers read ours and we read
//! its. The envelope is the one of JSONL channels, so payloads that are not JSON survive too.

use std::borrow::Cow;

use pubsub_envelope::{Kind, NewRecord, Record, jsonl};
use pubsub_types::{ChannelName, InvalidChannelName, Seq, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The payload type of dead letters.
pub const DEAD_LETTER_PAYLOAD_TYPE: &str = "com.keyop.messenger.DeadLetterPayload";

/// A failed message with what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The channel it failed on.
    pub channel: ChannelName,
    /// The message. Its sequence is 0 when the letter does not say.
    pub original: Record,
    /// Attempts after the first one. In letters of the predecessor: what was allowed, whatever was
    /// made.
    pub retries: u32,
    /// Attempts made; 0 when the payload could not be decoded. `None` in letters of the predecessor.
    pub attempts: Option<u32>,
    /// Why the last one failed.
    pub last_error: String,
    /// When the last one failed.
    pub failed_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Letter<'a> {
    #[serde(borrow)]
    original: &'a RawValue,
    #[serde(default)]
    retries: u32,
    #[serde(default, borrow)]
    last_error: Cow<'a, str>,
    failed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original_seq: Option<Seq>,
}

#[derive(Deserialize)]
struct Original {
    channel: String,
}

impl DeadLetter {
    /// The letter of a message that failed after `attempts` attempts.
    #[must_use]
    pub fn new(
        channel: ChannelName,
        original: Record,
        attempts: u32,
        last_error: String,
        failed_at: Timestamp,
    ) -> Self {
        Self {
            channel,
            original,
            retries: attempts.saturating_sub(1),
            attempts: Some(attempts),
            last_error,
            failed_at,
        }
    }

    /// The letter as the payload of a message of type [`DEAD_LETTER_PAYLOAD_TYPE`].
    ///
    /// # Panics
    /// Never; envelopes are always JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_json().expect("envelopes, texts and numbers are always JSON")
    }

    /// The letter in the payload of a message of type [`DEAD_LETTER_PAYLOAD_TYPE`].
    ///
    /// # Errors
    /// It is not a letter, or has no envelope that we know in it.
    pub fn decode(payload: &[u8]) -> Result<Self, BadDeadLetter> {
        let letter: Letter<'_> = serde_json::from_slice(payload)?;
        let envelope = letter.original.get();
        let original: Original = serde_json::from_str(envelope)?;
        let seq = letter.original_seq.map_or(0, Seq::get);
        Ok(Self {
            channel: ChannelName::new(&original.channel)?,
            original: jsonl::decode_legacy_line(envelope.as_bytes(), seq)?,
            retries: letter.retries,
            attempts: letter.attempts,
            last_error: letter.last_error.into_owned(),
            failed_at: letter.failed_at,
        })
    }

    /// The message as it was, to be published to [`Self::channel`] again. It has its old id and time.
    #[must_use]
    pub fn replay(&self) -> NewRecord<'_> {
        NewRecord {
            time: self.original.time,
            subject: self.original.subject(),
            headers: self.original.headers(),
            payload: self.original.payload(),
            meta: self.original.meta(),
        }
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Letter {
            original: &RawValue::from_string(self.envelope())?,
            retries: self.retries,
            last_error: Cow::Borrowed(&self.last_error),
            failed_at: self.failed_at,
            attempts: self.attempts,
            original_seq: Seq::new(self.original.seq),
        })
    }

    /// The original's line in a JSONL channel, without its checksum: whoever searches a damaged file
    /// for records must not find this one.
    fn envelope(&self) -> String {
        let mut line = Vec::new();
        let (channel, seq) = (self.channel.as_str(), self.original.seq);
        jsonl::encode_record(&mut line, channel, Kind::Message, seq, &self.replay());
        let covered = jsonl::verified(line.trim_ascii_end()).expect("a fresh line proves itself");
        line.truncate(covered);
        line.push(b'}');
        String::from_utf8(line).expect("an envelope is JSON, which is UTF-8")
    }
}

/// Why a payload is not a dead letter.
#[derive(Debug, thiserror::Error)]
pub enum BadDeadLetter {
    /// It does not have a letter's shape.
    #[error("the payload is not a dead letter")]
    Shape(#[from] serde_json::Error),
    /// The channel of the original is none.
    #[error("the dead letter's original has no valid channel")]
    Channel(#[from] InvalidChannelName),
    /// The original is not an envelope that we know.
    #[error("the dead letter's original is not an envelope")]
    Original(#[from] jsonl::BadLine),
}

#[cfg(test)]
mod tests {
    use super::{BadDeadLetter, DeadLetter};
    use pubsub_envelope::{Kind, MessageId, Meta, NewRecord, Record, jsonl};
    use pubsub_types::{ChannelName, Timestamp};
    use serde_json::json;

    const GOLDEN: &str = r#"{"v":1,"id":"01a1fe4b-57a6-701d-95e6-c46db8b9ecc0","ts":"2026-11-21T13:28:32.934298826Z","channel":"orders","origin":"alice","payload_type":"t.M","correlation_id":"corr-1","service_name":"svc","route":["alice","hub"],"payload":{"big":12345678901234567,"html":"\u003ca\u003e\u0026\"é\u2028","n":1.5}}"#;

    fn record(seq: u64, new: &NewRecord<'_>) -> Record {
        let mut line = Vec::new();
        jsonl::encode_record(&mut line, "orders", Kind::Message, seq, new);
        jsonl::decode_line(line.trim_ascii_end()).unwrap()
    }

    fn letter(attempts: u32, original: Record) -> DeadLetter {
        let channel = ChannelName::new("orders").unwrap();
        DeadLetter::new(
            channel,
            original,
            attempts,
            "card \"refused\"".into(),
            Timestamp(1_500_000_000),
        )
    }

    #[test]
    fn a_dead_letter_comes_back_with_payload_and_headers_byte_for_byte() {
        for payload in [&b"{\"a\": 1}"[..], b"\xff\0", b"", b" 1\n", b"{\n}", b"null"] {
            for headers in [&b""[..], b"NATS/1.0\r\nA: b\r\n\r\n", b"\xff"] {
                let new = NewRecord {
                    time: Timestamp(7),
                    subject: "orders.eu",
                    headers,
                    payload,
                    meta: Meta {
                        id: MessageId::Text("id-1"),
                        correlation_id: "corr",
                        ..Meta::default()
                    },
                };
                let letter = letter(6, record(57, &new));
                let back = DeadLetter::decode(&letter.encode()).unwrap();
                assert_eq!(back, letter);
                assert_eq!((back.replay().payload, back.replay().headers), (payload, headers));
                assert_eq!(back.replay().subject, "orders.eu");
                assert_eq!((back.replay().meta, back.original.seq), (new.meta, 57));
            }
        }
    }

    #[test]
    fn a_dead_letter_is_the_predecessors_payload_plus_attempts_and_sequence() {
        let new = NewRecord { payload: b"1", ..NewRecord::default() };
        let value: serde_json::Value =
            serde_json::from_slice(&letter(6, record(57, &new)).encode()).unwrap();
        let original = json!({"v": 1, "seq": 57, "ts": "1970-01-01T00:00:00Z", "channel": "orders",
            "origin": "", "payload_type": "", "payload": 1});
        assert_eq!(
            value,
            json!({"original": original, "retries": 5, "last_error": "card \"refused\"",
                "failed_at": "1970-01-01T00:00:01.5Z", "attempts": 6, "original_seq": 57})
        );
    }

    #[test]
    fn the_predecessors_dead_letters_are_read() {
        let payload = format!(
            r#"{{"original":{GOLDEN},"retries":5,"last_error":"boom","failed_at":"2026-11-21T13:28:35Z"}}"#
        );
        let letter = DeadLetter::decode(payload.as_bytes()).unwrap();
        assert_eq!((letter.channel.as_str(), letter.retries, letter.attempts), ("orders", 5, None));
        assert_eq!((letter.last_error.as_str(), letter.original.seq), ("boom", 0));
        assert_eq!(letter.original.meta().correlation_id, "corr-1");
        assert!(letter.replay().payload.starts_with(br#"{"big":12345678901234567"#));
    }

    #[test]
    fn retries_are_the_attempts_made_but_the_first_and_none_when_the_handler_was_never_called() {
        let new = NewRecord { payload: b"1", ..NewRecord::default() };
        let retries = [0, 1, 2, 6].map(|attempts| letter(attempts, record(1, &new)).retries);
        assert_eq!(retries, [0, 0, 1, 5]);
    }

    #[test]
    fn a_search_for_records_in_a_damaged_file_does_not_find_the_message_inside_a_dead_letter() {
        let new = NewRecord { payload: b"1", ..NewRecord::default() };
        let payload = letter(1, record(57, &new)).encode();
        assert!(jsonl::salvage(&payload).is_empty());
    }

    #[test]
    fn what_is_not_a_dead_letter_says_what_is_wrong_with_it() {
        let decode = |text: &str| DeadLetter::decode(text.as_bytes()).unwrap_err();
        assert!(matches!(decode("{}"), BadDeadLetter::Shape(_)));
        let letter = |original: &str| {
            format!(r#"{{"original":{original},"failed_at":"2026-11-21T13:28:35Z"}}"#)
        };
        assert!(matches!(decode(&letter(r#"{"channel":"../x"}"#)), BadDeadLetter::Channel(_)));
        let version = letter(r#"{"v":99,"channel":"orders"}"#);
        assert!(matches!(decode(&version), BadDeadLetter::Original(_)));
    }
}
