//! What was looked up lately, so that a hot subject costs one probe and no walk.
//!
//! ```text
//!   subject ──▶ seen lately? ──yes──▶ nothing changed for its first token? ──yes──▶ the answer kept
//!                  │ no                    │ no: looked up again, in its place
//!                  ▼
//!              looked up; asked for the second time? ──yes──▶ takes the place of one that is cold
//! ```
//!
//! A subject earns its place by being asked for twice, and one that is asked for again and again
//! survives three rounds of the clock hand. So a flood of random subjects, and the reply subjects
//! that are used once, go past the cache without touching it, and a flood that repeats each subject
//! takes the places of its own kind.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::generations::Slot;
use crate::matches::Matches;
use crate::shared::Shared;
#[cfg(doc)]
use crate::snapshot::Snapshot;
use crate::subscriber::Subscriber;

/// How much a [`Cache`] may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Subjects at most, 1 to 2^32 − 1.
    pub entries: u32,
    /// Bytes at most, of subjects and answers and what leads to them. An answer that would take more
    /// than an eighth of it is not kept.
    pub bytes: usize,
}

impl Default for CacheLimits {
    /// 32,768 subjects and 16 MiB.
    fn default() -> Self {
        Self { entries: 1 << 15, bytes: 16 << 20 }
    }
}

/// What became of the questions asked of a [`Cache`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Answered without a look-up.
    pub hits: u64,
    /// Looked up: the subject was not there.
    pub misses: u64,
    /// Looked up: the answer was there, and something had changed.
    pub stale: u64,
    /// Kept answers that others took the place of.
    pub evicted: u64,
    /// Subjects kept now.
    pub entries: usize,
    /// Bytes they take now, the table and the memory of subjects asked for once among them.
    pub bytes: usize,
}

/// Answers of one interest, for one thread.
///
/// Never answers with less than what was published before the question.
pub struct Cache<S> {
    interest: Arc<Shared<S>>,
    limits: CacheLimits,
    hasher: FixedState,
    /// Places in `entries`, by hash of the subject.
    table: HashTable<u32>,
    entries: Vec<Option<Entry<S>>>,
    /// Places in `entries` that are empty.
    vacant: Vec<u32>,
    /// Where the look for a cold entry goes on.
    hand: usize,
    once: Once,
    /// Bytes that the entries hold.
    bytes: usize,
    /// The answer to a question whose answer is not kept.
    passing: Matches<S>,
    stats: CacheStats,
}

struct Entry<S> {
    hash: u64,
    subject: Box<[u8]>,
    matches: Matches<S>,
    /// The snapshot that answered.
    version: u64,
    slot: Slot,
    /// How often the hand passes by before the entry goes.
    heat: u8,
}

/// Rounds that a hot entry survives.
const HEAT_MAX: u8 = 3;

/// Sets of marks of subjects asked for once, at first (256 bytes) and at most (256 KiB).
const SETS_MIN: usize = 16;
const SETS_MAX: usize = 1 << 14;

impl<S: Subscriber> Cache<S> {
    /// An empty cache of what `interest` answers. `seed` should be secret and random: it decides
    /// which subjects share a place in the table.
    #[must_use]
    pub fn new(interest: Arc<Shared<S>>, limits: CacheLimits, seed: u64) -> Self {
        Self {
            interest,
            limits,
            hasher: FixedState::with_seed(seed),
            table: HashTable::new(),
            entries: Vec::new(),
            vacant: Vec::new(),
            hand: 0,
            once: Once::default(),
            bytes: 0,
            passing: Matches::new(),
            stats: CacheStats::default(),
        }
    }

    /// Who wants `subject`, as of the latest snapshot; see [`Snapshot::matches`].
    pub fn matches(&mut self, subject: impl AsRef<[u8]>) -> &Matches<S> {
        let subject = subject.as_ref();
        let hash = self.hasher.hash_one(subject);
        let entries = &self.entries;
        let is_same = |place: &u32| {
            entries[*place as usize].as_ref().is_some_and(|entry| *entry.subject == *subject)
        };
        let Some(&place) = self.table.find(hash, is_same) else {
            return self.miss(hash, subject);
        };
        let place = place as usize;
        let Some(entry) = &mut self.entries[place] else { return self.miss(hash, subject) };
        if !self.interest.generations().is_current(entry.slot, entry.version) {
            return self.renew(place, subject);
        }
        if entry.heat < HEAT_MAX {
            entry.heat += 1;
        }
        self.stats.hits += 1;
        self.entries[place].as_ref().map_or(&self.passing, |entry| &entry.matches)
    }

    /// What it answers for.
    #[must_use]
    pub const fn interest(&self) -> &Arc<Shared<S>> {
        &self.interest
    }

