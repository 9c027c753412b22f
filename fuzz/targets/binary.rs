//! Binary segments: no bytes make decoding panic, what decodes was sealed with this seed, and what is
//! encoded comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pubsub_envelope::binary::{
    BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, Seed, SegmentHeader, decode_record,
    looks_like_batch, parse_record, record_len,
};
use pubsub_envelope::control::Control;
use pubsub_envelope::{Batch, Kind, Meta, NewRecord, Place};
use pubsub_fuzz::Input;
use pubsub_types::{Format, Timestamp};

fuzz_target!(|bytes: &[u8]| {
    decode(bytes);
    round_trip(bytes);
});

fn decode(bytes: &[u8]) {
    let seed = Seed::new(7, 1);
    if let Some(header) = SegmentHeader::decode(bytes) {
        // Eight reserved bytes may say something one day.
        assert_eq!(header.encode()[..12], bytes[..12]);
    }
    let header = BatchHeader::decode(seed, bytes);
    assert!(header.is_none() || looks_like_batch(bytes));
    // What is known to be ours is parsed without its checksum.
    for (record, len) in [parse_record(bytes), decode_record(seed, bytes)].into_iter().flatten() {
        assert_eq!(record_len(bytes), Some(len));
        assert!(len <= bytes.len() && len >= RECORD_HEADER_BYTES);
        let owned = record.to_record();
        assert_eq!(owned.subject(), record.subject());
        assert_eq!(owned.headers(), record.headers());
        assert_eq!(owned.payload(), record.payload());
        let _meta = owned.meta();
        let _control = Control::of(&owned);
    }
    let _meta = Meta::decode(bytes);
}

fn round_trip(bytes: &[u8]) {
    let mut input = Input(bytes);
    let seed = Seed::new(u128::from(input.byte()), input.long());
    let time = Timestamp(input.long().cast_signed());
    let subject = String::from_utf8_lossy(input.some()).into_owned();
    let origin = String::from_utf8_lossy(input.some()).into_owned();
    let headers = input.some();
    let kind = Kind::from_u8(1 + input.byte() % 8).expect("1 to 8 are kinds");
    let meta = Meta { origin: &origin, ..Meta::default() };
    let record = NewRecord { time, subject: &subject, headers, payload: input.0, meta };
    let mut batch = Batch::new(Format::Binary, 1, Vec::new());
    batch.push("orders", kind, 9, &record).expect("it is small");
    batch.seal(seed, Place::default());
    let bytes = &batch.bytes()[BATCH_HEADER_BYTES..];
    let (found, len) = decode_record(seed, bytes).expect("it was just sealed");
    assert_eq!((found.seq, found.time, found.kind, len), (9, time, kind, bytes.len()));
    assert_eq!((found.subject(), found.headers()), (&*subject, headers));
    assert_eq!((found.payload(), found.meta()), (record.payload, meta));
}
