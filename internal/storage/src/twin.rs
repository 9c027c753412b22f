//! Two copies of a small file, written in turn, so that one is always whole.
//!
//! ```text
//!   name.a   generation 6      whichever is whole and newer counts;
//!   name.b   generation 7  ◀── the next write goes to the other one
//! ```
//!
//! Both names are made durable once, when the twin is created. From then on a write touches only the
//! content of the older copy, so no crash and no torn write can take both.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pubsub_disk::{Disk, File, Open};

/// Longest content of one copy, in bytes. A longer file is damage, not data.
const CONTENT_BYTES_MAX: u64 = 64 << 20;

/// An open pair of copies.
#[derive(Debug)]
pub(crate) struct Twin {
    files: [Arc<dyn File>; 2],
    /// Generation of what was written last.
    generation: u64,
    /// Copy that was written last.
    newest: usize,
    /// The newest copy is whole and synced. Until it is, the other one is not touched: both could be
    /// torn by one power cut.
    synced: bool,
}

/// A pair of copies without open files: what is seldom written needs none in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resting {
    generation: u64,
    newest: usize,
    synced: bool,
}

impl Resting {
    /// Writes and syncs `content`, as [`Twin::store`].
    pub(crate) fn store(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        name: &str,
        content: &[u8],
    ) -> io::Result<()> {
        let mut twin = self.wake(disk, dir, name)?;
        let result = twin.store(content);
        *self = twin.rest();
        result
    }

    /// Opens the copies again.
    pub(crate) fn wake(self, disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<Twin> {
        let (files, made) = open_both(disk, dir, name)?;
        if made {
            // Somebody removed a copy since.
            disk.sync_dir(dir)?;
        }
        let Self { generation, newest, synced } = self;
        Ok(Twin { files, generation, newest, synced })
    }
}

/// What a twin's copies hold.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The newest whole copy, without its checksum line.
    pub(crate) content: Option<Vec<u8>>,
    /// Copies that exist but are not whole.
    pub(crate) damaged: u32,
}

impl Twin {
    /// Opens the copies of `name` in `dir`, making those that do not exist.
    ///
    /// All names in `dir` and the copy that counts are durable when this returns: who made them may
    /// have been killed before they were.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<(Self, Loaded)> {
        let (files, _) = open_both(disk, dir, name)?;
        disk.sync_dir(dir)?;
        let copies = [read(&*files[0])?, read(&*files[1])?];
        let (twin, loaded) = Self::choose(files, copies);
        if loaded.content.is_some() {
            twin.sync_newest()?;
        }
        Ok((twin, loaded))
    }

    /// Which copy is which, to be remembered when the files are closed.
    pub(crate) fn rest(&self) -> Resting {
        Resting { generation: self.generation, newest: self.newest, synced: self.synced }
    }

    fn choose(files: [Arc<dyn File>; 2], copies: [Copy; 2]) -> (Self, Loaded) {
        let damaged = copies.iter().filter(|copy| matches!(copy, Copy::Damaged)).count();
        let newest = newest(&copies);
        let twin = Self {
            files,
            generation: newest.map_or(0, |(_, generation)| generation),
            newest: newest.map_or(1, |(at, _)| at),
            synced: true,
        };
        let content = newest.and_then(|(at, _)| {
            let mut copies = copies;
            match std::mem::replace(&mut copies[at], Copy::Empty) {
                Copy::Whole { content, .. } => Some(content),
                Copy::Empty | Copy::Damaged => None,
            }
        });
        #[expect(clippy::cast_possible_truncation, reason = "at most two")]
        let damaged = damaged as u32;
        (twin, Loaded { content, damaged })
    }

    /// Writes `content` to the older copy, or over the newest when that is not synced yet. It is durable
    /// after a sync of [`Self::newest_file`], to be told with [`Self::note_synced`].
    pub(crate) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        let generation = self.generation + 1;
        let seal = seal(content, generation);
        let at = if self.synced { 1 - self.newest } else { self.newest };
        let file = &self.files[at];
        file.write_at(&[IoSlice::new(content), IoSlice::new(seal.as_bytes())], 0)?;
        let len = (content.len() + seal.len()) as u64;
        // What an earlier, longer content left behind would follow the seal.
        file.set_len(len)?;
        self.generation = generation;
        self.newest = at;
        self.synced = false;
        Ok(())
    }

    /// The file that was written last, for a sync by somebody else, and its generation.
    pub(crate) fn newest_file(&self) -> (Arc<dyn File>, u64) {
        (self.files[self.newest].clone(), self.generation)
    }

    /// Takes note that the newest file was synced after `generation` was written to it; whether that is
    /// what was written last.
    pub(crate) fn note_synced(&mut self, generation: u64) -> bool {
        let last = self.generation == generation;
        self.synced |= last;
        last
    }

    fn sync_newest(&self) -> io::Result<()> {
        self.files[self.newest].sync()
    }

    /// Writes and syncs `content`.
    ///
    /// When the sync fails, the copy is written again next time: nothing is known about it.
    pub(crate) fn store(&mut self, content: &[u8]) -> io::Result<()> {
        self.write(content)?;
        self.sync_newest()?;
        self.synced = true;
        Ok(())
    }
}

