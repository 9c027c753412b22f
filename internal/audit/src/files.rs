//! The files, as they are written: appended to, and rotated.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pubsub_disk::{Disk, EntryKind, File, Open};

use crate::DIRECTORY;
use crate::rotation::{Limits, Step, is_due, name_of, number_of, steps};

/// The log's files in a data directory.
#[derive(Debug)]
pub(crate) struct Files {
    disk: Arc<dyn Disk>,
    limits: Limits,
    active: Option<Active>,
    /// Where a write began that failed: what it left there is no part of the log.
    cut_at: Option<u64>,
}

/// The file that is written.
#[derive(Debug)]
struct Active {
    file: Arc<dyn File>,
    len: u64,
    /// A crash tore its last line.
    is_torn: bool,
}

impl Files {
    pub(crate) const fn new(disk: Arc<dyn Disk>, limits: Limits) -> Self {
        Self { disk, limits, active: None, cut_at: None }
    }

    /// Looks whether the file that is written is still the one that has the name. Somebody may have
    /// taken it away or emptied it; then the next write begins a new one.
    pub(crate) fn look(&mut self) {
        let Some(active) = &self.active else { return };
        let is_gone = match self.disk.open(&path_of(0), Open::Read).and_then(|file| file.len()) {
            Ok(len) => len != active.len,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_gone {
            self.active = None;
        }
    }

    /// Writes whole lines behind the last ones, in one file.
    ///
    /// # Errors
    /// Whatever the disk says. The lines are not in the log, and can be written again.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.open()?,
        };
        if is_due(active.len, lines.len() as u64, self.limits) {
            drop(active);
            self.rotate()?;
            active = self.open()?;
        }
        let end: &[u8] = if active.is_torn { b"\n" } else { b"" };
        if let Err(error) =
            active.file.write_at(&[IoSlice::new(end), IoSlice::new(lines)], active.len)
        {
            self.cut_at = Some(active.len);
            self.cut(&active.file);
            return Err(error);
        }
        active.len += (end.len() + lines.len()) as u64;
        active.is_torn = false;
        self.active = Some(active);
        Ok(())
    }

    /// Opens the file to be written, made where it is missing.
    fn open(&mut self) -> io::Result<Active> {
        let path = path_of(0);
        let file = match self.disk.open(&path, Open::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(&path)?,
            opened => opened?,
        };
        self.cut(&file);
        // What cannot be cut now stays: soon there are good lines behind it.
        self.cut_at = None;
        let len = file.len()?;
        let mut last = [b'\n'];
        if let Some(at) = len.checked_sub(1) {
            file.read_at(&mut last, at)?;
        }
        Ok(Active { file, len, is_torn: last != [b'\n'] })
    }

    fn create(&mut self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.cut_at = None;
        let is_new = match self.disk.create_dir(Path::new(DIRECTORY)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            made => made.map(|()| true)?,
        };
        let file = self.disk.open(path, Open::Create)?;
        if is_new {
            self.sync_names("");
        }
        self.sync_names(DIRECTORY);
        Ok(file)
    }

    /// Makes names durable, if possible. Where it is not, a power cut may take the file; no more is
    /// promised of its lines.
    fn sync_names(&self, dir: &str) {
        if let Err(error) = self.disk.sync_dir(Path::new(dir)) {
            tracing::debug!(error = &error as &dyn std::error::Error, "sync of a directory failed");
        }
    }

    /// Takes away what a failed write left, when it can be done; otherwise the next opening tries once more.
    fn cut(&mut self, file: &Arc<dyn File>) {
        let Some(len) = self.cut_at else { return };
        if file.len().is_ok_and(|now| now <= len) || file.set_len(len).is_ok() {
            self.cut_at = None;
        }
    }

    /// Gives every file its next name.
    fn rotate(&mut self) -> io::Result<()> {
        let entries = self.disk.list(Path::new(DIRECTORY))?;
        let files: BTreeSet<u32> = entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::File)
            .filter_map(|entry| number_of(&entry.name))
            .collect();
        for step in steps(&files, self.limits.max_files) {
            match step {
                Step::Remove(number) => self.disk.remove_file(&path_of(number))?,
                Step::Move(number) => {
                    self.disk.rename(&path_of(number), &path_of(number + 1))?;
                }
            }
        }
        Ok(())
    }
}

/// Where a file is, in the data directory.
fn path_of(number: u32) -> PathBuf {
    Path::new(DIRECTORY).join(name_of(number))
}

#[cfg(test)]
mod tests;
