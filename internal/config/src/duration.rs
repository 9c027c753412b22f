//! Lengths of time as people write them: `200ms`, `1h30m`, `7d`, `1.5d`.

use std::fmt::Write as _;
use std::time::Duration;

const NANOS_PER_DAY: u128 = 86_400_000_000_000;

/// Longest first where one spelling begins with another, so that `ms` is not read as `m`.
const UNITS: [(&str, u128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", NANOS_PER_DAY),
];

/// Why a text is not an allowed duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadDuration {
    NotOne,
    Negative,
    TooLong,
}

/// Reads one or more numbers with units, or a bare `0`; up to 64 bits of nanoseconds, 584 years.
///
/// What is finer than a nanosecond is cut off.
pub(crate) fn parse(text: &str) -> Result<Duration, BadDuration> {
    if let Some(rest) = text.strip_prefix('-') {
        return parse(rest).and(Err(BadDuration::Negative));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(BadDuration::NotOne);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let number_len = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, tail) = rest.split_at(number_len);
        let (unit, nanos_each) =
            UNITS.iter().find(|(unit, _)| tail.starts_with(unit)).ok_or(BadDuration::NotOne)?;
        nanos = nanos.saturating_add(scaled(number, *nanos_each)?);
        rest = &tail[unit.len()..];
    }
    match u64::try_from(nanos) {
        Ok(nanos) => Ok(Duration::from_nanos(nanos)),
        Err(_) => Err(BadDuration::TooLong),
    }
}

/// Writes `duration` so that [`parse`] reads the same one back: `7d`, `1d12h`, `200ms`, `0`.
pub(crate) fn format(duration: Duration) -> String {
    let mut nanos = duration.as_nanos();
    if nanos == 0 {
        return "0".to_owned();
    }
    let mut text = String::new();
    for (unit, each) in UNITS.iter().rev().filter(|(unit, _)| unit.is_ascii()) {
        if nanos >= *each {
            write!(text, "{}{unit}", nanos / each).expect("writing to a String cannot fail");
            nanos %= each;
        }
    }
    text
}

/// `number` decimal units of `each` nanoseconds, exactly.
fn scaled(number: &str, each: u128) -> Result<u128, BadDuration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(BadDuration::NotOne);
    }
    let whole = match whole {
        "" => 0,
        // Only digits are left, so what does not fit is too long and nothing else.
        digits => digits.parse::<u64>().map_err(|_| BadDuration::TooLong)?,
    };
    // 18 digits of a day are finer than a nanosecond, and the product still fits.
    let fraction = &fraction[..fraction.len().min(18)];
    let digits = fraction.bytes().fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let scale = fraction.bytes().fold(1, |scale, _| scale * 10);
    Ok(u128::from(whole) * each + digits * each / scale)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{BadDuration, format, parse};

    #[test]
    fn durations_are_numbers_with_units() {
        let hours = |n: u64| Duration::from_secs(n * 3600);
        for (text, expected) in [
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("7d", hours(168)),
            ("168h", hours(168)),
            ("1.5d", hours(36)),
            ("1d12h", hours(36)),
            ("1h30m", hours(1) + Duration::from_secs(1800)),
            (".5h", Duration::from_secs(1800)),
            ("1.h", hours(1)),
            ("+2m", Duration::from_secs(120)),
            ("200ms", Duration::from_millis(200)),
            ("1m1ms", Duration::from_millis(60_001)),
            ("3us", Duration::from_micros(3)),
            ("3µs", Duration::from_micros(3)),
            ("3μs", Duration::from_micros(3)),
            ("5ns", Duration::from_nanos(5)),
            ("0.000000001s", Duration::from_nanos(1)),
            ("0.123456789s", Duration::from_nanos(123_456_789)),
            ("0.99999d", Duration::from_nanos(86_399_136_000_000)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_says_why() {
        for text in [
            "", "+", "7", "1.5", "d", ".d", "1..5d", "1.2.3h", "7 d", "7D", "1w", "h7", "7d3",
            "--1s",
        ] {
            assert!(
                matches!(parse(text), Err(BadDuration::NotOne | BadDuration::Negative)),
                "{text}"
            );
        }
        assert_eq!(parse("-7d"), Err(BadDuration::Negative));
        assert_eq!(parse("-x"), Err(BadDuration::NotOne));
        assert_eq!(parse("214000d"), Err(BadDuration::TooLong));
        assert_eq!(parse("99999999999999999999999d"), Err(BadDuration::TooLong));
        assert_eq!(parse("213503d23h34m33.709551615s"), Ok(Duration::from_nanos(u64::MAX)));
        assert_eq!(parse("213503d23h34m33.709551616s"), Err(BadDuration::TooLong));
    }

    #[test]
    fn durations_are_written_with_the_largest_units() {
        for (text, expected) in [
            ("0s", "0"),
            ("168h", "7d"),
            ("36h", "1d12h"),
            ("90m", "1h30m"),
            ("1500us", "1ms500us"),
        ] {
            assert_eq!(format(parse(text).unwrap()), expected);
        }
    }

    proptest! {
        #[test]
        fn written_durations_are_read_back(nanos: u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "[-+.0-9dhmsnuµ]{0,40}|\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
