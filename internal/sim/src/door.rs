//! The simulated disk as those who use it see it: a [`Disk`] like any other.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use pubsub_disk::{
    Disk, DiskError, Entry, File, Lock, LockError, Open, Operation, Space, plain, plain_or_root,
};

use crate::fault::{EBADF, EFBIG, EINVAL, EIO, ENOENT, ENOSPC};
use crate::tree::{FileNode, Ino, errno};
use crate::world::{Extent, World, wrap};
use crate::{Crashed, SimDisk};

impl SimDisk {
    /// One operation on names, whose effect has no parts.
    fn act<T>(
        &self,
        operation: Operation,
        path: &Path,
        check: fn(&Path) -> io::Result<&str>,
        effect: impl FnOnce(&mut World, &str) -> io::Result<T>,
    ) -> io::Result<T> {
        match check(path) {
            Ok(path) => {
                self.world().act(operation, &path.into(), &[], |world, _| effect(world, path))
            }
            Err(error) => Err(wrap(operation, &path.to_string_lossy(), error)),
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let operation = if how == Open::Create { Operation::Create } else { Operation::Open };
        let name: Arc<str> = match plain(path) {
            Ok(name) => name.into(),
            Err(error) => return Err(wrap(operation, &path.to_string_lossy(), error)),
        };
        let mut world = self.world();
        let ino = world.act(operation, &name, &[], |world, _| match how {
            Open::Read | Open::Write => world.tree.find_file(&name),
            Open::Create => {
                let ino = world.tree.create_file(&name)?;
                world.file(ino)?.modified_nanos = world.now_nanos;
                Ok(ino)
            }
        })?;
        // Only now: who never hears of the file does not keep it open.
        world.file(ino)?.handles += 1;
        let life = world.life;
        let writable = how != Open::Read;
        Ok(Arc::new(SimFile { disk: self.clone(), ino, life, path: name, writable }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.act(Operation::List, dir, plain_or_root, |world, dir| {
            let dir = world.tree.find_dir(dir)?;
            world.tree.list(dir)
        })
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.act(Operation::CreateDir, dir, plain, |world, dir| {
            world.tree.create_dir(dir).map(|_| ())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let name = match plain_or_root(dir) {
            Ok(name) => name,
            Err(error) => return Err(wrap(Operation::SyncDir, &dir.to_string_lossy(), error)),
        };
        self.world().act(Operation::SyncDir, &name.into(), &[], |world, extent| {
            let dir = world.tree.find_dir(name)?;
            match extent {
                Extent::Whole => world.tree.sync_dir(dir, world.directories),
                Extent::Part | Extent::Broken(_) => {
                    world.tree.sync_dir_some(dir, world.directories, &mut world.rng);
                }
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(Operation::Rename { to: to.to_owned() }, from, plain, |world, from| {
            world.tree.rename(from, plain(to)?)
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::RemoveFile, path, plain, |world, path| world.tree.remove_file(path))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.act(Operation::RemoveDir, dir, plain, |world, dir| world.tree.remove_dir(dir))
    }

    fn space(&self) -> io::Result<Space> {
        self.act(Operation::Space, Path::new(""), plain_or_root, |world, _| {
            let total_bytes = world.quota.unwrap_or(UNLIMITED_BYTES);
            let free_bytes = total_bytes.saturating_sub(world.tree.room_used());
            Ok(Space { free_bytes, total_bytes })
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        let taken = self.act(Operation::Lock, path, plain, World::lock).map_err(|error| {
            // The lock's own error tells operation and path.
            let cause = error.downcast().map_or_else(|other| other, |e: DiskError| e.source);
            LockError::from_io(path, cause)
        })?;
        match taken {
            Taken::Now { ino, life } => Ok(Box::new(SimLock {
                disk: self.clone(),
                ino,
                life,
                path: path.display().to_string(),
            })),
            Taken::Before { pid } => Err(LockError::Held { path: path.to_owned(), pid }),
        }
    }
}

/// Whether a lock was free.
enum Taken {
    Now { ino: Ino, life: u64 },
    Before { pid: Option<u32> },
}

impl World {
    fn file(&mut self, ino: Ino) -> io::Result<&mut FileNode> {
        self.tree.file_mut(ino).ok_or_else(|| errno(ENOENT))
    }

    fn lock(&mut self, path: &str) -> io::Result<Taken> {
        let ino = match self.tree.find_file(path) {
            Ok(ino) => ino,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.tree.create_file(path)?,
            Err(error) => return Err(error),
        };
        let life = self.life;
        let is_free = self.locks.insert(ino);
        let content = &mut self.file(ino)?.content;
        if !is_free {
            let text = String::from_utf8(content.cache().to_vec()).ok();
            let pid = text.and_then(|text| text.strip_suffix('\n')?.parse().ok());
            return Ok(Taken::Before { pid });
        }
        let text = format!("{life}\n").into_bytes();
        let len = text.len();
        content.write(0, Arc::new(text));
        content.set_len(len);
        Ok(Taken::Now { ino, life })
    }

    fn write(
        &mut self,
        ino: Ino,
        at: usize,
        bytes: &Arc<Vec<u8>>,
        extent: Extent,
    ) -> io::Result<()> {
        let wanted = match extent {
            Extent::Whole => bytes.len(),
            Extent::Part | Extent::Broken(_) => self.rng.index(bytes.len() + 1),
        };
        let room = usize::try_from(self.room_left()).unwrap_or(usize::MAX);
        let now_nanos = self.now_nanos;
        let file = self.file(ino)?;
        let fits = file.content.fitting(at, wanted, room);
        let whole = fits == bytes.len();
        let taken = if whole { Arc::clone(bytes) } else { Arc::new(bytes[..fits].to_vec()) };
        file.content.write(at, taken);
        file.modified_nanos = now_nanos;
        self.bytes_written += fits as u64;
        if fits < wanted { Err(errno(ENOSPC)) } else { Ok(()) }
    }

    fn sync(&mut self, ino: Ino, extent: Extent) -> io::Result<()> {
        let Self { tree, rng, directories, .. } = self;
        let content = &mut tree.file_mut(ino).ok_or_else(|| errno(ENOENT))?.content;
        match extent {
            Extent::Part => content.sync_some(rng),
            Extent::Broken(loss) => content.fail_sync(loss, rng),
            Extent::Whole => {
                content.sync();
                tree.sync_file(ino, *directories);
            }
        }
        Ok(())
    }
}

/// An open file of a simulated disk.
struct SimFile {
    disk: SimDisk,
    ino: Ino,
    /// The life of the process that opened it.
    life: u64,
    path: Arc<str>,
    writable: bool,
}

impl SimFile {
    fn act<T>(
        &self,
        operation: Operation,
        bytes: &[u8],
        effect: impl FnOnce(&mut World, Extent) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut world = self.disk.world();
        if world.life != self.life {
            return Err(wrap(operation, &self.path, Crashed.into()));
        }
        world.act(operation, &self.path, bytes, effect)
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.act(Operation::Read { at, len: buf.len() }, &[], |world, _| {
            if i64::try_from(at).is_err() {
                return Err(errno(EINVAL));
            }
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            world.file(self.ino)?.content.read(buf, at).ok_or_else(|| errno(EIO))
        })
    }

    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<()> {
        let len = parts.iter().map(|part| part.len()).sum();
        let mut bytes = Vec::with_capacity(len);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        let bytes = Arc::new(bytes);
        self.act(Operation::Write { at, len }, &bytes, |world, extent| {
            match (self.writable, i64::try_from(at)) {
                (true, Ok(_)) => (),
                (true, Err(_)) => return Err(errno(EINVAL)),
                (false, _) => return Err(errno(EBADF)),
            }
            let at = length(at.saturating_add(len as u64))? - len;
            world.write(self.ino, at, &bytes, extent)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.act(Operation::Sync, &[], |world, extent| world.sync(self.ino, extent))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.act(Operation::SetLen { len }, &[], |world, _| {
            if !self.writable {
                return Err(errno(EINVAL));
            }
            let now_nanos = world.now_nanos;
            let file = world.file(self.ino)?;
            file.content.set_len(length(len)?);
            file.modified_nanos = now_nanos;
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.act(Operation::Len, &[], |world, _| {
            Ok(world.file(self.ino)?.content.cache().len() as u64)
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut world = self.disk.world();
        if world.life == self.life
            && let Ok(file) = world.file(self.ino)
        {
            file.handles -= 1;
        }
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A lock on a file of a simulated disk.
struct SimLock {
    disk: SimDisk,
    ino: Ino,
    life: u64,
    path: String,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut world = self.disk.world();
        if world.life == self.life {
            world.locks.remove(&self.ino);
        }
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLock").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A length the simulation has memory for.
fn length(len: u64) -> io::Result<usize> {
    usize::try_from(len).ok().filter(|&len| len <= FILE_MAX_BYTES).ok_or_else(|| errno(EFBIG))
}

/// Longest file, in bytes: 1 GiB. A position by mistake must not take all memory.
const FILE_MAX_BYTES: usize = 1 << 30;

/// Size of a disk without a quota, in bytes: 1 TiB.
const UNLIMITED_BYTES: u64 = 1 << 40;
