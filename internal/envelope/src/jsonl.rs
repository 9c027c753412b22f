//! The JSONL format: one envelope per line, for `grep`, `tail -f` and `jq`.
//!
//! ```text
//!   {"v":1,"seq":57,"id":"…","ts":"…","channel":"orders","origin":"…","payload_type":"…",…,"payload":{…},"crc":"1a2b3c4d"}
//! ```
//!
//! The keys are the predecessor's, in its order, plus `seq` and a few optional ones; `crc` is last and
//! is the CRC-32C of every byte of the line before `,"crc":`. A payload that can stand in a line as
//! it is (valid JSON without a line break) stands there as it is; any other is `payload_b64`, so
//! that every payload comes back byte for byte. What is not a message has `ctl` instead of a payload.

use std::borrow::Cow;
use std::io::Write;

use data_encoding::BASE64;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::envelope::{Envelope, each_member};
use crate::line;
use crate::meta::{MessageId, Meta};
use crate::record::{Kind, NewRecord, Record};
use crate::source::{Route, Source};

/// The version of the envelope that we write and read, in `v`.
pub const VERSION: u64 = 1;

/// What comes before the checksum in a line.
const CRC_KEY: &[u8] = b",\"crc\":\"";
/// Length of the end of a line from [`CRC_KEY`] on: the key, 8 hex digits, `"}`.
const CRC_TAIL_BYTES: usize = CRC_KEY.len() + 8 + 2;

/// Appends a record's line to `out`, line break included.
pub fn encode_record(
    out: &mut Vec<u8>,
    channel: &str,
    kind: Kind,
    seq: u64,
    record: &NewRecord<'_>,
) {
    let start = out.len();
    let meta = &record.meta;
    put(out, format_args!("{{\"v\":{VERSION},\"seq\":{seq}"));
    if kind != Kind::Message {
        put(out, format_args!(",\"ctl\":\"{}\"", kind.as_str()));
    }
    match meta.id {
        MessageId::None => (),
        MessageId::Uuid(uuid) => put(out, format_args!(",\"id\":\"{uuid}\"")),
        MessageId::Text(text) => put_text(out, "id", text),
    }
    put(out, format_args!(",\"ts\":\"{}\"", record.time));
    put_text(out, "channel", channel);
    for (key, text) in [
        ("origin", meta.origin),
        ("payload_type", meta.payload_type),
        ("correlation_id", meta.correlation_id),
        ("service_name", meta.service_name),
    ] {
        // The predecessor always writes these two; its readers may count on them.
        let always = kind == Kind::Message && matches!(key, "origin" | "payload_type");
        if always || !text.is_empty() {
            put_text(out, key, text);
        }
    }
    put_route(out, meta.route);
    if !record.subject.is_empty() {
        put_text(out, "subject", record.subject);
    }
    if let Some(expires) = meta.expires {
        put(out, format_args!(",\"expires\":\"{expires}\""));
    }
    if let Some(source) = &meta.source {
        put_source(out, source);
    }
    if !record.headers.is_empty() {
        match std::str::from_utf8(record.headers) {
            Ok(text) => put_text(out, "headers", text),
            Err(_) => put_base64(out, "headers_b64", record.headers),
        }
    }
    each_member(meta, |member| put(out, format_args!(",{member}")));
    if stands_as_it_is(record.payload) {
        out.extend_from_slice(b",\"payload\":");
        out.extend_from_slice(record.payload);
    } else {
        put_base64(out, "payload_b64", record.payload);
    }
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(CRC_KEY);
    put(out, format_args!("{crc:08x}\"}}\n"));
}

/// Why a line is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// The checksum is missing or does not match: the line is damaged.
    #[error("the line's checksum does not match")]
    Damaged,
    /// The checksum matches, or is not asked for, but the line is no envelope.
    #[error("the line is not an envelope")]
    NotAnEnvelope,
    /// The envelope is of a version that we do not know.
    #[error("the envelope has version {0}, not {VERSION}")]
    UnknownVersion(u64),
}

/// The record in `line`, which has no line break, written by [`encode_record`].
///
/// # Errors
/// The line is damaged, or not ours.
pub fn decode_line(line: &[u8]) -> Result<Record, BadLine> {
    let Some(covered) = verified(line) else { return Err(BadLine::Damaged) };
    match line::decode(&line[..covered]) {
        Some(record) => Ok(record),
        None => decode_envelope(line, None),
    }
}

/// The record in a line of the predecessor's, which has no `seq` and no `crc`.
///
/// A line that does have a checksum must match it.
///
/// # Errors
/// The line is damaged, or not an envelope.
pub fn decode_legacy_line(line: &[u8], seq: u64) -> Result<Record, BadLine> {
    if has_crc(line) && verified(line).is_none() {
        return Err(BadLine::Damaged);
    }
    decode_envelope(line, Some(seq))
}

