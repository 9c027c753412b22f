//! What a channel has of each source, so that every message is taken once, whichever way it comes.
//!
//! ```text
//!   source (origin, log, epoch)     (0,57]  hole  (60,83]
//!                                     a message 58 is new; 57 and 83 are not; 84 after 83 is new
//! ```
//!
//! A message says its sequence in the log it was published in and the one before it there; taking it
//! covers both it and what lies between, which is nothing. So gaps in the numbers, which are the
//! messages of others in that log, are no holes. A hole is left where a sender could not say what
//! was before: the message that fills it may come over another link, and is taken.
//!
//! It is a fold over the channel's own log, and can be written down and read back to shorten that.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;

use foldhash::fast::FixedState;
use lru::LruCache;
use pubsub_envelope::{Meta, Source};
use uuid::Uuid;

use crate::name::NODE_NAME_MAX_BYTES;
use crate::ranges::Ranges;
use crate::wire::{BadFrame, Reader, put_bytes, put_number};

/// Most ranges of one source: holes and one.
pub const RANGES_MAX: usize = 1_024;

/// Most sources of one channel, unless said otherwise.
pub const SOURCES_MAX: usize = 4_096;

/// First byte of what [`Coverage::encode`] writes.
const VERSION: u8 = 1;

/// Whose sequences they are.
#[derive(Clone, Debug)]
struct Key {
    log: Uuid,
    epoch: u64,
    origin: Box<str>,
}

/// The same, borrowed.
#[derive(Clone, Copy, Debug)]
struct KeyRef<'a> {
    log: Uuid,
    epoch: u64,
    origin: &'a str,
}

/// A key, whoever owns its text: what the table is asked with, so that asking allocates nothing.
trait AsKey {
    fn as_key(&self) -> KeyRef<'_>;
}

impl AsKey for Key {
    fn as_key(&self) -> KeyRef<'_> {
        KeyRef { log: self.log, epoch: self.epoch, origin: &self.origin }
    }
}

impl AsKey for KeyRef<'_> {
    fn as_key(&self) -> KeyRef<'_> {
        *self
    }
}

impl<'a> Borrow<dyn AsKey + 'a> for Key {
    fn borrow(&self) -> &(dyn AsKey + 'a) {
        self
    }
}

impl Hash for dyn AsKey + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let KeyRef { log, epoch, origin } = self.as_key();
        (log, epoch, origin).hash(state);
    }
}

impl PartialEq for dyn AsKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (self.as_key(), other.as_key());
        (one.log, one.epoch, one.origin) == (other.log, other.epoch, other.origin)
    }
}

impl Eq for dyn AsKey + '_ {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let key: &dyn AsKey = self;
        key.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let (one, other): (&dyn AsKey, &dyn AsKey) = (self, other);
        one == other
    }
}

impl Eq for Key {}

/// What a channel has of each source.
///
/// Sources are told apart by the origin's name too: who may only send its own messages cannot speak
/// of another's log.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// Least recently used first to go.
    sources: LruCache<Key, Ranges, FixedState>,
    forgotten: Forgotten,
}

/// What was given up to stay within bounds. Each could mean a message lost or doubled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Holes closed because a source had more than [`RANGES_MAX`]: what would have filled them is no
    /// longer taken.
    pub holes: u64,
    /// Sources forgotten because there were too many: what they send again is taken again.
    pub sources: u64,
}

impl Default for Coverage {
    fn default() -> Self {
        Self::new(SOURCES_MAX)
    }
}

impl Coverage {
    /// Knows nothing yet, and at most `sources_max` sources (at least one).
    #[must_use]
    pub fn new(sources_max: usize) -> Self {
        let most = NonZeroUsize::new(sources_max).unwrap_or(NonZeroUsize::MIN);
        // Unbounded, so that no table of that size is made before it is needed.
        let mut sources = LruCache::unbounded_with_hasher(FixedState::default());
        sources.resize(most);
        Self { sources, forgotten: Forgotten::default() }
    }

    /// Whether the message is here, or none of this channel's business.
    #[must_use]
    pub fn contains(&self, origin: &str, source: &Source) -> bool {
        let key = KeyRef { log: source.log, epoch: source.epoch, origin };
        self.sources.peek(&key as &dyn AsKey).is_some_and(|ranges| ranges.contains(source.seq))
    }

    /// Takes the message: it, and that nothing lies between it and the one before it.
    pub fn insert(&mut self, origin: &str, source: &Source) {
        let (after, to) = (source.previous, source.seq);
        if after >= to {
            // A source that cannot be true covers nothing.
            return;
        }
        let key = KeyRef { log: source.log, epoch: source.epoch, origin };
        if let Some(ranges) = self.sources.get_mut(&key as &dyn AsKey) {
            ranges.insert(after, to);
            if ranges.len() > RANGES_MAX {
                ranges.close_oldest_hole();
                self.forgotten.holes += 1;
            }
            return;
        }
        let mut ranges = Ranges::default();
        ranges.insert(after, to);
        let key = Key { log: source.log, epoch: source.epoch, origin: origin.into() };
        if self.sources.push(key, ranges).is_some() {
            self.forgotten.sources += 1;
        }
    }

