//! What a value may be, how it is read, and how that is said.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use crate::ErrorKind;
use crate::duration::{self, BadDuration};
use crate::expand;
use crate::size::{self, BadSize};

/// Type and range of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    Bool,
    Whole {
        min: u64,
        max: u64,
    },
    Fraction {
        min: f64,
        max: f64,
    },
    Size {
        min: u64,
        max: u64,
    },
    Span {
        max: Duration,
    },
    Choice {
        allowed: &'static [&'static str],
        aliases: &'static [(&'static str, &'static str)],
    },
    Text(TextRule),
    Texts(TextRule),
    /// A mapping of keys.
    Section,
    /// A list of mappings of keys.
    Items,
    /// A mapping of names to mappings of keys.
    Entries,
}

/// What a text may say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextRule {
    /// What is allowed, to follow "allowed:".
    pub what: &'static str,
    /// Whether a text is; may say more about what is wrong with it.
    pub check: fn(&str) -> Result<(), Option<&'static str>>,
}

/// As a maximum: whatever JSON can say exactly, and more than anybody has.
pub(crate) const UNBOUNDED: u64 = 1 << 53;

/// A value on its way between text and field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Whole(u64),
    Fraction(f64),
    Span(Duration),
    Text(String),
    Texts(Vec<String>),
    /// An optional key that nobody gave.
    Unset,
}

/// A value that is not allowed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub kind: ErrorKind,
    pub message: String,
}

impl Rule {
    /// Reads a scalar. `quoted` text is text: it is no number and no truth value.
    pub(crate) fn read(&self, text: &str, quoted: bool) -> Result<Value, Refusal> {
        let value = match *self {
            Self::Bool if quoted => Err(ErrorKind::WrongType),
            Self::Bool => match text {
                "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
                "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
                _ => Err(ErrorKind::WrongType),
            },
            Self::Whole { .. } if quoted => Err(ErrorKind::WrongType),
            Self::Whole { .. } => whole(text),
            Self::Fraction { .. } if quoted => Err(ErrorKind::WrongType),
            Self::Fraction { .. } => fraction(text),
            Self::Size { .. } => match size::parse(text) {
                Ok(bytes) => Ok(Value::Whole(bytes)),
                Err(BadSize::NotOne) => Err(ErrorKind::WrongType),
                Err(BadSize::Negative | BadSize::TooLarge | BadSize::NotWhole) => {
                    Err(ErrorKind::OutOfRange)
                }
            },
            Self::Span { .. } => match duration::parse(text) {
                Ok(span) => Ok(Value::Span(span)),
                Err(BadDuration::NotOne) => Err(ErrorKind::WrongType),
                Err(BadDuration::Negative | BadDuration::TooLong) => Err(ErrorKind::OutOfRange),
            },
            Self::Choice { aliases, .. } => {
                let text = aliases.iter().find(|(alias, _)| *alias == text).map_or(text, |a| a.1);
                Ok(Value::Text(text.to_owned()))
            }
            Self::Text(_) => Ok(Value::Text(text.to_owned())),
            Self::Texts(_) | Self::Section | Self::Items | Self::Entries => {
                Err(ErrorKind::WrongType)
            }
        };
        let value = value.map_err(|kind| self.refuse(kind, &found(text, quoted)))?;
        self.check(&value)?;
        Ok(value)
    }

    /// Whether `value`, of this rule's type, is in range.
    pub(crate) fn check(&self, value: &Value) -> Result<(), Refusal> {
        let in_range = match (self, value) {
            (Self::Whole { min, max } | Self::Size { min, max }, Value::Whole(n)) => {
                (min..=max).contains(&n)
            }
            (Self::Fraction { min, max }, Value::Fraction(n)) => (min..=max).contains(&n),
            (Self::Span { max }, Value::Span(span)) => span <= max,
            (Self::Choice { allowed, .. }, Value::Text(text)) => allowed.contains(&text.as_str()),
            (Self::Text(rule), Value::Text(text)) => return self.check_text(rule, text),
            (Self::Texts(rule), Value::Texts(texts)) => {
                return texts.iter().try_for_each(|text| self.check_text(rule, text));
            }
            _ => true,
        };
        if in_range {
            return Ok(());
        }
        let found = match value {
            Value::Text(text) => found(text, false),
            value => self.render(value),
        };
        Err(self.refuse(ErrorKind::OutOfRange, &found))
    }

