//! Messages as the predecessor writes them: one JSON object each, behind its length.
//!
//! ```text
//!   binary message     length u32 big-endian · envelope    …repeated, of one channel
//! ```

use std::io::Write;

use data_encoding::BASE64;
use pubsub_envelope::{Kind, MessageId, Meta, Record, RouteBuf, jsonl};
use pubsub_types::ChannelName;
use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

/// Bytes of the length before a record.
pub(super) const PREFIX_BYTES: usize = 4;

/// A binary message ends inside a record, or is longer than it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truncated;

/// Takes the next record off the front of `bytes`.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Truncated> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>().ok_or(Truncated)?;
    let len = usize::try_from(u32::from_be_bytes(*prefix)).map_err(|_| Truncated)?;
    let (record, rest) = rest.split_at_checked(len).ok_or(Truncated)?;
    *bytes = rest;
    Ok(Some(record))
}

/// A message of the predecessor's.
#[derive(Debug)]
pub(super) struct Foreign {
    /// Its channel, as it is spelled.
    pub(super) channel: String,
    /// Its id, as it is spelled.
    pub(super) id: String,
    /// The message; its sequence says nothing.
    pub(super) record: Record,
}

impl Foreign {
    /// Bytes of the message itself.
    pub(super) fn bytes(&self) -> usize {
        let record = &self.record;
        record.subject().len() + record.headers().len() + record.payload().len()
    }
}

/// Reads an envelope; `None` when it is none, or not one of a message.
pub(super) fn read(envelope: &[u8]) -> Option<Foreign> {
    #[derive(Deserialize)]
    struct Keys {
        channel: String,
        #[serde(default)]
        id: String,
    }
    let keys: Keys = serde_json::from_slice(envelope).ok()?;
    let record = jsonl::decode_legacy_line(envelope, 1).ok()?;
    let is_message = record.kind == Kind::Message;
    is_message.then_some(Foreign { channel: keys.channel, id: keys.id, record })
}

/// The envelope as it is judged here: it says nothing of where it comes from but its origin, and perhaps
/// the names it went through; its route ends at `peer`.
pub(super) fn incoming<'a>(record: &'a Record, peer: &str, route: &'a mut RouteBuf) -> Meta<'a> {
    let meta = record.meta();
    let mut names: Vec<&str> = meta.route.iter().collect();
    if names.is_empty() && !meta.origin.is_empty() {
        names.push(meta.origin);
    }
    if names.last() != Some(&peer) {
        names.push(peer);
    }
    *route = RouteBuf::new();
    for name in names {
        // A name that cannot be leaves a route that does not end here, and that is judged.
        if route.push(name).is_err() {
            break;
        }
    }
    Meta { source: None, route: route.as_route(), ..meta }
}

/// Appends the record behind its length, for a peer that knows neither sources nor binary payloads.
pub(super) fn put(
    out: &mut Vec<u8>,
    channel: &ChannelName,
    log: Uuid,
    epoch: u64,
    record: &Record,
) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    let meta = record.meta();
    let id = match meta.id {
        MessageId::None => {
            // Its dedup takes all messages without an id for one; the same one gets the same id.
            let (log, epoch, seq) = match meta.source {
                Some(source) => (source.log, source.epoch, source.seq),
                None => (log, epoch, record.seq),
            };
            let mixed = log.as_u128() ^ (u128::from(epoch) << 64 | u128::from(seq));
            Uuid::from_u128(mixed).to_string()
        }
        id => id.to_string(),
    };
    out.extend_from_slice(b"{\"v\":1");
    put_text(out, "id", &id);
    put_text(out, "ts", &record.time.to_string());
    put_text(out, "channel", channel.as_str());
    put_text(out, "origin", meta.origin);
    put_text(out, "payload_type", meta.payload_type);
    for (key, text) in
        [("correlation_id", meta.correlation_id), ("service_name", meta.service_name)]
    {
        if !text.is_empty() {
            put_text(out, key, text);
        }
    }
    if !meta.route.is_empty() {
        out.extend_from_slice(b",\"route\":");
        put_json(out, &meta.route.iter().collect::<Vec<_>>());
    }
    out.extend_from_slice(b",\"payload\":");
    put_payload(out, record.payload());
    out.push(b'}');
    let len = u32::try_from(out.len() - start - PREFIX_BYTES).unwrap_or(u32::MAX);
    out[start..][..PREFIX_BYTES].copy_from_slice(&len.to_be_bytes());
}

/// JSON as it is, without white space between its parts, which may hold line breaks; what is no JSON, as a
/// text in base64.
fn put_payload(out: &mut Vec<u8>, payload: &[u8]) {
    let is_json = std::str::from_utf8(payload).is_ok()
        && serde_json::from_slice::<IgnoredAny>(payload).is_ok();
    if !is_json {
        put_json(out, &BASE64.encode(payload));
        return;
    }
    let (mut in_text, mut escaped) = (false, false);
    for &byte in payload {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_text = byte == b'"';
        }
        out.push(byte);
    }
}

