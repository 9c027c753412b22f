//! An envelope as its line spells it: the keys that we know, and all others as they are.
//!
//! ```text
//!   {"v":1,"id":"…",…,"route":["alice","hub"],"log":"…","epoch":3,"oseq":57,"shard":{"n":7},"payload":…}
//!                              Route           Source                       a member, kept as it is
//! ```
//!
//! What is not understood stays: a line that is written again, by a compaction or to another channel,
//! has every key that it had. A key of ours with a value that cannot be ours is such a member too.

use std::borrow::Cow;
use std::fmt;

use pubsub_types::Timestamp;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::meta::{MEMBERS_MAX_BYTES, Meta};
use crate::source::{RouteBuf, Source};

/// The keys that only we write.
const OURS: [&str; 17] = [
    "v",
    "seq",
    "ctl",
    "id",
    "ts",
    "channel",
    "origin",
    "payload_type",
    "correlation_id",
    "service_name",
    "subject",
    "expires",
    "headers",
    "headers_b64",
    "payload",
    "payload_b64",
    "crc",
];

/// What a line says.
#[derive(Debug, Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) version: u64,
    pub(crate) seq: Option<u64>,
    pub(crate) ctl: Option<Cow<'a, str>>,
    pub(crate) id: Cow<'a, str>,
    pub(crate) time: Cow<'a, str>,
    pub(crate) origin: Cow<'a, str>,
    pub(crate) payload_type: Cow<'a, str>,
    pub(crate) correlation_id: Cow<'a, str>,
    pub(crate) service_name: Cow<'a, str>,
    pub(crate) subject: Cow<'a, str>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) headers: Cow<'a, str>,
    pub(crate) headers_b64: Cow<'a, str>,
    pub(crate) payload: Option<&'a RawValue>,
    pub(crate) payload_b64: Option<Cow<'a, str>>,
    pub(crate) source: Option<Source>,
    pub(crate) route: RouteBuf,
    pub(crate) members: String,
}

/// The values of the keys that make a [`Source`].
#[derive(Debug, Default)]
struct SourceKeys<'a> {
    log: Option<&'a RawValue>,
    epoch: Option<&'a RawValue>,
    seq: Option<&'a RawValue>,
    previous: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(line: D) -> Result<Self, D::Error> {
        line.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        let mut it = Envelope::default();
        let (mut version, mut time) = (None, None);
        let (mut route, mut source) = (None, SourceKeys::default());
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "v" => version = Some(map.next_value()?),
                "seq" => it.seq = map.next_value()?,
                "ctl" => it.ctl = map.next_value::<Option<Text<'_>>>()?.map(|text| text.0),
                "id" => it.id = text(&mut map)?,
                "ts" => time = Some(text(&mut map)?),
                "origin" => it.origin = text(&mut map)?,
                "payload_type" => it.payload_type = text(&mut map)?,
                "correlation_id" => it.correlation_id = text(&mut map)?,
                "service_name" => it.service_name = text(&mut map)?,
                "subject" => it.subject = text(&mut map)?,
                "expires" => it.expires = map.next_value()?,
                "headers" => it.headers = text(&mut map)?,
                "headers_b64" => it.headers_b64 = text(&mut map)?,
                "payload" => it.payload = map.next_value()?,
                "payload_b64" => {
                    it.payload_b64 = map.next_value::<Option<Text<'_>>>()?.map(|text| text.0);
                }
                "channel" | "crc" => drop(map.next_value::<IgnoredAny>()?),
                "route" => route = Some(map.next_value()?),
                "log" => source.log = Some(map.next_value()?),
                "epoch" => source.epoch = Some(map.next_value()?),
                "oseq" => source.seq = Some(map.next_value()?),
                "prev" => source.previous = Some(map.next_value()?),
                _ => push_member(&mut it.members, &key, map.next_value()?),
            }
        }
        it.version = version.ok_or_else(|| de::Error::missing_field("v"))?;
        it.time = time.ok_or_else(|| de::Error::missing_field("ts"))?;
        it.take_route(route);
        it.take_source(&source);
        Ok(it)
    }
}

impl Envelope<'_> {
    fn take_route(&mut self, raw: Option<&RawValue>) {
        let Some(raw) = raw else { return };
        match route(raw) {
            Some(route) => self.route = route,
            None => push_member(&mut self.members, "route", raw),
        }
    }

    fn take_source(&mut self, keys: &SourceKeys<'_>) {
        self.source = keys.source();
        if self.source.is_some() {
            return;
        }
        let keys =
            [("log", keys.log), ("epoch", keys.epoch), ("oseq", keys.seq), ("prev", keys.previous)];
        for (key, value) in keys {
            if let Some(value) = value {
                push_member(&mut self.members, key, value);
            }
        }
    }
}

