//! What went wrong, doing what, to which path.
//!
//! ```text
//!   io::Error   kind of the cause
//!     ╰ DiskError   "write 4096 bytes at 512 to /data/channels/a/1.log"
//!         ╰ source: io::Error   "No space left on device (os error 28)"
//! ```

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What every [`io::Error`] of a [`Disk`](crate::Disk) or [`File`](crate::File) has inside.
#[derive(Debug)]
pub struct DiskError {
    /// What was being done.
    pub operation: Operation,
    /// To which path, with the root before it.
    pub path: PathBuf,
    /// What the file system said.
    pub source: io::Error,
}

impl DiskError {
    /// Wraps `source` so that it tells the operation and the path, and keeps its kind.
    #[must_use]
    pub fn wrap(operation: Operation, path: impl Into<PathBuf>, source: io::Error) -> io::Error {
        io::Error::new(source.kind(), Self { operation, path: path.into(), source })
    }

    /// Finds it inside an [`io::Error`].
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operation.on(&self.path).fmt(f)
    }
}

impl Error for DiskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// What a disk was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Open the root.
    OpenRoot,
    /// Make the root and the directories above it.
    CreateRoot,
    /// Open an existing file.
    Open,
    /// Make a file.
    Create,
    /// List a directory.
    List,
    /// Make a directory.
    CreateDir,
    /// Make the names in a directory durable.
    SyncDir,
    /// Give another name.
    Rename {
        /// The new name, with the root before it.
        to: PathBuf,
    },
    /// Take a file's name away.
    RemoveFile,
    /// Remove a directory.
    RemoveDir,
    /// Ask how much room there is.
    Space,
    /// Read.
    Read {
        /// Position in the file, in bytes.
        at: u64,
        /// How many bytes.
        len: usize,
    },
    /// Write.
    Write {
        /// Position in the file, in bytes.
        at: u64,
        /// How many bytes.
        len: usize,
    },
    /// Make content and length durable.
    Sync,
    /// Cut or extend.
    SetLen {
        /// The new length in bytes.
        len: u64,
    },
    /// Ask for the length.
    Len,
    /// Take a lock.
    Lock,
}

impl Operation {
    /// The operation as a phrase: "write 4096 bytes at 512 to a.log". The empty path is shown as `.`.
    #[must_use]
    pub fn on<'a>(&'a self, path: &'a Path) -> impl fmt::Display + 'a {
        Phrase { operation: self, path }
    }
}

struct Phrase<'a> {
    operation: &'a Operation,
    path: &'a Path,
}

impl fmt::Display for Phrase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = self.path.as_os_str().is_empty();
        let path = if root { Path::new(".") } else { self.path }.display();
        match self.operation {
            Operation::OpenRoot => write!(f, "open the directory {path}"),
            Operation::CreateRoot => write!(f, "create the directory {path}"),
            Operation::Open => write!(f, "open {path}"),
            Operation::Create => write!(f, "create {path}"),
            Operation::List => write!(f, "list {path}"),
            Operation::CreateDir => write!(f, "create the directory {path}"),
            Operation::SyncDir => write!(f, "sync the directory {path}"),
            Operation::Rename { to } => write!(f, "rename {path} to {}", to.display()),
            Operation::RemoveFile => write!(f, "remove {path}"),
            Operation::RemoveDir => write!(f, "remove the directory {path}"),
            Operation::Space => write!(f, "ask for the room in {path}"),
            Operation::Read { at, len } => write!(f, "read {len} bytes at {at} of {path}"),
            Operation::Write { at, len } => write!(f, "write {len} bytes at {at} to {path}"),
            Operation::Sync => write!(f, "sync {path}"),
            Operation::SetLen { len } => write!(f, "set the length of {path} to {len}"),
            Operation::Len => write!(f, "ask for the length of {path}"),
            Operation::Lock => write!(f, "lock {path}"),
        }
    }
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The operator's turn: someone else has it.
    #[error("{} is locked by {}; stop it, or choose another directory", path.display(), Holder(*pid))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who has it; `None` when it has not said so yet.
        pid: Option<u32>,
    },
    /// The operator's turn: this user may not write there.
    #[error(
        "lock {}: the directory and the file must be writable by the user this runs as",
        path.display()
    )]
    Denied {
        /// The lock file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The file system failed.
    #[error("lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

impl LockError {
    /// Sorts what the file system said.
    #[must_use]
    pub fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { path, source }
            }
            _ => Self::Io { path, source },
        }
    }
}

/// The number the operating system gave the error, however deep it is.
#[must_use]
pub fn raw_os_error(error: &io::Error) -> Option<i32> {
    let mut error = error;
    loop {
        match (error.raw_os_error(), DiskError::of(error)) {
            (Some(number), _) => return Some(number),
            (None, Some(wrapper)) => error = &wrapper.source,
            (None, None) => return None,
        }
    }
}

/// Whether there is no room: the file system is full, or our quota on it is used up. What waits for
/// room can go on when there is some.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How a message calls the owner of a lock.
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn failed_write(errno: Errno) -> io::Error {
        DiskError::wrap(Operation::Write { at: 512, len: 4096 }, "/data/a.log", errno.into())
    }

    #[test]
    fn error_names_operation_and_path_and_leaves_the_cause_to_its_source() {
        let error = failed_write(Errno::NOSPC);
        assert_eq!(error.to_string(), "write 4096 bytes at 512 to /data/a.log");
        let cause = error.source().unwrap();
        assert!(cause.to_string().starts_with("No space left"), "{cause}");
        assert!(cause.source().is_none());
    }

    #[test]
    fn kind_and_number_of_the_cause_are_kept() {
        let cases = [
            (Errno::NOSPC, io::ErrorKind::StorageFull, true),
            (Errno::DQUOT, io::ErrorKind::QuotaExceeded, true),
            (Errno::ROFS, io::ErrorKind::ReadOnlyFilesystem, false),
            (Errno::FBIG, io::ErrorKind::FileTooLarge, false),
        ];
        for (errno, kind, full) in cases {
            let error = failed_write(errno);
            assert_eq!(error.kind(), kind);
            assert_eq!(is_full(&error), full);
            assert_eq!(raw_os_error(&error), Some(errno.raw_os_error()));
        }
        assert_eq!(raw_os_error(&failed_write(Errno::IO)), Some(Errno::IO.raw_os_error()));
        assert_eq!(raw_os_error(&io::Error::other("no number")), None);
    }

    #[test]
    fn lock_error_says_which_process_holds_it() {
        let path = PathBuf::from("/data/LOCK");
        let held = LockError::Held { path: path.clone(), pid: Some(17) };
        let text = "/data/LOCK is locked by process 17; stop it, or choose another directory";
        assert_eq!(held.to_string(), text);
        let held = LockError::Held { path, pid: None };
        assert!(held.to_string().contains("another process"));
    }
}
