//! An index file, made of the active index when its segment is sealed.
//!
//! Each part is written as it is made; what is held besides the active index is one number a subject
//! to sort them, the filter, and the small directories.

use std::io;

use pubsub_disk::File;

use super::ActiveIndex;
use super::blocks::Output;
use super::bloom::{self, Bloom};
use super::chains::Chains;
use super::format::{Header, Section, SegmentDigest, SegmentId};
use super::order;
use super::points;
use super::postings::{ListPlace, ListWriter};
use super::subjects::{BlockBuilder, Entry};
use super::table::Summary;

/// Writes the index file of a segment.
///
/// To build a file again from a segment, push its messages into a new [`ActiveIndex`], apply the
/// deletes, and write that.
#[derive(Debug)]
pub struct SealedIndexBuilder<'a> {
    active: &'a ActiveIndex,
    id: SegmentId,
    digest: SegmentDigest,
}

impl<'a> SealedIndexBuilder<'a> {
    /// For the segment `id`, indexed by `active`, whose file is `digest`.
    ///
    /// Messages deleted by now are left out of their subjects for good, so whoever asks the sealed
    /// index must know them as deleted too: [`super::SealedIndex::deletes`] is where to start.
    ///
    /// # Panics
    /// When `active` counts slots from another sequence than `id`.
    #[must_use]
    pub fn new(active: &'a ActiveIndex, id: SegmentId, digest: SegmentDigest) -> Self {
        assert!(active.first_seq() == id.first_seq, "slots of one segment count from one sequence");
        Self { active, id, digest }
    }

    /// Writes the file from its start; its length in bytes. To sync, and to give it its name, is the
    /// caller's.
    ///
    /// # Errors
    /// Whatever the file system says; the file is then not an index.
    pub fn write(&self, file: &dyn File) -> io::Result<u64> {
        let header = Header {
            id: self.id,
            digest: self.digest,
            totals: self.active.totals(),
            plain: self.active.chains().is_none(),
            subjects: 0,
            sections: Default::default(),
        };
        let mut out = Output::new(file, header);
        let point_directory = self.write_points(&mut out)?;
        let subjects = match self.active.chains() {
            Some(chains) => self.write_subjects(chains, &mut out)?,
            None => None,
        };
        write_all(&mut out, Section::PointDirectory, &point_directory)?;
        if let Some((directory, filter)) = subjects {
            write_all(&mut out, Section::SubjectDirectory, &directory)?;
            write_all(&mut out, Section::Filter, &filter.encode())?;
        }
        write_all(&mut out, Section::Missing, &self.active.missing().encode())?;
        write_all(&mut out, Section::Deletes, &self.active.deletes().encode())?;
        out.finish()
    }

    /// Writes the points; the first of each page, as bytes.
    fn write_points(&self, out: &mut Output<'_>) -> io::Result<Vec<u8>> {
        let (mut page, mut directory) = (Vec::new(), Vec::new());
        out.begin(Section::Points);
        for point in self.active.points() {
            if page.len() == points::PAGE_BYTES {
                out.block(&page)?;
                page.clear();
            }
            if page.is_empty() {
                point.put(&mut directory);
            }
            point.put(&mut page);
        }
        if !page.is_empty() {
            out.block(&page)?;
        }
        Ok(directory)
    }

    /// Writes postings and subjects; their directory and filter, if there are any.
    fn write_subjects(
        &self,
        chains: &Chains,
        out: &mut Output<'_>,
    ) -> io::Result<Option<(Vec<u8>, Bloom)>> {
        let table = chains.table();
        let alive = (0..table.len()).filter(|&number| table.summary(number).count > 0);
        let order = order::by_subject(table, alive);
        let count = u32::try_from(order.len()).expect("subjects are numbered in 32 bits");
        if count == 0 {
            return Ok(None);
        }
        out.set_subjects(count);
        let mut lists = self.write_lists(chains, &order, out)?.into_iter();

        out.begin(Section::Subjects);
        let mut filter = Bloom::for_subjects(count);
        let mut blocks = BlockBuilder::default();
        for batch in order.chunks(BATCH) {
            // Sorted subjects are all over memory. In a short loop the processor waits for several of
            // them at once, and the long one finds them near.
            for &number in batch {
                filter.insert(bloom::hash(self.id.log_id, table.bytes(number)));
            }
            for &number in batch {
                let mut entry = self.entry(table.summary(number));
                if entry.needs_list() {
                    entry.list = lists.next();
                }
                blocks.add(table.bytes(number), &entry, |block| out.block(block))?;
            }
        }
        let directory = blocks.finish(|block| out.block(block))?;
        Ok(Some((directory, filter)))
    }

    /// Writes the lists of those in `order` that need one, in that order.
    fn write_lists(
        &self,
        chains: &Chains,
        order: &[u32],
        out: &mut Output<'_>,
    ) -> io::Result<Vec<ListPlace>> {
        let mut places = Vec::new();
        let mut lists = ListWriter::new(out);
        for &number in order {
            let summary = chains.summary_of(number);
            if self.entry(summary).needs_list() {
                let others = chains.behind_first(summary).filter(|&at| self.active.is_live(at));
                let slots = others.map(|at| self.active.slot(at));
                places.push(lists.list(self.active.slot(summary.first), slots)?);
            }
        }
        lists.finish()?;
        Ok(places)
    }

    fn entry(&self, summary: Summary) -> Entry {
        let Summary { first, last, count } = summary;
        Entry { first: self.active.slot(first), last: self.active.slot(last), count, list: None }
    }
}

/// Subjects that stay in the processor's nearest cache.
const BATCH: usize = 64;

/// Writes a section that is one block, or nothing when there is nothing.
fn write_all(out: &mut Output<'_>, section: Section, bytes: &[u8]) -> io::Result<()> {
    out.begin(section);
    if bytes.is_empty() { Ok(()) } else { out.block(bytes) }
}