impl SourceKeys<'_> {
    fn source(&self) -> Option<Source> {
        let log: Text<'_> = serde_json::from_str(self.log?.get()).ok()?;
        let number = |raw: &RawValue| serde_json::from_str::<u64>(raw.get()).ok();
        let seq = number(self.seq?)?;
        let previous = match self.previous {
            Some(raw) => number(raw)?,
            None => seq.checked_sub(1)?,
        };
        let epoch = number(self.epoch?)?;
        Source { log: Uuid::try_parse(&log.0).ok()?, epoch, seq, previous }.checked()
    }
}

/// The route in a list of names that can stand in one, at least one of them.
fn route(raw: &RawValue) -> Option<RouteBuf> {
    let names: Vec<Text<'_>> = serde_json::from_str(raw.get()).ok()?;
    let mut route = RouteBuf::new();
    for Text(name) in &names {
        route.push(name).ok()?;
    }
    (!names.is_empty()).then_some(route)
}

/// Calls `put` with each member of `meta` that can stand in a line beside what the line has of its own,
/// as `"key":value`.
pub(crate) fn each_member(meta: &Meta<'_>, mut put: impl FnMut(&str)) {
    if meta.members.is_empty() {
        return;
    }
    let object = format!("{{{}}}", meta.members);
    let Ok(Members(members)) = serde_json::from_str(&object) else { return };
    for (Text(key), value) in members {
        let taken = match &*key {
            "route" => !meta.route.is_empty(),
            "log" | "epoch" | "oseq" | "prev" => meta.source.is_some(),
            key => OURS.contains(&key),
        };
        let mut member = String::new();
        if !taken {
            push_member(&mut member, &key, value);
        }
        if !member.is_empty() {
            put(&member);
        }
    }
}

