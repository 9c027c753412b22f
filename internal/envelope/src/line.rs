//! A line that reads exactly as we write it, without a JSON parser.
//!
//! ```text
//!   {"v":1,"seq":57,"id":"…","ts":"…","channel":"…","origin":"…",…,"payload":{…}    ,"crc":"…"}
//!   ╰─ our keys, in our order, no white space, no escapes ────────╯ ╰ one value ╯   verified before
//! ```
//!
//! Whatever reads otherwise in any way is nothing here, and left to the parser: what is read here is
//! what the parser would read. Nearly all lines are read here, several times as fast.

use data_encoding::BASE64;
use pubsub_types::Timestamp;
use serde::de::IgnoredAny;
use uuid::Uuid;

use crate::meta::{MessageId, Meta};
use crate::record::{Kind, Record};
use crate::source::{RouteBuf, Source};

/// The message in a line, of which `covered` is what its checksum covers and vouches for.
pub(crate) fn decode(covered: &[u8]) -> Option<Record> {
    let mut line = Line { rest: std::str::from_utf8(covered).ok()? };
    line.skip("{\"v\":1,\"seq\":")?;
    let seq = line.number()?;
    let id = line.text(",\"id\":\"")?;
    let time = time(line.text(",\"ts\":\"")?)?;
    let _channel = line.text(",\"channel\":\"")?;
    let origin = line.text(",\"origin\":\"")?;
    let payload_type = line.text(",\"payload_type\":\"")?;
    let correlation_id = line.text(",\"correlation_id\":\"")?;
    let service_name = line.text(",\"service_name\":\"")?;
    let route = line.route()?;
    let subject = line.text(",\"subject\":\"")?;
    let expires = match line.text(",\"expires\":\"")? {
        "" => None,
        text => Some(self::time(text)?),
    };
    let source = line.source()?;
    let meta = Meta {
        id: MessageId::parse(id),
        origin,
        payload_type,
        correlation_id,
        service_name,
        expires,
        source,
        route: route.as_route(),
        members: "",
    };
    let parts = (&meta, subject, &b""[..]);
    if line.skip(",\"payload\":").is_some() {
        let payload = line.rest;
        return is_value(payload)
            .then(|| Record::encode(seq, time, Kind::Message, parts, payload.as_bytes()))?;
    }
    let payload = line.text(",\"payload_b64\":\"")?;
    if payload.is_empty() || !line.rest.is_empty() {
        return None;
    }
    Record::encode(seq, time, Kind::Message, parts, &BASE64.decode(payload.as_bytes()).ok()?)
}

/// What is left of a line.
struct Line<'a> {
    rest: &'a str,
}

impl<'a> Line<'a> {
    #[inline]
    fn skip(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// A number as we write it.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        // With 19 digits there is no overflow.
        if digits == 0 || digits > 19 || (digits > 1 && number.starts_with('0')) {
            return None;
        }
        self.rest = rest;
        Some(number.bytes().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    }

    /// The text behind `key`, which ends with the opening quote; nothing when the key is not here.
    /// `None` when it has escapes, or what is no text.
    #[inline]
    fn text(&mut self, key: &str) -> Option<&'a str> {
        match self.rest.strip_prefix(key) {
            None => Some(""),
            Some(rest) => {
                self.rest = rest;
                self.text_here()
            }
        }
    }

    /// The text up to the closing quote.
    #[inline]
    fn text_here(&mut self) -> Option<&'a str> {
        let end = plain_len(self.rest.as_bytes())?;
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Some(text)
    }

    fn route(&mut self) -> Option<RouteBuf> {
        let mut route = RouteBuf::new();
        if self.skip(",\"route\":[\"").is_some() {
            loop {
                route.push(self.text_here()?).ok()?;
                if self.skip("]").is_some() {
                    break;
                }
                self.skip(",\"")?;
            }
        }
        Some(route)
    }

    fn source(&mut self) -> Option<Option<Source>> {
        let log = self.text(",\"log\":\"")?;
        if log.is_empty() {
            return Some(None);
        }
        self.skip(",\"epoch\":")?;
        let epoch = self.number()?;
        self.skip(",\"oseq\":")?;
        let seq = self.number()?;
        let previous = match self.skip(",\"prev\":") {
            Some(()) => self.number()?,
            None => seq.checked_sub(1)?,
        };
        let log = Uuid::try_parse(log).ok()?;
        Source { log, epoch, seq, previous }.checked().map(Some)
    }
}

