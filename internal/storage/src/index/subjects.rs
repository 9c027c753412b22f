//! The sorted subjects of a sealed segment, and what is where among them.
//!
//! ```text
//!   directory      block 0: ""            block 1: "orders.k"      block 2: "orders.t4"
//!                      │                      │                        │
//!   blocks         orders.apple           orders.kale              orders.t4
//!                  ····· 7  bricot        ········ 8  iwi          ········ 9  9
//!                  what it shares with the one before, what it does not, and its messages
//! ```
//!
//! The directory's key of a block is just long enough to be greater than all before the block, so the
//! directory stays small enough for memory.

use super::postings::ListPlace;
use super::varint;

/// The messages of a subject, as slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) count: u32,
    /// Where the slots between are, unless there is nothing more to know.
    pub(super) list: Option<ListPlace>,
}

impl Entry {
    /// Whether all slots from the first to the last are the subject's.
    pub(super) fn is_run(&self) -> bool {
        self.last - self.first == self.count - 1
    }

    /// Whether first, last and count leave something open.
    pub(super) fn needs_list(&self) -> bool {
        self.count > 2 && !self.is_run()
    }

    fn put(&self, out: &mut Vec<u8>) {
        let several = u64::from(self.count > 1);
        varint::put(out, u64::from(self.first) << 1 | several);
        if self.count > 1 {
            varint::put(out, u64::from(self.last - self.first) - 1);
            varint::put(out, u64::from(self.count) - 2);
        }
        if let Some(list) = self.list {
            varint::put(out, list.at);
            varint::put(out, list.more_pages);
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let head = varint::take(bytes)?;
        let first = u32::try_from(head >> 1).ok()?;
        let mut entry = Self { first, last: first, count: 1, list: None };
        if head & 1 == 1 {
            entry.last = first.checked_add(1)?.checked_add(varint::take_u32(bytes)?)?;
            entry.count = varint::take_u32(bytes)?.checked_add(2)?;
            if entry.count - 1 > entry.last - first {
                return None;
            }
        }
        if entry.needs_list() {
            let at = varint::take(bytes)?;
            entry.list = Some(ListPlace { at, more_pages: varint::take(bytes)? });
        }
        Some(entry)
    }
}

/// Passes over an entry that nobody wants to know. `None` when what is there is none.
#[inline]
fn skip_entry(block: &mut &[u8]) -> Option<()> {
    let len = block.iter().position(|&byte| byte < 0x80)? + 1;
    if block[0] & 1 == 0 {
        *block = &block[len..];
        return Some(());
    }
    Entry::take(block).map(|_| ())
}

/// One subject as it is in a block: it begins with the first `shared` bytes of the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) shared: usize,
    pub(super) suffix: &'a [u8],
    pub(super) entry: Entry,
}

impl<'a> Item<'a> {
    /// Takes an item off the front of a block, or `None` when what is there is none.
    #[inline]
    pub(super) fn take(block: &mut &'a [u8]) -> Option<Self> {
        let shared = varint::take_u32(block)? as usize;
        let suffix = take_bytes(block)?;
        Some(Self { shared, suffix, entry: Entry::take(block)? })
    }

    /// Makes `key`, the subject before, this one; false when it cannot be.
    pub(super) fn apply(&self, key: &mut Vec<u8>) -> bool {
        let possible = self.shared <= key.len();
        key.truncate(self.shared);
        key.extend_from_slice(self.suffix);
        possible
    }
}

/// Looks for `wanted` in a block. `None` when the block is damaged.
pub(super) fn search(mut block: &[u8], wanted: &[u8]) -> Option<Option<Entry>> {
    // How much of `wanted` the subject before has, all of which are smaller.
    let mut matched = 0;
    while !block.is_empty() {
        let shared = varint::take_u32(&mut block)? as usize;
        let suffix = take_bytes(&mut block)?;
        if shared < matched {
            // It departs from the one before where that one still agreed, upwards.
            return Some(None);
        }
        // If it shares more than that, it is as much smaller as the one before.
        if shared == matched {
            let rest = &wanted[matched..];
            let more = common_prefix(suffix, rest);
            match (suffix.get(more), rest.get(more)) {
                (None, None) => return Entry::take(&mut block).map(Some),
                (Some(_), None) => return Some(None),
                (Some(have), Some(want)) if have > want => return Some(None),
                _ => matched += more,
            }
        }
        skip_entry(&mut block)?;
    }
    Some(None)
}

