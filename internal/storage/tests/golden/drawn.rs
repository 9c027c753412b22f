//! `docs/format.md` is true: its tables of offsets, its tags and kinds, and its examples are what the
//! code writes.

use std::collections::BTreeMap;
use std::fs;

use pubsub_envelope::binary::{
    BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, Seed, SegmentHeader,
};
use pubsub_envelope::control::{Compaction, Control, Tombstone, Trim};
use pubsub_envelope::{Batch, Kind, MessageId, Meta, NewRecord, Place, Route, Source, jsonl};
use pubsub_types::{Format, Timestamp};
use uuid::Uuid;

use crate::fixture::{EPOCH, frozen, records, root};

const LOG_ID: u128 = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;

/// The rows of the tables below a heading, without their headings.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/format.md")).unwrap();
    let heading = format!("\n{heading}\n");
    let (_, below) = text.split_once(&heading).expect("the page has the heading");
    let below = below.split("\n#").next().unwrap();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let rows: Vec<_> = below.lines().filter(|line| line.starts_with('|')).map(cells).collect();
    let drawn = |row: &Vec<String>| row[0].bytes().all(|byte| byte.is_ascii_digit());
    rows.into_iter().filter(drawn).collect()
}

/// Asserts that each row of offsets below `heading` has its field's bytes there, and that the rows
/// cover `bytes` without a gap up to `until`.
fn expect_drawn(heading: &str, bytes: &[u8], until: usize, fields: &[(&str, Vec<u8>)]) {
    let mut fields: BTreeMap<_, _> = fields.iter().cloned().collect();
    let mut at = 0;
    for row in rows(heading) {
        let Ok(len) = row[1].parse::<usize>() else { continue };
        assert_eq!(row[0].parse(), Ok(at), "{heading}: {row:?}");
        let expected = match row[2].as_str() {
            "reserved" => vec![0; len],
            field => fields.remove(field).unwrap_or_else(|| panic!("{heading}: {field}?")),
        };
        assert_eq!(bytes[at..at + len], expected, "{heading}: {row:?}");
        at += len;
    }
    assert_eq!(at, until, "{heading}");
    assert_eq!(fields, BTreeMap::new(), "{heading}: not drawn");
}

