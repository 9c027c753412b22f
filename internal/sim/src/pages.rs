//! Bytes in pages that copies share until one of them writes, so that a disk can be copied thousands
//! of times and only what differs is ever copied.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// Bytes of any number. Invariant: there are as many pages as the length needs, and what the last one
/// has behind the length is zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    pages: Vec<Arc<Page>>,
    len: usize,
}

type Page = [u8; PAGE_BYTES];

const PAGE_BYTES: usize = 4096;

/// What every page is before it is written.
static ZEROS: LazyLock<Arc<Page>> = LazyLock::new(|| Arc::new([0; PAGE_BYTES]));

impl Pages {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Cuts, or extends with zeros.
    pub(crate) fn resize(&mut self, len: usize) {
        let count = len.div_ceil(PAGE_BYTES);
        if len < self.len {
            self.pages.truncate(count);
            let used = len % PAGE_BYTES;
            if let Some(last) = self.pages.last_mut().filter(|_| used > 0) {
                Arc::make_mut(last)[used..].fill(0);
            }
        } else {
            self.pages.resize_with(count, || Arc::clone(&ZEROS));
        }
        self.len = len;
    }

    /// Overwrites, extending where needed.
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if end > self.len {
            self.resize(end);
        }
        let mut rest = bytes;
        for (page, range) in parts(at..end) {
            let (now, later) = rest.split_at(range.len());
            Arc::make_mut(&mut self.pages[page])[range].copy_from_slice(now);
            rest = later;
        }
    }

    /// Copies out as much as there is, and says how much.
    pub(crate) fn read(&self, buf: &mut [u8], at: usize) -> usize {
        let end = self.len.min(at.saturating_add(buf.len()));
        let mut done = 0;
        for (page, range) in parts(at..end) {
            buf[done..done + range.len()].copy_from_slice(&self.pages[page][range.clone()]);
            done += range.len();
        }
        done
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(&mut bytes, 0);
        bytes
    }
}

impl From<&[u8]> for Pages {
    fn from(bytes: &[u8]) -> Self {
        let mut pages = Self::default();
        pages.put(0, bytes);
        pages
    }
}

/// The pages of a range, and which part of each it covers.
fn parts(range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let (page, start) = (at / PAGE_BYTES, at % PAGE_BYTES);
        let len = range.end.checked_sub(at).filter(|&left| left > 0)?.min(PAGE_BYTES - start);
        at += len;
        Some((page, start..start + len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn pages_hold_what_a_vector_would() {
        let mut rng = Rng::new(3);
        for _ in 0..100 {
            let mut pages = Pages::default();
            let mut model: Vec<u8> = Vec::new();
            let mut copies: Vec<(Pages, Vec<u8>)> = Vec::new();
            for _ in 0..20 {
                let at = rng.index(10_000);
                match rng.below(3) {
                    0 => {
                        pages.resize(at);
                        model.resize(at, 0);
                    }
                    _ => {
                        let mut bytes = vec![0; rng.index(9_000)];
                        rng.fill(&mut bytes);
                        pages.put(at, &bytes);
                        model.resize(model.len().max(at + bytes.len()), 0);
                        model[at..at + bytes.len()].copy_from_slice(&bytes);
                    }
                }
                assert_eq!(pages.len(), model.len());
                let mut buf = vec![9; 5_000];
                let read = pages.read(&mut buf, at);
                assert_eq!(buf[..read], model[at.min(model.len())..(at + 5_000).min(model.len())]);
                copies.push((pages.clone(), model.clone()));
            }
            assert!(copies.iter().all(|(pages, model)| pages.to_vec() == *model));
        }
    }

    #[test]
    fn copies_share_what_neither_has_written() {
        let mut one = Pages::from([1; 5 * PAGE_BYTES].as_slice());
        let two = one.clone();
        one.put(PAGE_BYTES + 1, b"x");
        let shared = one.pages.iter().zip(&two.pages).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.count(), 4);
    }
}
