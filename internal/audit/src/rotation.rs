//! Which file becomes which when the one that is written is full.
//!
//! ```text
//!   audit.jsonl ──▶ .1 ──▶ .2 ──▶ … ──▶ .N ──▶ gone
//! ```
//!
//! The oldest moves first, so a crash between two steps leaves a number free, and no file has lost
//! its place. The next rotation only moves what is in front of the free number.

use std::collections::BTreeSet;

use crate::FILE;

/// How much the log may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after which a new file begins.
    pub max_size_bytes: u64,
    /// Finished files kept; 0 counts as 1.
    pub max_files: u32,
}

impl Limits {
    /// The limits as they are configured: mebibytes of a file, and finished files kept.
    #[must_use]
    pub const fn new(max_size_mb: u64, max_files: u32) -> Self {
        Self { max_size_bytes: max_size_mb.saturating_mul(1 << 20), max_files }
    }
}

/// One step of a rotation. File 0 is the one that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The file goes.
    Remove(u32),
    /// The file gets the next number, in place of one that has it.
    Move(u32),
}

/// The steps that free the name of file 0, given the numbers of the files there are.
pub(crate) fn steps(files: &BTreeSet<u32>, max_files: u32) -> Vec<Step> {
    let max = max_files.max(1);
    let beyond = files.iter().rev().take_while(|number| **number > max);
    let mut steps: Vec<Step> = beyond.map(|number| Step::Remove(*number)).collect();
    let free = (1..max).find(|number| !files.contains(number)).unwrap_or(max);
    steps.extend((0..free).rev().map(Step::Move));
    steps
}

/// The name of a file.
pub(crate) fn name_of(number: u32) -> String {
    if number == 0 { FILE.to_owned() } else { format!("{FILE}.{number}") }
}

/// The number of the file with this name, when it is one of the log's.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let number = match name.strip_prefix(FILE)? {
        "" => 0,
        rest => rest.strip_prefix('.')?.parse().ok().filter(|number| *number > 0)?,
    };
    // One file, one spelling: `.01` and `.+1` are somebody else's.
    (name_of(number) == name).then_some(number)
}

/// Whether a write goes to a new file rather than to one that is `len` bytes long.
pub(crate) const fn is_due(len: u64, more: u64, limits: Limits) -> bool {
    len > 0 && len.saturating_add(more) > limits.max_size_bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What a directory becomes: number by age, the greater the newer.
    fn apply(files: &mut BTreeMap<u32, u32>, step: Step) {
        match step {
            Step::Remove(number) => {
                files.remove(&number).unwrap();
            }
            Step::Move(number) => {
                let file = files.remove(&number).unwrap();
                files.insert(number + 1, file);
            }
        }
    }

    fn numbers(files: &BTreeMap<u32, u32>) -> BTreeSet<u32> {
        files.keys().copied().collect()
    }

    #[test]
    fn the_oldest_goes_and_the_others_move_up() {
        let files = BTreeSet::from([0, 1, 2, 3]);
        assert_eq!(steps(&files, 3), [Step::Move(2), Step::Move(1), Step::Move(0)]);
        assert_eq!(steps(&BTreeSet::from([0]), 3), [Step::Move(0)]);
        assert_eq!(steps(&files, 1), [Step::Remove(3), Step::Remove(2), Step::Move(0)]);
        assert_eq!(steps(&files, 0), steps(&files, 1));
    }

    #[test]
    fn a_crash_between_any_two_steps_loses_nothing_but_the_oldest() {
        const MAX: u32 = 4;
        for filled in 0..=MAX {
            let count = steps(&(0..=filled).collect(), MAX).len();
            for crash_after in 0..count {
                let mut files: BTreeMap<_, _> = (0..=filled).map(|n| (n, MAX - n)).collect();
                for step in &steps(&numbers(&files), MAX)[..crash_after] {
                    apply(&mut files, *step);
                }
                // Opened again, it finds a file 0, or makes one, and that is full one day.
                let mut newest = MAX;
                for _ in 0..2 {
                    if let std::collections::btree_map::Entry::Vacant(free) = files.entry(0) {
                        newest += 1;
                        free.insert(newest);
                    }
                    for step in steps(&numbers(&files), MAX) {
                        apply(&mut files, step);
                    }
                }
                let ages: Vec<u32> = files.values().copied().collect();
                assert!(ages.is_sorted_by(|newer, older| newer > older), "{files:?}");
                let kept = usize::try_from(MAX.min(filled + 1)).unwrap();
                assert!(files.len() >= kept, "{filled} files, step {crash_after}: {files:?}");
                assert!(numbers(&files).into_iter().all(|number| (1..=MAX).contains(&number)));
            }
        }
    }

    #[test]
    fn only_names_that_it_gives_are_its_own() {
        for number in [0, 1, 10, u32::MAX] {
            assert_eq!(number_of(&name_of(number)), Some(number));
        }
        for name in ["audit", "audit.jsonl.", "audit.jsonl.0", "audit.jsonl.01", "audit.jsonl.+1"] {
            assert_eq!(number_of(name), None, "{name}");
        }
        assert_eq!(number_of("audit.jsonl.1.gz"), None);
    }

    #[test]
    fn a_file_is_full_when_the_next_lines_do_not_fit() {
        let limits = Limits { max_size_bytes: 100, max_files: 1 };
        assert!(!is_due(90, 10, limits));
        assert!(is_due(90, 11, limits));
        assert!(!is_due(0, 1000, limits), "an empty file is not left for another");
        assert_eq!(Limits::new(100, 10), Limits { max_size_bytes: 100 << 20, max_files: 10 });
    }
}
