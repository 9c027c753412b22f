//! Questions about subjects: which message is the last of one, how many match a filter, which comes
//! next.
//!
//! ```text
//!   newest ──▶ active ─ sealed ─ sealed ─ sealed      asked one after the other, until one knows;
//!                                                     a filter in memory spares most the look
//! ```

use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use pubsub_envelope::control::{Control, Tombstone};
use pubsub_types::{Filter, Seq, Timestamp};
use uuid::Uuid;

use crate::Ticket;
use crate::channel::Channel;
use crate::contents::{Snapshot, seq};
use crate::error::ReadError;
use crate::index::{ActiveIndex, IndexError, Location, SlotSet, Span, SubjectCursor, Wanted};
use crate::sealed::{Sealed, SegmentIndex};

/// Runs of sequences that one tombstone names at most, so that the record stays small.
pub(crate) const TOMBSTONE_RUNS_MAX: usize = 4096;

/// One subject's messages in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectInfo {
    /// The subject.
    pub subject: String,
    /// Its first message.
    pub first: Seq,
    /// Its last message.
    pub last: Seq,
    /// How many it has.
    pub count: u64,
}

/// The messages that match a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterTotals {
    /// Subjects that match and have messages.
    pub subjects: u64,
    /// Messages on them.
    pub messages: u64,
    /// The first of those.
    pub first: Option<Seq>,
    /// The last of those.
    pub last: Option<Seq>,
}

impl Channel {
    /// The last message of `subject`.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn last_of(&self, subject: &str) -> Result<Option<Seq>, ReadError> {
        let subject = self.stored_subject(subject);
        let snapshot = {
            let contents = self.contents.read();
            if let Some(last) = contents.active.index.last(subject) {
                return Ok(Some(last));
            }
            contents.snapshot()
        };
        for sealed in snapshot.sealed.iter().rev() {
            let deleted = snapshot.deleted_in(sealed);
            let last = self.ask(sealed, &snapshot, |index| match index {
                SegmentIndex::Memory(index) => Ok(index.last(subject)),
                SegmentIndex::File(index) => index.last(subject, deleted),
            })?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// The first message of `subject`.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn first_of(&self, subject: &str) -> Result<Option<Seq>, ReadError> {
        self.next_of(subject, Seq::FIRST)
    }

