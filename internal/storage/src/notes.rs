//! Small files that somebody else keeps in the data directory, by names from anywhere.
//!
//! ```text
//!   links/hub%3A7740/orders.note.a     ["links","hub:7740","orders"]     whose it is,
//!                    orders.note.b     v1 seq=57 …                       and any bytes; the other copy is older
//! ```
//!
//! A note is written as often as it likes, which survives the process, and synced when it matters, which
//! survives the machine. Nothing is on disk before the first write, and no file stays open behind a sync.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pubsub_disk::{Disk, EntryKind};
use pubsub_types::{ChannelName, name_from_file};

use crate::store::{Store, dir_name, short_name};
use crate::twin::{self, Resting, Twin};

/// Directories of the data directory that have notes in them.
pub const NOTE_DIRECTORIES: [&str; 2] = ["links", "coverage"];

/// Ends the name of a note's file, before `.a` and `.b`.
const SUFFIX: &str = ".note";
/// Longest file name without its ends, in bytes.
const STEM_MAX_BYTES: usize = 200;

/// What a note says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It was never written, or was removed.
    Nothing,
    /// What was written last.
    Content(Vec<u8>),
    /// Both copies are damaged.
    Damaged,
}

/// A small file of somebody else's, kept twice.
pub struct Note {
    disk: Arc<dyn Disk>,
    names: Vec<String>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    held: Held,
    written: bool,
    /// A sync failed: what was written is to be written again.
    suspect: bool,
}

#[derive(Debug)]
enum Held {
    /// Not looked at yet, or removed.
    Nothing,
    /// Everything is synced.
    Resting(Resting),
    /// Something is written and not synced.
    Open(Twin),
}

/// The notes that are in use.
#[derive(Default)]
pub(crate) struct Notes(Mutex<BTreeMap<Vec<String>, Weak<Note>>>);

impl Notes {
    /// Makes durable what was written.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let notes: Vec<Arc<Note>> = self.0.lock().values().filter_map(Weak::upgrade).collect();
        let mut result = Ok(());
        for note in notes {
            result = note.sync().and(result);
        }
        result
    }
}

impl Store {
    /// The note of these names: one of [`NOTE_DIRECTORIES`], and one or more below it. Whoever asks for
    /// the same names gets the same note.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when the names are no note's.
    pub fn note(&self, names: &[&str]) -> io::Result<Arc<Note>> {
        check(names)?;
        if names.len() < 2 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a note has no name"));
        }
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut notes = self.notes.0.lock();
        if let Some(note) = notes.get(&names).and_then(Weak::upgrade) {
            return Ok(note);
        }
        let inner = Inner { held: Held::Nothing, written: false, suspect: false };
        let note = Arc::new(Note {
            disk: self.disk().clone(),
            names: names.clone(),
            inner: Mutex::new(inner),
        });
        notes.insert(names, Arc::downgrade(&note));
        Ok(note)
    }

    /// The names of all notes below `names`, sorted. Notes whose long names cannot be told, because both
    /// copies are damaged, are left out.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when `names` does not start with one of [`NOTE_DIRECTORIES`], or a
    /// directory could not be read.
    pub fn notes(&self, names: &[&str]) -> io::Result<Vec<Vec<String>>> {
        check(names)?;
        let mut found = Vec::new();
        let prefix: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        collect(&**self.disk(), &directory(&prefix), Some(&prefix), &mut found)?;
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Removes all notes below `names`; how many there were.
    ///
    /// # Errors
    /// As [`Self::notes`], or one could not be removed; others may have been.
    pub fn remove_notes(&self, names: &[&str]) -> io::Result<usize> {
        self.remove_notes_if(names, |_| true)
    }

    /// Removes the notes of a channel: those with its name at their end.
    pub(crate) fn remove_notes_of(&self, channel: &ChannelName) -> io::Result<()> {
        for directory in NOTE_DIRECTORIES {
            let ends = |names: &[String]| names.last().is_some_and(|last| last == channel.as_str());
            self.remove_notes_if(&[directory], ends)?;
        }
        Ok(())
    }

    fn remove_notes_if(
        &self,
        names: &[&str],
        condition: impl Fn(&[String]) -> bool,
    ) -> io::Result<usize> {
        let mut removed = 0;
        for names in self.notes(names)?.iter().filter(|names| condition(names)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            removed += usize::from(self.note(&names)?.remove()?);
        }
        Ok(removed)
    }
}

