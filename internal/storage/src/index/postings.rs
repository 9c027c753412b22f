//! The messages of the subjects that have many.
//!
//! A list is the gaps between its slots. Where it runs over the end of a page, the next page begins
//! with the last slot before it, so that a search can go to the right page without reading what is
//! between.

use std::io;

use super::IndexError;
use super::blocks::{Output, Source};
use super::format::{CRC_BYTES, Section};
use super::varint;

/// Where a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListPlace {
    /// Byte of the section.
    pub(super) at: u64,
    /// Pages after the one it begins in that it goes on in.
    pub(super) more_pages: u64,
}

/// Bytes of a page, its checksum included.
pub(super) const PAGE_BYTES: usize = 4096;
const PAYLOAD_BYTES: usize = PAGE_BYTES - CRC_BYTES;
/// Every page begins with a slot.
const FIRST_GAP: usize = size_of::<u32>();
/// A gap is never in two pages; one may be as long as this.
const GAP_BYTES_MAX: usize = 5;

/// Writes lists.
#[derive(Debug)]
pub(super) struct ListWriter<'o, 'f> {
    out: &'o mut Output<'f>,
    page: Vec<u8>,
}

impl<'o, 'f> ListWriter<'o, 'f> {
    pub(super) fn new(out: &'o mut Output<'f>) -> Self {
        out.begin(Section::Postings);
        Self { out, page: Vec::with_capacity(PAGE_BYTES) }
    }

    /// Writes the slots behind `first`, ascending.
    pub(super) fn list(
        &mut self,
        first: u32,
        others: impl Iterator<Item = u32>,
    ) -> io::Result<ListPlace> {
        self.make_room(first)?;
        let first_page = self.out.section_len();
        let at = first_page + self.page.len() as u64;
        let mut previous = first;
        for slot in others {
            self.make_room(previous)?;
            varint::put(&mut self.page, u64::from(slot - previous - 1));
            previous = slot;
        }
        let more_pages = (self.out.section_len() - first_page) / PAGE_BYTES as u64;
        Ok(ListPlace { at, more_pages })
    }

    /// Writes the last page.
    pub(super) fn finish(self) -> io::Result<()> {
        if self.page.is_empty() { Ok(()) } else { self.out.block(&self.page) }
    }

    fn make_room(&mut self, previous: u32) -> io::Result<()> {
        if self.page.len() + GAP_BYTES_MAX > PAYLOAD_BYTES {
            self.page.resize(PAYLOAD_BYTES, 0);
            self.out.block(&self.page)?;
            self.page.clear();
        }
        if self.page.is_empty() {
            self.page.extend_from_slice(&previous.to_le_bytes());
        }
        Ok(())
    }
}

/// Reads a list.
#[derive(Debug)]
pub(super) struct ListReader<'a> {
    source: &'a Source,
    page: Vec<u8>,
    number: u64,
    /// Byte of the page where the next gap is.
    at: usize,
    previous: u32,
    last: u32,
}

impl<'a> ListReader<'a> {
    /// The list at `place`, whose slots are behind `first` and up to `last`, from some slot before
    /// `from` on.
    pub(super) fn open(
        source: &'a Source,
        place: ListPlace,
        first: u32,
        last: u32,
        from: u32,
    ) -> Result<Self, IndexError> {
        let start = place.at / PAGE_BYTES as u64;
        let at = usize::try_from(place.at % PAGE_BYTES as u64).expect("below the page's length");
        let mut list = Self { source, page: Vec::new(), number: start, at, previous: first, last };
        let (mut low, mut high) = (start, start.saturating_add(place.more_pages));
        // Invariant: the list is in page `low`, or before it; page `high + 1` begins at or after `from`.
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if list.load(middle)? < from { low = middle } else { high = middle - 1 }
        }
        let before = list.load(low)?;
        if low > start {
            if before <= first || before >= last {
                return Err(list.damaged());
            }
            (list.at, list.previous) = (FIRST_GAP, before);
        }
        Ok(list)
    }

    /// The next slot.
    pub(super) fn next(&mut self) -> Result<Option<u32>, IndexError> {
        if self.previous == self.last {
            return Ok(None);
        }
        if self.at + GAP_BYTES_MAX > PAYLOAD_BYTES {
            if self.load(self.number + 1)? != self.previous {
                return Err(self.damaged());
            }
            self.at = FIRST_GAP;
        }
        let mut rest = self.page.get(self.at..).unwrap_or_default();
        let before = rest.len();
        let slot = varint::take(&mut rest)
            .and_then(|gap| gap.checked_add(u64::from(self.previous) + 1))
            .and_then(|slot| u32::try_from(slot).ok())
            .filter(|&slot| slot <= self.last);
        self.at += before - rest.len();
        self.previous = slot.ok_or_else(|| self.damaged())?;
        Ok(slot)
    }

    /// Reads a page; the slot it begins with.
    fn load(&mut self, number: u64) -> Result<u32, IndexError> {
        self.number = number;
        self.source.read_page(Section::Postings, number, PAGE_BYTES, &mut self.page)?;
        let slot = self.page.first_chunk().ok_or_else(|| self.damaged())?;
        Ok(u32::from_le_bytes(*slot))
    }

    fn damaged(&self) -> IndexError {
        self.source.damaged(Section::Postings, self.number.saturating_mul(PAGE_BYTES as u64))
    }
}
