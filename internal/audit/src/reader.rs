//! Reading the files, oldest first, while somebody else writes and rotates them.
//!
//! ```text
//!   .3 ──▶ .2 ──▶ .1 ──▶ audit.jsonl ──▶ the end, for now
//!    ╰─ held open: it is the same file whatever its name has become
//! ```
//!
//! A name says little, as a rotation may be under way. So the file that is read is held open, and at
//! its end the directory is asked which name it has now: what comes after it is the file with the
//! next smaller number.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::filter::Filter;
use crate::line::{Fields, Line};
use crate::rotation::{name_of, number_of};

/// Reads an audit log, and goes on with it as it grows.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    filter: Filter,
    current: Option<Current>,
}

/// A piece of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// What is in it, oldest first; may be nothing although there is more.
    pub found: Vec<Found>,
    /// There is no more, for now.
    pub at_end: bool,
}

/// Something in the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A line that was asked for.
    Line(Box<Line>),
    /// Bytes that are no line, or several such lines one behind the other.
    Damaged {
        /// The file, by the name it had.
        file: String,
        /// Position in the file, in bytes.
        at: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// Files went before they could be read.
    Missed,
}

/// The file that is being read.
#[derive(Debug)]
struct Current {
    file: File,
    inode: u64,
    /// Its number when it was last looked up.
    number: u32,
    /// The file after it, as of then.
    next_inode: Option<u64>,
    /// It will not grow any more.
    is_finished: bool,
    /// Position of `rest` in the file.
    at: u64,
    /// Read, and not the end of a line yet.
    rest: Vec<u8>,
    /// Where the line began whose beginning was given up, as it is too long.
    given_up: Option<u64>,
}

/// Inodes of the files by their numbers: 0 is the one that is written, the greatest is the oldest.
type Listing = BTreeMap<u32, u64>;

/// Read at a time.
const READ_BYTES: usize = 256 << 10;
/// Bytes of a piece.
const PIECE_BYTES: usize = 4 << 20;
/// Longest line. Ours are far shorter.
const LINE_MAX_BYTES: usize = 1 << 20;
/// How often to look at a directory that changes while it is looked at. A rotation takes far less.
const LOOKS_MAX: usize = 1000;

impl Reader {
    /// Reads from the oldest line on. `dir` is the log's directory; it may be missing as long as
    /// nothing is logged.
    #[must_use]
    pub fn oldest(dir: &Path, filter: Filter) -> Self {
        Self { dir: dir.to_owned(), filter, current: None }
    }