/// Appends a member, unless there is no room for it or it would break the line.
fn push_member(members: &mut String, key: &str, value: &RawValue) {
    let value = value.get();
    let key = serde_json::to_string(key).expect("a string is always JSON");
    let len = members.len() + 1 + key.len() + 1 + value.len();
    if len > MEMBERS_MAX_BYTES || value.contains('\n') {
        return;
    }
    if !members.is_empty() {
        members.push(',');
    }
    for part in [&key, ":", value] {
        members.push_str(part);
    }
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
        object.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// Text that is borrowed from the line where it stands there without escapes.
#[derive(Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Cow<'de, str>, A::Error> {
    map.next_value::<Text<'de>>().map(|text| text.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pubsub_types::Timestamp;
    use uuid::Uuid;

    use crate::jsonl::{decode_legacy_line, decode_line, encode_record};
    use crate::meta::{MEMBERS_MAX_BYTES, Meta};
    use crate::record::{Kind, NewRecord, Record};
    use crate::source::{RouteBuf, Source};

    const LOG: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

    fn old(members: &str) -> Record {
        let line = format!("{{\"v\":1,\"ts\":\"1970-01-01T00:00:00Z\",{members},\"payload\":1}}");
        decode_legacy_line(line.as_bytes(), 9).unwrap()
    }

    fn line(record: &NewRecord<'_>) -> String {
        let mut out = Vec::new();
        encode_record(&mut out, "orders", Kind::Message, 57, record);
        assert_eq!(out.pop(), Some(b'\n'));
        String::from_utf8(out).unwrap()
    }

    fn again(record: &Record) -> Record {
        decode_line(line(&record.as_new()).as_bytes()).unwrap()
    }

    #[test]
    fn route_and_source_are_keys_of_the_line() {
        let mut route = RouteBuf::new();
        for name in ["alice", "hub"] {
            route.push(name).unwrap();
        }
        let source = Source { log: LOG, epoch: 3, seq: 57, previous: 56 };
        let meta = Meta {
            service_name: "svc",
            source: Some(source),
            route: route.as_route(),
            ..Meta::default()
        };
        let record = NewRecord { subject: "s", payload: b"1", meta, ..NewRecord::default() };
        let text = line(&record);
        let expected = r#""service_name":"svc","route":["alice","hub"],"subject":"s","log":"01900000-0000-7000-8000-000000000001","epoch":3,"oseq":57,"payload":1,"crc":"#;
        assert!(text.contains(expected), "{text}");
        let meta = Meta { source: Some(Source { previous: 40, ..source }), ..meta };
        let text = line(&NewRecord { meta, ..record });
        assert!(text.contains(r#""oseq":57,"prev":40,"payload""#), "{text}");
    }

    #[test]
    fn the_predecessors_route_is_a_route() {
        let record = old(r#""route":["alice","h\u0075b"]"#);
        assert_eq!(record.meta().route.iter().collect::<Vec<_>>(), ["alice", "hub"]);
        assert_eq!(record.meta().members, "");
        assert!(line(&record.as_new()).contains(r#","route":["alice","hub"],"#));
    }

    #[test]
    fn keys_that_nobody_knows_are_written_again_as_they_were() {
        let members = r#""shard":{"n": 1.50, "wide":"\u003c"},"trace":[1,2 ],"größe":12345678901234567890,"none":null"#;
        let record = old(members);
        assert_eq!(record.meta().members, members);
        assert!(line(&record.as_new()).contains(&format!(",{members},\"payload\":1,")));
        assert_eq!(again(&record).meta(), record.meta());
    }

    #[test]
    fn a_key_of_ours_with_a_value_that_cannot_be_ours_stays_as_it_is() {
        for members in [
            r#""route":[]"#,
            r#""route":null"#,
            r#""route":["a",""]"#,
            r#""route":["a\nb"]"#,
            r#""log":"today.log""#,
            r#""epoch":-1"#,
            r#""log":"01900000-0000-7000-8000-000000000001","epoch":1,"oseq":0"#,
            r#""log":"01900000-0000-7000-8000-000000000001","epoch":1,"oseq":5,"prev":5"#,
        ] {
            let record = old(members);
            let meta = record.meta();
            assert_eq!((meta.source, meta.route.is_empty(), meta.members), (None, true, members));
            assert_eq!(again(&record).meta(), meta);
        }
    }

    #[test]
    fn a_key_stands_in_a_line_once() {
        let mut route = RouteBuf::new();
        route.push("alice").unwrap();
        let members = r#""route":[],"seq":7,"\u0076":9,"crc":"","oseq":0,"kept":1"#;
        let source = Some(Source { log: LOG, epoch: 1, seq: 2, previous: 0 });
        let meta = Meta { route: route.as_route(), source, members, ..Meta::default() };
        let text = line(&NewRecord { payload: b"1", meta, ..NewRecord::default() });
        for key in ["route", "seq", "v", "crc", "oseq", "kept"] {
            assert_eq!(text.matches(&format!("\"{key}\":")).count(), 1, "{text}");
        }
        assert_eq!(decode_line(text.as_bytes()).unwrap().meta().members, "\"kept\":1");
    }

    #[test]
    fn what_is_no_member_is_not_written() {
        for members in ["rubbish", "\"a\":1}", "\"a\":1,", "\"a\":[\n1]", "\"a\":1},{\"b\":1"] {
            let meta = Meta { members, ..Meta::default() };
            let text = line(&NewRecord { payload: b"1", meta, ..NewRecord::default() });
            assert_eq!(decode_line(text.as_bytes()).unwrap().meta().members, "", "{members:?}");
        }
    }

    #[test]
    fn members_have_a_bound_and_what_is_beyond_it_costs_no_message() {
        let long = "x".repeat(MEMBERS_MAX_BYTES);
        let record = old(&format!("\"a\":\"{long}\",\"b\":1"));
        assert_eq!(record.meta().members, "\"b\":1");
        let (half, rest) = ("x".repeat(30_000), "y".repeat(MEMBERS_MAX_BYTES / 2));
        let record =
            old(&format!("\"origin\":\"{half}\",\"service_name\":\"{half}\",\"a\":\"{rest}\""));
        assert_eq!((record.meta().origin, record.meta().members), (&*half, ""));
    }

    proptest! {
        #[test]
        fn what_is_known_of_a_messages_way_comes_back_from_a_line(
            source in any::<Option<(u128, u64, u64, u64)>>(),
            names in prop::collection::vec("[a-z\"\\\\é]{1,9}", 0..4),
            members in prop_oneof![Just(""), Just("\"a\":{\"b\":[1.0]}"), Just("\"a\":1,\"b\":\"\"")],
        ) {
            let mut route = RouteBuf::new();
            for name in &names {
                route.push(name).unwrap();
            }
            let meta = Meta {
                source: source.and_then(|(log, epoch, seq, previous)| {
                    Source { log: Uuid::from_u128(log), epoch, seq, previous }.checked()
                }),
                route: route.as_route(),
                members,
                ..Meta::default()
            };
            let record = NewRecord { time: Timestamp(7), payload: b"1", meta, ..NewRecord::default() };
            let back = decode_line(line(&record).as_bytes()).unwrap();
            prop_assert_eq!(back.meta(), meta);
        }
    }
}