    /// How many messages `subject` has.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn count_of(&self, subject: &str) -> Result<u64, ReadError> {
        let subject = self.stored_subject(subject);
        let (mut count, snapshot) = {
            let contents = self.contents.read();
            (contents.active.index.count(subject), contents.snapshot())
        };
        for sealed in snapshot.sealed.iter() {
            let deleted = snapshot.deleted_in(sealed);
            count += self.ask(sealed, &snapshot, |index| match index {
                SegmentIndex::Memory(index) => Ok(index.count(subject)),
                SegmentIndex::File(index) => index.count(subject, deleted),
            })?;
        }
        Ok(count)
    }

    /// The first message of `subject` at or after `from`.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn next_of(&self, subject: &str, from: Seq) -> Result<Option<Seq>, ReadError> {
        let subject = self.stored_subject(subject);
        let (snapshot, active) = {
            let contents = self.contents.read();
            (contents.snapshot(), contents.active.index.next(subject, from))
        };
        for sealed in snapshot.from(from) {
            let deleted = snapshot.deleted_in(sealed);
            let next = self.ask(sealed, &snapshot, |index| match index {
                SegmentIndex::Memory(index) => Ok(index.next(subject, from)),
                SegmentIndex::File(index) => index.next(subject, from, deleted),
            })?;
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(active)
    }

    /// The first message at or after `from` whose subject matches.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn next_match(&self, filter: &Filter, from: Seq) -> Result<Option<Seq>, ReadError> {
        let wanted = Wanted::new(filter, self.name.as_str());
        let (snapshot, active) = {
            let contents = self.contents.read();
            (contents.snapshot(), contents.active.index.next_match(wanted, from))
        };
        for sealed in snapshot.from(from) {
            let deleted = snapshot.deleted_in(sealed);
            let next = self.ask(sealed, &snapshot, |index| match index {
                SegmentIndex::Memory(index) => Ok(index.next_match(wanted, from)),
                SegmentIndex::File(index) => index.next_match(wanted, from, deleted),
            })?;
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(active)
    }

    /// Subjects that match, in byte order, from the first greater than `after`; at most `max` of them. The
    /// channel's own name is one of them, and comes where its name is in that order.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn subjects(
        &self,
        filter: &Filter,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<SubjectInfo>, ReadError> {
        let mut found = Vec::new();
        self.merge_subjects(filter, after, |subject, span| {
            let Span { first, last, count } = span;
            let subject = subject.to_owned();
            found.push(SubjectInfo { subject, first, last, count });
            found.len() < max
        })?;
        Ok(found)
    }

    /// What matches, all together.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn totals(&self, filter: &Filter) -> Result<FilterTotals, ReadError> {
        let mut totals = FilterTotals::default();
        self.merge_subjects(filter, None, |_, span| {
            totals.subjects += 1;
            totals.messages += span.count;
            totals.first = Some(totals.first.map_or(span.first, |first| first.min(span.first)));
            totals.last = totals.last.max(Some(span.last));
            true
        })?;
        Ok(totals)
    }

    /// Deletes the messages before `before` whose subject matches, but for the newest `keep` of all
    /// that match, as recorded commands. How many, and a ticket that tells when they are gone.
    ///
    /// # Errors
    /// A file could not be read; nothing was deleted.
    pub fn purge(
        self: &Arc<Self>,
        filter: &Filter,
        before: Seq,
        keep: u64,
        now: Timestamp,
    ) -> Result<(u64, Option<Ticket>), ReadError> {
        let wanted = Wanted::new(filter, self.name.as_str());
        let (snapshot, active) = {
            let contents = self.contents.read();
            (contents.snapshot(), matches_in_memory(&contents.active.index, wanted))
        };
        let mut runs = Vec::new();
        let mut matching = 0;
        for sealed in snapshot.sealed.iter() {
            let deleted = snapshot.deleted_in(sealed);
            let seqs = self.ask(sealed, &snapshot, |index| match index {
                SegmentIndex::Memory(index) => Ok(matches_in_memory(index, wanted)),
                SegmentIndex::File(index) => {
                    let matches = index.matches(wanted)?;
                    let next = |from: &Seq| matches.next(from.next(), deleted);
                    Ok(std::iter::successors(matches.next(Seq::FIRST, deleted), next).collect())
                }
            })?;
            matching += seqs.len() as u64;
            seqs.iter().for_each(|seq| push_run(&mut runs, seq.get()));
        }
        matching += active.len() as u64;
        active.iter().for_each(|seq| push_run(&mut runs, seq.get()));
        let kept = drop_newest(&mut runs, keep);
        let kept = drop_from(&mut runs, before.get(), kept);
        let mut ticket = None;
        for seqs in runs.chunks(TOMBSTONE_RUNS_MAX) {
            let tombstone = Control::Tombstone(Tombstone { seqs: seqs.to_vec() });
            ticket = Some(self.append_control(&tombstone, now));
        }
        Ok((matching - kept, ticket))
    }

    /// Calls `each` with every subject that matches, in byte order, until it says no.
    fn merge_subjects(
        &self,
        filter: &Filter,
        after: Option<&str>,
        mut each: impl FnMut(&str, Span) -> bool,
    ) -> Result<(), ReadError> {
        let own = self.name.as_str();
        let wanted = Wanted::new(filter, own);
        // The channel's own subject is stored as an empty one, which indexes have before all others. Here
        // it has its name, so it is passed over there and asked for by itself.
        let named = after.max(Some(""));
        let (snapshot, active, own_active) = {
            let contents = self.contents.read();
            let index = &contents.active.index;
            (contents.snapshot(), active_subjects(index, wanted, named), span_of_own(index))
        };
        let mut own_span = None;
        if wanted.matches("") && after < Some(own) {
            own_span = self.sealed_own_span(&snapshot)?;
            if let Some(span) = own_active {
                own_span = Some(join(own_span, span));
            }
        }
        let mut indexes = Vec::with_capacity(snapshot.sealed.len());
        for sealed in snapshot.sealed.iter() {
            let io = |source| self.io_error(sealed, source);
            let index = self.index_of(sealed, snapshot.log_id).map_err(io)?;
            indexes.push((sealed, index));
        }
        let mut cursors: Vec<Box<dyn SubjectCursor + '_>> = Vec::with_capacity(indexes.len());
        for (sealed, index) in &indexes {
            let deleted = snapshot.deleted_in(sealed);
            cursors.push(match index {
                SegmentIndex::Memory(index) => Box::new(index.subjects(wanted, named)),
                SegmentIndex::File(index) => Box::new(
                    index
                        .subjects(wanted, named, deleted)
                        .map_err(|error| self.index_error(sealed, error))?,
                ),
            });
        }
        let failed = |nth: usize, error: IndexError| self.index_error(indexes[nth].0, error);
        let mut heads = BinaryHeap::new();
        let own = self.name.as_str();
        let push = |heads: &mut BinaryHeap<Head>,
                    cursors: &mut Vec<Box<dyn SubjectCursor + '_>>,
                    nth: usize|
         -> Result<(), ReadError> {
            let cursor = &mut cursors[nth];
            if cursor.advance().map_err(|error| failed(nth, error))?
                && let Some((subject, span)) = cursor.current()
            {
                heads.push(Head { subject: subject.to_owned(), nth, span });
            }
            Ok(())
        };
        for nth in 0..cursors.len() {
            push(&mut heads, &mut cursors, nth)?;
        }
        let mut active = active.into_iter().peekable();
        loop {
            let heads_at = heads.peek().map(|head| head.subject.as_str());
            let active_at = active.peek().map(|(subject, _)| subject.as_str());
            let own_at = own_span.map(|_| own);
            let Some(next) = [heads_at, active_at, own_at].into_iter().flatten().min() else {
                return Ok(());
            };
            let next = next.to_owned();
            let mut joined = if next == own { own_span.take() } else { None };
            while heads.peek().is_some_and(|head| head.subject == next) {
                if let Some(head) = heads.pop() {
                    joined = Some(join(joined, head.span));
                    push(&mut heads, &mut cursors, head.nth)?;
                }
            }
            if let Some((_, span)) = active.next_if(|(subject, _)| *subject == next) {
                joined = Some(join(joined, span));
            }
            if let Some(span) = joined
                && !each(&next, span)
            {
                return Ok(());
            }
        }
    }

    /// The messages of the channel's own subject in the sealed segments.
    fn sealed_own_span(&self, snapshot: &Snapshot) -> Result<Option<Span>, ReadError> {
        let mut joined = None;
        for sealed in snapshot.sealed.iter() {
            let deleted = snapshot.deleted_in(sealed);
            let span = self.ask(sealed, snapshot, |index| match index {
                SegmentIndex::Memory(index) => Ok(span_of_own(index)),
                SegmentIndex::File(index) => {
                    let Some(first) = index.next("", Seq::FIRST, deleted)? else { return Ok(None) };
                    let last = index.last("", deleted)?.unwrap_or(first);
                    Ok(Some(Span { first, last, count: index.count("", deleted)? }))
                }
            })?;
            if let Some(span) = span {
                joined = Some(join(joined, span));
            }
        }
        Ok(joined)
    }

    /// Asks the index of `sealed`; once more, built anew, when its file turns out to be damaged.
    fn ask<T>(
        &self,
        sealed: &Arc<Sealed>,
        snapshot: &Snapshot,
        question: impl Fn(&SegmentIndex) -> Result<T, IndexError>,
    ) -> Result<T, ReadError> {
        let index = || {
            self.index_of(sealed, snapshot.log_id).map_err(|source| self.io_error(sealed, source))
        };
        match question(&index()?) {
            Err(error) if error.wants_rebuild() => {
                tracing::warn!(channel = %self.name, segment = %sealed.info.file, %error, "index is built again");
                sealed.distrust_index();
                self.remove_index_file(sealed);
                question(&index()?).map_err(|error| self.index_error(sealed, error))
            }
            other => other.map_err(|error| self.index_error(sealed, error)),
        }
    }

    /// The index of a sealed segment; built again from the segment when its file is missing or damaged.
    ///
    /// # Errors
    /// A file could not be read.
    pub(crate) fn index_of(&self, sealed: &Sealed, log_id: Uuid) -> io::Result<SegmentIndex> {
        if let Some(index) = sealed.opened_index(self.place(), log_id)? {
            return Ok(index);
        }
        let (mut index, damage) = match sealed.walk(self.place(), log_id) {
            // A segment that is gone has an index without messages.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(SegmentIndex::Memory(Arc::new(ActiveIndex::new(seq(sealed
                    .info
                    .first_seq)))));
            }
            other => other?,
        };
        damage.into_iter().for_each(|finding| self.report(finding));
        // While nothing can be deleted, so that nothing deleted is missed.
        let contents = self.contents.read();
        if sealed.info.next_seq > sealed.info.first_seq
            && let Some(deleted) = contents.deleted.get(&sealed.info.first_seq)
        {
            index.delete_slots(deleted);
        }
        Ok(SegmentIndex::Memory(sealed.install(index)))
    }

    /// Where to start reading a sealed segment for the message `wanted`, if that is not its start.
    ///
    /// # Errors
    /// The index could not be read.
    pub(crate) fn start_of(
        &self,
        sealed: &Sealed,
        log_id: Uuid,
        wanted: u64,
    ) -> io::Result<Option<Location>> {
        if wanted <= sealed.info.first_seq {
            return Ok(None);
        }
        match self.index_of(sealed, log_id)? {
            SegmentIndex::Memory(index) => {
                Ok(index.first_at_or_after(seq(wanted)).and_then(|first| index.locate(first)))
            }
            SegmentIndex::File(index) => match index.locate_block(seq(wanted)) {
                Ok(location) => Ok(location),
                Err(IndexError::Io { source, .. }) => Err(source),
                // A slow answer instead of none; the next question builds it again.
                Err(error) => {
                    tracing::warn!(channel = %self.name, segment = %sealed.info.file, %error, "index is built again");
                    sealed.distrust_index();
                    self.remove_index_file(sealed);
                    Ok(None)
                }
            },
        }
    }

    fn remove_index_file(&self, sealed: &Sealed) {
        if let Err(error) = self.disk.remove_file(&sealed.index_path(&self.dir)) {
            tracing::warn!(channel = %self.name, segment = %sealed.info.file, %error, "damaged index was not removed");
        }
    }

    fn index_error(&self, sealed: &Sealed, error: IndexError) -> ReadError {
        match error {
            IndexError::Io { source, .. } => self.io_error(sealed, source),
            other => self.io_error(sealed, io::Error::other(other)),
        }
    }

    fn io_error(&self, sealed: &Sealed, source: io::Error) -> ReadError {
        ReadError::Io { channel: self.name.clone(), file: sealed.info.file.clone(), source }
    }

    /// The subject as it is stored: the channel's own name is left out.
    pub(crate) fn stored_subject<'a>(&self, subject: &'a str) -> &'a str {
        if subject == self.name.as_str() { "" } else { subject }
    }
}