    /// What became of the questions so far, and what is kept now.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats { entries: self.table.len(), bytes: self.memory_bytes(), ..self.stats }
    }

    /// Forgets everything, and gives its memory back.
    pub fn clear(&mut self) {
        self.table = HashTable::new();
        self.entries = Vec::new();
        self.vacant = Vec::new();
        self.hand = 0;
        self.once = Once::default();
        self.bytes = 0;
        self.passing = Matches::new();
    }

    fn memory_bytes(&self) -> usize {
        self.bytes
            + self.entries.capacity() * size_of::<Option<Entry<S>>>()
            + self.table.allocation_size()
            + self.once.memory_bytes()
    }

    /// Looks the subject up, and keeps the answer if it was asked for before.
    fn miss(&mut self, hash: u64, subject: &[u8]) -> &Matches<S> {
        self.stats.misses += 1;
        let version = self.look_up(subject);
        if self.once.knows(hash) {
            self.keep(Entry {
                hash,
                subject: subject.into(),
                matches: self.passing.clone(),
                version,
                slot: Slot::of_subject(subject),
                heat: 0,
            });
        } else {
            self.once.note(hash, self.limits);
        }
        &self.passing
    }

    /// Looks a subject up whose answer is there, but may have changed.
    fn renew(&mut self, place: usize, subject: &[u8]) -> &Matches<S> {
        self.stats.stale += 1;
        let version = self.look_up(subject);
        let Some(mut entry) = self.take(place) else { return &self.passing };
        entry.version = version;
        entry.matches.clone_from(&self.passing);
        self.keep(entry);
        &self.passing
    }

    /// Looks a subject up, and says in which snapshot.
    fn look_up(&mut self, subject: &[u8]) -> u64 {
        let latest = self.interest.load();
        latest.matches(subject, &mut self.passing);
        latest.version()
    }

    /// Makes room for an entry, if it may be so large, and puts it there.
    fn keep(&mut self, entry: Entry<S>) {
        let bytes = entry.memory_bytes();
        let entries_max = self.limits.entries.max(1) as usize;
        if bytes > self.limits.bytes / 8 {
            return;
        }
        let is_full = |cache: &Self| {
            cache.table.len() >= entries_max
                || cache.memory_bytes() + cache.growth() + bytes > cache.limits.bytes
        };
        while is_full(self) && self.evict() {}
        let place = self.vacant.pop().unwrap_or_else(|| {
            if self.entries.len() == self.entries.capacity() {
                self.entries.reserve_exact(self.step());
            }
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("entries are counted in 32 bits")
        });
        let hash = entry.hash;
        self.bytes += bytes;
        self.entries[place as usize] = Some(entry);
        let entries = &self.entries;
        self.table.insert_unique(hash, place, |place| {
            entries[*place as usize].as_ref().map_or(0, |entry| entry.hash)
        });
    }

    /// Bytes that one more entry adds to the lists, whatever it holds.
    fn growth(&self) -> usize {
        let has_place = !self.vacant.is_empty() || self.entries.len() < self.entries.capacity();
        let entries = if has_place { 0 } else { self.step() * size_of::<Option<Entry<S>>>() };
        let has_room = self.table.len() < self.table.capacity();
        // The table doubles.
        entries + if has_room { 0 } else { self.table.allocation_size().max(64) }
    }

    /// Places to add when there is none left.
    const fn step(&self) -> usize {
        if self.entries.len() < 64 { 8 } else { self.entries.len() / 8 }
    }

    /// Moves the hand on to an entry that is cold, and removes it. False when there is no entry.
    fn evict(&mut self) -> bool {
        while !self.table.is_empty() {
            let place = self.hand;
            // A new entry takes a place that the hand has just left: it has a whole round.
            self.hand = if place + 1 < self.entries.len() { place + 1 } else { 0 };
            match self.entries.get_mut(place) {
                Some(Some(entry)) if entry.heat > 0 => entry.heat -= 1,
                Some(Some(_)) => {
                    self.stats.evicted += 1;
                    return self.take(place).is_some();
                }
                Some(None) | None => (),
            }
        }
        false
    }

    fn take(&mut self, place: usize) -> Option<Entry<S>> {
        let entry = self.entries.get_mut(place)?.take()?;
        self.bytes -= entry.memory_bytes();
        let number = u32::try_from(place).expect("entries are counted in 32 bits");
        self.vacant.push(number);
        if let Ok(found) = self.table.find_entry(entry.hash, |other| *other == number) {
            found.remove();
        }
        Some(entry)
    }
}

impl<S: Subscriber> Entry<S> {
    /// Bytes outside of the entry itself.
    fn memory_bytes(&self) -> usize {
        self.subject.len() + self.matches.memory_bytes()
    }
}

impl<S: Subscriber> fmt::Debug for Cache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Which subjects were asked for lately and are not kept, as a mark for each.
#[derive(Default)]
struct Once {
    /// A power of two of sets, or none; in each the latest mark first. Zero is none.
    sets: Vec<[u32; 4]>,
    /// Marks that later ones pushed out since there are so many sets.
    pushed_out: usize,
}

impl Once {
    fn knows(&self, hash: u64) -> bool {
        self.place(hash).is_some_and(|place| self.sets[place].contains(&mark(hash)))
    }

    fn note(&mut self, hash: u64, limits: CacheLimits) {
        if self.pushed_out >= self.sets.len() {
            self.grow(limits);
        }
        let Some(place) = self.place(hash) else { return };
        let [first, second, third, last] = self.sets[place];
        self.pushed_out += usize::from(last != 0);
        self.sets[place] = [mark(hash), first, second, third];
    }

    /// Remembers more subjects from now on: those between two questions for the same one are more
    /// than it could hold. It takes a sixteenth of the memory at most.
    fn grow(&mut self, limits: CacheLimits) {
        let most = (limits.entries as usize / 2).min(limits.bytes / 256).min(SETS_MAX);
        let len = (self.sets.len() * 2).max(SETS_MIN);
        self.pushed_out = 0;
        if len <= most.max(SETS_MIN) {
            self.sets = vec![[0; 4]; len];
        }
    }

    fn place(&self, hash: u64) -> Option<usize> {
        let last = self.sets.len().checked_sub(1)?;
        Some((hash & 0xffff_ffff) as u32 as usize & last)
    }

    fn memory_bytes(&self) -> usize {
        self.sets.capacity() * size_of::<[u32; 4]>()
    }
}

/// Bits of a hash that do not say the place. Never zero.
fn mark(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}
