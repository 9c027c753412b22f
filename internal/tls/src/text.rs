//! Times and foreign text, as they may be shown.

use rustls_pki_types::UnixTime;

/// Longest foreign text that is shown, in characters.
const SHOWN_MAX: usize = 120;

/// An instant as `2026-01-31T12:00:00Z`.
#[must_use]
pub fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Whole days from `now` until `then`, rounded down; negative when `then` has passed.
#[must_use]
pub fn days_between(now: UnixTime, then: UnixTime) -> i64 {
    let seconds = i128::from(then.as_secs()) - i128::from(now.as_secs());
    i64::try_from(seconds.div_euclid(86_400)).unwrap_or(i64::MAX)
}

/// Text from a certificate that nobody vouches for: control characters and all beyond ASCII escaped,
/// and no longer than fits a line.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).flat_map(escaped).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}

fn escaped(letter: char) -> impl Iterator<Item = char> {
    let plain = matches!(letter, ' '..='~').then_some(letter);
    let escape = plain.is_none().then(|| letter.escape_default());
    plain.into_iter().chain(escape.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn dates_are_those_of_the_calendar_and_never_fail() {
        assert_eq!(date(at(1_767_225_600)), "2026-01-01T00:00:00Z");
        assert!(date(at(u64::MAX)).starts_with("9999-"));
    }

    #[test]
    fn part_of_a_day_is_no_day() {
        assert_eq!(days_between(at(0), at(86_399)), 0);
        assert_eq!(days_between(at(0), at(86_400)), 1);
        assert_eq!(days_between(at(1), at(0)), -1);
    }

    #[test]
    fn foreign_text_moves_no_cursor_and_fills_no_log() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{e9}"), "a\\u{1b}[2Jb\\nc\\u{e9}");
        assert!(printable(&"x".repeat(100_000)).len() < 200);
    }
}
