//! Subjects in byte order, without comparing the beginning that all of them share again and again.
//!
//! Eight bytes at a time are copied next to the subject's number and sorted there; only those that
//! are equal so far go on to the next eight.

use std::ops::Range;

use super::table::SubjectTable;

/// Sorts subject numbers by the bytes of their subjects. No number is there twice.
pub(super) fn by_subject(table: &SubjectTable, numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut keys: Vec<Key> = numbers.map(|number| Key { head: 0, len: 0, number }).collect();
    // A list of what is left to do and no recursion: subjects may share thousands of bytes.
    let mut todo = vec![(0..keys.len(), 0)];
    while let Some((equal, depth)) = todo.pop() {
        let group = &mut keys[equal.clone()];
        if group.len() < SMALL {
            group.sort_unstable_by_key(|key| &table.bytes(key.number)[depth..]);
            continue;
        }
        for key in group.iter_mut() {
            key.load(&table.bytes(key.number)[depth..]);
        }
        group.sort_unstable_by_key(|key| (key.head, key.len));
        for ties in ties(group) {
            todo.push((equal.start + ties.start..equal.start + ties.end, depth + HEAD_BYTES));
        }
    }
    keys.into_iter().map(|key| key.number).collect()
}

/// Below this many, comparing whole subjects is as quick.
const SMALL: usize = 16;

const HEAD_BYTES: usize = size_of::<u64>();

#[derive(Clone, Copy)]
struct Key {
    /// The next bytes of the subject, most significant first, zeros behind its end.
    head: u64,
    /// How many of them are the subject's; tells an end from a zero byte.
    len: u8,
    number: u32,
}

impl Key {
    fn load(&mut self, rest: &[u8]) {
        let mut head = [0; HEAD_BYTES];
        let len = rest.len().min(HEAD_BYTES);
        head[..len].copy_from_slice(&rest[..len]);
        self.head = u64::from_be_bytes(head);
        self.len = u8::try_from(len).expect("at most eight");
    }
}

/// The stretches of a sorted group that are equal so far and have more to compare.
fn ties(group: &[Key]) -> impl Iterator<Item = Range<usize>> {
    let mut end = 0;
    group.chunk_by(|a, b| a.head == b.head && a.len == b.len).filter_map(move |run| {
        let start = end;
        end += run.len();
        // Two subjects that end at the same place would be the same subject.
        (run.len() > 1).then_some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::{SubjectTable, by_subject};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn subjects_come_in_byte_order(
            subjects in prop::collection::btree_set("(a{0,20}|shared.prefix.of.some.length.)[a\0ä]{0,10}", 0..200),
            step in 1..97usize,
        ) {
            let sorted: Vec<String> = subjects.into_iter().collect();
            let mut table = SubjectTable::new();
            for start in 0..step {
                for subject in sorted.iter().skip(start).step_by(step) {
                    table.intern(subject).unwrap();
                }
            }
            let order = by_subject(&table, 0..table.len());
            let found: Vec<&str> = order.iter().map(|&number| table.subject(number)).collect();
            prop_assert_eq!(found, sorted);
        }
    }

    #[test]
    fn subjects_that_share_thousands_of_bytes_are_sorted_too() {
        let mut table = SubjectTable::new();
        for n in (0..40).rev() {
            table.intern(&format!("{}{n:02}", "x".repeat(100_000))).unwrap();
        }
        assert!(by_subject(&table, 0..table.len()).into_iter().eq((0..40).rev()));
    }
}
