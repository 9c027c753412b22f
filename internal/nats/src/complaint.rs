//! What a client is told that does not end its connection.

use std::io::Write;

/// An `-ERR` after which the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint<'a> {
    /// A subject that cannot be subscribed to.
    InvalidSubject,
    /// A subject that cannot be published to.
    InvalidPublishSubject,
    /// The connection, the user or the account has as many subscriptions as it may.
    SubscriptionsExceeded,
    /// The user may not publish there.
    PublishDenied {
        /// Where to.
        subject: &'a str,
    },
    /// Answers may not go there.
    ReplyDenied {
        /// Where to.
        reply: &'a str,
    },
    /// The user may not subscribe to that.
    SubscribeDenied {
        /// To what.
        subject: &'a str,
        /// In which queue group.
        queue: Option<&'a str>,
        /// The subscription, if there is one, which now ends.
        sid: Option<&'a str>,
    },
    /// The subject has more tokens than subscriptions may.
    TooManyTokens {
        /// The subject.
        subject: &'a str,
    },
    /// The account could not be made.
    AccountRegistration,
}

impl Complaint<'_> {
    /// Appends the whole line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let text = match *self {
            Self::InvalidSubject => "Invalid Subject",
            Self::InvalidPublishSubject => "Invalid Publish Subject",
            Self::SubscriptionsExceeded => "maximum subscriptions exceeded",
            Self::AccountRegistration => "Failed Account Registration",
            Self::PublishDenied { subject } => return denied(out, "Publish to ", subject, |_| ()),
            Self::ReplyDenied { reply } => {
                return denied(out, "Publish with Reply of ", reply, |_| ());
            }
            Self::TooManyTokens { subject } => {
                return denied(out, "Subscription to ", subject, |out| {
                    out.extend_from_slice(b", too many tokens");
                });
            }
            Self::SubscribeDenied { subject, queue, sid } => {
                return denied(out, "Subscription to ", subject, |out| {
                    if let Some(queue) = queue {
                        out.extend_from_slice(b" using queue ");
                        quote(out, queue);
                    }
                    if let Some(sid) = sid {
                        out.extend_from_slice(b" (sid ");
                        quote(out, sid);
                        out.push(b')');
                    }
                });
            }
        };
        crate::encode::error(out, text);
    }
}

fn denied(out: &mut Vec<u8>, what: &str, subject: &str, more: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"-ERR 'Permissions Violation for ");
    out.extend_from_slice(what.as_bytes());
    quote(out, subject);
    more(out);
    out.extend_from_slice(b"'\r\n");
}

/// Appends `text` in double quotes, with the escapes that clients know from nats-server: those of a
/// string in Go.
fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
            ' '..='~' => out.push(letter as u8),
            '\0'..'\u{80}' => escape(out, format_args!("\\x{:02x}", u32::from(letter))),
            _ if is_printable(letter) => {
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            '\u{80}'..='\u{ffff}' => escape(out, format_args!("\\u{:04x}", u32::from(letter))),
            _ => escape(out, format_args!("\\U{:08x}", u32::from(letter))),
        }
    }
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes any bytes");
}

/// Letters, marks, numbers and signs; no spaces beyond the usual one.
fn is_printable(letter: char) -> bool {
    // Behind a letter, as a mark that joins the one before it is escaped at the start of a string.
    let text = format!("a{letter}");
    !letter.is_whitespace() && !text.escape_debug().any(|part| part == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(complaint: Complaint<'_>) -> String {
        let mut out = Vec::new();
        complaint.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_those_that_clients_know() {
        let subject = "a.b";
        for (complaint, text) in [
            (Complaint::InvalidSubject, "Invalid Subject"),
            (Complaint::InvalidPublishSubject, "Invalid Publish Subject"),
            (Complaint::SubscriptionsExceeded, "maximum subscriptions exceeded"),
            (Complaint::AccountRegistration, "Failed Account Registration"),
            (Complaint::PublishDenied { subject }, "Permissions Violation for Publish to \"a.b\""),
            (
                Complaint::ReplyDenied { reply: "_R_.x" },
                "Permissions Violation for Publish with Reply of \"_R_.x\"",
            ),
            (
                Complaint::SubscribeDenied { subject, queue: None, sid: None },
                "Permissions Violation for Subscription to \"a.b\"",
            ),
            (
                Complaint::SubscribeDenied { subject, queue: Some("q"), sid: None },
                "Permissions Violation for Subscription to \"a.b\" using queue \"q\"",
            ),
            (
                Complaint::SubscribeDenied { subject, queue: Some("q"), sid: Some("7") },
                "Permissions Violation for Subscription to \"a.b\" using queue \"q\" (sid \"7\")",
            ),
            (
                Complaint::SubscribeDenied { subject, queue: None, sid: Some("7") },
                "Permissions Violation for Subscription to \"a.b\" (sid \"7\")",
            ),
            (
                Complaint::TooManyTokens { subject },
                "Permissions Violation for Subscription to \"a.b\", too many tokens",
            ),
        ] {
            assert_eq!(line(complaint), format!("-ERR '{text}'\r\n"));
        }
    }

    /// The right-hand sides are answers of nats-server.
    #[test]
    fn subjects_are_quoted_as_nats_server_quotes_them() {
        for (subject, quoted) in [
            ("_GR_.\"x\\y", "_GR_.\\\"x\\\\y"),
            ("_GR_.é", "_GR_.é"),
            ("_GR_.\u{200b}", "_GR_.\\u200b"),
            ("_GR_.😀", "_GR_.😀"),
            ("_GR_.\u{301}", "_GR_.\u{301}"),
            ("_GR_.'", "_GR_.'"),
        ] {
            let expected = format!("-ERR 'Permissions Violation for Publish to \"{quoted}\"'\r\n");
            assert_eq!(line(Complaint::PublishDenied { subject }), expected);
        }
    }
}