impl Snapshot {
    /// What is deleted in a segment.
    pub(crate) fn deleted_in(&self, sealed: &Sealed) -> &SlotSet {
        const NOTHING: &SlotSet = &SlotSet::new();
        self.deleted.get(&sealed.info.first_seq).map_or(NOTHING, |set| set)
    }

    /// The segments that may hold `from` or what comes after it.
    pub(crate) fn from(&self, from: Seq) -> &[Arc<Sealed>] {
        let nth = self.sealed.partition_point(|sealed| sealed.info.next_seq <= from.get());
        &self.sealed[nth..]
    }
}

/// The subject that a cursor is at. The greatest is the first in byte order.
struct Head {
    subject: String,
    nth: usize,
    span: Span,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&other.subject, other.nth).cmp(&(&self.subject, self.nth))
    }
}

fn join(joined: Option<Span>, span: Span) -> Span {
    joined.map_or(span, |joined| Span {
        first: joined.first.min(span.first),
        last: joined.last.max(span.last),
        count: joined.count + span.count,
    })
}

/// The messages of the channel's own subject in an index in memory.
fn span_of_own(index: &ActiveIndex) -> Option<Span> {
    let first = index.next("", Seq::FIRST)?;
    Some(Span { first, last: index.last("").unwrap_or(first), count: index.count("") })
}

