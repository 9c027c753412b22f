//! Opening beneath a directory: no name leads out of it, even while others change it.
//!
//! ```text
//!   openat2(root, "a/b/c", BENEATH | NO_SYMLINKS)      where the kernel has it and a sandbox allows it
//!   openat(openat(openat(root, a), b), c), no link followed     anywhere else
//! ```
//!
//! Calls that have no such flag (rename, unlink, mkdir) are given the parent, opened that way, and
//! one name in it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::{Errno, Result, retry_on_intr};

/// A directory from which to open.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: File,
    /// Whether the kernel resolves whole paths for us.
    whole_paths: bool,
}

impl Beneath {
    /// Opens beneath `root`.
    pub(crate) fn new(root: File) -> Self {
        let whole_paths = has_whole_paths(root.as_fd());
        Self { root, whole_paths }
    }

    /// Opens name by name from now on.
    pub(crate) fn walk(&mut self) {
        self.whole_paths = false;
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &File {
        &self.root
    }

    /// Opens a plain path. A link on the way or at the end is [`Errno::LOOP`].
    pub(crate) fn open(&self, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if self.whole_paths {
            return open_whole(self.root.as_fd(), path, flags, mode);
        }
        let (parent, name) = self.walk_to_parent(path)?;
        open_one(parent.as_fd(), name, flags, mode)
    }

    /// Opens a directory, or the root for the empty path.
    pub(crate) fn open_dir(&self, path: &str) -> Result<OwnedFd> {
        let path_flags = OFlags::RDONLY | OFlags::DIRECTORY;
        if path.is_empty() {
            return open_one(self.root.as_fd(), ".", path_flags | OFlags::CLOEXEC, Mode::empty());
        }
        self.open(path, path_flags, Mode::empty())
    }

    /// The directory that holds the last name of a plain path, and that name.
    pub(crate) fn parent<'a>(&'a self, path: &'a str) -> Result<(Parent<'a>, &'a str)> {
        if !self.whole_paths {
            return self.walk_to_parent(path);
        }
        match path.rsplit_once('/') {
            None => Ok((Parent::Root(self.root.as_fd()), path)),
            Some((dir, name)) => {
                Ok((Parent::Dir(self.open(dir, STEP_FLAGS, Mode::empty())?), name))
            }
        }
    }

    fn walk_to_parent<'a>(&'a self, path: &'a str) -> Result<(Parent<'a>, &'a str)> {
        let mut parent = Parent::Root(self.root.as_fd());
        let mut rest = path;
        while let Some((name, behind)) = rest.split_once('/') {
            parent = Parent::Dir(open_one(parent.as_fd(), name, STEP_FLAGS, Mode::empty())?);
            rest = behind;
        }
        Ok((parent, rest))
    }
}

/// A directory on the way to a file.
#[derive(Debug)]
pub(crate) enum Parent<'a> {
    /// The root.
    Root(BorrowedFd<'a>),
    /// Another, opened for this.
    Dir(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(root) => root.as_fd(),
            Self::Dir(dir) => dir.as_fd(),
        }
    }
}

/// How a directory on the way is opened: to pass through it needs no permission to list it.
#[cfg(target_os = "linux")]
const STEP_FLAGS: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const STEP_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens one name in a directory.
fn open_one(dir: BorrowedFd<'_>, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    match retry_on_intr(|| openat(dir, name, flags, mode)) {
        // A directory was wanted and a link not followed: which of the two it was, the kernel does
        // not say.
        Err(Errno::NOTDIR) if is_link(dir, name) => Err(Errno::LOOP),
        other => other,
    }
}

fn is_link(dir: BorrowedFd<'_>, name: &str) -> bool {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

#[cfg(target_os = "linux")]
fn open_whole(root: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};

    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // With it, a link at the end would be found and be no directory; without it, it is refused.
    let flags = flags.difference(OFlags::NOFOLLOW);
    // The kernel refuses a mode where nothing can be made.
    let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
    retry_on_intr(|| openat2(root, path, flags, mode, resolve))
}

/// Older kernels lack `openat2` (`ENOSYS`), and some sandboxes forbid it (`EPERM`). Asked once: later,
/// `EPERM` is about a file.
#[cfg(target_os = "linux")]
fn has_whole_paths(root: BorrowedFd<'_>) -> bool {
    !matches!(
        open_whole(root, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()),
        Err(Errno::NOSYS | Errno::PERM)
    )
}

#[cfg(not(target_os = "linux"))]
fn open_whole(root: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    open_one(root, path, flags, mode)
}

#[cfg(not(target_os = "linux"))]
fn has_whole_paths(_root: BorrowedFd<'_>) -> bool {
    false
}
