//! Golden files: bytes that must come out the same for as long as the product lives.
//!
//! A change of a golden file is a change of a promise, so it is made on purpose (`cargo xtask
//! golden`) and read in the diff.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The environment variable that, when `write`, makes [`golden`] write instead of compare.
pub const GOLDEN_VARIABLE: &str = "PUBSUB_GOLDEN";

/// Why bytes are not golden.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The bytes differ from the file's.
    #[error(
        "{path} differs from byte {at} on ({expected} bytes in the file, {actual} now); if that is \
         meant, run `cargo xtask golden` and read the diff",
        path = path.display()
    )]
    Differs {
        /// The golden file.
        path: PathBuf,
        /// The first byte that differs, counted from 0.
        at: usize,
        /// Length of the file in bytes.
        expected: usize,
        /// Length of what came out, in bytes.
        actual: usize,
    },
    /// The file could not be read or written.
    #[error("golden file {path}; `cargo xtask golden` makes it", path = path.display())]
    Io {
        /// The golden file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Compares bytes with a golden file, or writes it when `PUBSUB_GOLDEN` is `write`.
///
/// # Errors
/// [`GoldenError::Differs`] says where; [`GoldenError::Io`] when there is no such file.
pub fn golden(path: impl AsRef<Path>, actual: &[u8]) -> Result<(), GoldenError> {
    let path = path.as_ref();
    let io_error = |source| GoldenError::Io { path: path.to_owned(), source };
    if std::env::var_os(GOLDEN_VARIABLE).is_some_and(|value| value == "write") {
        return write(path, actual).map_err(io_error);
    }
    compare(path, &fs::read(path).map_err(io_error)?, actual)
}

fn compare(path: &Path, expected: &[u8], actual: &[u8]) -> Result<(), GoldenError> {
    if expected == actual {
        return Ok(());
    }
    let same = expected.iter().zip(actual).take_while(|(a, b)| a == b).count();
    Err(GoldenError::Differs {
        path: path.to_owned(),
        at: same,
        expected: expected.len(),
        actual: actual.len(),
    })
}

#[expect(clippy::disallowed_methods, reason = "test data is no part of anybody's data directory")]
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or_else(|| Path::new("")))?;
    fs::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_bytes_are_golden() {
        compare(Path::new("x"), b"abc", b"abc").unwrap();
    }

    #[test]
    fn first_difference_is_told() {
        for (expected, actual, differs_at) in
            [("abc", "abd", 2), ("abc", "ab", 2), ("ab", "abc", 2), ("", "a", 0)]
        {
            let error = compare(Path::new("x"), expected.as_bytes(), actual.as_bytes());
            let Err(GoldenError::Differs { at, .. }) = error else {
                panic!("{expected:?} and {actual:?} passed for the same");
            };
            assert_eq!(at, differs_at);
        }
    }

    #[test]
    fn written_file_compares_as_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/deep.bin");
        write(&path, b"bytes").unwrap();
        compare(&path, &fs::read(&path).unwrap(), b"bytes").unwrap();
    }

    #[test]
    fn missing_file_says_how_it_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let error = golden(dir.path().join("none"), b"").unwrap_err();
        assert!(error.to_string().contains("cargo xtask golden"), "{error}");
    }
}
