//! A lock that dies with its owner: `flock` on a file that names the owner's process.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process;

use crate::{Lock, LockError, is_full};

/// A locked file.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

impl FileLock {
    /// Locks `file`, opened for writing, and writes our process id into it.
    pub(crate) fn take(file: File, path: &Path) -> Result<Self, LockError> {
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { path: path.to_owned(), pid: read_pid(&file) });
            }
            Err(TryLockError::Error(error)) => return Err(LockError::from_io(path, error)),
        }
        // Unlocks on every way out.
        let lock = Self { file };
        match write_pid(&lock.file) {
            Ok(()) => Ok(lock),
            // The number is for people, the lock holds without it; on a full disk the server must
            // still start, or nobody could make room with it.
            Err(error) if is_full(&error) => Ok(lock),
            Err(error) => Err(LockError::from_io(path, error)),
        }
    }
}

impl Lock for FileLock {}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing is not enough: a child that is being started may hold a copy for a moment. And an
        // error leaves us where closing would: the file is closed right after.
        let _unlocked = self.file.unlock();
    }
}

/// Overwrites in place before cutting: emptied first, a full disk might not give the block back.
fn write_pid(file: &File) -> io::Result<()> {
    let text = format!("{}\n", process::id());
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)
}

fn read_pid(file: &File) -> Option<u32> {
    let mut buf = [0; 16];
    let len = file.read_at(&mut buf, 0).ok()?;
    str::from_utf8(&buf[..len]).ok()?.strip_suffix('\n')?.parse().ok()
}