/// Opens both copies, making those that do not exist; whether any was made.
fn open_both(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<([Arc<dyn File>; 2], bool)> {
    let mut made = false;
    let mut open = |suffix: &str| {
        let path = path_of(dir, name, suffix);
        match disk.open(&path, Open::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                made = true;
                disk.open(&path, Open::Create)
            }
            other => other,
        }
    };
    Ok(([open("a")?, open("b")?], made))
}

/// What the copies of `name` hold, without opening them for writing or making them.
pub(crate) fn load(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<Loaded> {
    let copy = |suffix: &str| match disk.open(&path_of(dir, name, suffix), Open::Read) {
        Ok(file) => read(&*file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Copy::Empty),
        Err(error) => Err(error),
    };
    let copies = [copy("a")?, copy("b")?];
    let damaged = copies.iter().filter(|copy| matches!(copy, Copy::Damaged)).count();
    let content = newest(&copies).and_then(|(at, _)| {
        copies.into_iter().nth(at).and_then(|copy| match copy {
            Copy::Whole { content, .. } => Some(content),
            Copy::Empty | Copy::Damaged => None,
        })
    });
    #[expect(clippy::cast_possible_truncation, reason = "at most two")]
    let damaged = damaged as u32;
    Ok(Loaded { content, damaged })
}

/// The path of one copy.
pub(crate) fn path_of(dir: &Path, name: &str, suffix: &str) -> PathBuf {
    dir.join(format!("{name}.{suffix}"))
}

/// What one copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There is no file.
    Missing,
    /// Made, and never written.
    Empty,
    /// Bytes that do not prove themselves.
    Damaged,
    /// Whole.
    Whole,
}

/// What each copy of `name` is, looked at without touching it.
pub(crate) fn states(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<[State; 2]> {
    let state = |suffix: &str| match disk.open(&path_of(dir, name, suffix), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Missing),
        Err(error) => Err(error),
        Ok(file) => Ok(match read(&*file)? {
            Copy::Empty => State::Empty,
            Copy::Damaged => State::Damaged,
            Copy::Whole { .. } => State::Whole,
        }),
    };
    Ok([state("a")?, state("b")?])
}

enum Copy {
    Empty,
    Damaged,
    Whole { generation: u64, content: Vec<u8> },
}

fn newest(copies: &[Copy; 2]) -> Option<(usize, u64)> {
    copies
        .iter()
        .enumerate()
        .filter_map(|(at, copy)| match copy {
            Copy::Whole { generation, .. } => Some((at, *generation)),
            Copy::Empty | Copy::Damaged => None,
        })
        .max_by_key(|(_, generation)| *generation)
}

/// The line behind the content: generation and checksum of all before it.
fn seal(content: &[u8], generation: u64) -> String {
    let crc = crc32c::crc32c_append(crc32c::crc32c(content), &generation.to_le_bytes());
    format!("\n#gen={generation} crc={crc:08x}\n")
}

fn read(file: &dyn File) -> io::Result<Copy> {
    let len = file.len()?;
    if len == 0 {
        return Ok(Copy::Empty);
    }
    if len > CONTENT_BYTES_MAX {
        return Ok(Copy::Damaged);
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let got = file.read_at(&mut bytes, 0)?;
    bytes.truncate(got);
    Ok(parse(bytes).unwrap_or(Copy::Damaged))
}

fn parse(mut bytes: Vec<u8>) -> Option<Copy> {
    let line = bytes.strip_suffix(b"\n")?;
    let at = memchr::memrchr(b'\n', line)?;
    let text = std::str::from_utf8(&line[at + 1..]).ok()?;
    let generation = text.strip_prefix("#gen=")?.split(' ').next()?.parse().ok()?;
    if seal(&bytes[..at], generation).as_bytes() != &bytes[at..] {
        return None;
    }
    bytes.truncate(at);
    Some(Copy::Whole { generation, content: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubsub_disk::FileDisk;

    fn load_content(disk: &dyn Disk) -> (Option<Vec<u8>>, u32) {
        let loaded = load(disk, Path::new(""), "T").unwrap();
        (loaded.content, loaded.damaged)
    }

    #[test]
    fn damage_to_either_copy_leaves_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(dir.path()).unwrap();
        let (mut twin, loaded) = Twin::open(&disk, Path::new(""), "T").unwrap();
        assert!(loaded.content.is_none());
        twin.store(b"a longer first content").unwrap();
        twin.store(b"second").unwrap();
        assert_eq!(load_content(&disk), (Some(b"second".to_vec()), 0));

        // The next write tears: the copy it went to is rubbish, the other still counts.
        let torn = disk.open(Path::new("T.a"), Open::Write).unwrap();
        torn.write_at(&[IoSlice::new(b"thi")], 0).unwrap();
        assert_eq!(load_content(&disk), (Some(b"second".to_vec()), 1));

        let (mut twin, _) = Twin::open(&disk, Path::new(""), "T").unwrap();
        twin.store(b"third").unwrap();
        assert_eq!(load_content(&disk), (Some(b"third".to_vec()), 0));
    }
}
