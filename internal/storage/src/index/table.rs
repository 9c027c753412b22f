//! The subjects of an active segment, each kept once and known by a small number.
//!
//! ```text
//!   table    fingerprint → number                    4 B and one control byte a bucket
//!   entries  where the text is · hash · a [`Summary`]     20 B a subject
//!   arena    length, text, length, text …            64 KiB a piece
//! ```
//!
//! Numbers are given in order of first appearance and never change.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Bucket;

use super::chunked::Chunked;
use super::varint;

/// Subjects and what is known of each.
#[derive(Clone, Debug)]
pub(super) struct SubjectTable {
    /// Seeded anew for every table, so that nobody can choose subjects that collide. Nothing that can
    /// be seen depends on the seed: the table is never iterated.
    hasher: RandomState,
    table: HashTable<u32>,
    entries: Chunked<Entry>,
    arena: Arena,
}

/// The messages of one subject that are not deleted. Positions mean nothing while `count` is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary {
    /// Position of the first.
    pub(super) first: u32,
    /// Position of the last.
    pub(super) last: u32,
    /// How many there are.
    pub(super) count: u32,
}

/// The table's numbers are used up: more subject text than 32 bits can address.
#[derive(Debug)]
pub(super) struct TableFull;

#[derive(Clone, Copy, Debug)]
struct Entry {
    text: u32,
    hash: u32,
    summary: Summary,
}

impl SubjectTable {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            table: HashTable::new(),
            entries: Chunked::new(),
            arena: Arena::default(),
        }
    }

    /// How many subjects there are, whether or not they still have messages.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).expect("subjects are numbered in 32 bits")
    }

    pub(super) fn find(&self, subject: &str) -> Option<u32> {
        let hash = self.hash(subject);
        let Self { table, entries, arena, .. } = self;
        table.find(spread(hash), |&number| is(entries, arena, number, hash, subject)).copied()
    }

    /// The number of `subject`, which is given one if it has none.
    ///
    /// # Errors
    /// There is no room for another; nothing was changed.
    pub(super) fn intern(&mut self, subject: &str) -> Result<u32, TableFull> {
        let hash = self.hash(subject);
        let Self { table, entries, arena, .. } = self;
        let same = |&number: &u32| is(entries, arena, number, hash, subject);
        let rehash = |&number: &u32| spread(entries.at(number as usize).hash);
        match table.entry(spread(hash), same, rehash) {
            Bucket::Occupied(bucket) => Ok(*bucket.get()),
            Bucket::Vacant(bucket) => {
                let number = u32::try_from(entries.len()).map_err(|_| TableFull)?;
                let text = arena.push(subject.as_bytes()).ok_or(TableFull)?;
                bucket.insert(number);
                entries.push(Entry { text, hash, summary: Summary::default() });
                Ok(number)
            }
        }
    }

    /// The text of a subject, by its number.
    pub(super) fn subject(&self, number: u32) -> &str {
        std::str::from_utf8(self.bytes(number)).expect("the arena holds what was text")
    }

    /// [`Self::subject`] as bytes, which is cheaper.
    #[inline]
    pub(super) fn bytes(&self, number: u32) -> &[u8] {
        self.arena.text(self.entries.at(number as usize).text)
    }

    #[inline]
    pub(super) fn summary(&self, number: u32) -> Summary {
        self.entries.at(number as usize).summary
    }

    #[inline]
    pub(super) fn summary_mut(&mut self, number: u32) -> &mut Summary {
        &mut self.entries.at_mut(number as usize).summary
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.table.allocation_size() + self.entries.memory_bytes() + self.arena.memory_bytes()
    }

    fn hash(&self, subject: &str) -> u32 {
        let hash = self.hasher.hash_one(subject);
        u32::try_from(hash >> 32).expect("half of 64 bits are 32")
    }
}

/// Whether the subject with this number is `subject`, whose hash is `hash`.
fn is(entries: &Chunked<Entry>, arena: &Arena, number: u32, hash: u32, subject: &str) -> bool {
    let entry = entries.at(number as usize);
    entry.hash == hash && arena.text(entry.text) == subject.as_bytes()
}

/// The hash as the table wants it, with entropy at both ends, from the half an entry remembers.
/// Growing the table so never touches the text.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Texts, one behind the other, each after its length.
#[derive(Clone, Debug, Default)]
struct Arena {
    pieces: Vec<Vec<u8>>,
}

/// Where a piece may still start another text; the text may reach beyond. So an address is 16 bits of
/// piece and 16 bits of position, and no text is ever in two pieces.
const PIECE_BYTES: usize = 1 << 16;

impl Arena {
    /// Keeps `text` and gives its address, or `None` when addresses are used up.
    fn push(&mut self, text: &[u8]) -> Option<u32> {
        let needed = varint::len(text.len() as u64) + text.len();
        let fits = |piece: &Vec<u8>| piece.is_empty() || piece.len() + needed <= PIECE_BYTES;
        if !self.pieces.last().is_some_and(fits) {
            // The first grows as it fills, for the channel that has but a few subjects.
            let capacity = if self.pieces.is_empty() { 0 } else { PIECE_BYTES };
            self.pieces.push(Vec::with_capacity(capacity));
        }
        let number = u16::try_from(self.pieces.len() - 1).ok()?;
        let piece = self.pieces.last_mut().expect("a piece was just made sure of");
        let at = u16::try_from(piece.len()).expect("a piece with room is shorter than 64 KiB");
        varint::put(piece, text.len() as u64);
        piece.extend_from_slice(text);
        Some(u32::from(number) << 16 | u32::from(at))
    }

    #[inline]
    fn text(&self, address: u32) -> &[u8] {
        let piece = &self.pieces[(address >> 16) as usize];
        let mut rest = &piece[(address & 0xffff) as usize..];
        let len = varint::take_u32(&mut rest).expect("every text follows its length");
        &rest[..len as usize]
    }

    fn memory_bytes(&self) -> usize {
        let texts: usize = self.pieces.iter().map(Vec::capacity).sum();
        texts + self.pieces.capacity() * size_of::<Vec<u8>>()
    }
}

#[cfg(test)]
mod tests {
    use super::SubjectTable;

    #[test]
    fn a_subject_keeps_its_number_and_its_text() {
        let mut table = SubjectTable::new();
        let long = "x".repeat(200_000);
        let mut subjects = vec![String::new(), long, "a".into(), "a.b".into(), "ä".into()];
        subjects.extend((0..20_000).map(|n| format!("some.subject.{n}")));
        for (number, subject) in (0..).zip(&subjects) {
            assert_eq!(table.find(subject), None);
            assert_eq!(table.intern(subject).unwrap(), number);
        }
        for (number, subject) in (0..).zip(&subjects) {
            assert_eq!(table.intern(subject).unwrap(), number);
            assert_eq!(table.find(subject), Some(number));
            assert_eq!(table.subject(number), subject);
        }
        assert_eq!(table.len(), 20_005);
    }
}
