//! The subjects of an active segment, each kept once and known by a small number.
//!
//! ```text
//!   shards    hash → number                        9 B a bucket, 256 small tables
//!   entries   where the text is, a [`Summary`]        16 B a subject
//!   arena     length, text, length, text …         64 KiB a piece
//! ```
//!
//! Numbers are given in order of first appearance and never change. A table that doubles moves all it
//! has in the middle of a publish; 256 small ones do so one after the other.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::chunked::Chunked;
use super::varint;

/// Subjects and what is known of each.
#[derive(Clone, Debug)]
pub(super) struct SubjectTable {
    /// Seeded anew for every table, so that nobody can choose subjects that collide. Nothing that can
    /// be seen depends on the seed: the table is never iterated.
    hasher: RandomState,
    /// One, and [`SHARDS`] when there are many subjects.
    shards: Vec<HashTable<Bucket>>,
    entries: Chunked<Entry>,
    arena: Arena,
}

/// A power of two.
const SHARDS: usize = 256;

/// With as many subjects, one table is split into shards.
const SUBJECTS_IN_ONE: usize = 1 << 12;

/// What a table has to know to grow without reading the subjects again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    hash: u32,
    number: u32,
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
    text: TextPlace,
    summary: Summary,
}

impl SubjectTable {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            shards: vec![HashTable::new()],
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
        let is = |bucket: &Bucket| {
            bucket.hash == hash && self.bytes(bucket.number) == subject.as_bytes()
        };
        self.shards[shard_of(hash, self.shards.len())].find(spread(hash), is).map(|it| it.number)
    }

    /// The number of `subject`, which is given one if it has none.
    ///
    /// # Errors
    /// There is no room for another; nothing was changed.
    pub(super) fn intern(&mut self, subject: &str) -> Result<u32, TableFull> {
        if self.entries.len() == SUBJECTS_IN_ONE && self.shards.len() == 1 {
            self.split();
        }
        let hash = self.hash(subject);
        let Self { shards, entries, arena, .. } = self;
        let shard = shard_of(hash, shards.len());
        let is = |bucket: &Bucket| {
            bucket.hash == hash
                && arena.text(entries.at(bucket.number as usize).text) == subject.as_bytes()
        };
        match shards[shard].entry(spread(hash), is, |bucket| spread(bucket.hash)) {
            Slot::Occupied(slot) => Ok(slot.get().number),
            Slot::Vacant(slot) => {
                let number = u32::try_from(entries.len()).map_err(|_| TableFull)?;
                let text = arena.push(subject.as_bytes()).ok_or(TableFull)?;
                slot.insert(Bucket { hash, number });
                entries.push(Entry { text, summary: Summary::default() });
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
        self.text(self.place(number))
    }

    /// Where the text of a subject is.
    #[inline]
    pub(super) fn place(&self, number: u32) -> TextPlace {
        self.entries.at(number as usize).text
    }

    /// What [`Self::bytes`] gives, by the place.
    #[inline]
    pub(super) fn text(&self, place: TextPlace) -> &[u8] {
        self.arena.text(place)
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
        let tables: usize = self.shards.iter().map(HashTable::allocation_size).sum();
        let shards = tables + self.shards.capacity() * size_of::<HashTable<Bucket>>();
        shards + self.entries.memory_bytes() + self.arena.memory_bytes()
    }

    fn split(&mut self) {
        let mut shards = vec![HashTable::new(); SHARDS];
        for bucket in self.shards.iter().flatten() {
            let shard: &mut HashTable<Bucket> = &mut shards[shard_of(bucket.hash, SHARDS)];
            shard.insert_unique(spread(bucket.hash), *bucket, |bucket| spread(bucket.hash));
        }
        self.shards = shards;
    }

    fn hash(&self, subject: &str) -> u32 {
        let hash = self.hasher.hash_one(subject);
        u32::try_from(hash >> 32).expect("half of 64 bits are 32")
    }
}

/// Picks by the upper bits of the hash; the tables find their places by the lower.
fn shard_of(hash: u32, shards: usize) -> usize {
    (hash >> 24) as usize & (shards - 1)
}

/// The hash as a table wants it, with entropy at both ends, from the half a bucket remembers.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Texts, one behind the other, each after its length.
#[derive(Clone, Debug, Default)]
struct Arena {
    pieces: Vec<Vec<u8>>,
}

/// Where a text is: 16 bits of piece and 16 bits of position. No text is ever in two pieces; one that
/// is longer than a piece has a longer one for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextPlace(u32);

const PIECE_BYTES: usize = 1 << 16;

impl Arena {
    /// Keeps `text`, or gives `None` when places are used up.
    fn push(&mut self, text: &[u8]) -> Option<TextPlace> {
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
        Some(TextPlace(u32::from(number) << 16 | u32::from(at)))
    }

    #[inline]
    fn text(&self, place: TextPlace) -> &[u8] {
        let piece = &self.pieces[(place.0 >> 16) as usize];
        let mut rest = &piece[(place.0 & 0xffff) as usize..];
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
        let largest = table.shards.iter().map(|shard| shard.len()).max().unwrap();
        assert!(largest < 200, "a table that grows moves {largest} subjects in one publish");
    }
}