    fn check_text(&self, rule: &TextRule, text: &str) -> Result<(), Refusal> {
        (rule.check)(text).map_err(|why| {
            let mut found = found(text, false);
            if let Some(why) = why {
                found = format!("{found}: {why}");
            }
            self.refuse(ErrorKind::OutOfRange, &found)
        })
    }

    pub(crate) fn refuse(&self, kind: ErrorKind, found: &str) -> Refusal {
        Refusal { kind, message: format!("found {found}; allowed: {}", self.allowed()) }
    }

    /// The rule of one item of a list of texts.
    pub(crate) fn of_item(self) -> Self {
        match self {
            Self::Texts(rule) => Self::Text(rule),
            other => other,
        }
    }

    /// The name of the type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Whole { .. } => "whole number",
            Self::Fraction { .. } => "number",
            Self::Size { .. } => "size",
            Self::Span { .. } => "duration",
            Self::Choice { .. } => "choice",
            Self::Text(_) => "text",
            Self::Texts(_) => "list of texts",
            Self::Section => "section",
            Self::Items => "list of sections",
            Self::Entries => "sections by name",
        }
    }

    /// The range alone.
    pub(crate) fn range(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Whole { min, max: UNBOUNDED } => format!("{min} or more"),
            Self::Size { min, max: UNBOUNDED } => format!("{} or more", size::format(*min)),
            Self::Whole { min, max } => format!("{min} to {max}"),
            Self::Fraction { min, max } => format!("{min} to {max}"),
            Self::Size { min, max } => format!("{} to {}", size::format(*min), size::format(*max)),
            Self::Span { .. } => "like 7d, 1d12h, 1h30m or 200ms".to_owned(),
            Self::Choice { allowed, .. } => match allowed {
                [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
                _ => allowed.concat(),
            },
            Self::Text(rule) | Self::Texts(rule) => rule.what.to_owned(),
            Self::Section | Self::Items | Self::Entries => String::new(),
        }
    }

    /// Type and range in words.
    pub(crate) fn allowed(&self) -> String {
        match self {
            Self::Bool | Self::Choice { .. } | Self::Text(_) => self.range(),
            Self::Whole { .. } => format!("a whole number, {}", self.range()),
            Self::Fraction { .. } => format!("a number, {}", self.range()),
            Self::Size { .. } => format!("a size like 8MiB, {}", self.range()),
            Self::Span { max } => {
                format!("0 or a duration {}, up to {}", self.range(), duration::format(*max))
            }
            Self::Texts(_) => format!("a list, each item {}", self.range()),
            Self::Section => "a mapping of keys".to_owned(),
            Self::Items => "a list of mappings".to_owned(),
            Self::Entries => "a mapping of names to mappings".to_owned(),
        }
    }

    /// `value` as YAML on one line; [`Rule::read`] reads the same back.
    pub(crate) fn render(&self, value: &Value) -> String {
        match value {
            Value::Bool(value) => value.to_string(),
            Value::Whole(value) => match self {
                Self::Size { .. } => size::format(*value),
                _ => value.to_string(),
            },
            Value::Fraction(value) => value.to_string(),
            Value::Span(value) => duration::format(*value),
            Value::Text(value) => yaml_text(value),
            Value::Texts(values) => {
                let values: Vec<String> = values.iter().map(|value| yaml_text(value)).collect();
                format!("[{}]", values.join(", "))
            }
            Value::Unset => String::new(),
        }
    }
}

/// `text` as a YAML scalar that reads back as the same text, quoted where it must be.
pub(crate) fn yaml_text(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"./_-".contains(&b))
        && !["null", "true", "false", "yes", "no", "on", "off"]
            .contains(&text.to_ascii_lowercase().as_str())
        // Digits after the point would read as a number elsewhere.
        && !text.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit())
        && text != "..."
        && text != ".";
    if plain { text.to_owned() } else { quoted_text(&expand::escape(text)) }
}

/// `text` between double quotes, nothing in it able to end them or to control a terminal.
fn quoted_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Line separators, direction marks and the byte order mark are not control characters.
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}' | '\u{fffe}'..='\u{ffff}') =>
            {
                write!(out, "\\U{:08X}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What was found, fit for one line of a message.
fn found(text: &str, quoted: bool) -> String {
    let shown = quoted_text(&shortened(text));
    if quoted { format!("the text {shown}") } else { shown }
}

/// `text`, or its beginning when it is too long for a message.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    const SHOWN_MAX: usize = 60;
    match text.char_indices().nth(SHOWN_MAX) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

fn whole(text: &str) -> Result<Value, ErrorKind> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ErrorKind::WrongType);
    }
    match digits.parse() {
        Ok(0) => Ok(Value::Whole(0)),
        Ok(value) if !negative => Ok(Value::Whole(value)),
        _ => Err(ErrorKind::OutOfRange),
    }
}

