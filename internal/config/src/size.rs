//! Amounts of bytes as people write them: `8MiB`, `1.5GiB`, `10MB`, `65536`.

/// Powers of 1024 have an `i`, powers of 1000 have none.
const UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

/// Why a text is not an allowed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadSize {
    NotOne,
    Negative,
    TooLarge,
    /// `0.3KiB` is no whole number of bytes.
    NotWhole,
}

/// Reads a number, with a unit in any case or none for bytes. Up to 2⁶³ - 1 bytes.
pub(crate) fn parse(text: &str) -> Result<u64, BadSize> {
    if let Some(rest) = text.strip_prefix('-') {
        return parse(rest).and(Err(BadSize::Negative));
    }
    let number_len = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(number_len);
    let each = match unit.strip_prefix(' ').unwrap_or(unit) {
        "" => 1,
        unit => {
            UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).ok_or(BadSize::NotOne)?.1
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(BadSize::NotOne);
    }
    let whole: u64 = whole.parse().map_err(|_| BadSize::TooLarge)?;
    let mut bytes = u128::from(whole) * u128::from(each);
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        // More digits than that divide no unit, and would overflow.
        if fraction.len() > 18 {
            return Err(BadSize::NotWhole);
        }
        let digits: u128 = fraction.parse().map_err(|_| BadSize::NotOne)?;
        let scale = fraction.bytes().fold(1u128, |scale, _| scale * 10);
        let product = digits * u128::from(each);
        if !product.is_multiple_of(scale) {
            return Err(BadSize::NotWhole);
        }
        bytes += product / scale;
    }
    match u64::try_from(bytes) {
        Ok(bytes) if bytes <= i64::MAX.unsigned_abs() => Ok(bytes),
        _ => Err(BadSize::TooLarge),
    }
}

/// Writes `bytes` so that [`parse`] reads the same back: `8MiB`, `1536KiB`, `65537`, `0`.
pub(crate) fn format(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BadSize, format, parse};

    #[test]
    fn sizes_are_numbers_with_a_unit_or_bytes() {
        for (text, expected) in [
            ("0", 0),
            ("65536", 65_536),
            ("1B", 1),
            ("8MiB", 8 << 20),
            ("8mib", 8 << 20),
            ("8 MiB", 8 << 20),
            ("64KiB", 64 << 10),
            ("1.5GiB", 3 << 29),
            ("2TiB", 2 << 40),
            ("10MB", 10_000_000),
            ("10kB", 10_000),
            ("0.001kB", 1),
            ("9223372036854775807", i64::MAX.unsigned_abs()),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_says_why() {
        for text in
            ["", "MiB", ".5MiB", "5.MiB", "1.2.3", "8M", "8MiBs", "8  MiB", "x", "1e3", "+1"]
        {
            assert_eq!(parse(text), Err(BadSize::NotOne), "{text}");
        }
        assert_eq!(parse("-1"), Err(BadSize::Negative));
        assert_eq!(parse("0.3KiB"), Err(BadSize::NotWhole));
        assert_eq!(parse("0.5"), Err(BadSize::NotWhole));
        assert_eq!(parse("0.1234567890123456789TiB"), Err(BadSize::NotWhole));
        for text in ["9223372036854775808", "8388608TiB", "99999999999999999999999"] {
            assert_eq!(parse(text), Err(BadSize::TooLarge), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_with_the_largest_unit_that_is_exact() {
        for (bytes, expected) in
            [(0, "0"), (1, "1"), (8 << 20, "8MiB"), (1536 << 10, "1536KiB"), (65_537, "65537")]
        {
            assert_eq!(format(bytes), expected);
        }
    }

    proptest! {
        #[test]
        fn written_sizes_are_read_back(bytes in 0..=i64::MAX.unsigned_abs(), shift in 0u32..60) {
            let bytes = (bytes >> shift) << (shift / 2);
            prop_assert_eq!(parse(&format(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in "[-.0-9kKmMiIbB ]{0,40}|\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