/// Puts sorted subjects into blocks.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    block: Vec<u8>,
    item: Vec<u8>,
    previous: Vec<u8>,
    directory: DirectoryBuilder,
}

/// A block is not made longer than this, except by a single subject that is. Finding a subject reads
/// half of its block; a directory of smaller blocks takes more memory, here a tenth of the filter's.
const BLOCK_BYTES: usize = 2044;

impl BlockBuilder {
    /// Adds the next subject. If the block before is full, gives it to `write` first.
    pub(super) fn add<E>(
        &mut self,
        subject: &[u8],
        entry: &Entry,
        write: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let shared = common_prefix(&self.previous, subject);
        self.put_item(shared, &subject[shared..], entry);
        if !self.block.is_empty() && self.block.len() + self.item.len() > BLOCK_BYTES {
            self.end_block(write)?;
            self.directory.next_key(&subject[..=shared]);
            self.put_item(0, subject, entry);
        }
        self.block.extend_from_slice(&self.item);
        self.previous.clear();
        self.previous.extend_from_slice(subject);
        Ok(())
    }

    /// Gives the last block to `write`; the directory, as bytes.
    pub(super) fn finish<E>(
        mut self,
        write: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        self.end_block(write)?;
        Ok(self.directory.bytes)
    }

    fn put_item(&mut self, shared: usize, suffix: &[u8], entry: &Entry) {
        self.item.clear();
        varint::put(&mut self.item, shared as u64);
        put_bytes(&mut self.item, suffix);
        entry.put(&mut self.item);
    }

    fn end_block<E>(&mut self, write: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), E> {
        write(&self.block)?;
        self.directory.end_block(self.block.len());
        self.block.clear();
        Ok(())
    }
}

#[derive(Debug, Default)]
struct DirectoryBuilder {
    key: Vec<u8>,
    bytes: Vec<u8>,
}

impl DirectoryBuilder {
    fn next_key(&mut self, key: &[u8]) {
        self.key = key.to_vec();
    }

    fn end_block(&mut self, len: usize) {
        varint::put(&mut self.bytes, len as u64);
        put_bytes(&mut self.bytes, &self.key);
    }
}

/// Where the blocks are and which subjects are in which.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    keys: Box<[u8]>,
    blocks: Box<[BlockPlace]>,
}

#[derive(Clone, Copy, Debug)]
struct BlockPlace {
    /// Byte of the section behind the block.
    end: u64,
    /// Byte of `keys` behind the block's key.
    key_end: u32,
}

impl Directory {
    /// Reads what [`BlockBuilder::finish`] made; `None` when it cannot be that. Blocks are followed by
    /// `overhead` bytes each, and the last ends at `section_len`.
    pub(super) fn decode(mut bytes: &[u8], overhead: u64, section_len: u64) -> Option<Self> {
        let mut keys: Vec<u8> = Vec::new();
        let mut blocks: Vec<BlockPlace> = Vec::new();
        let mut end = 0u64;
        while !bytes.is_empty() {
            let len = varint::take(&mut bytes)?;
            let key = take_bytes(&mut bytes)?;
            let smaller = blocks.len().checked_sub(1).map(|at| key_of(&keys, &blocks, at));
            if smaller >= Some(key) || (smaller.is_none() && !key.is_empty()) {
                return None;
            }
            end = end.checked_add(len)?.checked_add(overhead)?;
            keys.extend_from_slice(key);
            blocks.push(BlockPlace { end, key_end: u32::try_from(keys.len()).ok()? });
        }
        let complete = end == section_len && !blocks.is_empty();
        complete.then(|| Self { keys: keys.into(), blocks: blocks.into() })
    }

