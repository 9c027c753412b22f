//! What may be the name of an instance.

use thiserror::Error;

use crate::text::printable;

/// Longest name of an instance, in bytes.
pub const NAME_MAX_BYTES: usize = 255;

/// Why a name is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is none.
    #[error("the name is empty")]
    Empty,
    /// It is longer than [`NAME_MAX_BYTES`].
    #[error("the name has {len} bytes, of {NAME_MAX_BYTES} at most")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It would be a directory.
    #[error("`{0}` is no name")]
    Dots(String),
    /// It holds something that names do not.
    #[error("the name `{}` holds {letter:?}, and names are of A-Z, a-z, 0-9, '.', '_', '-' and ':'", printable(.name))]
    Letter {
        /// The name as it came; not fit to be shown as it is.
        name: String,
        /// The first character that is not allowed.
        letter: char,
    },
}

/// Checks the name of an instance: 1 to 255 of `A-Z a-z 0-9 . _ - :`, and neither `.` nor `..`. The
/// same that a configuration may say, so that every peer can be listed.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-:".contains(letter);
    match name {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots(name.to_owned())),
        _ if name.len() > NAME_MAX_BYTES => Err(NameError::TooLong { len: name.len() }),
        _ => match name.chars().find(|letter| !allowed(*letter)) {
            Some(letter) => Err(NameError::Letter { name: name.to_owned(), letter }),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_instances_are_plain() {
        for good in ["a", "edge-7", "hub.example.com", "host:7740", "A_b", "...", &"x".repeat(255)]
        {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", ".", "..", "a b", "a\0", "a\n", "\u{1b}", "ä", "a/b", "*", "a\\b", &long] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn refused_name_is_shown_without_what_makes_it_hostile() {
        let text = check_name("a\u{1b}[2J\n").unwrap_err().to_string();
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
    }
}
