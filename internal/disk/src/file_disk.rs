//! A directory of the machine, and the system calls that each question to it costs.
//!
//! | question | calls |
//! |---|---|
//! | open | `openat2`, `fstat` |
//! | read, write, sync | one each, when the kernel takes all at once |
//! | rename, remove, create directory | `openat2` of the parent unless it is the root, and the call |
//! | list | `openat2`, `getdents64`, one `fstatat` for each name |

use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use crate::beneath::Beneath;
use crate::file_lock::FileLock;
use crate::path::{PathError, plain, plain_or_root};
use crate::vectored::write_all;
use crate::{Disk, DiskError, Entry, EntryKind, File, Lock, LockError, Open, Operation, Space};

/// A directory of the machine.
///
/// It is held open: renaming it while it is in use does no harm, and nothing outside of it can be
/// reached through it. Files are made with mode 0644 and directories with 0755, less the umask.
#[derive(Debug)]
pub struct FileDisk {
    beneath: Beneath,
    /// For messages only.
    root: PathBuf,
}

impl FileDisk {
    /// Opens an existing directory.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `PermissionDenied` when it may not be read, and whatever the file
    /// system says.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref();
        let dir = open_dir(root).map_err(|e| failed(Operation::OpenRoot, root, e))?;
        Ok(Self { beneath: Beneath::new(dir), root: root.to_owned() })
    }

    /// Opens a directory, making it and those above it where they are missing, durably.
    ///
    /// # Errors
    /// As [`FileDisk::open`]; directories above it may have been made.
    pub fn create(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref();
        make_dir(root).map_err(|e| failed(Operation::CreateRoot, root, e))?;
        Self::open(root)
    }

    /// The same directory, opening paths name by name as is done where the kernel has no `openat2`
    /// or a sandbox forbids it. It answers alike and is slower.
    #[must_use]
    pub fn walking(mut self) -> Self {
        self.beneath.walk();
        self
    }

    fn fail(&self, operation: Operation, path: &Path, error: impl Into<io::Error>) -> io::Error {
        failed(operation, &self.root.join(path), error)
    }

    fn open_regular(&self, path: &str, flags: OFlags) -> io::Result<fs::File> {
        // Not to wait for the other end of a pipe that somebody put there, nor to get a terminal.
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.beneath.open(path, flags, FILE_MODE)?;
        match FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) {
            FileType::RegularFile => Ok(fd.into()),
            FileType::Directory => Err(Errno::ISDIR.into()),
            _ => Err(PathError::Special.into()),
        }
    }

    fn try_list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut dir = Dir::new(self.beneath.open_dir(plain_or_root(dir)?)?)?;
        let mut entries = Vec::new();
        while let Some(entry) = dir.read() {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let stat = rustix::fs::statat(dir.fd()?, name, AtFlags::SYMLINK_NOFOLLOW);
            match stat {
                Ok(stat) => entries.push(entry_of(name, &stat)),
                // Removed since the directory was read.
                Err(Errno::NOENT) => (),
                Err(error) => return Err(error.into()),
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn try_rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from) = self.beneath.parent(plain(from)?)?;
        let (to_dir, to) = self.beneath.parent(plain(to)?)?;
        Ok(rustix::fs::renameat(from_dir, from, to_dir, to)?)
    }

    fn try_remove(&self, path: &Path, flags: AtFlags) -> io::Result<()> {
        let (dir, name) = self.beneath.parent(plain(path)?)?;
        Ok(rustix::fs::unlinkat(dir, name, flags)?)
    }

    fn try_create_dir(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.beneath.parent(plain(path)?)?;
        Ok(rustix::fs::mkdirat(dir, name, DIR_MODE)?)
    }

    fn try_sync_dir(&self, dir: &Path) -> io::Result<()> {
        match plain_or_root(dir)? {
            "" => self.beneath.root().sync_all(),
            dir => fs::File::from(self.beneath.open_dir(dir)?).sync_all(),
        }
    }
}

