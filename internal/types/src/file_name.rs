//! Names from outside as file names, so that no name can leave its directory.

/// Longest file name that the file systems we know accept, in bytes (`NAME_MAX` on Linux).
pub const FILE_NAME_MAX_BYTES: usize = 255;

/// The file name that stands for `name`: every byte outside `[A-Za-z0-9._-]`, and a leading dot, is
/// percent-encoded.
///
/// Two names never share a file name. The result may be longer than [`FILE_NAME_MAX_BYTES`]; the
/// caller hashes then.
#[must_use]
pub fn file_name_for(name: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && at > 0);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// The name that `file` stands for, or `None` when [`file_name_for`] could not have made it.
#[must_use]
pub fn name_from_file(file: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(file.len());
    let mut rest = file.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (file_name_for(&name) == file).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{file_name_for, name_from_file};
    use proptest::prelude::*;

    #[test]
    fn hostile_names_stay_in_their_directory() {
        assert_eq!(file_name_for("../../evil"), "%2E.%2F..%2Fevil");
        assert_eq!(file_name_for(".."), "%2E.");
        assert_eq!(file_name_for("127.0.0.1:17740"), "127.0.0.1%3A17740");
        assert_eq!(file_name_for("orders.eu"), "orders.eu");
    }

    #[test]
    fn a_file_that_we_could_not_have_named_stands_for_nothing() {
        assert_eq!(name_from_file("a%2"), None);
        assert_eq!(name_from_file("a%41"), None);
        assert_eq!(name_from_file("a b"), None);
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in ".*") {
            let file = file_name_for(&name);
            prop_assert!(!file.contains('/'));
            prop_assert!(!file.starts_with('.'));
            prop_assert_eq!(name_from_file(&file), Some(name));
        }
    }
}
