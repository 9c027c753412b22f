//! "Did you mean": the known word nearest to a misspelt one.

/// A longer word is nobody's typing mistake, and comparing it would cost the square of its length.
const WORD_MAX_BYTES: usize = 64;

/// The word of `known` that `word` most likely was meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_MAX_BYTES {
        return None;
    }
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    // A third of the letters may be wrong; more than that is another word.
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &other) in b.iter().enumerate() {
            let changed = last[j] + usize::from(letter != other);
            let mut cost = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && letter == b[j - 1] && a[i - 1] == other {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn misspelt_words_find_their_neighbour_and_strangers_do_not() {
        let known = ["sync_policy", "sync_interval_ms", "data_dir", "retention"];
        assert_eq!(nearest("sync_polcy", known), Some("sync_policy"));
        assert_eq!(nearest("Sync-Policy", known), Some("sync_policy"));
        assert_eq!(nearest("retetnion", known), Some("retention"));
        assert_eq!(nearest("datadir", known), Some("data_dir"));
        assert_eq!(nearest("listen", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"data_dir".repeat(9), known), None);
    }

    #[test]
    fn distance_counts_letters() {
        for (a, b, expected) in
            [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("kitten", "sitting", 3), ("é", "e", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
