//! Going through the subjects of a sealed segment in order, one block in memory at a time.

use std::sync::Arc;

use super::format::Section;
use super::sealed::{SealedIndex, Subjects};
use super::subjects::{Entry, Item};
use super::{IndexError, SlotSet, Span, SubjectCursor, Wanted};

/// The subjects of a [`SealedIndex`] in byte order; made by [`SealedIndex::subjects`].
#[derive(Debug)]
pub struct SealedSubjects<'a> {
    index: &'a SealedIndex,
    deletes: &'a SlotSet,
    /// Whether the empty subject, where there is no other, is yet to come.
    own: bool,
    entries: Entries<'a>,
    current: Option<Span>,
}

impl<'a> SealedSubjects<'a> {
    pub(super) fn new(
        index: &'a SealedIndex,
        wanted: Wanted<'a>,
        after: Option<&str>,
        deletes: &'a SlotSet,
    ) -> Result<Self, IndexError> {
        let own = index.is_plain() && wanted.matches("") && after.is_none();
        let entries = Entries::new(index, wanted, after)?;
        Ok(Self { index, deletes, own, entries, current: None })
    }

    fn next_span(&mut self) -> Result<Option<Span>, IndexError> {
        if std::mem::take(&mut self.own) {
            return self.index.own_span(self.deletes);
        }
        while let Some(entry) = self.entries.next()? {
            if let Some(span) = self.index.live_span(&entry, self.deletes)? {
                return Ok(Some(span));
            }
        }
        Ok(None)
    }
}

impl SubjectCursor for SealedSubjects<'_> {
    fn advance(&mut self) -> Result<bool, IndexError> {
        self.current = None;
        self.current = self.next_span()?;
        Ok(self.current.is_some())
    }

    fn current(&self) -> Option<(&str, Span)> {
        Some((self.entries.subject(), self.current?))
    }
}

/// Entries of the subjects that are wanted, in byte order, deleted messages not looked at.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    index: &'a SealedIndex,
    wanted: Wanted<'a>,
    /// Only subjects greater than this.
    after: Option<String>,
    /// Subjects to be looked up before the scan, which will not come to them.
    singles: std::iter::Flatten<std::array::IntoIter<Option<&'a str>, 2>>,
    scan: Option<Scan>,
    subject: String,
}

impl<'a> Entries<'a> {
    pub(super) fn new(
        index: &'a SealedIndex,
        wanted: Wanted<'a>,
        after: Option<&str>,
    ) -> Result<Self, IndexError> {
        let literal = wanted.literal();
        let prefix = wanted.filter.literal_prefix();
        let scan = if literal.is_none() && index.has_subjects() {
            Some(Scan::new(index.resident_subjects()?, prefix.max(after.unwrap_or_default())))
        } else {
            None
        };
        let own = (wanted.matches("") && !prefix.is_empty()).then_some("");
        let singles = [own, literal].into_iter().flatten();
        let after = after.map(str::to_owned);
        Ok(Self { index, wanted, after, singles, scan, subject: String::new() })
    }

    /// The next entry, whose subject is [`Self::subject`].
    pub(super) fn next(&mut self) -> Result<Option<Entry>, IndexError> {
        for subject in self.singles.by_ref() {
            if self.after.as_deref() < Some(subject)
                && let Some(entry) = self.index.find(subject)?
            {
                subject.clone_into(&mut self.subject);
                return Ok(Some(entry));
            }
        }
        let Some(scan) = &mut self.scan else { return Ok(None) };
        let prefix = self.wanted.filter.literal_prefix();
        while let Some(entry) = scan.next(self.index)? {
            let subject = scan.subject(self.index)?;
            if !subject.starts_with(prefix) {
                if subject > prefix {
                    break;
                }
                continue;
            }
            if self.after.as_deref() < Some(subject) && self.wanted.matches(subject) {
                subject.clone_into(&mut self.subject);
                return Ok(Some(entry));
            }
        }
        self.scan = None;
        Ok(None)
    }

    pub(super) fn subject(&self) -> &str {
        &self.subject
    }
}

/// Reads block after block.
#[derive(Debug)]
struct Scan {
    subjects: Arc<Subjects>,
    /// Number of the block after this one.
    next_block: usize,
    block: Vec<u8>,
    /// Where the block is in its section.
    block_at: u64,
    /// Byte of the block where the next item is.
    at: usize,
    key: Vec<u8>,
}

impl Scan {
    /// From the first block that can have `start` or a greater subject.
    fn new(subjects: Arc<Subjects>, start: &str) -> Self {
        let next_block = subjects.directory.block_of(start.as_bytes());
        Self { subjects, next_block, block: Vec::new(), block_at: 0, at: 0, key: Vec::new() }
    }

    fn next(&mut self, index: &SealedIndex) -> Result<Option<Entry>, IndexError> {
        if self.at == self.block.len() {
            let directory = &self.subjects.directory;
            match index.read_subjects(directory, self.next_block, &mut self.block)? {
                Some(at) => self.block_at = at,
                None => return Ok(None),
            }
            self.next_block += 1;
            self.at = 0;
            self.key.clear();
        }
        let mut rest = &self.block[self.at..];
        let item = Item::take(&mut rest).filter(|item| item.apply(&mut self.key));
        let item = item.ok_or_else(|| self.damaged(index))?;
        self.at = self.block.len() - rest.len();
        index.checked(item.entry, self.block_at).map(Some)
    }

    fn subject(&self, index: &SealedIndex) -> Result<&str, IndexError> {
        std::str::from_utf8(&self.key).map_err(|_| self.damaged(index))
    }

    fn damaged(&self, index: &SealedIndex) -> IndexError {
        index.source().damaged(Section::Subjects, self.block_at)
    }
}