/// Length of the text before a closing quote, if it has no escapes and nothing that would need one.
#[inline]
fn plain_len(text: &[u8]) -> Option<usize> {
    let end = memchr::memchr2(b'"', b'\\', text)?;
    // Without a branch for each byte, so that many are looked at together.
    let control = text[..end].iter().fold(false, |found, byte| found | (*byte < b' '));
    (text[end] == b'"' && !control).then_some(end)
}

/// Whether `text` is one JSON value and nothing around it.
fn is_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [b'"', rest @ ..] => match plain_len(rest) {
            Some(end) => end + 1 == rest.len(),
            None => serde_json::from_str::<IgnoredAny>(text).is_ok() && !ends_blank(bytes),
        },
        _ => serde_json::from_str::<IgnoredAny>(text).is_ok() && !ends_blank(bytes),
    }
}

fn ends_blank(bytes: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    is_blank(bytes.first()) || is_blank(bytes.last())
}

/// The instant that `text` spells, if it spells it as we do: `2026-11-21T13:28:32.5Z`.
fn time(text: &str) -> Option<Timestamp> {
    let (head, tail) = text.as_bytes().split_first_chunk::<19>()?;
    let marks = [head[4], head[7], head[10], head[13], head[16]];
    if marks != *b"--T::" {
        return None;
    }
    let two = |at: usize| Some(digit(head[at])? * 10 + digit(head[at + 1])?);
    let year = two(0)? * 100 + two(2)?;
    let (month, day) = (two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    let nanos = match tail {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            let mut nanos = 0;
            for at in 0..9 {
                nanos = nanos * 10 + digits.get(at).map_or(Some(0), |byte| digit(*byte))?;
            }
            nanos
        }
        _ => return None,
    };
    // Nanoseconds of any instant in these years fit.
    let known = (1678..=2261).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let seconds = || days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    known.then(|| Timestamp(seconds() * 1_000_000_000 + nanos))
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
///
/// Years are counted from March, so that a leap day is the last day of its year, and from an era of
/// 400 years, each of which has 146,097 days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let from_march = year - i64::from(month <= 2);
    let (era, of_era) = (from_march.div_euclid(400), from_march.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::jsonl::{decode_envelope, encode_record, verified};
    use crate::record::NewRecord;

    fn line(record: &NewRecord<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        encode_record(&mut out, "orders", Kind::Message, 57, record);
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }

    /// A line of `covered`, as its writer would end it.
    fn ended(covered: &[u8]) -> Vec<u8> {
        let end = format!(",\"crc\":\"{:08x}\"}}", crc32c::crc32c(covered));
        [covered, end.as_bytes()].concat()
    }

    #[test]
    fn a_line_of_ours_is_read_without_the_parser() {
        let mut route = RouteBuf::new();
        route.push("alice").unwrap();
        route.push("hub").unwrap();
        let full = Meta {
            id: MessageId::parse("01a1fe4b-57a6-701d-95e6-c46db8b9ecc0"),
            origin: "alice",
            payload_type: "com.acme.Größe",
            correlation_id: "c",
            service_name: "s",
            expires: Some(Timestamp(-1)),
            source: Some(Source { log: Uuid::from_u128(9), epoch: 1, seq: 7, previous: 3 }),
            route: route.as_route(),
            members: "",
        };
        for meta in [Meta::default(), full] {
            for payload in
                [b"17".as_slice(), b"\"x\"", b"{\"a\":[1.50,null]}", b"\xff", b"\"\\n\"", b"null"]
            {
                let record = NewRecord {
                    time: Timestamp(1_795_267_712_934_298_826),
                    subject: "a.b",
                    payload,
                    meta,
                    ..NewRecord::default()
                };
                let line = line(&record);
                let covered = verified(&line).unwrap();
                let read = decode(&line[..covered]).expect("it is as we write it");
                assert_eq!(read, decode_envelope(&line, None).unwrap());
                assert_eq!((read.payload(), read.meta()), (payload, meta));
            }
        }
    }

    #[test]
    fn a_line_that_says_more_than_it_seems_is_left_to_the_parser() {
        let start = "{\"v\":1,\"seq\":5,\"ts\":\"1970-01-01T00:00:00Z\"";
        for rest in [
            ",\"payload\":1,\"shard\":2",
            ",\"payload\": 1",
            ",\"payload\":1 ",
            ",\"payload\":",
            ",\"payload\":\"a\",\"b\":\"c\"",
            ",\"payload\":\"\t\"",
            ",\"payload_b64\":\"AA==\",\"payload\":1",
            ",\"shard\":2,\"payload\":1",
            ",\"origin\":\"a\\u0062\",\"payload\":1",
            ",\"route\":[],\"payload\":1",
            ",\"route\":[\"a\",\"\"],\"payload\":1",
            ",\"log\":\"x\",\"epoch\":1,\"oseq\":1,\"payload\":1",
        ] {
            assert_eq!(decode(format!("{start}{rest}").as_bytes()), None, "{rest}");
        }
    }

    #[test]
    fn every_day_is_counted() {
        const DAY: i64 = 86_400_000_000_000;
        let first: Timestamp = "1678-01-01T00:00:00Z".parse().unwrap();
        let mut expected = first.0;
        for year in 1678..=2261 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    let text = format!("{year}-{month:02}-{day:02}T00:00:00Z");
                    assert_eq!(time(&text), Some(Timestamp(expected)), "{text}");
                    expected += DAY;
                }
            }
        }
        let after: Timestamp = "2262-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(expected, after.0);
    }

    proptest! {
        #[test]
        fn every_instant_is_read_as_the_parser_reads_it(
            nanos in any::<i64>(), text in "[12][0-9]{3}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|z|\\+00:00)?",
        ) {
            for text in [Timestamp(nanos).to_string(), text] {
                if let Some(read) = time(&text) {
                    prop_assert_eq!(Ok(read), text.parse::<Timestamp>(), "{}", text);
                }
            }
            let text = Timestamp(nanos / 2).to_string();
            prop_assert_eq!(time(&text), Some(Timestamp(nanos / 2)));
        }

        #[test]
        fn what_is_read_is_what_the_parser_reads(
            payload in prop_oneof![
                "(\\{\"a\":[0-9]{1,3}\\}|\"[a-zé]*\"|null|true|[0-9]+)".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..9),
            ],
            subject in "[a-z.\"]{0,5}",
            id in prop_oneof![Just(String::new()), ".{0,4}"],
            at in any::<prop::sample::Index>(),
            to in prop_oneof![Just(b'"'), Just(b','), Just(b'\\'), Just(b' '), any::<u8>()],
            cut in 0..3_usize,
        ) {
            let meta = Meta { id: MessageId::parse(&id), origin: "o", ..Meta::default() };
            let record = NewRecord {
                time: Timestamp(7), subject: &subject, payload: &payload, meta, ..NewRecord::default()
            };
            let mut covered = line(&record);
            covered.truncate(verified(&covered).unwrap());
            // As written; with one byte exchanged; with some left out.
            for change in 0..3 {
                let at = at.index(covered.len());
                match change {
                    0 => (),
                    1 => covered[at] = to,
                    _ => drop(covered.drain(at..covered.len().min(at + cut))),
                }
                if let Some(read) = decode(&covered) {
                    prop_assert_eq!(Ok(read), decode_envelope(&ended(&covered), None));
                }
            }
        }
    }
}
