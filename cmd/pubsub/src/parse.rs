//! Texts from the command line: durations, sizes, times, headers.

use std::str::FromStr;
use std::time::Duration;

use pubsub_types::Timestamp;

/// A point in time, absolute or by its distance from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// This long ago.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl When {
    /// The instant, seen from `now`.
    pub(crate) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(age) => now.minus(age),
            Self::At(time) => time,
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(age) = duration(text) {
            return Ok(Self::Ago(age));
        }
        // A date alone means its first instant.
        let day = format!("{text}T00:00:00Z");
        let time = text.parse().or_else(|_| day.parse());
        time.map(Self::At).map_err(|_| {
            "neither a duration such as 1h30m nor a time such as 2026-11-21T13:00:00Z".to_owned()
        })
    }
}

/// Longest first where one spelling begins with another, so that `ms` is not read as `m`.
const TIME_UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// One or more whole numbers with units, such as `1h30m` or `250ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || "not a duration such as 250ms, 90s or 1h30m".to_owned();
    let mut rest = text;
    let mut nanos: u64 = 0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let (unit, each) =
            TIME_UNITS.iter().find(|(unit, _)| tail.starts_with(unit)).ok_or_else(bad)?;
        let more = number.checked_mul(*each).ok_or_else(bad)?;
        nanos = nanos.checked_add(more).ok_or_else(bad)?;
        rest = &tail[unit.len()..];
    }
    Ok(Duration::from_nanos(nanos))
}

const SIZE_UNITS: [(&str, u64); 12] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("B", 1),
];

/// A number of bytes, such as `4096`, `64MiB` or `1.5GB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let bad = || "not a size such as 4096, 64MiB or 1.5GB".to_owned();
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, unit) = text.split_at(digits);
    let each = match unit {
        "" => 1,
        unit => SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, each)| *each)
            .ok_or_else(bad)?,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().map_err(|_| bad())?;
    let places = u32::try_from(part.len()).ok().filter(|places| *places <= 9).ok_or_else(bad)?;
    let part: u64 = part.parse().map_err(|_| bad())?;
    let fraction = u128::from(part) * u128::from(each) / 10_u128.pow(places);
    let whole = whole.checked_mul(each).ok_or_else(bad)?;
    whole.checked_add(u64::try_from(fraction).map_err(|_| bad())?).ok_or_else(bad)
}

/// A size from which a payload can be made that is a JSON text.
pub(crate) fn payload_size(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    let fits = (2..=8 << 20).contains(&bytes);
    fits.then_some(bytes).ok_or_else(|| "not between 2 and 8MiB".to_owned())
}

/// A number of messages in flight.
pub(crate) fn in_flight(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| "not between 1 and 1000000".to_owned())
}

/// A header of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    name: String,
    value: String,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("not KEY:VALUE")?;
        let visible = |byte: u8| (b'!'..=b'~').contains(&byte);
        if name.is_empty() || !name.bytes().all(visible) {
            return Err("the key must be visible ASCII without spaces".to_owned());
        }
        if value.contains(['\r', '\n']) {
            return Err("the value must not have a line break".to_owned());
        }
        Ok(Self { name: name.to_owned(), value: value.trim().to_owned() })
    }
}

/// The block that `headers` make; nothing for none.
pub(crate) fn header_block(headers: &[Header]) -> Vec<u8> {
    if headers.is_empty() {
        return Vec::new();
    }
    let mut block = String::from("NATS/1.0\r\n");
    for Header { name, value } in headers {
        block.push_str(&format!("{name}: {value}\r\n"));
    }
    block.push_str("\r\n");
    block.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "5", "h", "1x", "1h30", "-1s", "99999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1.5gb"), Ok(1_500_000_000));
        for bad in ["", "MiB", "1XB", "-1", "1.2.3", "99999999TB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_a_distance_an_instant_or_a_day() {
        let now = Timestamp(10_000_000_000);
        assert_eq!("3s".parse::<When>().unwrap().resolve(now), Timestamp(7_000_000_000));
        let day = "1970-01-02".parse::<When>().unwrap().resolve(now);
        assert_eq!(day, "1970-01-02T00:00:00Z".parse::<When>().unwrap().resolve(now));
        assert!("tomorrow".parse::<When>().is_err());
    }

    #[test]
    fn headers_make_a_block_that_nats_clients_read() {
        let headers = ["A:b".parse().unwrap(), "C: d:e".parse().unwrap()];
        assert_eq!(header_block(&headers), b"NATS/1.0\r\nA: b\r\nC: d:e\r\n\r\n");
        assert!("a b:c".parse::<Header>().is_err());
        assert!("a:b\r\nc:d".parse::<Header>().is_err());
        assert!("a".parse::<Header>().is_err());
    }
}