impl Disk for FileDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let (operation, flags) = match how {
            Open::Read => (Operation::Open, OFlags::RDONLY),
            Open::Write => (Operation::Open, OFlags::RDWR),
            Open::Create => (Operation::Create, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL),
        };
        match plain(path).and_then(|path| self.open_regular(path, flags)) {
            Ok(file) => Ok(Arc::new(OpenFile { file, path: self.root.join(path).into() })),
            Err(error) => Err(self.fail(operation, path, error)),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.try_list(dir).map_err(|e| self.fail(Operation::List, dir, e))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.try_create_dir(dir).map_err(|e| self.fail(Operation::CreateDir, dir, e))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.try_sync_dir(dir).map_err(|e| self.fail(Operation::SyncDir, dir, e))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.try_rename(from, to)
            .map_err(|e| self.fail(Operation::Rename { to: self.root.join(to) }, from, e))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.try_remove(path, AtFlags::empty())
            .map_err(|e| self.fail(Operation::RemoveFile, path, e))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.try_remove(dir, AtFlags::REMOVEDIR)
            .map_err(|e| self.fail(Operation::RemoveDir, dir, e))
    }

    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::fstatvfs(self.beneath.root())
            .map_err(|e| failed(Operation::Space, &self.root, e))?;
        Ok(Space {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        let shown = self.root.join(path);
        let file = plain(path)
            .and_then(|path| self.open_regular(path, OFlags::RDWR | OFlags::CREATE))
            .map_err(|e| LockError::from_io(&shown, e))?;
        Ok(Box::new(FileLock::take(file, &shown)?))
    }
}

/// An open file of the machine.
#[derive(Debug)]
struct OpenFile {
    file: fs::File,
    /// For messages only.
    path: Box<Path>,
}

impl OpenFile {
    fn fail(&self, operation: Operation, error: impl Into<io::Error>) -> io::Error {
        failed(operation, &self.path, error)
    }
}

impl File for OpenFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], at.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => {
                    return Err(self.fail(Operation::Read { at, len: buf.len() }, error));
                }
            }
        }
        Ok(done)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<()> {
        let fd = self.file.as_fd();
        write_all(parts, at, |parts, at| {
            Ok(match parts {
                [part] => rustix::io::pwrite(fd, part, at)?,
                parts => rustix::io::pwritev(fd, parts, at)?,
            })
        })
        .map_err(|error| {
            let len = parts.iter().map(|part| part.len()).sum();
            self.fail(Operation::Write { at, len }, error)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(|e| self.fail(Operation::Sync, e))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        retry_on_intr(|| rustix::fs::ftruncate(&self.file, len))
            .map_err(|e| self.fail(Operation::SetLen { len }, e))
    }

    fn len(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstat(&self.file).map_err(|e| self.fail(Operation::Len, e))?;
        Ok(stat.st_size.try_into().unwrap_or(0))
    }
}

fn failed(operation: Operation, path: &Path, error: impl Into<io::Error>) -> io::Error {
    let mut error = error.into();
    if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        error = PathError::Link.into();
    }
    DiskError::wrap(operation, path, error)
}

fn entry_of(name: &str, stat: &Stat) -> Entry {
    let (kind, len) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => (EntryKind::File, stat.st_size.try_into().unwrap_or(0)),
        FileType::Directory => (EntryKind::Dir, 0),
        _ => (EntryKind::Other, 0),
    };
    let seconds = number(stat.st_mtime);
    let modified_nanos = seconds.saturating_mul(1_000_000_000) + number(stat.st_mtime_nsec);
    Entry { name: name.to_owned(), kind, len, modified_nanos }
}

/// A field of `stat`, whose type differs between platforms.
fn number(field: impl TryInto<i64>) -> i64 {
    field.try_into().unwrap_or(0)
}

fn open_dir(path: &Path) -> io::Result<fs::File> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?.into())
}

/// Makes a directory and those above it, and makes each new name durable.
fn make_dir(path: &Path) -> io::Result<()> {
    let above = path.parent().unwrap_or_else(|| Path::new(""));
    match rustix::fs::mkdir(path, DIR_MODE) {
        Ok(()) => open_dir(above)?.sync_all(),
        Err(Errno::EXIST) => sync_if_possible(above),
        Err(Errno::NOENT) if !above.as_os_str().is_empty() => {
            make_dir(above)?;
            match rustix::fs::mkdir(path, DIR_MODE) {
                // Another process may be at the same.
                Ok(()) | Err(Errno::EXIST) => open_dir(above)?.sync_all(),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes an existing directory's name durable: whoever made it may have died before that.
///
/// Not where the directory above may not be read, is read-only or cannot be synced: then it was made
/// by someone else, who saw to that.
fn sync_if_possible(above: &Path) -> io::Result<()> {
    match open_dir(above).and_then(|dir| dir.sync_all()) {
        Err(error) => match error.kind() {
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::InvalidInput => Ok(()),
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
const DIR_MODE: Mode = Mode::from_raw_mode(0o755);