fn put_text(out: &mut Vec<u8>, key: &str, text: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    put_json(out, &text);
}

fn put_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out.by_ref(), value)
        .expect("texts are always JSON and memory takes them");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pubsub_envelope::{NewRecord, Route, binary};
    use pubsub_types::Timestamp;

    fn record(payload: &[u8], meta: Meta<'_>) -> Record {
        let new = NewRecord {
            time: Timestamp(1_795_267_708_500_000_000),
            payload,
            meta,
            ..NewRecord::default()
        };
        let mut bytes = Vec::new();
        binary::encode_record(&mut bytes, Kind::Message, 7, &new).unwrap();
        binary::parse_record(&bytes).unwrap().0.to_record()
    }

    fn put_one(record: &Record) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, &ChannelName::new("orders").unwrap(), Uuid::from_u128(1), 2, record);
        out
    }

    #[test]
    fn a_message_is_spelled_as_the_predecessor_spells_it() {
        let uuid = "01a1fe4b-57a6-701d-95e6-c46db8b9ecc0";
        let meta = Meta {
            id: MessageId::parse(uuid),
            origin: "alice",
            payload_type: "t.M",
            correlation_id: "corr-1",
            service_name: "svc",
            route: Route::parse("alice\nhub").unwrap(),
            ..Meta::default()
        };
        let out =
            put_one(&record(b"{ \"big\": 12345678901234567,\n \"a b\": \"c \\\" d\" }", meta));
        let text = format!(
            r#"{{"v":1,"id":"{uuid}","ts":"{}","channel":"orders","origin":"alice","payload_type":"t.M","correlation_id":"corr-1","service_name":"svc","route":["alice","hub"],"payload":{{"big":12345678901234567,"a b":"c \" d"}}}}"#,
            Timestamp(1_795_267_708_500_000_000)
        );
        assert_eq!(std::str::from_utf8(&out[4..]).unwrap(), text);
        assert_eq!(out[..4], u32::try_from(text.len()).unwrap().to_be_bytes());
    }

    #[test]
    fn what_is_no_json_goes_as_text_and_what_has_no_id_always_gets_the_same() {
        let out = put_one(&record(b"\x00\x01\xffbytes", Meta::default()));
        let text = std::str::from_utf8(&out[4..]).unwrap();
        assert!(text.ends_with(r#","payload":"AAH/Ynl0ZXM="}"#), "{text}");
        let id = read(&out[4..]).unwrap().id;
        assert_eq!(id.len(), 36);
        assert_eq!(read(&put_one(&record(b"{}", Meta::default()))[4..]).unwrap().id, id);
    }

    #[test]
    fn routes_end_at_the_peer() {
        for (line_route, wanted) in [
            ("", "alice\nhub"),
            (r#","route":["alice"]"#, "alice\nhub"),
            (r#","route":["alice","hub"]"#, "alice\nhub"),
        ] {
            let line = format!(
                r#"{{"v":1,"id":"x","ts":"2026-11-21T13:28:32Z","channel":"c","origin":"alice","payload_type":""{line_route},"payload":1}}"#
            );
            let foreign = read(line.as_bytes()).unwrap();
            let mut route = RouteBuf::new();
            assert_eq!(incoming(&foreign.record, "hub", &mut route).route.as_str(), wanted);
        }
    }

    #[test]
    fn what_claims_a_source_is_not_believed() {
        let line = br#"{"v":1,"id":"x","ts":"2026-11-21T13:28:32Z","channel":"c","origin":"a","payload_type":"","log":"01a1fe4b-57a6-701d-95e6-c46db8b9ecc0","epoch":1,"oseq":9,"payload":1}"#;
        let foreign = read(line).unwrap();
        assert!(foreign.record.meta().source.is_some());
        assert_eq!(incoming(&foreign.record, "hub", &mut RouteBuf::new()).source, None);
    }

    proptest! {
        #[test]
        fn messages_come_back_one_by_one(
            payloads in prop::collection::vec("[a-z\"\\\\ \n{}]{0,12}", 0..5), cut in any::<prop::sample::Index>(),
        ) {
            let mut out = Vec::new();
            for payload in &payloads {
                let json = serde_json::to_vec(payload).unwrap();
                out.extend(put_one(&record(&json, Meta { origin: "a", ..Meta::default() })));
            }
            let mut left = out.as_slice();
            for payload in &payloads {
                let foreign = read(take(&mut left).unwrap().unwrap()).unwrap();
                prop_assert_eq!(foreign.record.payload(), serde_json::to_vec(payload).unwrap());
            }
            prop_assert_eq!(take(&mut left), Ok(None));
            if !out.is_empty() {
                let mut cut = &out[..cut.index(out.len())];
                while let Ok(Some(_)) = take(&mut cut) {}
            }
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut left = bytes.as_slice();
            while let Ok(Some(record)) = take(&mut left) {
                let _foreign = read(record);
            }
        }
    }
}
