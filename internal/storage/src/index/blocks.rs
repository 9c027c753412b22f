//! Blocks of an index file, written one behind the other and read one at a time, never unchecked.

use std::io::{self, IoSlice};
use std::sync::Arc;

use pubsub_disk::File;

use super::IndexError;
use super::format::{CRC_BYTES, HEADER_BYTES, Header, Section, checksum};

/// An index file being written: sections in their order, and the header when all is known.
#[derive(Debug)]
pub(super) struct Output<'a> {
    file: &'a dyn File,
    header: Header,
    seed: u32,
    section: Section,
    /// Byte of the file where `buffer` goes.
    at: u64,
    buffer: Vec<u8>,
}

/// What is gathered before it is written, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

impl<'a> Output<'a> {
    /// Begins a file about what `header` says; its section lengths are 0 so far.
    pub(super) fn new(file: &'a dyn File, header: Header) -> Self {
        let seed = header.seed();
        let buffer = Vec::with_capacity(BUFFER_BYTES + (8 << 10));
        Self { file, header, seed, section: Section::Points, at: HEADER_BYTES as u64, buffer }
    }

    /// Goes on to a later section.
    pub(super) fn begin(&mut self, section: Section) {
        assert!(self.section as usize <= section as usize, "sections are written in order");
        self.section = section;
    }

    /// Bytes of the current section so far.
    pub(super) fn section_len(&self) -> u64 {
        self.header.len_of(self.section)
    }

    /// Says how many subjects the file describes.
    pub(super) fn set_subjects(&mut self, count: u32) {
        self.header.subjects = count;
    }

    /// Writes a block.
    pub(super) fn block(&mut self, payload: &[u8]) -> io::Result<()> {
        let crc = checksum(self.seed, self.section, self.section_len(), payload);
        self.buffer.extend_from_slice(payload);
        self.buffer.extend_from_slice(&crc.to_le_bytes());
        self.header.sections[self.section as usize] += (payload.len() + CRC_BYTES) as u64;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is left and the header; the length of the file.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        self.file.write_at(&[IoSlice::new(&self.header.encode())], 0)?;
        Ok(self.at)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(&[IoSlice::new(&self.buffer)], self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// An index file being read.
#[derive(Debug)]
pub(super) struct Source {
    file: Arc<dyn File>,
    header: Header,
    seed: u32,
}

impl Source {
    /// Reads and checks the header.
    pub(super) fn open(file: Arc<dyn File>) -> Result<Self, IndexError> {
        let io = |source| IndexError::Io { at: 0, len: HEADER_BYTES, source };
        let mut bytes = [0; HEADER_BYTES];
        if file.read_at(&mut bytes, 0).map_err(io)? < HEADER_BYTES {
            return Err(IndexError::Damaged { what: "header", at: 0 });
        }
        let header = Header::decode(&bytes, file.len().map_err(io)?)?;
        let seed = header.seed();
        Ok(Self { file, header, seed })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the block of `len` bytes at `at` of `section` into `block`, without its checksum.
    pub(super) fn read(
        &self,
        section: Section,
        at: u64,
        len: usize,
        block: &mut Vec<u8>,
    ) -> Result<(), IndexError> {
        let end = at.checked_add(len as u64);
        if len < CRC_BYTES || end.is_none_or(|end| end > self.header.len_of(section)) {
            return Err(self.damaged(section, at));
        }
        block.resize(len, 0);
        let place = self.header.start_of(section) + at;
        let read = self.file.read_at(block, place);
        let read = read.map_err(|source| IndexError::Io { at: place, len, source })?;
        let payload = len - CRC_BYTES;
        let crc = checksum(self.seed, section, at, &block[..payload]);
        if read < len || block[payload..] != crc.to_le_bytes() {
            return Err(self.damaged(section, at));
        }
        block.truncate(payload);
        Ok(())
    }

    /// Reads a section that is one block; nothing for one without bytes.
    pub(super) fn read_all(&self, section: Section) -> Result<Vec<u8>, IndexError> {
        let mut block = Vec::new();
        let len = self.header.len_of(section);
        if len > 0 {
            let len = usize::try_from(len).map_err(|_| self.damaged(section, 0))?;
            self.read(section, 0, len, &mut block)?;
        }
        Ok(block)
    }

    /// Reads a page: one of the blocks of a section in which all but the last are `page_bytes` long.
    pub(super) fn read_page(
        &self,
        section: Section,
        number: u64,
        page_bytes: usize,
        block: &mut Vec<u8>,
    ) -> Result<(), IndexError> {
        let at = number.checked_mul(page_bytes as u64).ok_or_else(|| self.damaged(section, 0))?;
        let left = self.header.len_of(section).saturating_sub(at);
        let len = usize::try_from(left).map_or(page_bytes, |left| left.min(page_bytes));
        self.read(section, at, len, block)
    }

    /// The error for a block that cannot be what was written.
    pub(super) fn damaged(&self, section: Section, at: u64) -> IndexError {
        let at = self.header.start_of(section).saturating_add(at);
        IndexError::Damaged { what: section.name(), at }
    }
}