/// Length of the part of `line` that its checksum covers, if the checksum is there and matches.
#[must_use]
pub fn verified(line: &[u8]) -> Option<usize> {
    let covered = line.len().checked_sub(CRC_TAIL_BYTES)?;
    let tail = line[covered..].strip_prefix(CRC_KEY)?.strip_suffix(b"\"}")?;
    let lower_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if !tail.iter().all(lower_hex) {
        return None;
    }
    let crc = u32::from_str_radix(std::str::from_utf8(tail).ok()?, 16).ok()?;
    (crc32c::crc32c(&line[..covered]) == crc).then_some(covered)
}

fn has_crc(line: &[u8]) -> bool {
    line.len() >= CRC_TAIL_BYTES && line[line.len() - CRC_TAIL_BYTES..].starts_with(CRC_KEY)
}

/// Whole records that stand within a damaged stretch, as `(start, end)`, line breaks not included.
///
/// A flipped line break joins a record with its neighbour, and a flipped byte can break a line in
/// two; what still proves itself is found here.
pub fn salvage(stretch: &[u8]) -> Vec<(usize, usize)> {
    const OPENING: &[u8] = b"{\"v\":";
    let ends: Vec<usize> = memchr::memmem::find_iter(stretch, CRC_KEY)
        .map(|at| at + CRC_TAIL_BYTES)
        .filter(|end| *end <= stretch.len())
        .collect();
    let mut found = Vec::new();
    let mut free_from = 0;
    for start in memchr::memmem::find_iter(stretch, OPENING) {
        if start < free_from {
            continue;
        }
        // A record of ours has one checksum of its own; a payload may hold the images of others, so
        // the nearest end that proves itself wins, and not every pair is tried.
        let end = ends
            .iter()
            .filter(|end| **end > start)
            .take(4)
            .find(|end| verified(&stretch[start..**end]).is_some());
        if let Some(&end) = end {
            found.push((start, end));
            free_from = end;
        }
    }
    found
}

/// The record in a line, whatever order its keys have; `seq` when it has none.
pub(crate) fn decode_envelope(line: &[u8], seq: Option<u64>) -> Result<Record, BadLine> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).map_err(|_| not_ours(line))?;
    if envelope.version != VERSION {
        return Err(BadLine::UnknownVersion(envelope.version));
    }
    let bad = BadLine::NotAnEnvelope;
    let kind = match &envelope.ctl {
        None => Kind::Message,
        Some(word) => Kind::from_ctl(word).ok_or(bad)?,
    };
    let seq = envelope.seq.or(seq).ok_or(bad)?;
    let time = envelope.time.parse().map_err(|_| bad)?;
    let from_base64 = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| bad);
    let headers = if envelope.headers_b64.is_empty() {
        Cow::Borrowed(envelope.headers.as_bytes())
    } else {
        Cow::Owned(from_base64(&envelope.headers_b64)?)
    };
    let payload = match (&envelope.payload_b64, envelope.payload) {
        (Some(text), _) => Cow::Owned(from_base64(text)?),
        (None, Some(raw)) => Cow::Borrowed(raw.get().as_bytes()),
        // An explicit null deserializes as absent; nothing else of ours lacks a payload.
        (None, None) => Cow::Borrowed(&b"null"[..]),
    };
    let mut meta = Meta {
        id: MessageId::parse(&envelope.id),
        origin: &envelope.origin,
        payload_type: &envelope.payload_type,
        correlation_id: &envelope.correlation_id,
        service_name: &envelope.service_name,
        expires: envelope.expires,
        source: envelope.source,
        route: envelope.route.as_route(),
        members: &envelope.members,
    };
    if meta.encoded_bytes() > usize::from(u16::MAX) {
        // Fields that take all the room there is are worth more than what nobody here understands.
        meta.members = "";
    }
    Record::encode(seq, time, kind, (&meta, &envelope.subject, &headers), &payload).ok_or(bad)
}

/// Tells an envelope of another version, whose other fields may differ, from something else.
fn not_ours(line: &[u8]) -> BadLine {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    match serde_json::from_slice(line) {
        Ok(Version { v }) if v != VERSION => BadLine::UnknownVersion(v),
        _ => BadLine::NotAnEnvelope,
    }
}

/// Whether `payload` can be a value in a line and come back byte for byte.
fn stands_as_it_is(payload: &[u8]) -> bool {
    // White space around a value would not come back.
    let (Some(first), Some(last)) = (payload.first(), payload.last()) else { return false };
    !first.is_ascii_whitespace()
        && !last.is_ascii_whitespace()
        && memchr::memchr2(b'\n', b'\r', payload).is_none()
        && serde_json::from_slice::<IgnoredAny>(payload).is_ok()
        && std::str::from_utf8(payload).is_ok()
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory cannot fail");
}

fn put_text(out: &mut Vec<u8>, key: &str, text: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    serde_json::to_writer(out, text).expect("a string is always JSON and memory takes it");
}

/// The names as a list, as the predecessor writes it.
fn put_route(out: &mut Vec<u8>, route: Route<'_>) {
    for (nth, name) in route.iter().enumerate() {
        out.extend_from_slice(if nth == 0 { b",\"route\":[" } else { b"," });
        serde_json::to_writer(&mut *out, name).expect("a string is always JSON");
    }
    if !route.is_empty() {
        out.push(b']');
    }
}

