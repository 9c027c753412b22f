//! A set of sequences, as merged ranges. Almost always one: what came, up to now.

/// A set of numbers from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// Each `(after, to)` holds what is above `after` up to `to`. Ascending; between two there is a hole.
    ranges: Vec<(u64, u64)>,
}

impl Ranges {
    pub(crate) fn contains(&self, number: u64) -> bool {
        let nth = self.first_reaching(number);
        self.ranges.get(nth).is_some_and(|&(after, _)| after < number)
    }

    /// Adds what is above `after` up to `to`.
    pub(crate) fn insert(&mut self, after: u64, to: u64) {
        debug_assert!(after < to);
        match self.ranges.last_mut() {
            // What nearly always happens: the next message.
            Some(last) if last.1 == after => last.1 = to,
            Some(last) if last.1 > after => self.insert_within(after, to),
            _ => self.ranges.push((after, to)),
        }
    }

    fn insert_within(&mut self, after: u64, to: u64) {
        // Ranges that touch or overlap the new one become one with it.
        let from = self.first_reaching(after);
        let until = self.ranges.partition_point(|range| range.0 <= to);
        if from == until {
            self.ranges.insert(from, (after, to));
            return;
        }
        let merged = (self.ranges[from].0.min(after), self.ranges[until - 1].1.max(to));
        self.ranges[from] = merged;
        self.ranges.drain(from + 1..until);
    }

    pub(crate) fn remove(&mut self, number: u64) {
        let nth = self.first_reaching(number);
        let Some(&(after, to)) = self.ranges.get(nth) else { return };
        if after >= number {
            return;
        }
        let parts = [(after, number - 1), (number, to)];
        let kept = parts.into_iter().filter(|(after, to)| after < to);
        self.ranges.splice(nth..=nth, kept);
    }

    /// Closes the oldest hole.
    pub(crate) fn close_oldest_hole(&mut self) {
        if self.ranges.len() > 1 {
            let (after, _) = self.ranges.remove(0);
            self.ranges[0].0 = after;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().copied()
    }

    /// The first range that goes up to `number` or beyond.
    fn first_reaching(&self, number: u64) -> usize {
        match self.ranges.last() {
            // The end is where most questions are.
            Some(last) if last.1 < number => self.ranges.len(),
            _ => self.ranges.partition_point(|range| range.1 < number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, u64),
        Remove(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let insert =
            (0_u64..60, 1_u64..12).prop_map(|(after, len)| Step::Insert(after, after + len));
        let remove = (1_u64..72).prop_map(Step::Remove);
        prop::collection::vec(prop_oneof![3 => insert, 1 => remove], 0..60)
    }

    proptest! {
        #[test]
        fn ranges_are_the_set_of_their_numbers(steps in steps()) {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(after, to) => {
                        ranges.insert(after, to);
                        model.extend(after + 1..=to);
                    }
                    Step::Remove(number) => {
                        ranges.remove(number);
                        model.remove(&number);
                    }
                }
                for number in 0..80 {
                    prop_assert_eq!(ranges.contains(number), model.contains(&number), "{}", number);
                }
                let all: Vec<(u64, u64)> = ranges.iter().collect();
                prop_assert!(all.iter().all(|(after, to)| after < to));
                prop_assert!(all.windows(2).all(|two| two[0].1 < two[1].0), "merged: {:?}", all);
            }
        }
    }

    #[test]
    fn closing_the_oldest_hole_only_adds() {
        let mut ranges = Ranges::default();
        for after in [0, 10, 20] {
            ranges.insert(after, after + 2);
        }
        ranges.close_oldest_hole();
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(0, 12), (20, 22)]);
        ranges.close_oldest_hole();
        ranges.close_oldest_hole();
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(0, 22)]);
    }
}