impl Note {
    /// Its names, the directory first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What it says, as the files have it.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn load(&self) -> io::Result<Noted> {
        // So that no copy is read while it is written.
        let _alone = self.inner.lock();
        let loaded = match twin::load(&*self.disk, &self.directory(), &self.stem()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Noted::Nothing),
            other => other?,
        };
        Ok(match loaded.content {
            Some(content) => match split(&content) {
                Some((names, content)) if names == self.names => Noted::Content(content.to_vec()),
                _ => Noted::Damaged,
            },
            None if loaded.damaged > 0 => Noted::Damaged,
            None => Noted::Nothing,
        })
    }

    /// Writes it. Takes as long as a copy to the page cache, but for the first time, when its name is
    /// made durable.
    ///
    /// # Errors
    /// Whatever the file system says; the other copy still holds what was written before.
    pub fn store(&self, content: &[u8]) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let twin = self.open(&mut inner.held)?;
        let mut bytes = serde_json::to_vec(&self.names).map_err(io::Error::other)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(content);
        twin.write(&bytes)?;
        (inner.written, inner.suspect) = (true, false);
        Ok(())
    }

    /// Makes durable what was written. When that fails, it is to be written again: a second sync would
    /// prove nothing.
    ///
    /// # Errors
    /// Whatever the file system says, or an earlier sync has failed.
    pub fn sync(&self) -> io::Result<()> {
        let (file, generation) = {
            let inner = self.inner.lock();
            match &inner.held {
                _ if inner.suspect => return Err(io::Error::other("an earlier sync failed")),
                Held::Open(twin) if inner.written => twin.newest_file(),
                Held::Open(_) | Held::Nothing | Held::Resting(_) => return Ok(()),
            }
        };
        let result = file.sync();
        let mut inner = self.inner.lock();
        if let Err(error) = result {
            inner.suspect = true;
            return Err(error);
        }
        if inner.suspect {
            return Err(io::Error::other("an earlier sync failed"));
        }
        // Otherwise more was written meanwhile, or it was removed.
        if let Held::Open(twin) = &mut inner.held
            && twin.note_synced(generation)
        {
            let resting = twin.rest();
            inner.held = Held::Resting(resting);
            inner.written = false;
        }
        Ok(())
    }

    /// Whether something was written and not synced yet.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.inner.lock().written
    }

    /// Removes it; whether it was there. It can be written again.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn remove(&self) -> io::Result<bool> {
        let mut inner = self.inner.lock();
        *inner = Inner { held: Held::Nothing, written: false, suspect: false };
        let (directory, stem) = (self.directory(), self.stem());
        let mut found = false;
        for copy in ["a", "b"] {
            match self.disk.remove_file(&twin::path_of(&directory, &stem, copy)) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(error) => return Err(error),
            }
        }
        if found {
            self.disk.sync_dir(&directory)?;
        }
        Ok(found)
    }

    fn open<'a>(&self, held: &'a mut Held) -> io::Result<&'a mut Twin> {
        let (directory, stem) = (self.directory(), self.stem());
        let twin = match held {
            Held::Open(twin) => return Ok(twin),
            Held::Resting(resting) => resting.wake(&*self.disk, &directory, &stem)?,
            Held::Nothing => {
                self.make_directories()?;
                Twin::open(&*self.disk, &directory, &stem)?.0
            }
        };
        *held = Held::Open(twin);
        match held {
            Held::Open(twin) => Ok(twin),
            Held::Nothing | Held::Resting(_) => Err(io::Error::other("the note is not open")),
        }
    }

    fn make_directories(&self) -> io::Result<()> {
        let mut parent = PathBuf::new();
        for name in &self.names[..self.names.len() - 1] {
            let directory = parent.join(dir_name(name));
            match self.disk.create_dir(&directory) {
                // An earlier attempt may have made it and failed to make it durable.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.disk.sync_dir(&parent)?,
            }
            parent = directory;
        }
        Ok(())
    }

    fn directory(&self) -> PathBuf {
        directory(&self.names[..self.names.len() - 1])
    }

    fn stem(&self) -> String {
        short_name(&self.names[self.names.len() - 1], STEM_MAX_BYTES) + SUFFIX
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Note").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Refuses names that lead anywhere but to notes.
fn check(names: &[&str]) -> io::Result<()> {
    let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    match names {
        [directory, below @ ..] if NOTE_DIRECTORIES.contains(directory) => {
            if below.iter().any(|name| name.is_empty()) {
                return invalid("a name of a note is empty");
            }
            Ok(())
        }
        _ => invalid("no directory of notes has this name"),
    }
}

fn directory(names: &[String]) -> PathBuf {
    names.iter().map(|name| dir_name(name)).collect()
}

/// The names in a note's first line, and what is below it.
fn split(content: &[u8]) -> Option<(Vec<String>, &[u8])> {
    let end = memchr::memchr(b'\n', content)?;
    Some((serde_json::from_slice(&content[..end]).ok()?, &content[end + 1..]))
}

/// Adds the names of the notes in `directory` and below. `prefix` are the directory's own, where they
/// can be told without reading a note.
fn collect(
    disk: &dyn Disk,
    directory: &Path,
    prefix: Option<&[String]>,
    found: &mut Vec<Vec<String>>,
) -> io::Result<()> {
    let entries = match disk.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let with = |name: &str| {
            let name = name_from_file(name)?;
            Some(prefix?.iter().cloned().chain([name]).collect::<Vec<String>>())
        };
        if entry.kind == EntryKind::Dir {
            collect(disk, &directory.join(&entry.name), with(&entry.name).as_deref(), found)?;
            continue;
        }
        let stem = entry.name.strip_suffix(".a").or_else(|| entry.name.strip_suffix(".b"));
        let Some(stem) = stem.filter(|stem| stem.ends_with(SUFFIX)) else { continue };
        match with(&stem[..stem.len() - SUFFIX.len()]) {
            Some(names) => found.push(names),
            // A name too long to be a file's: the note says it.
            None => {
                let content = twin::load(disk, directory, stem)?.content;
                found.extend(content.as_deref().and_then(split).map(|(names, _)| names));
            }
        }
    }
    Ok(())
}