fn u32s(value: u32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn u64s(value: u64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn crc(seed: u32, parts: &[&[u8]]) -> u32 {
    parts.iter().fold(seed, |crc, part| crc32c::crc32c_append(crc, part))
}

/// The seed, as the page says it is made.
fn seed(first_index: u64) -> u32 {
    crc(0, &[&LOG_ID.to_le_bytes(), &first_index.to_le_bytes()])
}

/// A batch at log index 70 of the segment that starts at 66.
fn batch(records: &[(Kind, u64, NewRecord<'_>)]) -> Vec<u8> {
    let mut batch = Batch::new(Format::Binary, 57, Vec::new());
    for (kind, seq, record) in records {
        batch.push("orders", *kind, *seq, record).unwrap();
    }
    let place = Place { index: 70, previous: 0xdead_beef, durable_index: 69 };
    batch.seal(Seed::new(LOG_ID, 66), place);
    batch.bytes().to_vec()
}

fn full() -> NewRecord<'static> {
    NewRecord {
        time: Timestamp(EPOCH),
        subject: "orders.eu",
        headers: b"NATS/1.0\r\n\r\n",
        payload: b"{\"n\":1}",
        meta: Meta {
            id: MessageId::Uuid(Uuid::from_u128(LOG_ID)),
            origin: "alice",
            payload_type: "t.M",
            correlation_id: "corr",
            service_name: "svc",
            expires: Some(Timestamp(EPOCH + 1)),
            source: Some(Source { log: Uuid::from_u128(!LOG_ID), epoch: 3, seq: 7, previous: 5 }),
            route: Route::parse("alice\nhub").unwrap(),
            members: "\"shard\":7",
        },
    }
}

#[test]
fn a_segment_header_is_as_drawn() {
    let header =
        SegmentHeader { log_id: LOG_ID, first_index: 66, first_seq: 57, created: Timestamp(EPOCH) };
    let bytes = header.encode();
    let mut plain = bytes;
    plain[12..16].fill(0);
    let fields = [
        ("magic", b"pubsublg".to_vec()),
        ("version", u32s(1)),
        ("crc", u32s(crc(0, &[&plain]))),
        ("log id", LOG_ID.to_le_bytes().to_vec()),
        ("first index", u64s(66)),
        ("first sequence", u64s(57)),
        ("created", EPOCH.to_le_bytes().to_vec()),
    ];
    expect_drawn("### Segment header", &bytes, SEGMENT_HEADER_BYTES, &fields);
}

#[test]
fn a_batch_header_is_as_drawn() {
    let bytes = batch(&[(Kind::Message, 57, full()), (Kind::Message, 58, full())]);
    let len = u32::try_from(bytes.len()).unwrap();
    let fields = [
        ("magic", vec![0xb5, 0x50, 0x53, 0x31]),
        ("length", u32s(len)),
        ("crc", u32s(crc(seed(66), &[&bytes[..8], &bytes[12..64]]))),
        ("previous", u32s(0xdead_beef)),
        ("term", u64s(0)),
        ("index", u64s(70)),
        ("first sequence", u64s(57)),
        ("base time", EPOCH.to_le_bytes().to_vec()),
        ("durable index", u64s(69)),
        ("count", u32s(2)),
    ];
    expect_drawn("### Batch header", &bytes, BATCH_HEADER_BYTES, &fields);
    let header = BatchHeader::decode(Seed::new(LOG_ID, 66), &bytes).unwrap();
    assert_eq!((header.index, header.count), (70, 2));
}

#[test]
fn a_record_is_as_drawn() {
    let batch = batch(&[(Kind::Message, 57, full())]);
    let bytes = &batch[BATCH_HEADER_BYTES..];
    let record = full();
    let mut extensions = Vec::new();
    let field = |tag: u8, value: &[u8]| {
        let len = u16::try_from(value.len()).unwrap().to_le_bytes();
        [&[tag], &len[..], value].concat()
    };
    // Tag 2 is an id that is no UUID, and stands in the place of tag 1.
    let source = [
        &(!LOG_ID).to_be_bytes()[..],
        &3_u64.to_le_bytes(),
        &7_u64.to_le_bytes(),
        &5_u64.to_le_bytes(),
    ];
    let values: [(&str, &[u8]); 9] = [
        ("id", &LOG_ID.to_be_bytes()),
        ("origin", b"alice"),
        ("payload_type", b"t.M"),
        ("correlation_id", b"corr"),
        ("service_name", b"svc"),
        ("expires", &(EPOCH + 1).to_le_bytes()),
        ("source", &source.concat()),
        ("route", b"alice\nhub"),
        ("members", b"\"shard\":7"),
    ];
    let tags: Vec<_> = rows("### Record").into_iter().filter(|row| row.len() == 3).collect();
    let mut tags = tags.iter().filter(|row| row[0] != "2");
    for (name, value) in values {
        let tag = tags.next().unwrap();
        assert_eq!(tag[1], name);
        extensions.extend(field(tag[0].parse().unwrap(), value));
    }
    assert_eq!(tags.next(), None);
    let extensions_len = u16::try_from(extensions.len()).unwrap();
    let body = [
        &extensions_len.to_le_bytes(),
        &extensions[..],
        record.subject.as_bytes(),
        record.headers,
        record.payload,
    ]
    .concat();
    let padding = body.len().next_multiple_of(8) - body.len();
    assert_ne!(padding, 0, "the example has padding");
    let fields = [
        ("length", u32s(u32::try_from(32 + body.len() + padding).unwrap())),
        ("crc", u32s(crc(seed(66), &[&bytes[..4], &bytes[8..]]))),
        ("sequence", u64s(57)),
        ("time", EPOCH.to_le_bytes().to_vec()),
        ("headers length", u32s(u32::try_from(record.headers.len()).unwrap())),
        ("subject length", u16::try_from(record.subject.len()).unwrap().to_le_bytes().to_vec()),
        ("kind", vec![1]),
        ("flags", vec![8 | u8::try_from(padding).unwrap()]),
    ];
    expect_drawn("### Record", bytes, RECORD_HEADER_BYTES, &fields);
    assert_eq!(bytes[RECORD_HEADER_BYTES..][..body.len()], body);
    assert_eq!(bytes[RECORD_HEADER_BYTES + body.len()..], vec![0; padding]);
}

#[test]
fn an_id_that_is_no_uuid_has_the_other_tag() {
    let meta = Meta { id: MessageId::Text("a7"), ..Meta::default() };
    let bytes = batch(&[(Kind::Message, 57, NewRecord { meta, ..NewRecord::default() })]);
    assert_eq!(bytes[BATCH_HEADER_BYTES + RECORD_HEADER_BYTES..][..7], *b"\x05\0\x02\x02\0a7");
}

#[test]
fn kinds_and_what_they_say_are_as_drawn() {
    let said = [
        Control::Tombstone(Tombstone { seqs: vec![(4, 4), (6, 7)] }),
        Control::Trim(Trim { first: 2, why: "max_messages".into() }),
        Control::Compaction(Compaction { messages: 3, next_index: 90, next_seq: 81, controls: 0 }),
    ];
    let rows = rows("### Kinds");
    assert_eq!(rows.len(), 8);
    for row in rows {
        let number = row[0].parse().unwrap();
        let kind = Kind::from_u8(number).unwrap();
        assert_eq!(row[1], kind.as_str());
        assert_eq!(kind as u8, number);
        match said.iter().find(|control| control.kind() == kind) {
            Some(control) => {
                let payload = String::from_utf8(control.payload()).unwrap();
                assert!(row[2].starts_with(&format!("`{payload}`")), "{row:?}");
            }
            None => assert!(!row[2].starts_with('`'), "{row:?}"),
        }
    }
    assert_eq!(Kind::from_u8(9), None);
}

/// The lines of the fenced block of this language.
fn example(language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/format.md")).unwrap();
    let (_, block) = text.split_once(&format!("\n```{language}\n")).unwrap();
    block.split("\n```").next().unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_examples_stand_in_the_directories_that_they_are_from() {
    let segment = |format: Format, nth: &str| {
        let file = format!("channels/orders/{nth:0>20}.{}", format.extension());
        fs::read(frozen(format).join(file)).unwrap()
    };
    let binary = segment(Format::Binary, "1");
    let mut hex = Vec::new();
    for line in example("hex") {
        assert_eq!(line[..4].trim().parse(), Ok(128 + hex.len()));
        let bytes = line[6..53].split_whitespace();
        hex.extend(bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    assert_eq!(binary[128..128 + hex.len()], hex);
    assert_eq!(u32::from_le_bytes(*hex.first_chunk().unwrap()) as usize, hex.len());

    let lines = example("jsonl");
    let first = String::from_utf8(segment(Format::Jsonl, "1")).unwrap();
    let shown: Vec<_> = lines.iter().filter(|line| first.contains(&format!("{line}\n"))).collect();
    assert!(shown.len() >= 2 && shown[0] == &lines[0], "{lines:#?}");
    for line in &lines {
        jsonl::decode_line(line.as_bytes()).unwrap();
    }
    assert!(lines.iter().any(|line| line.contains("\"ctl\":\"tombstone\"")));
    assert!(lines.iter().any(|line| line.contains("\"payload_b64\"")));
}

#[test]
fn a_line_has_its_keys_in_the_order_drawn() {
    let mut line = Vec::new();
    jsonl::encode_record(&mut line, "orders", Kind::Message, 57, &full());
    let control = NewRecord { meta: Meta::default(), payload: b"{}", headers: b"\xff", ..full() };
    jsonl::encode_record(&mut line, "orders", Kind::Tombstone, 57, &control);
    let odd = NewRecord { payload: b"\xff", ..full() };
    jsonl::encode_record(&mut line, "orders", Kind::Message, 58, &odd);
    let text = String::from_utf8(line).unwrap();
    let drawn = fs::read_to_string(root().join("docs/format.md")).unwrap();
    let (_, table) = drawn.split_once("\n## JSONL segments\n").unwrap();
    let keys = table.lines().filter(|line| line.starts_with("| `"));
    let keys: Vec<&str> = keys
        .take_while(|row| row.starts_with("| `"))
        .flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .collect();
    for line in text.lines() {
        let mut next = 0;
        let mut seen = 0;
        for key in &keys {
            if let Some(at) = line.find(&format!("\"{key}\":")) {
                assert!(at >= next, "{key} comes too early in {line}");
                next = at;
                seen += 1;
            }
        }
        // In the payload, and what somebody else wrote.
        let others = line.matches("{\"n\":1}").count() + line.matches("\"shard\":7,").count();
        assert_eq!(line.matches("\":").count() - others, seen, "{line}");
    }
}

#[test]
fn an_index_header_is_as_drawn() {
    let dir = frozen(Format::Binary).join("channels/orders");
    let name = format!("{:020}", 1);
    let bytes = fs::read(dir.join(format!("{name}.idx"))).unwrap();
    let segment = fs::read(dir.join(format!("{name}.log"))).unwrap();
    let at = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let times = records();
    let hash = xxhash_rust::xxh3::xxh3_128(&segment);
    let messages = at(72);
    let last = usize::try_from(messages).unwrap() - 1;
    let fields = [
        ("magic", b"psub.idx".to_vec()),
        ("version", u32s(1)),
        ("flags", u32s(0)),
        ("log id", segment[16..32].to_vec()),
        ("first index", u64s(1)),
        ("first sequence", u64s(1)),
        ("segment length", u64s(segment.len() as u64)),
        ("segment hash", hash.to_le_bytes().to_vec()),
        ("messages", u64s(messages)),
        ("message bytes", u64s(at(80))),
        ("first", u64s(1)),
        ("last", u64s(messages)),
        (
            "times",
            [times[0].time, times[last].time, times[last].time]
                .iter()
                .flat_map(|time| time.as_nanos().to_le_bytes())
                .collect(),
        ),
        ("subjects", u64s(at(128))),
        ("sections", bytes[136..200].to_vec()),
        ("crc", u32s(crc(0, &[&bytes[..252]]))),
    ];
    expect_drawn("## Index files", &bytes, 256, &fields);
    assert!((2..=5).contains(&messages) && (2..=3).contains(&at(128)));
    let sections: u64 = (0..8).map(|nth| at(136 + nth * 8)).sum();
    assert_eq!(256 + sections, bytes.len() as u64);
}

#[test]
fn small_files_are_sealed_as_drawn() {
    let dir = frozen(Format::Jsonl);
    for file in ["NODE.a", "channels/orders/MANIFEST.b", "subscribers/orders/billing.offset.a"] {
        let text = fs::read_to_string(dir.join(file)).unwrap();
        let (content, seal) = text.rsplit_once("\n#gen=").unwrap();
        let (generation, sum) = seal.trim_end().split_once(" crc=").unwrap();
        let generation: u64 = generation.parse().unwrap();
        let expected = crc(0, &[content.as_bytes(), &generation.to_le_bytes()]);
        assert_eq!(sum, format!("{expected:08x}"), "{file}");
    }
    let text = |file| fs::read_to_string(dir.join("subscribers/orders").join(file)).unwrap();
    let newest = [text("billing.offset.a"), text("billing.offset.b")];
    assert!(newest.iter().any(|text| text.starts_with("v2 seq=5 epoch=1\n#gen=2 ")));
}
