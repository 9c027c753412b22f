//! Plain paths: names joined by `/`, and nothing that could lead elsewhere.
//!
//! [`Path::components`](std::path::Path::components) quietly drops `.` and doubled slashes, so the
//! text itself is checked. Every [`Disk`](crate::Disk) asks here, so that none is more lenient.

use std::io;
use std::path::Path;

/// The text of a path of one or more plain names.
///
/// # Errors
/// `InvalidInput`, with a [`PathError`] inside.
pub fn plain(path: &Path) -> io::Result<&str> {
    let text = path.to_str().ok_or(PathError::NotUtf8)?;
    for name in text.split('/') {
        match name {
            "" => return Err(PathError::EmptyName.into()),
            "." | ".." => return Err(PathError::Dots.into()),
            name if name.contains('\0') => return Err(PathError::Nul.into()),
            _ => (),
        }
    }
    Ok(text)
}

/// The text of a plain path, or the empty text, which is the root.
///
/// # Errors
/// `InvalidInput`, with a [`PathError`] inside.
pub fn plain_or_root(path: &Path) -> io::Result<&str> {
    if path.as_os_str().is_empty() { Ok("") } else { plain(path) }
}

/// Why a path is refused before the file system is asked. The caller's fault: names from elsewhere
/// must be encoded first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is not text.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// It is empty or absolute, ends in a slash, or has two in a row.
    #[error(
        "the path is empty or has an empty name in it; paths are relative to the data directory"
    )]
    EmptyName,
    /// It has `.` or `..` in it.
    #[error("the path has `.` or `..` in it")]
    Dots,
    /// It has a zero byte in it.
    #[error("the path has a zero byte in it")]
    Nul,
    /// A symbolic link is on the way or at the end.
    #[error("a symbolic link is in the way, and none is followed beneath the data directory")]
    Link,
    /// It names a socket, a pipe, a device.
    #[error("it is neither a file nor a directory")]
    Special,
}

impl From<PathError> for io::Error {
    fn from(error: PathError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for good in ["a", "a/b", "..a", "a..", "...", "@x/a.b", "%2e"] {
            assert_eq!(plain(Path::new(good)).unwrap(), good);
        }
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/.", "./a", "a/../b", "a\0b"] {
            let error = plain(Path::new(bad)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
        let foreign = Path::new(OsStr::from_bytes(b"a\xff"));
        assert_eq!(plain(foreign).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn only_the_empty_path_is_the_root() {
        assert_eq!(plain_or_root(Path::new("")).unwrap(), "");
        plain_or_root(Path::new(".")).unwrap_err();
        plain_or_root(Path::new("/")).unwrap_err();
    }
}
