//! Which messages have which subject, in the order they came.
//!
//! ```text
//!   position   0    1    2    3    4    5
//!   number     a    b    a    c    a    b         whose message is this?
//!   next       2    5    4    ·    ·    ·         where is the subject's next?
//!
//!   a: first 0, last 4, count 3       b: first 1, last 5, count 2       c: first 3, last 3, count 1
//! ```
//!
//! Either array alone has a bad case: following `next` from the start is slow for a subject with many
//! messages, reading `number` onwards is slow for one with few. Doing both in turn costs twice the
//! cheaper of the two.
//!
//! Everything here counts positions among the messages that are in the segment. What was deleted is
//! asked of the caller; a summary never counts it.

use super::chunked::Chunked;
use super::table::{SubjectTable, Summary, TableFull};

/// The subjects of a segment and their messages.
#[derive(Clone, Debug)]
pub(super) struct Chains {
    table: SubjectTable,
    numbers: Chunked<u32>,
    /// Invariant: from a subject's first position, following this reaches every position of it that
    /// is not deleted, in order, up to its last. Behind the last it means nothing.
    next: Chunked<u32>,
}

impl Chains {
    /// Chains of a segment whose messages so far all have the empty subject, `len` of them, with what
    /// is known of those that are not deleted.
    pub(super) fn of_one_subject(len: usize, summary: Summary) -> Result<Self, TableFull> {
        let mut table = SubjectTable::new();
        let mut numbers = Chunked::new();
        let mut next = Chunked::new();
        if len > 0 {
            let number = table.intern("")?;
            *table.summary_mut(number) = summary;
            (1..=position(len)).for_each(|after| {
                numbers.push(number);
                next.push(after);
            });
        }
        Ok(Self { table, numbers, next })
    }

    /// Takes in the next message.
    ///
    /// # Errors
    /// There is no room for another subject; nothing was changed.
    pub(super) fn push(&mut self, subject: &str) -> Result<(), TableFull> {
        let number = self.table.intern(subject)?;
        let new = position(self.numbers.len());
        let summary = self.table.summary_mut(number);
        if summary.count == 0 {
            summary.first = new;
        } else {
            *self.next.at_mut(summary.last as usize) = new;
        }
        summary.last = new;
        summary.count += 1;
        self.numbers.push(number);
        self.next.push(new);
        Ok(())
    }

    /// Forgets the message at `gone`, which is deleted as of now: `live` says no for it.
    pub(super) fn delete(&mut self, gone: u32, live: impl Fn(u32) -> bool) {
        let number = self.number(gone);
        let mut summary = self.table.summary(number);
        summary.count -= 1;
        if summary.count > 0 && summary.first == gone {
            summary.first = self.follow(gone, live);
        } else if summary.count > 0 && summary.last == gone {
            summary.last = self.before_last(number, summary, live);
        }
        *self.table.summary_mut(number) = summary;
    }

    /// What is known of `subject`, or `None` when no message of it is left.
    pub(super) fn summary(&self, subject: &str) -> Option<Summary> {
        self.table.find(subject).map(|number| self.summary_of(number)).filter(|it| it.count > 0)
    }

    /// [`Self::summary`] by number; `count` may be 0.
    pub(super) fn summary_of(&self, number: u32) -> Summary {
        self.table.summary(number)
    }

    /// The first message of `subject` at or after `from` that is not deleted.
    pub(super) fn next(&self, subject: &str, from: u32, live: impl Fn(u32) -> bool) -> Option<u32> {
        let number = self.table.find(subject)?;
        let Summary { first, last, count } = self.table.summary(number);
        if count == 0 || from > last {
            return None;
        }
        if from <= first {
            return Some(first);
        }
        let (mut link, mut at) = (first, from);
        loop {
            link = self.next.at(link as usize);
            if link >= from {
                return Some(if live(link) { link } else { self.follow(link, live) });
            }
            for _ in 0..READS_PER_LINK {
                if self.number(at) == number && live(at) {
                    return Some(at);
                }
                at += 1;
                if at == last {
                    return Some(last);
                }
            }
        }
    }

    /// The number of the subject of the message at `at`.
    #[inline]
    pub(super) fn number(&self, at: u32) -> u32 {
        self.numbers.at(at as usize)
    }

    /// The positions of a subject behind its first, deleted ones among them.
    pub(super) fn behind_first(&self, summary: Summary) -> impl Iterator<Item = u32> {
        let follow = move |&at: &u32| (at != summary.last).then(|| self.next.at(at as usize));
        std::iter::successors(Some(summary.first), follow).skip(1)
    }

    /// The subjects and their numbers.
    pub(super) fn table(&self) -> &SubjectTable {
        &self.table
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.numbers.memory_bytes() + self.next.memory_bytes()
    }

    /// The first live position behind `at`, of which there is one.
    fn follow(&self, mut at: u32, live: impl Fn(u32) -> bool) -> u32 {
        loop {
            at = self.next.at(at as usize);
            if live(at) {
                return at;
            }
        }
    }

    /// The last live position of a subject before `summary.last`, which was deleted; there is one, as
    /// the first is live. Looks from both ends.
    fn before_last(&self, number: u32, summary: Summary, live: impl Fn(u32) -> bool) -> u32 {
        let mut at = summary.last;
        let (mut link, mut best) = (summary.first, summary.first);
        loop {
            link = self.next.at(link as usize);
            if link == summary.last {
                return best;
            }
            if live(link) {
                best = link;
            }
            for _ in 0..READS_PER_LINK {
                at -= 1;
                if self.number(at) == number && live(at) {
                    return at;
                }
            }
        }
    }
}

/// Reading on is this many times cheaper than following a link, which misses the cache.
const READS_PER_LINK: u32 = 8;

fn position(len: usize) -> u32 {
    u32::try_from(len).expect("a segment holds fewer than 2^32 messages")
}
