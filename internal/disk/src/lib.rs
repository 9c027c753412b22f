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

mod file_disk;

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use file_disk::FileDisk;

/// A directory and all beneath it. Paths are relative to it, of plain names only.
///
/// Every method blocks. A path that is absolute, or has `.` or `..` or nothing in it, is
/// [`io::ErrorKind::InvalidInput`]; so is one that a symbolic link would lead outside.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` for [`Open::Read`] and [`Open::Write`], `AlreadyExists` for [`Open::Create`],
    /// and whatever the file system says. Nothing was changed.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;

    /// What is in a directory, sorted by name.
    ///
    /// # Errors
    /// `NotFound`, and whatever the file system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes one directory, whose parent exists.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` for the parent, and whatever the file system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable. The empty path is the root.
    ///
    /// # Errors
    /// Whatever the file system says; then nothing is known about the names changed since the last
    /// success.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file or directory another name, replacing a file of that name.
    ///
    /// # Errors
    /// Whatever the file system says; then the old name holds.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away. Those who have it open can go on reading.
    ///
    /// # Errors
    /// `NotFound`, and whatever the file system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`, `NotFound`, and whatever the file system says.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// How much room there is.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn space(&self) -> io::Result<Space>;
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

    /// Writes all of `parts` at `at`, one behind the other, extending the file when needed.
    ///
    /// # Errors
    /// Whatever the file system says; then any part of the range may have been written.
    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<()>;

    /// Makes the content and length durable (`fdatasync`).
    ///
    /// # Errors
    /// Whatever the file system says. Then nothing is known about what was written since the last
    /// success, and a second call that succeeds proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros.
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