    /// The only block that can have `subject`.
    pub(super) fn block_of(&self, subject: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.blocks.len() - 1);
        // Invariant: the key of `low` is not greater than `subject`, that of `high + 1` is.
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if key_of(&self.keys, &self.blocks, middle) <= subject {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    /// Where a block starts in the section, and its length with what follows it. `None` behind the
    /// last.
    pub(super) fn place(&self, block: usize) -> Option<(u64, u64)> {
        let end = self.blocks.get(block)?.end;
        let start = block.checked_sub(1).map_or(0, |before| self.blocks[before].end);
        Some((start, end - start))
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.keys.len() + size_of_val(&*self.blocks)
    }
}

fn key_of<'a>(keys: &'a [u8], blocks: &[BlockPlace], at: usize) -> &'a [u8] {
    let start = at.checked_sub(1).map_or(0, |before| blocks[before].key_end);
    &keys[start as usize..blocks[at].key_end as usize]
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = varint::take_u32(bytes)? as usize;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (words_a, words_b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let whole = words_a.iter().zip(words_b).take_while(|(a, b)| a == b).count() * 8;
    whole + a[whole..].iter().zip(&b[whole..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::{BlockBuilder, Directory, Entry, search};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    fn entry(n: u32) -> Entry {
        Entry { first: n, last: n, count: 1, list: None }
    }

    /// Asks blocks of `subjects` for each of `wanted`.
    fn look_up(subjects: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Vec<Option<u32>> {
        let mut builder = BlockBuilder::default();
        let mut blocks: Vec<Vec<u8>> = Vec::new();
        let mut write = |block: &[u8]| -> Result<(), Infallible> {
            blocks.push(block.to_vec());
            Ok(())
        };
        for (n, subject) in (0..).zip(subjects) {
            builder.add(subject.as_bytes(), &entry(n), &mut write).unwrap();
        }
        let directory = builder.finish(&mut write).unwrap();
        let len: usize = blocks.iter().map(|block| block.len() + 4).sum();
        let directory = Directory::decode(&directory, 4, len as u64).unwrap();
        let find = |wanted: &String| {
            let block = &blocks[directory.block_of(wanted.as_bytes())];
            search(block, wanted.as_bytes()).unwrap().map(|entry| entry.first)
        };
        wanted.iter().map(find).collect()
    }

    fn expected(subjects: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Vec<Option<u32>> {
        let place = |wanted: &String| (0..).zip(subjects).find(|(_, it)| *it == wanted);
        wanted.iter().map(|wanted| place(wanted).map(|(n, _)| n)).collect()
    }

    proptest! {
        #[test]
        fn every_subject_is_found_and_no_other(
            subjects in prop::collection::btree_set("(a|shared.){0,12}[ab\0ä]{0,9}(x{900})?", 1..60),
            others in prop::collection::btree_set("(a|shared.){0,12}[ab\0ä]{0,9}", 0..20),
        ) {
            let wanted = &subjects | &others;
            prop_assert_eq!(look_up(&subjects, &wanted), expected(&subjects, &wanted));
        }

        #[test]
        fn subjects_that_are_nearly_the_same_are_told_apart(
            subjects in prop::collection::btree_set("[abc]{0,4}", 1..30),
            wanted in prop::collection::btree_set("[abc]{0,4}", 1..30),
        ) {
            prop_assert_eq!(look_up(&subjects, &wanted), expected(&subjects, &wanted));
        }

        #[test]
        fn any_bytes_can_be_searched(bytes in prop::collection::vec(0..20u8, 0..60), wanted in "[a\0\u{1}\u{2}]{0,4}") {
            let _entry = search(&bytes, wanted.as_bytes());
            let _directory = Directory::decode(&bytes, 4, 100);
        }
    }
}
