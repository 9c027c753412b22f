//! Reads every block of an index file, for those who want to know before they need it.

use super::blocks::Source;
use super::format::{CRC_BYTES, Section};
use super::{IndexError, SealedIndex, points, postings};

impl SealedIndex {
    /// Reads the whole file and checks every block of it.
    ///
    /// # Errors
    /// The first block that is damaged, or cannot be read.
    pub fn verify(&self) -> Result<(), IndexError> {
        let source = self.source();
        pages(source, Section::Points, points::PAGE_BYTES + CRC_BYTES)?;
        pages(source, Section::Postings, postings::PAGE_BYTES)?;
        let subjects = self.has_subjects().then(|| self.resident_subjects()).transpose()?;
        let mut block = Vec::new();
        let mut number = 0;
        while let Some(subjects) = &subjects
            && self.read_subjects(&subjects.directory, number, &mut block)?.is_some()
        {
            number += 1;
        }
        for section in [Section::PointDirectory, Section::Missing, Section::Deletes] {
            source.read_all(section)?;
        }
        Ok(())
    }
}

fn pages(source: &Source, section: Section, page_bytes: usize) -> Result<(), IndexError> {
    let mut block = Vec::new();
    let count = source.header().len_of(section).div_ceil(page_bytes as u64);
    (0..count).try_for_each(|number| source.read_page(section, number, page_bytes, &mut block))
}