fn fraction(text: &str) -> Result<Value, ErrorKind> {
    // Rust also reads "inf" and "nan", which are words here.
    if !text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
        return Err(ErrorKind::WrongType);
    }
    text.parse().map(Value::Fraction).map_err(|_| ErrorKind::WrongType)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Rule, TextRule, Value, yaml_text};
    use crate::ErrorKind;

    const NUMBER: Rule = Rule::Whole { min: 1, max: 10 };
    const ANY: Rule = Rule::Text(TextRule { what: "any text", check: |_| Ok(()) });

    fn kind(rule: Rule, text: &str) -> Option<ErrorKind> {
        rule.read(text, false).err().map(|refusal| refusal.kind)
    }

    #[test]
    fn whole_numbers_have_digits_and_a_range() {
        for (text, expected) in [
            ("1", None),
            ("+10", None),
            ("007", None),
            ("0", Some(ErrorKind::OutOfRange)),
            ("-0", Some(ErrorKind::OutOfRange)),
            ("11", Some(ErrorKind::OutOfRange)),
            ("-5", Some(ErrorKind::OutOfRange)),
            ("99999999999999999999999", Some(ErrorKind::OutOfRange)),
            ("1.0", Some(ErrorKind::WrongType)),
            ("1e1", Some(ErrorKind::WrongType)),
            ("0x1", Some(ErrorKind::WrongType)),
            ("", Some(ErrorKind::WrongType)),
            ("-", Some(ErrorKind::WrongType)),
            ("true", Some(ErrorKind::WrongType)),
        ] {
            assert_eq!(kind(NUMBER, text), expected, "{text}");
        }
    }

    #[test]
    fn a_quoted_number_is_text_and_the_message_says_so() {
        let refusal = NUMBER.read("5", true).unwrap_err();
        assert_eq!(refusal.message, "found the text \"5\"; allowed: a whole number, 1 to 10");
    }

    #[test]
    fn fractions_are_finite_and_in_range() {
        let rule = Rule::Fraction { min: 0.0, max: 1.0 };
        assert_eq!(kind(rule, "0.2"), None);
        assert_eq!(kind(rule, "1"), None);
        assert_eq!(kind(rule, "1.01"), Some(ErrorKind::OutOfRange));
        assert_eq!(kind(rule, "-0.1"), Some(ErrorKind::OutOfRange));
        assert_eq!(kind(rule, "1e999"), Some(ErrorKind::OutOfRange));
        assert_eq!(kind(rule, "nan"), Some(ErrorKind::WrongType));
        assert_eq!(kind(rule, "inf"), Some(ErrorKind::WrongType));
        assert!(rule.check(&Value::Fraction(f64::NAN)).is_err());
    }

    #[test]
    fn truth_is_true_or_false_and_not_yes() {
        assert_eq!(Rule::Bool.read("true", false), Ok(Value::Bool(true)));
        assert_eq!(Rule::Bool.read("False", false), Ok(Value::Bool(false)));
        for text in ["yes", "on", "1", ""] {
            assert_eq!(kind(Rule::Bool, text), Some(ErrorKind::WrongType), "{text}");
        }
    }

    #[test]
    fn messages_neither_grow_with_the_value_nor_let_it_control_the_terminal() {
        let message = NUMBER.read(&"\u{1b}[2J\u{202e}".repeat(10_000), false).unwrap_err().message;
        assert!(message.len() < 1000, "{}", message.len());
        assert!(!message.contains(['\u{1b}', '\u{202e}']));
    }

    proptest! {
        #[test]
        fn any_text_can_be_written_as_yaml_and_read_back(text in "\\PC{0,20}|[${}a:\"'\\\\\n\t\u{0}\u{85}\u{2028}\u{feff}]{0,12}|[a-z./0-9]{0,5}") {
            let yaml = format!("k: {}\n", yaml_text(&text));
            let root = crate::tree::read(yaml.as_bytes()).map_err(|e| TestCaseError::fail(format!("{yaml:?} {e:?}")))?.unwrap();
            let crate::tree::Content::Map(pairs) = &root.content else { panic!("{root:?}") };
            let crate::tree::Content::Scalar { text: read, .. } = &pairs[0].1.content else {
                panic!("{root:?}")
            };
            let read = crate::expand::expand(read, &|_| None).unwrap();
            prop_assert_eq!(ANY.read(&read.text, true), Ok(Value::Text(text)));
        }
    }
}
