//! A subscription as one string of bytes, which the tree keeps in order.
//!
//! ```text
//!   filter, wildcards as one control byte │ END │ PLAIN                │ subscriber, 8 bytes
//!                                               │ GROUP │ name │ END   │
//! ```
//!
//! No token holds a control byte, so a wildcard cannot be mistaken for a token, nor an end for more.
//! No key begins with another one, and the subscribers of a filter, or of a group in it, are next to
//! each other: one look-up finds them all.

use pubsub_types::{Filter, SUBJECT_MAX_BYTES};

use crate::group::{QUEUE_GROUP_MAX_BYTES, QueueGroup};

/// Ends a filter, and the name of a group.
pub(crate) const END: u8 = 1;
/// Stands for `*`.
pub(crate) const ANY: u8 = 2;
/// Stands for `>`; [`END`] follows.
pub(crate) const REST: u8 = 3;
/// Plain subscribers follow.
pub(crate) const PLAIN: u8 = 4;
/// The name of a queue group follows.
pub(crate) const GROUP: u8 = 5;

/// Longest key.
pub(crate) const BYTES_MAX: usize = SUBJECT_MAX_BYTES + 2 + QUEUE_GROUP_MAX_BYTES + 1 + 8;

/// Adds the bytes of `filter`, as many as its text has.
pub(crate) fn encode_filter(filter: &Filter, key: &mut Vec<u8>) {
    let start = key.len();
    key.extend_from_slice(filter.as_str().as_bytes());
    let mut is_start = true;
    for at in start..key.len() {
        let is_end = key.get(at + 1).is_none_or(|byte| *byte == b'.');
        match key[at] {
            b'*' if is_start && is_end => key[at] = ANY,
            b'>' if is_start && is_end => key[at] = REST,
            _ => (),
        }
        is_start = key[at] == b'.';
    }
}

/// Adds what is between the filter and the subscriber.
pub(crate) fn encode_group(group: Option<QueueGroup<'_>>, key: &mut Vec<u8>) {
    match group {
        None => key.extend_from_slice(&[END, PLAIN]),
        Some(group) => {
            key.extend_from_slice(&[END, GROUP]);
            key.extend_from_slice(group.as_str().as_bytes());
            key.push(END);
        }
    }
}

/// Where in a key one is, while it is read byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Filter,
    Kind,
    Name,
    /// The next byte is the first of a subscriber; whether of a group's.
    Subscriber {
        in_group: bool,
    },
}

impl Part {
    /// Where one is after `byte`.
    pub(crate) fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Filter, END) => Self::Kind,
            (Self::Kind, GROUP) => Self::Name,
            (Self::Kind, _) => Self::Subscriber { in_group: false },
            (Self::Name, END) => Self::Subscriber { in_group: true },
            (part, _) => part,
        }
    }
}

/// A key's filter and group as text.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    filter: String,
    group: String,
    in_group: bool,
}

impl Texts {
    /// Reads a key, up to the subscriber or with it.
    pub(crate) fn read(&mut self, key: &[u8]) {
        let end = key.iter().position(|byte| *byte == END).unwrap_or(key.len());
        self.filter.clear();
        push_text(&mut self.filter, &key[..end]);
        if self.filter.contains(|letter: char| letter.is_ascii_control()) {
            let wild = |byte| match byte {
                ANY => b'*',
                REST => b'>',
                byte => byte,
            };
            let bytes: Vec<u8> = key[..end].iter().copied().map(wild).collect();
            self.filter.clear();
            push_text(&mut self.filter, &bytes);
        }
        self.group.clear();
        self.in_group = key.get(end + 1) == Some(&GROUP);
        if self.in_group {
            let rest = &key[end + 2..];
            let end = rest.iter().position(|byte| *byte == END).unwrap_or(rest.len());
            push_text(&mut self.group, &rest[..end]);
        }
    }

    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    pub(crate) fn group(&self) -> Option<&str> {
        self.in_group.then_some(&*self.group)
    }
}

fn push_text(text: &mut String, bytes: &[u8]) {
    text.push_str(str::from_utf8(bytes).expect("filters and groups were text"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(filter: &str, group: Option<&str>) -> Vec<u8> {
        let mut key = Vec::new();
        encode_filter(&Filter::new(filter).unwrap(), &mut key);
        encode_group(group.map(|name| QueueGroup::new(name).unwrap()), &mut key);
        key
    }

    #[test]
    fn only_whole_tokens_are_wildcards() {
        assert_eq!(key("*.a*.*b.>", None), b"\x02.a*.*b.\x03\x01\x04");
        assert_eq!(key(">", Some("q")), b"\x03\x01\x05q\x01");
        assert_eq!(key("*", None), b"\x02\x01\x04");
        assert_eq!(key("a.>b.*", None), b"a.>b.\x02\x01\x04");
    }

    #[test]
    fn texts_come_back_as_they_went_in() {
        let mut texts = Texts::default();
        for filter in ["a", "*", ">", "a.*.b", "*a.b*.>", "é.*"] {
            for group in [None, Some("q"), Some("q.*.ü")] {
                let mut key = key(filter, group);
                key.extend_from_slice(&[1; 8]);
                texts.read(&key);
                assert_eq!((texts.filter(), texts.group()), (filter, group));
            }
        }
    }
}
