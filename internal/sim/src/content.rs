//! What is in a file: what reads return, what is on the platter, and what lies between.
//!
//! ```text
//!   write ──▶ cache ◀── read
//!     ╰────▶ pending ──sync──▶ durable              all of it
//!                    ──failed sync──▶ durable       some of it; the cache does not tell
//!                    ──power cut──▶ durable         some of it, torn, and the cache is gone
//! ```
//!
//! A sync that fails leaves nothing pending: Linux marks the pages clean all the same, so the next
//! sync succeeds and proves nothing.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use crate::Rng;
use crate::fate::Fates;
use crate::fault::{Corruption, Loss};
use crate::pages::Pages;
use crate::ranges::Ranges;

/// The content of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    cache: Pages,
    durable: Pages,
    /// In the order they were made, which is also the order in which those that survive apply.
    pending: Vec<Change>,
    /// Parts of the cache that were never written and so take no room.
    holes: Ranges,
    /// Parts that cannot be read until they are written again.
    unreadable: Ranges,
}

/// What was done to a file since its last sync.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Arc<Vec<u8>> },
    SetLen(usize),
}

impl Content {
    /// A file that was always there.
    pub(crate) fn planted(bytes: &[u8]) -> Self {
        let pages = Pages::from(bytes);
        Self { cache: pages.clone(), durable: pages, ..Self::default() }
    }

    pub(crate) fn cache(&self) -> &Pages {
        &self.cache
    }

    pub(crate) fn durable(&self) -> &Pages {
        &self.durable
    }

    /// Bytes of room it takes.
    pub(crate) fn room(&self) -> usize {
        self.cache.len() - self.holes.total()
    }

    /// Reads, or `None` when there is a bad sector in between.
    pub(crate) fn read(&self, buf: &mut [u8], at: usize) -> Option<usize> {
        let read = at..at.saturating_add(buf.len());
        (self.unreadable.overlap(&read) == 0).then(|| self.cache.read(buf, at))
    }

    /// How many of `len` bytes at `at` find a place when there are `room` bytes left.
    pub(crate) fn fitting(&self, at: usize, len: usize, room: usize) -> usize {
        let needed = |len: usize| {
            let end = at + len;
            let grown = end.saturating_sub(at.max(self.cache.len()));
            grown + self.holes.overlap(&(at..end))
        };
        if needed(len) <= room {
            return len;
        }
        let (mut fits, mut too_many) = (0, len);
        while fits + 1 < too_many {
            let middle = fits.midpoint(too_many);
            if needed(middle) <= room { fits = middle } else { too_many = middle }
        }
        fits
    }

    pub(crate) fn write(&mut self, at: usize, bytes: Arc<Vec<u8>>) {
        if bytes.is_empty() {
            return;
        }
        let written = at..at + bytes.len();
        self.holes.insert(self.cache.len()..at.max(self.cache.len()));
        self.holes.remove(written.clone());
        self.unreadable.remove(written);
        self.cache.put(at, &bytes);
        self.pending.push(Change::Write { at, bytes });
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        let old = self.cache.len();
        self.holes.insert(old..len.max(old));
        self.holes.remove(len..old.max(len));
        self.unreadable.remove(len..usize::MAX);
        self.cache.resize(len);
        self.pending.push(Change::SetLen(len));
    }

    /// Everything reaches the platter.
    pub(crate) fn sync(&mut self) {
        self.sync_first(self.pending.len());
    }

    /// The power went while syncing: some of it has reached the platter, the rest is still on its
    /// way.
    pub(crate) fn sync_some(&mut self, rng: &mut Rng) {
        self.sync_first(rng.index(self.pending.len() + 1));
    }

    fn sync_first(&mut self, count: usize) {
        for change in self.pending.drain(..count) {
            change.apply(&mut self.durable);
        }
    }

    /// The sync fails. The cache shows everything as written, whatever was lost.
    pub(crate) fn fail_sync(&mut self, loss: Loss, rng: &mut Rng) {
        let loss = match loss {
            Loss::Chance if rng.chance(1, 4) => Loss::Nothing,
            other => other,
        };
        match loss {
            Loss::Nothing => (),
            Loss::Everything => self.pending.clear(),
            Loss::Chance => {
                for change in self.pending.drain(..) {
                    if rng.coin() {
                        change.apply(&mut self.durable);
                    }
                }
            }
        }
    }

    /// The power went. `garbage` has other files, whose bytes can be found where a write was lost.
    pub(crate) fn settle(&mut self, fates: &mut Fates, garbage: Option<&[Pages]>) {
        let pending = mem::take(&mut self.pending);
        if !pending.is_empty() {
            let intended_len = self.cache.len();
            let out = &mut self.durable;
            let mut remains = Remains { floor: out.len(), unwritten: Ranges::default() };
            for change in pending {
                change.survive(out, &mut remains, fates);
            }
            if fates.is_mixed() {
                settle_len(out, remains.floor, intended_len, &mut fates.rng);
            }
            if let Some(stale) = garbage {
                remains.unwritten.remove(0..remains.floor);
                remains.unwritten.remove(out.len()..usize::MAX);
                let holes = remains.unwritten.iter();
                holes.for_each(|hole| litter(out, hole, stale, &mut fates.rng));
            }
        }
        self.cache = self.durable.clone();
        self.holes = Ranges::default();
    }

