//! The only door to the file system. It does not know what a segment is.
//!
//! ```text
//!   storage ──▶ dyn Disk ──▶ FileDisk   a directory, opened beneath and never outside
//!                       ╰──▶ SimDisk    a disk that lies (internal/sim)
//! ```
//!
//! The rule that makes it work: nothing is durable until it was asked to be. File contents need
//! [`File::sync`]; a file's or directory's *name* needs [`Disk::sync_dir`] on the directory that
//! holds it. Whoever forgets is found out by the simulator.
//!
//! Every [`io::Error`] from here names the operation and the path, keeps its
//! [`kind`](io::Error::kind), and has the error it came from as its source: see [`DiskError`].

mod beneath;
mod error;
mod file_disk;
mod file_lock;
mod path;
mod vectored;

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use error::{DiskError, LockError, Operation, is_full, raw_os_error};
pub use file_disk::FileDisk;
pub use path::{PathError, plain, plain_or_root};

/// A directory and all beneath it. Paths are relative to it, of plain names only.
///
/// Every method blocks. A path that is absolute, that is not UTF-8, or that has `.` or `..` or an
/// empty name in it is [`io::ErrorKind::InvalidInput`]; so is one with a symbolic link on the way or
/// at its end, wherever the link leads. Links are shown by [`Disk::list`], and can be renamed and
/// removed.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` for [`Open::Read`] and [`Open::Write`], `AlreadyExists` for [`Open::Create`],
    /// `IsADirectory`, `InvalidInput` for what is neither file nor directory, and whatever the file
    /// system says. Nothing was changed.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;

    /// What is in a directory, sorted by name. The empty path is the root.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, and whatever the file system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes one directory, whose parent exists.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` for the parent, and whatever the file system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable. The empty path is the root.
    ///
    /// A rename from one directory into another needs it on both: on the one that has the new name,
    /// and on the one that must not have the old.
    ///
    /// # Errors
    /// Whatever the file system says; then nothing is known about the names changed since the last
    /// success.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file or directory another name, replacing a file or an empty directory of that name.
    /// Whoever looks sees the old state or the new one, and so does a crash.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory` and `NotADirectory` when one is a file and the other is not,
    /// `DirectoryNotEmpty`, `InvalidInput` for a directory into itself, and whatever the file system
    /// says; then the old name holds.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away. Those who have it open can go on reading, and its room is given
    /// back when the last of them is gone.
    ///
    /// # Errors
    /// `NotFound`, an error for a directory, and whatever the file system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`, `NotFound`, `NotADirectory`, and whatever the file system says.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// How much room there is.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn space(&self) -> io::Result<Space>;

    /// Takes the one exclusive lock on `path`, a file that is made when it is missing, and writes
    /// this process's id and a newline into it. The lock is advisory: it keeps out those who ask.
    ///
    /// It is released when it is dropped and when the process ends, however it ends; the file stays.
    /// Neither the file nor what is in it is made durable: a lock does not outlive its process.
    ///
    /// # Errors
    /// [`LockError::Held`] when it is taken, by this process or another.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError>;
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// An existing file, to be read.
    Read,
    /// An existing file, to be read and written.
    Write,
    /// A new file, to be read and written; an existing one is an error.
    Create,
}

/// An open file. All positions are absolute, so any number of threads can share one.
pub trait File: Debug + Send + Sync {
    /// Reads up to `buf.len()` bytes at `at`; fewer only at the end of the file.
    ///
    /// # Errors
    /// Whatever the file system says; the content of `buf` is then unspecified.
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of `parts` at `at`, one behind the other, extending the file when needed. What lies
    /// between the old end and `at` reads as zeros. No bytes change nothing.
    ///
    /// # Errors
    /// `StorageFull` and `QuotaExceeded` (see [`is_full`]), and whatever the file system says; then
    /// any part of the range may have been written.
    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<()>;

    /// Makes the content and length durable (`fdatasync`).
    ///
    /// # Errors
    /// Whatever the file system says. Then nothing is known about what was written since the last
    /// success, and a second call that succeeds proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros. Extending takes no room: a write into the new part
    /// can still find the disk full.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A lock that is held until this is dropped.
pub trait Lock: Debug + Send + Sync {}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without the directory. Names that are not UTF-8 are left out of listings: we never
    /// make one.
    pub name: String,
    /// What it names.
    pub kind: EntryKind,
    /// Length in bytes of a file; 0 for anything else.
    pub len: u64,
    /// When the content last changed, in nanoseconds since the epoch; 0 where unknown.
    pub modified_nanos: i64,
}

/// What a name in a directory names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A link, socket, device: not ours.
    Other,
}

/// Room on the file system that holds the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written by us.
    pub free_bytes: u64,
    /// Size of the file system in bytes.
    pub total_bytes: u64,
}
