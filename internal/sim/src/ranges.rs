//! A set of byte positions, kept as ranges: the holes of a file, its bad sectors.

use std::ops::Range;

/// Positions in a file. Invariant: the ranges are not empty, in order, and do not touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(Vec<Range<usize>>);

impl Ranges {
    pub(crate) fn insert(&mut self, new: Range<usize>) {
        if new.is_empty() {
            return;
        }
        let first = self.0.partition_point(|old| old.end < new.start);
        let behind = self.0.partition_point(|old| old.start <= new.end);
        let mut merged = new;
        if let [lowest, ..] = &self.0[first..behind] {
            merged.start = merged.start.min(lowest.start);
        }
        if let [.., highest] = &self.0[first..behind] {
            merged.end = merged.end.max(highest.end);
        }
        self.0.splice(first..behind, [merged]);
    }

    pub(crate) fn remove(&mut self, gone: Range<usize>) {
        if gone.is_empty() {
            return;
        }
        let first = self.0.partition_point(|old| old.end <= gone.start);
        let behind = self.0.partition_point(|old| old.start < gone.end);
        if first >= behind {
            return;
        }
        let below = self.0[first].start..gone.start;
        let above = gone.end..self.0[behind - 1].end;
        self.0.splice(first..behind, [below, above].into_iter().filter(|kept| !kept.is_empty()));
    }

    /// How many positions of `range` are in the set.
    pub(crate) fn overlap(&self, range: &Range<usize>) -> usize {
        let first = self.0.partition_point(|old| old.end <= range.start);
        self.0[first..]
            .iter()
            .take_while(|old| old.start < range.end)
            .map(|old| old.end.min(range.end) - old.start.max(range.start))
            .sum()
    }

    /// How many positions are in the set.
    pub(crate) fn total(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Range<usize>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn ranges_are_the_set_of_their_positions() {
        let mut rng = Rng::new(7);
        for _ in 0..200 {
            let mut ranges = Ranges::default();
            let mut model = [false; 40];
            for _ in 0..12 {
                let start = rng.index(40);
                let range = start..start + rng.index(40 - start + 1);
                let present = rng.coin();
                model[range.clone()].fill(present);
                match present {
                    true => ranges.insert(range),
                    false => ranges.remove(range),
                }
                let inside = |at: usize| ranges.iter().any(|r| r.contains(&at));
                assert!((0..40).all(|at| inside(at) == model[at]), "{ranges:?} {model:?}");
                assert!(ranges.0.windows(2).all(|w| w[0].end < w[1].start), "{ranges:?}");
            }
            let positions = model.iter().filter(|&&present| present).count();
            assert_eq!(ranges.total(), positions);
            assert_eq!(ranges.overlap(&(0..40)), positions);
            let upper = model[20..30].iter().filter(|&&present| present).count();
            assert_eq!(ranges.overlap(&(20..30)), upper);
        }
    }
}
