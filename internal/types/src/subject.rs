//! Subjects and the patterns that match them.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ChannelName;

/// Longest subject or filter, in bytes.
///
/// A record's subject length is 16 bits wide; NATS servers refuse control lines beyond 4 KiB long
/// before that.
pub const SUBJECT_MAX_BYTES: usize = 4096;

/// A literal subject: non-empty tokens joined by dots, no wildcard, no byte below 0x21, no DEL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// Checks `text` and keeps it.
    ///
    /// # Errors
    /// Says which rule `text` breaks.
    pub fn new(text: &str) -> Result<Self, InvalidSubject> {
        check(text)?;
        if text.split('.').any(|token| token == "*" || token == ">") {
            return Err(InvalidSubject::new(text, "a literal subject has no wildcard"));
        }
        Ok(Self(text.into()))
    }

    /// The subject.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&ChannelName> for Subject {
    fn from(channel: &ChannelName) -> Self {
        Self(channel.as_str().into())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A pattern over subjects: `*` stands for one token, a final `>` for one or more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter(Arc<str>);

impl Filter {
    /// Checks `text` and keeps it.
    ///
    /// # Errors
    /// Says which rule `text` breaks.
    pub fn new(text: &str) -> Result<Self, InvalidSubject> {
        check(text)?;
        let mut tokens = text.split('.').peekable();
        while let Some(token) = tokens.next() {
            if token == ">" && tokens.peek().is_some() {
                return Err(InvalidSubject::new(text, "'>' may only be the last token"));
            }
        }
        Ok(Self(text.into()))
    }

    /// The filter that every subject matches.
    #[must_use]
    pub fn all() -> Self {
        Self(">".into())
    }

    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every subject matches.
    #[must_use]
    pub fn is_all(&self) -> bool {
        &*self.0 == ">"
    }

    /// Whether only the subject of the same spelling matches.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.split('.').any(|token| token == "*" || token == ">")
    }

    /// What every matching subject starts with: the text before the first wildcard token.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        let mut end = 0;
        for token in self.0.split('.') {
            if token == "*" || token == ">" {
                return &self.0[..end];
            }
            end += token.len() + 1;
        }
        &self.0
    }

    /// Whether `subject` matches. `subject` must be literal; it is not checked again.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        let mut wanted = self.0.split('.');
        let mut tokens = subject.split('.');
        loop {
            match (wanted.next(), tokens.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some(want), Some(token)) if want == "*" || want == token => (),
                _ => return false,
            }
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Filter {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl From<&Subject> for Filter {
    fn from(subject: &Subject) -> Self {
        Self(subject.0.clone())
    }
}

fn check(text: &str) -> Result<(), InvalidSubject> {
    if text.is_empty() {
        return Err(InvalidSubject::new(text, "it is empty"));
    }
    if text.len() > SUBJECT_MAX_BYTES {
        return Err(InvalidSubject::new(text, "it is longer than 4096 bytes"));
    }
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(InvalidSubject::new(text, "it has a space or a control character"));
    }
    if text.split('.').any(str::is_empty) {
        return Err(InvalidSubject::new(text, "it has an empty token"));
    }
    Ok(())
}

/// The text breaks a rule of [`Subject`] or [`Filter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid subject {text:?}: {reason}")]
pub struct InvalidSubject {
    /// The text as given.
    pub text: Box<str>,
    /// The rule it breaks.
    pub reason: &'static str,
}

impl InvalidSubject {
    fn new(text: &str, reason: &'static str) -> Self {
        Self { text: text.into(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, Subject};
    use proptest::prelude::*;

    #[test]
    fn wildcards_match_tokens_and_never_parts_of_them() {
        let matches = |filter: &str, subject: &str| Filter::new(filter).unwrap().matches(subject);
        assert!(matches("a.*.c", "a.b.c"));
        assert!(!matches("a.*", "a.b.c"));
        assert!(matches("a.>", "a.b.c"));
        assert!(!matches("a.>", "a"));
        assert!(matches(">", "a"));
        assert!(!matches("a*", "ab"));
        assert!(matches("a*", "a*"));
    }

    #[test]
    fn control_bytes_and_empty_tokens_are_refused() {
        for bad in ["", ".", "a..b", "a b", "a\r", "a\u{7f}", "a.\0"] {
            assert!(Subject::new(bad).is_err(), "{bad:?}");
            assert!(Filter::new(bad).is_err(), "{bad:?}");
        }
        assert!(Subject::new("a.*").is_err());
        assert!(Filter::new("a.>.b").is_err());
    }

    #[test]
    fn literal_prefix_ends_before_the_first_wildcard() {
        let prefix = |filter: &str| Filter::new(filter).unwrap().literal_prefix().to_owned();
        assert_eq!(prefix("a.b.*.c"), "a.b.");
        assert_eq!(prefix(">"), "");
        assert_eq!(prefix("a.b"), "a.b");
        assert_eq!(prefix("a.b.>"), "a.b.");
    }

    /// Says the rule once more, by recursion.
    fn brute(filter: &[&str], subject: &[&str]) -> bool {
        match (filter, subject) {
            ([], []) => true,
            ([">"], [_, ..]) => true,
            (["*", filter @ ..], [_, subject @ ..]) => brute(filter, subject),
            ([want, filter @ ..], [token, subject @ ..]) => want == token && brute(filter, subject),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_rule_said_once_more(
            filter in prop::collection::vec("[ab*]", 1..5), tail in any::<bool>(),
            subject in prop::collection::vec("[ab]", 1..6),
        ) {
            let mut filter = filter;
            if tail { filter.push(">".to_owned()); }
            let want = brute(
                &filter.iter().map(String::as_str).collect::<Vec<_>>(),
                &subject.iter().map(String::as_str).collect::<Vec<_>>(),
            );
            let filter = Filter::new(&filter.join(".")).unwrap();
            let subject = subject.join(".");
            prop_assert_eq!(filter.matches(&subject), want);
            if want { prop_assert!(subject.starts_with(filter.literal_prefix())); }
        }
    }
}
