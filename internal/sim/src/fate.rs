//! What a power cut does with everything that was not synced: nothing survives, all of it does, or
//! a seed decides, change by change.

use std::ops::Range;

use crate::Rng;
use crate::ranges::Ranges;

/// How much of what was not synced survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing: the disk as its syncs left it.
    Nothing,
    /// All of it, as written.
    Everything,
    /// Each change is kept, lost or torn as this seed decides. One seed in eight loses everything,
    /// and one keeps everything.
    Chance(u64),
}

/// Decides. One for each power cut.
#[derive(Debug)]
pub(crate) struct Fates {
    pub(crate) rng: Rng,
    /// Chances in eight that a change is kept, or torn; otherwise it is lost.
    keep: u64,
    tear: u64,
}

impl Fates {
    pub(crate) fn new(survival: Survival) -> Self {
        match survival {
            Survival::Nothing => Self { rng: Rng::new(0), keep: 0, tear: 0 },
            Survival::Everything => Self { rng: Rng::new(0), keep: 8, tear: 0 },
            Survival::Chance(seed) => {
                let mut rng = Rng::new(seed);
                let (keep, tear) = match rng.below(8) {
                    0 => (0, 0),
                    1 => (8, 0),
                    _ => {
                        let keep = 1 + rng.below(6);
                        (keep, rng.below(8 - keep))
                    }
                };
                Self { rng, keep, tear }
            }
        }
    }

    /// Of a change that happens or does not.
    pub(crate) fn kept(&mut self) -> bool {
        self.rng.below(8) < self.keep
    }

    /// Whether anything can be otherwise than all lost or all kept.
    pub(crate) fn is_mixed(&self) -> bool {
        !matches!(self.keep, 0 | 8)
    }

    /// Which bytes of a write reached the platter: all, none, those before some byte, or some of its
    /// sectors.
    pub(crate) fn survivors(&mut self, write: Range<usize>) -> Ranges {
        let mut survivors = Ranges::default();
        match self.rng.below(8) {
            n if n < self.keep => survivors.insert(write),
            n if n >= self.keep + self.tear => (),
            _ if self.rng.coin() => {
                survivors.insert(write.start..write.start + self.rng.index(write.len() + 1));
            }
            _ => {
                let mut start = write.start;
                while start < write.end {
                    let end = ((start / SECTOR_BYTES + 1) * SECTOR_BYTES).min(write.end);
                    if self.rng.coin() {
                        survivors.insert(start..end);
                    }
                    start = end;
                }
            }
        }
        survivors
    }
}

/// What a disk writes whole or not at all, in bytes.
const SECTOR_BYTES: usize = 512;
