//! A set of slots as bits, 64 a word, and how many runs they make.
//!
//! The number of runs says when a list of runs would be the smaller form; it is kept as bits are set,
//! as counting it anew would read all of them.

/// Slots from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Run {
    /// How many slots, at least one.
    pub(super) fn len(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }
}

/// Sets bits within the words, keeping `runs` their number of runs; how many bits are new.
pub(super) fn insert_bits(words: &mut [u64], runs: &mut usize, new: Run) -> u64 {
    let set: u64 =
        masked(words, new).map(|(at, mask)| u64::from((words[at] & mask).count_ones())).sum();
    // Only runs that start inside, or right behind, can be joined to another.
    let swallowed = starts(words, Run { last: new.last.saturating_add(1), ..new });
    set_bits(words, new);
    let joins_left = new.first.checked_sub(1).is_some_and(|before| bit(words, before));
    *runs = *runs - swallowed + usize::from(!joins_left);
    new.len() - set
}

/// Sets the bits of `run`; there are words for all of them.
pub(super) fn set_bits(words: &mut [u64], run: Run) {
    for (at, mask) in masked(words, run) {
        words[at] |= mask;
    }
}

/// How many runs start within `window`.
pub(super) fn starts(words: &[u64], window: Run) -> usize {
    masked(words, window)
        .map(|(at, mask)| {
            let carry = at.checked_sub(1).map_or(0, |before| words[before] >> 63);
            (words[at] & !(words[at] << 1 | carry) & mask).count_ones() as usize
        })
        .sum()
}

/// The words that `run` touches, and which of their bits; words that are not there are left out.
pub(super) fn masked(
    words: &[u64],
    run: Run,
) -> impl DoubleEndedIterator<Item = (usize, u64)> + use<> {
    let (first, last) = (run.first as usize / 64, run.last as usize / 64);
    (first..words.len().min(last + 1)).map(move |at| {
        let low = if at == first { !0 << (run.first % 64) } else { !0 };
        let high = if at == last { !0 >> (63 - run.last % 64) } else { !0 };
        (at, low & high)
    })
}

/// Whether the bit of `slot` is there and set.
pub(super) fn bit(words: &[u64], slot: u32) -> bool {
    words.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
}

/// The slot of a bit of a word.
pub(super) fn slot_of(word: usize, bit: u32) -> u32 {
    u32::try_from(word * 64).expect("words reach no further than 32 bits") + bit
}

/// How many words reach `last`.
pub(super) fn words_for(last: u32) -> usize {
    last as usize / 64 + 1
}
