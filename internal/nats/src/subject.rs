//! What a client may write where a subject, a queue or a sid belongs.
//!
//! nats-server passes on any byte but a space; here control characters and bytes that are no text are
//! refused at the door, because a subject ends up in lines, logs, file names and JSON.

use pubsub_types::SUBJECT_MAX_BYTES;

/// `text` as a string, if it is one and has no space, no control character and no DEL, and is not
/// longer than a subject may be.
#[inline]
pub(crate) fn clean(text: &[u8]) -> Option<&str> {
    // No early end, so that the compiler can look at many bytes at once.
    let dirty = text.iter().fold(false, |dirty, byte| dirty | (*byte <= b' ') | (*byte == 0x7f));
    if dirty || text.len() > SUBJECT_MAX_BYTES { None } else { std::str::from_utf8(text).ok() }
}

/// Number of tokens, empty ones included.
pub(crate) fn token_count(subject: &str) -> usize {
    subject.split('.').count()
}

/// The queue group that servers keep to themselves.
pub(crate) const QUEUE_OF_SERVERS: &str = "_sys_";

/// Where only servers publish, whatever a client's permissions say. The system account may speak to
/// replication groups.
#[inline]
pub(crate) fn is_of_servers(subject: &str, is_system: bool) -> bool {
    let first = subject.as_bytes().first();
    // Nearly every subject is passed over here.
    matches!(first, Some(b'$' | b'_'))
        && (is_routed_reply(subject) || (!is_system && subject.starts_with("$NRG.")))
}

/// Replies that servers would take for their own.
#[inline]
pub(crate) fn is_reply_of_servers(reply: &str) -> bool {
    matches!(reply.as_bytes().first(), Some(b'$' | b'_'))
        && (is_routed_reply(reply) || reply.starts_with("_R_.") || reply.starts_with("$JS.ACK."))
}

/// Replies that were mapped on their way between clusters, now and in earlier versions.
fn is_routed_reply(subject: &str) -> bool {
    subject.starts_with("_GR_.") || subject.starts_with("$GR.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_what_is_no_text_are_refused() {
        for byte in (0..=b' ').chain([0x7f, 0x80, 0xff]) {
            assert_eq!(clean(&[b'a', byte, b'b']), None, "{byte}");
        }
        assert_eq!(clean(&[b'a'; SUBJECT_MAX_BYTES + 1]), None);
        for text in ["a", "a.b.*.>", "ä.ö", "$JS.API", "", "~!\"#%"] {
            assert_eq!(clean(text.as_bytes()), Some(text));
        }
    }

    #[test]
    fn some_subjects_are_for_servers() {
        for subject in ["$NRG.x", "_GR_.x", "$GR.x"] {
            assert!(is_of_servers(subject, false), "{subject}");
        }
        assert!(!is_of_servers("$NRG.x", true));
        for subject in ["$NRG", "_R_.x", "$SYS.x", "$JS.API.x", "a", ""] {
            assert!(!is_of_servers(subject, false), "{subject}");
        }
        for reply in ["_R_.x", "_GR_.x", "$GR.x", "$JS.ACK.x"] {
            assert!(is_reply_of_servers(reply), "{reply}");
        }
        for reply in ["_R_", "$NRG.x", "$SYS.x", "_INBOX.x"] {
            assert!(!is_reply_of_servers(reply), "{reply}");
        }
    }
}