    /// Reads from the `count`th last line on that fits the filter; 0 reads new lines only.
    ///
    /// # Errors
    /// A file or the directory cannot be read.
    pub fn newest(dir: &Path, filter: Filter, count: u64) -> io::Result<Self> {
        let mut reader = Self::oldest(dir, filter);
        let mut left = count;
        loop {
            let newer = reader.current.as_ref().map(|current| current.inode);
            let Some(mut older) = open(dir, |listing| match newer {
                None => listing.keys().next().copied(),
                Some(inode) => {
                    let number = number_with(listing, inode)?;
                    Some(*listing.range(number + 1..).next()?.0)
                }
            })?
            else {
                return Ok(reader);
            };
            older.at = last_fitting(&older.file, &reader.filter, &mut left)?;
            reader.current = Some(older);
            if left == 0 {
                return Ok(reader);
            }
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// A file or the directory cannot be read. The next call tries again.
    pub fn read(&mut self) -> io::Result<Piece> {
        let mut piece = Piece::default();
        let mut read = 0;
        while read < PIECE_BYTES {
            let more = match &mut self.current {
                None => 0,
                Some(current) => current.read(&self.filter, &mut piece.found)?,
            };
            read += more;
            if more == 0 && !self.go_on(&mut piece.found)? {
                piece.at_end = true;
                break;
            }
        }
        Ok(piece)
    }

    /// Goes on behind the end of the file, if there is anything.
    fn go_on(&mut self, found: &mut Vec<Found>) -> io::Result<bool> {
        let Some(current) = &mut self.current else {
            self.current = open(&self.dir, |listing| listing.keys().next_back().copied())?;
            return Ok(self.current.is_some());
        };
        let listing = stable(&self.dir)?;
        let number = number_with(&listing, current.inode);
        if let Some(number) = number {
            current.number = number;
            current.next_inode = listing.range(..number).next_back().map(|(_, inode)| *inode);
        }
        if number == Some(0) {
            return current.begin_again_if_emptied();
        }
        if !current.is_finished {
            // It may have grown since its end was found, but not since it lost its name.
            current.is_finished = true;
            return Ok(true);
        }
        let (inode, next_inode) = (current.inode, current.next_inode);
        let mut has_missed = false;
        let next = open(&self.dir, |listing| match number_with(listing, inode) {
            Some(number) => Some(*listing.range(..number).next_back()?.0),
            None => {
                let next = next_inode.and_then(|inode| number_with(listing, inode));
                has_missed = next.is_none();
                next.or_else(|| listing.keys().next_back().copied())
            }
        })?;
        let Some(next) = next else { return Ok(false) };
        current.finish(found);
        if has_missed {
            found.push(Found::Missed);
        }
        *current = next;
        Ok(true)
    }
}

impl Current {
    /// Reads some bytes, and takes the lines that end in them. Gives the number of bytes.
    fn read(&mut self, filter: &Filter, found: &mut Vec<Found>) -> io::Result<usize> {
        let old = self.rest.len();
        self.rest.resize(old + READ_BYTES, 0);
        let result = read_at(&self.file, &mut self.rest[old..], self.at + old as u64);
        let read = *result.as_ref().unwrap_or(&0);
        self.rest.truncate(old + read);
        result?;
        let mut from = 0;
        let rest = std::mem::take(&mut self.rest);
        for end in memchr::memchr_iter(b'\n', &rest[old..]).map(|end| old + end) {
            let line = &rest[from..end];
            let begin = self.given_up.take();
            let fields = if begin.is_some() { None } else { Fields::parse(line) };
            match fields {
                Some(fields) => {
                    if filter.matches(&fields) {
                        found.push(Found::Line(Box::new(fields.into_line(line))));
                    }
                }
                None if line.is_empty() && begin.is_none() => (),
                None => {
                    let begin = begin.unwrap_or(self.at + from as u64);
                    self.damaged(begin, self.at + end as u64 + 1, found);
                }
            }
            from = end + 1;
        }
        self.rest = rest;
        self.rest.drain(..from);
        self.at += from as u64;
        if self.rest.len() > LINE_MAX_BYTES {
            self.given_up.get_or_insert(self.at);
            self.at += self.rest.len() as u64;
            self.rest.clear();
        }
        Ok(read)
    }

    /// Nothing follows any more: a line without an end is torn.
    fn finish(&mut self, found: &mut Vec<Found>) {
        let begin = self.given_up.unwrap_or(self.at);
        let end = self.at + self.rest.len() as u64;
        if begin < end {
            self.damaged(begin, end, found);
        }
    }

    fn damaged(&self, begin: u64, end: u64, found: &mut Vec<Found>) {
        if let Some(Found::Damaged { file, at, bytes }) = found.last_mut()
            && *at + *bytes == begin
            && *file == name_of(self.number)
        {
            *bytes = end - *at;
            return;
        }
        found.push(Found::Damaged { file: name_of(self.number), at: begin, bytes: end - begin });
    }

    /// Somebody may have emptied the file, rather than giving it another name.
    fn begin_again_if_emptied(&mut self) -> io::Result<bool> {
        let is_shorter = self.file.metadata()?.len() < self.at;
        if is_shorter {
            self.at = 0;
            self.rest.clear();
            self.given_up = None;
        }
        Ok(is_shorter)
    }
}

/// Position of the `left`th last line that fits, or of the first line when they are fewer; counts
/// `left` down by those there are. A last line without an end is not counted.
fn last_fitting(file: &File, filter: &Filter, left: &mut u64) -> io::Result<u64> {
    let mut begin = file.metadata()?.len();
    // From `begin` on: the end of a line whose beginning is not read yet, its line break included.
    let mut tail: Vec<u8> = Vec::new();
    while begin > 0 {
        let len = begin.min(READ_BYTES as u64);
        begin -= len;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(READ_BYTES)];
        let read = read_at(file, &mut bytes, begin)?;
        bytes.truncate(read);
        bytes.append(&mut tail);
        let mut end: Option<usize> = None;
        for line_break in memchr::memrchr_iter(b'\n', &bytes) {
            let line = line_break + 1;
            if end.is_some_and(|end| fits(&bytes[line..end], filter)) {
                *left = left.saturating_sub(1);
            }
            if *left == 0 {
                return Ok(begin + line as u64);
            }
            end = Some(line_break);
        }
        if begin == 0 {
            if end.is_some_and(|end| fits(&bytes[..end], filter)) {
                *left = left.saturating_sub(1);
            }
            return Ok(0);
        }
        bytes.truncate(end.map_or(0, |end| end + 1));
        // Without its end, what is too long to be a line is passed over like one that is torn.
        tail = if bytes.len() > LINE_MAX_BYTES { Vec::new() } else { bytes };
    }
    Ok(0)
}

fn fits(line: &[u8], filter: &Filter) -> bool {
    Fields::parse(line).is_some_and(|fields| filter.matches(&fields))
}

fn number_with(listing: &Listing, inode: u64) -> Option<u32> {
    listing.iter().find(|(_, other)| **other == inode).map(|(number, _)| *number)
}

/// Opens the file that is picked from what is there, and still has that number when it is open.
fn open(dir: &Path, mut pick: impl FnMut(&Listing) -> Option<u32>) -> io::Result<Option<Current>> {
    for _ in 0..LOOKS_MAX {
        let listing = stable(dir)?;
        let Some(number) = pick(&listing) else { return Ok(None) };
        let file = match open_file(&dir.join(name_of(number))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let inode = file.metadata()?.ino();
        if listing.get(&number) == Some(&inode) {
            let next_inode = listing.range(..number).next_back().map(|(_, inode)| *inode);
            return Ok(Some(Current {
                file,
                inode,
                number,
                next_inode,
                is_finished: false,
                at: 0,
                rest: Vec::new(),
                given_up: None,
            }));
        }
    }
    Err(too_fast())
}

fn too_fast() -> io::Error {
    io::Error::other("the files change faster than they can be listed; try again")
}

/// What is there, when it did not change while it was looked at: a rotation renames one file after
/// the other, and a look in between shows some twice and others not at all.
fn stable(dir: &Path) -> io::Result<Listing> {
    let mut before = list(dir)?;
    for _ in 0..LOOKS_MAX {
        let now = list(dir)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(too_fast())
}

fn list(dir: &Path) -> io::Result<Listing> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::new()),
        entries => entries?,
    };
    let mut listing = Listing::new();
    for entry in entries {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(number_of) else { continue };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => {
                listing.insert(number, metadata.ino());
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
    }
    Ok(listing)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a reader looks on while files change their names, and tells them by their inodes"
)]
fn open_file(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Reads until `buf` is full or the file ends.
fn read_at(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