/// The subjects of an index in memory that match, with their messages, in byte order.
fn active_subjects(
    index: &ActiveIndex,
    wanted: Wanted<'_>,
    after: Option<&str>,
) -> Vec<(String, Span)> {
    let mut subjects = Vec::new();
    let mut cursor = index.subjects(wanted, after);
    while cursor.advance().unwrap_or(false) {
        if let Some((subject, span)) = cursor.current() {
            subjects.push((subject.to_owned(), span));
        }
    }
    subjects
}

/// Every message of an index in memory that matches, ascending.
fn matches_in_memory(index: &ActiveIndex, wanted: Wanted<'_>) -> Vec<Seq> {
    let mut seqs = Vec::new();
    let mut subjects = Vec::new();
    index.for_each_match(wanted, |subject, span| subjects.push((subject.to_owned(), span.first)));
    for (subject, first) in subjects {
        let next = |from: &Seq| index.next(&subject, from.next());
        seqs.extend(std::iter::successors(Some(first), next));
    }
    seqs.sort_unstable();
    seqs
}

/// Adds `number` to runs of sequences that ascend.
pub(crate) fn push_run(runs: &mut Vec<(u64, u64)>, number: u64) {
    match runs.last_mut() {
        Some((_, last)) if *last + 1 == number => *last = number,
        _ => runs.push((number, number)),
    }
}

/// Takes the last `count` sequences out of `runs`; how many were there to take.
fn drop_newest(runs: &mut Vec<(u64, u64)>, count: u64) -> u64 {
    let mut left = count;
    while left > 0 {
        let Some((first, last)) = runs.last_mut() else { break };
        let len = *last - *first + 1;
        if len > left {
            *last -= left;
            return count;
        }
        left -= len;
        runs.pop();
    }
    count - left
}

/// Takes the sequences from `before` on out of `runs`; `taken` and how many those were.
fn drop_from(runs: &mut Vec<(u64, u64)>, before: u64, taken: u64) -> u64 {
    let mut taken = taken;
    while let Some((first, last)) = runs.last_mut() {
        if *last < before {
            break;
        }
        if *first < before {
            taken += *last - before + 1;
            *last = before - 1;
            break;
        }
        taken += *last - *first + 1;
        runs.pop();
    }
    taken
}