    /// Takes a message back that was not stored after all. What lies before it stays nothing.
    pub fn remove(&mut self, origin: &str, source: &Source) {
        let key = KeyRef { log: source.log, epoch: source.epoch, origin };
        if let Some(ranges) = self.sources.peek_mut(&key as &dyn AsKey) {
            ranges.remove(source.seq);
        }
    }

    /// Takes a message of the channel's own log. Those that were published here are not covered: they
    /// never come from elsewhere, because their route begins here.
    pub fn fold(&mut self, meta: &Meta<'_>) {
        if let Some(source) = &meta.source {
            self.insert(origin_of(meta), source);
        }
    }

    /// What was given up since this value was made or read.
    #[must_use]
    pub const fn forgotten(&self) -> Forgotten {
        self.forgotten
    }

    /// Number of sources.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Number of holes, of all sources together.
    #[must_use]
    pub fn holes(&self) -> usize {
        self.sources.iter().map(|(_, ranges)| ranges.len().saturating_sub(1)).sum()
    }

    /// Appends it to `out`. There is no checksum in it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        let sources = self.sources.iter().filter(|(_, ranges)| !ranges.is_empty());
        put_number(out, sources.clone().count() as u64);
        // The least recently used first, so that reading them in order uses them in order.
        for (key, ranges) in sources.rev() {
            out.extend_from_slice(key.log.as_bytes());
            put_number(out, key.epoch);
            put_bytes(out, key.origin.as_bytes());
            put_number(out, ranges.len() as u64);
            let mut at = 0;
            for (after, to) in ranges.iter() {
                put_number(out, after - at);
                put_number(out, to - after);
                at = to;
            }
        }
    }

    /// Reads what [`Self::encode`] wrote. Knows at most `sources_max` sources.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn decode(bytes: &[u8], sources_max: usize) -> Result<Self, BadFrame> {
        let mut coverage = Self::new(sources_max);
        let mut reader = Reader::new(bytes);
        if reader.byte("version")? != VERSION {
            return Err(BadFrame::Invalid("version"));
        }
        let sources = reader.number("sources")?;
        for _ in 0..sources {
            let log = Uuid::from_bytes(reader.array("log")?);
            let epoch = reader.number("epoch")?;
            let origin = reader.text("origin", NODE_NAME_MAX_BYTES)?;
            let ranges = read_ranges(&mut reader)?;
            let key = Key { log, epoch, origin: origin.into() };
            if coverage.sources.push(key, ranges).is_some() {
                coverage.forgotten.sources += 1;
            }
        }
        reader.end()?;
        Ok(coverage)
    }
}

/// Ranges, of which there are at most [`RANGES_MAX`].
fn read_ranges(reader: &mut Reader<'_>) -> Result<Ranges, BadFrame> {
    let count = reader.number_to("ranges", RANGES_MAX as u64)?;
    let mut ranges = Ranges::default();
    let mut at = 0_u64;
    for nth in 0..count {
        let (hole, len) = (reader.number("hole")?, reader.number("range")?);
        let after = at.checked_add(hole).ok_or(BadFrame::Invalid("hole"))?;
        let to = after.checked_add(len).ok_or(BadFrame::Invalid("range"))?;
        if len == 0 || (nth > 0 && hole == 0) {
            return Err(BadFrame::Invalid("range"));
        }
        ranges.insert(after, to);
        at = to;
    }
    if ranges.is_empty() {
        return Err(BadFrame::Invalid("ranges"));
    }
    Ok(ranges)
}

