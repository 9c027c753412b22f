//! The arguments of a control line: tokens between runs of spaces and tabs.

use memchr::memchr2;

/// Splits `text` into at most `N` arguments. `None` when there are more.
///
/// The second value says how many there are; the rest of the array is empty slices.
#[inline]
pub(crate) fn split<const N: usize>(text: &[u8]) -> Option<([&[u8]; N], usize)> {
    let mut args: [&[u8]; N] = [&[]; N];
    let mut rest = trim_start(text);
    for (at, arg) in args.iter_mut().enumerate() {
        if rest.is_empty() {
            return Some((args, at));
        }
        let end = memchr2(b' ', b'\t', rest).unwrap_or(rest.len());
        *arg = &rest[..end];
        rest = trim_start(&rest[end..]);
    }
    rest.is_empty().then_some((args, N))
}

/// `text` without the spaces and tabs it starts with.
#[inline]
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [byte, rest @ ..] = text
        && is_space(*byte)
    {
        text = rest;
    }
    text
}

pub(crate) const fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Option<Vec<String>> {
        let (args, count) = split::<3>(text.as_bytes())?;
        Some(args[..count].iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect())
    }

    #[test]
    fn runs_of_spaces_and_tabs_separate() {
        for text in ["a b c", "a\tb\tc", "  a \t b\t\tc  ", "\ta b c\t"] {
            assert_eq!(strings(text).unwrap(), ["a", "b", "c"], "{text:?}");
        }
        assert_eq!(strings("").unwrap(), [""; 0]);
        assert_eq!(strings(" \t ").unwrap(), [""; 0]);
        assert_eq!(strings("a").unwrap(), ["a"]);
    }

    #[test]
    fn more_arguments_than_asked_for_are_none() {
        assert_eq!(strings("a b c d"), None);
        assert_eq!(strings("a b c d "), None);
    }
}