    /// Damages what is there, on the platter and in the cache. `false` when that part of the file
    /// does not exist.
    pub(crate) fn corrupt(&mut self, corruption: &Corruption) -> bool {
        if let Corruption::Unreadable { range } = corruption {
            let (Ok(start), Ok(end)) = (range.start.try_into(), range.end.try_into()) else {
                return false;
            };
            let found = end <= self.cache.len();
            if found {
                self.unreadable.insert(start..end);
            }
            return found;
        }
        let cached = damage(&mut self.cache, corruption);
        let stored = damage(&mut self.durable, corruption);
        self.holes.remove(self.cache.len()..usize::MAX);
        cached || stored
    }
}

impl Change {
    fn apply(self, file: &mut Pages) {
        match self {
            Self::Write { at, bytes } => file.put(at, &bytes),
            Self::SetLen(len) => file.resize(len),
        }
    }

    /// Applies what survives.
    fn survive(self, file: &mut Pages, remains: &mut Remains, fates: &mut Fates) {
        match self {
            Self::SetLen(len) => {
                if fates.kept() {
                    file.resize(len);
                    remains.floor = len;
                    remains.unwritten.remove(len..usize::MAX);
                }
            }
            Self::Write { at, bytes } => {
                remains.unwritten.insert(at..at + bytes.len());
                for piece in fates.survivors(at..at + bytes.len()).iter() {
                    file.put(piece.start, &bytes[piece.start - at..piece.end - at]);
                    remains.unwritten.remove(piece.clone());
                }
            }
        }
    }
}

/// What is left to be decided once each change was lost or kept.
#[derive(Debug)]
struct Remains {
    /// The length that the file would have without the writes that extend it.
    floor: usize,
    /// Where bytes were to be written and were not.
    unwritten: Ranges,
}

/// A length has a life of its own: it may lag behind the bytes that extend the file, or be ahead of
/// them.
fn settle_len(out: &mut Pages, floor: usize, intended: usize, rng: &mut Rng) {
    match rng.below(8) {
        0 if out.len() > floor => out.resize(floor),
        1 if out.len() > floor => out.resize(floor + rng.index(out.len() - floor)),
        2 if out.len() < intended => out.resize(intended),
        _ => (),
    }
}

/// Fills what was to be written and was not, with what a file system shows that hands out blocks
/// without wiping them.
fn litter(file: &mut Pages, hole: &Range<usize>, stale: &[Pages], rng: &mut Rng) {
    let mut bytes = vec![0; hole.len()];
    match rng.below(3) {
        0 => return,
        1 => rng.fill(&mut bytes),
        // Another file's bytes from the same place: whole records with checksums that are right.
        _ => {
            let Some(other) = rng.pick(stale) else { return };
            other.read(&mut bytes, hole.start);
        }
    }
    file.put(hole.start, &bytes);
}

/// Damages bytes; `false` when there are none at that place.
fn damage(file: &mut Pages, corruption: &Corruption) -> bool {
    let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    match corruption {
        Corruption::FlipBit { at, bit } => {
            let (at, mut byte) = (position(*at), [0]);
            let found = file.read(&mut byte, at) == 1;
            if found {
                file.put(at, &[byte[0] ^ (1 << (bit % 8))]);
            }
            found
        }
        Corruption::Zero { range } => {
            let (start, end) = (position(range.start), position(range.end).min(file.len()));
            let found = start <= end;
            if found {
                file.put(start, &vec![0; end - start]);
            }
            found
        }
        Corruption::Truncate { len } => {
            let found = position(*len) <= file.len();
            if found {
                file.resize(position(*len));
            }
            found
        }
        Corruption::Append { bytes } => {
            file.put(file.len(), bytes);
            true
        }
        // Neither is about bytes.
        Corruption::Unreadable { .. } | Corruption::Delete => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_ends_anywhere_between_the_old_one_and_the_one_that_was_meant() {
        let settled = |seed| {
            let mut file = Pages::from([1; 1000].as_slice());
            settle_len(&mut file, 10, 1500, &mut Rng::new(seed));
            file.len()
        };
        let lengths: Vec<usize> = (0..400).map(settled).collect();
        assert!(lengths.iter().all(|len| (10..=1500).contains(len)));
        for len in [10, 1000, 1500] {
            assert!(lengths.iter().filter(|&&other| other == len).count() > 10, "{len}");
        }
        assert!(lengths.iter().filter(|len| (11..1000).contains(*len)).count() > 10);
    }
}