/// The node that published a message first.
#[must_use]
pub fn origin_of<'a>(meta: &Meta<'a>) -> &'a str {
    meta.route.iter().next().unwrap_or(meta.origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn source(log: u128, seq: u64, previous: u64) -> Source {
        Source { log: Uuid::from_u128(log), epoch: 1, seq, previous }
    }

    #[test]
    fn messages_of_others_in_between_are_no_holes() {
        let mut coverage = Coverage::default();
        for (seq, previous) in [(1, 0), (5, 1), (9, 5)] {
            assert!(!coverage.contains("a", &source(1, seq, previous)));
            coverage.insert("a", &source(1, seq, previous));
        }
        assert_eq!(coverage.holes(), 0);
        assert!((1..=9).all(|seq| coverage.contains("a", &source(1, seq, 0))));
        assert!(!coverage.contains("a", &source(1, 10, 9)));
    }

    #[test]
    fn a_hole_is_filled_by_what_comes_another_way_and_only_once() {
        let mut coverage = Coverage::default();
        coverage.insert("a", &source(1, 1, 0));
        coverage.insert("a", &source(1, 4, 3));
        assert_eq!(coverage.holes(), 1);
        assert!(!coverage.contains("a", &source(1, 2, 1)));
        coverage.insert("a", &source(1, 2, 1));
        assert!(coverage.contains("a", &source(1, 2, 1)));
        assert!(!coverage.contains("a", &source(1, 3, 2)));
    }

    #[test]
    fn origins_logs_and_epochs_are_told_apart() {
        let mut coverage = Coverage::default();
        coverage.insert("a", &source(1, u64::MAX, 0));
        assert!(!coverage.contains("b", &source(1, 7, 6)));
        assert!(!coverage.contains("a", &source(2, 7, 6)));
        assert!(!coverage.contains("a", &Source { epoch: 2, ..source(1, 7, 6) }));
        assert!(coverage.contains("a", &source(1, 7, 6)));
    }

    #[test]
    fn what_was_not_stored_is_taken_back_and_what_lies_before_it_stays_nothing() {
        let mut coverage = Coverage::default();
        coverage.insert("a", &source(1, 1, 0));
        coverage.insert("a", &source(1, 5, 1));
        coverage.remove("a", &source(1, 5, 1));
        assert!(!coverage.contains("a", &source(1, 5, 1)));
        assert!(coverage.contains("a", &source(1, 4, 3)));
        coverage.remove("b", &source(1, 5, 1));
    }

    #[test]
    fn beyond_the_most_holes_the_oldest_closes_and_is_counted() {
        let mut coverage = Coverage::default();
        for nth in 0..RANGES_MAX as u64 + 5 {
            coverage.insert("a", &source(1, 10 * nth + 1, 10 * nth));
        }
        assert_eq!(coverage.holes(), RANGES_MAX - 1);
        assert_eq!(coverage.forgotten(), Forgotten { holes: 5, sources: 0 });
        assert!(coverage.contains("a", &source(1, 45, 44)));
        assert!(!coverage.contains("a", &source(1, 55, 54)));
    }

    #[test]
    fn beyond_the_most_sources_the_least_recently_used_goes_and_is_counted() {
        let mut coverage = Coverage::new(3);
        for log in [1, 2, 3, 1, 4] {
            coverage.insert("a", &source(log, 1, 0));
            coverage.insert("a", &source(log, 2, 1));
        }
        let known: Vec<u128> =
            (1..=4).filter(|&log| coverage.contains("a", &source(log, 1, 0))).collect();
        assert_eq!(known, [1, 3, 4]);
        assert_eq!(coverage.forgotten(), Forgotten { holes: 0, sources: 1 });
    }

    #[test]
    fn written_down_and_read_back_it_also_forgets_in_the_same_order() {
        let mut coverage = Coverage::new(3);
        for log in [1, 2, 3, 1] {
            coverage.insert("a", &source(log, 1, 0));
        }
        let mut bytes = Vec::new();
        coverage.encode(&mut bytes);
        let mut again = Coverage::decode(&bytes, 3).unwrap();
        for (coverage, log) in [(&mut coverage, 4), (&mut again, 4)] {
            coverage.insert("a", &source(log, 1, 0));
            let known: Vec<u128> =
                (1..=4).filter(|&log| coverage.contains("a", &source(log, 1, 0))).collect();
            assert_eq!(known, [1, 3, 4]);
        }
    }

    /// Messages as a log would have them: its own among those of others, some of them lost on the way.
    fn history() -> impl Strategy<Value = Vec<(u8, bool, u64, bool)>> {
        prop::collection::vec((0_u8..3, any::<bool>(), 1_u64..4, prop::bool::weighted(0.8)), 0..80)
    }

    proptest! {
        #[test]
        fn exactly_what_was_taken_is_covered(steps in history()) {
            let mut coverage = Coverage::default();
            let mut model: BTreeSet<(u8, u64)> = BTreeSet::new();
            let mut nothing: BTreeSet<(u8, u64)> = BTreeSet::new();
            let mut last = [0_u64; 3];
            let mut all = Vec::new();
            for (log, known, distance, arrives) in steps {
                let seq = last[usize::from(log)] + distance;
                let previous = if known { last[usize::from(log)] } else { seq - 1 };
                last[usize::from(log)] = seq;
                all.push((log, seq, previous));
                if arrives {
                    coverage.insert("o", &source(u128::from(log), seq, previous));
                    model.insert((log, seq));
                    nothing.extend((previous + 1..seq).map(|between| (log, between)));
                }
            }
            let mut bytes = Vec::new();
            coverage.encode(&mut bytes);
            let coverage = Coverage::decode(&bytes, SOURCES_MAX).unwrap();
            for (nth, &(log, seq, previous)) in all.iter().enumerate() {
                let taken = model.contains(&(log, seq));
                prop_assert_eq!(
                    coverage.contains("o", &source(u128::from(log), seq, previous)),
                    taken || nothing.contains(&(log, seq)), "{} of {}", seq, log
                );
                // No message is claimed to be nothing.
                prop_assert!(!nothing.contains(&(log, seq)), "{}", nth);
            }
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(coverage) = Coverage::decode(&bytes, 8) {
                let mut out = Vec::new();
                coverage.encode(&mut out);
                prop_assert!(Coverage::decode(&out, 8).is_ok());
            }
        }
    }
}
