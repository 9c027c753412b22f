//! Subjects in byte order, without comparing the beginning that all of them share again and again.
//!
//! Seven bytes at a time are copied next to the subject's number and sorted there; only those that
//! are equal so far go on to the next seven.

use super::table::{SubjectTable, TextPlace};

/// Sorts subject numbers by the bytes of their subjects. No number is there twice.
pub(super) fn by_subject(table: &SubjectTable, numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let key = |number| Key { head: 0, number, text: table.place(number) };
    let mut keys: Vec<Key> = numbers.map(key).collect();
    // A list of what is left to do and no recursion: subjects may share thousands of bytes.
    let mut todo = vec![(0..keys.len(), 0)];
    while let Some((equal, depth)) = todo.pop() {
        let group = &mut keys[equal.clone()];
        if group.len() < SMALL {
            group.sort_unstable_by_key(|key| &table.text(key.text)[depth..]);
            continue;
        }
        for key in group.iter_mut() {
            key.head = head(&table.text(key.text)[depth..]);
        }
        group.sort_unstable_by_key(|key| key.head);
        let mut end = equal.start;
        for ties in group.chunk_by(|a, b| a.head == b.head) {
            let start = end;
            end += ties.len();
            if ties.len() > 1 {
                todo.push((start..end, depth + HEAD_BYTES));
            }
        }
    }
    keys.into_iter().map(|key| key.number).collect()
}

/// Below this many, comparing whole subjects is as quick.
const SMALL: usize = 16;

#[derive(Clone, Copy)]
struct Key {
    head: u64,
    number: u32,
    text: TextPlace,
}

const HEAD_BYTES: usize = 7;

/// The next bytes, most significant first, zeros behind the end; and last, so that an end comes
/// before a zero, how many they are.
fn head(rest: &[u8]) -> u64 {
    let mut head = [0; HEAD_BYTES + 1];
    let len = rest.len().min(HEAD_BYTES);
    head[..len].copy_from_slice(&rest[..len]);
    head[HEAD_BYTES] = u8::try_from(len).expect("at most seven");
    u64::from_be_bytes(head)
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
