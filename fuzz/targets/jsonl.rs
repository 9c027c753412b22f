//! JSONL segments: no line makes decoding panic, what is salvaged proves itself, and what is encoded
//! comes back byte for byte from one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pubsub_envelope::control::Control;
use pubsub_envelope::jsonl::{decode_legacy_line, decode_line, encode_record, salvage, verified};
use pubsub_envelope::{Kind, MessageId, Meta, NewRecord};
use pubsub_fuzz::Input;
use pubsub_types::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let _unsealed = decode_line(bytes);
    if let Ok(record) = decode_legacy_line(bytes, 7) {
        let _control = Control::of(&record);
        again(&record.as_new(), record.kind);
    }
    // As if the checksum were right, so that what is behind it is reached.
    let crc = crc32c::crc32c(bytes);
    let line = [bytes, format!(",\"crc\":\"{crc:08x}\"}}").as_bytes()].concat();
    assert_eq!(verified(&line), Some(bytes.len()));
    if let Ok(record) = decode_line(&line) {
        again(&record.as_new(), record.kind);
    }
    let mut last = 0;
    for (start, end) in salvage(bytes) {
        assert!(last <= start && start < end && end <= bytes.len());
        assert!(verified(&bytes[start..end]).is_some());
        last = end;
    }
    round_trip(bytes);
    joined(bytes);
});

/// A record that was read is written and read again.
fn again(record: &NewRecord<'_>, kind: Kind) {
    let mut line = Vec::new();
    encode_record(&mut line, "orders", kind, 7, record);
    assert_eq!(line.pop(), Some(b'\n'));
    assert!(!line.contains(&b'\n'));
    let found = decode_line(&line).expect("it was just written");
    assert_eq!((found.seq, found.kind, found.time), (7, kind, record.time));
    assert_eq!((found.subject(), found.headers()), (record.subject, record.headers));
    assert_eq!((found.payload(), found.meta()), (record.payload, record.meta));
}

fn round_trip(bytes: &[u8]) {
    let mut input = Input(bytes);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let time = Timestamp(input.long().cast_signed());
    let (subject, id, origin) = (text(input.some()), text(input.some()), text(input.some()));
    let headers = input.some();
    let meta = Meta { id: MessageId::parse(&id), origin: &origin, ..Meta::default() };
    let record = NewRecord { time, subject: &subject, headers, payload: input.0, meta };
    again(&record, Kind::Message);
}

/// A good line whose line breaks are gone is found between any neighbours.
fn joined(bytes: &[u8]) {
    let mut good = Vec::new();
    let record = NewRecord { time: Timestamp(1), payload: b"{\"n\":1}", ..NewRecord::default() };
    encode_record(&mut good, "orders", Kind::Message, 7, &record);
    good.pop();
    let stretch = [b"rubbish", &good[..], bytes].concat();
    assert!(salvage(&stretch).contains(&(7, 7 + good.len())));
}