fn put_source(out: &mut Vec<u8>, source: &Source) {
    let Source { log, epoch, seq, previous } = source;
    put(out, format_args!(",\"log\":\"{log}\",\"epoch\":{epoch},\"oseq\":{seq}"));
    if *previous != seq.saturating_sub(1) {
        put(out, format_args!(",\"prev\":{previous}"));
    }
}

fn put_base64(out: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    put(out, format_args!(",\"{key}\":\"{}\"", BASE64.encode_display(bytes)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pubsub_types::Timestamp;

    fn line(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let record = NewRecord {
            time: Timestamp(1_795_267_712_934_298_826),
            payload,
            meta: Meta { origin: "alice", payload_type: "t.M", ..Meta::default() },
            ..NewRecord::default()
        };
        encode_record(&mut out, "orders", Kind::Message, 57, &record);
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }

    #[test]
    fn a_line_is_the_envelope_that_people_know() {
        let text = String::from_utf8(line(br#"{"n":1.5}"#)).unwrap();
        let covered = r#"{"v":1,"seq":57,"ts":"2026-11-21T13:28:32.934298826Z","channel":"orders","origin":"alice","payload_type":"t.M","payload":{"n":1.5}"#;
        let crc = crc32c::crc32c(covered.as_bytes());
        assert_eq!(text, format!(r#"{covered},"crc":"{crc:08x}"}}"#));
    }

    #[test]
    fn the_predecessors_line_is_read_as_it_is() {
        let golden = "{\"v\":1,\"id\":\"01a1fe4b-57a6-701d-95e6-c46db8b9ecc0\",\"ts\":\"2026-11-21T13:28:32.934298826Z\",\"channel\":\"orders\",\"origin\":\"alice\",\"payload_type\":\"t.M\",\"correlation_id\":\"corr-1\",\"service_name\":\"svc\",\"route\":[\"alice\",\"hub\"],\"payload\":{\"big\":12345678901234567,\"html\":\"\\u003ca\\u003e\\u0026\\\"é\\u2028\",\"n\":1.5}}";
        assert_eq!(golden.len(), 300);
        let record = decode_legacy_line(golden.as_bytes(), 9).unwrap();
        assert_eq!(record.seq, 9);
        assert_eq!(record.meta().correlation_id, "corr-1");
        assert_eq!(record.meta().id.to_string(), "01a1fe4b-57a6-701d-95e6-c46db8b9ecc0");
        assert!(record.payload().starts_with(b"{\"big\":12345678901234567"));
        assert_eq!(decode_line(golden.as_bytes()), Err(BadLine::Damaged));
    }

    #[test]
    fn an_unknown_version_is_named() {
        assert_eq!(decode_legacy_line(b"{\"v\":99}", 1), Err(BadLine::UnknownVersion(99)));
        assert_eq!(decode_legacy_line(b"{}", 1), Err(BadLine::NotAnEnvelope));
        assert_eq!(decode_legacy_line(b"rubbish", 1), Err(BadLine::NotAnEnvelope));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let good = line(br#"{"a":"b"}"#);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(decode_line(&bad).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn joined_lines_are_told_apart() {
        let (one, two) = (line(b"1"), line(b"2"));
        let joined = [one.as_slice(), &[0x0b], &two].concat();
        assert_eq!(salvage(&joined), vec![(0, one.len()), (one.len() + 1, joined.len())]);
    }

    #[test]
    fn a_record_image_inside_a_payload_is_not_salvaged_from_a_healthy_record() {
        let inner = line(b"1");
        let outer = line(&serde_json::to_vec(&String::from_utf8(inner).unwrap()).unwrap());
        assert_eq!(salvage(&outer), vec![(0, outer.len())]);
    }

    proptest! {
        #[test]
        fn every_payload_comes_back_byte_for_byte(
            payload in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "[ \\n]{0,2}(\\{\"a\":[0-9]{1,3}\\}|\"[a-zé]*\"|null|true|[0-9]+)[ \\n]{0,2}"
                    .prop_map(String::into_bytes),
            ],
            headers in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 1..20)],
            subject in "[a-z\"\\\\]{0,5}", correlation in ".{0,10}",
        ) {
            let mut out = Vec::new();
            let record = NewRecord {
                time: Timestamp(7), subject: &subject, headers: &headers, payload: &payload,
                meta: Meta { correlation_id: &correlation, ..Meta::default() },
            };
            encode_record(&mut out, "c", Kind::Message, 3, &record);
            prop_assert_eq!(out.pop(), Some(b'\n'));
            prop_assert!(!out.contains(&b'\n'));
            let back = decode_line(&out).unwrap();
            prop_assert_eq!(back.payload(), payload);
            prop_assert_eq!(back.headers(), headers);
            prop_assert_eq!(back.subject(), subject);
            prop_assert_eq!(back.meta().correlation_id, correlation);
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _one = decode_line(&bytes);
            let _two = decode_legacy_line(&bytes, 1);
            let _three = salvage(&bytes);
        }
    }
}
