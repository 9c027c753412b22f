//! When interest in a first token changed last, so that a cache forgets that token and no other.
//!
//! ```text
//!   subject "orders.eu.7" ──▶ slot of "orders" ─╮
//!                                               ├─▶ newer than what was looked up? look again
//!   filters "*.x", ">"    ──▶ slot of all ──────╯
//! ```
//!
//! A slot holds the version of the last snapshot that changed something in it. First tokens share
//! the slots by their hash: sharing costs a look-up now and then, and never an answer.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::key;

/// Number of slots for first tokens: 2 KiB a tenant.
const SLOTS: usize = 256;
/// The slot of filters whose first token is a wildcard.
const WILD: u16 = 256;
const _: () = assert!(WILD as usize == SLOTS, "it comes behind the others");

/// The slot of a subject's first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u16);

impl Slot {
    /// The slot of a literal subject.
    pub(crate) fn of_subject(subject: &[u8]) -> Self {
        // FNV-1a, folded. Whoever makes tokens collide slows down his own account alone.
        let token = subject.iter().take_while(|byte| **byte != b'.');
        let hash = token.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let [low, .., high] = hash.to_le_bytes();
        Self(u16::from(low ^ high))
    }

    /// The slot of a filter as it is in a key.
    pub(crate) fn of_key(key: &[u8]) -> Self {
        match key.first() {
            Some(&(key::ANY | key::REST)) => Self(WILD),
            _ => {
                let end = key.iter().position(|byte| *byte == key::END).unwrap_or(key.len());
                Self::of_subject(&key[..end])
            }
        }
    }
}

/// The version of the last change, for each slot.
#[derive(Debug)]
pub(crate) struct Generations([AtomicU64; SLOTS + 1]);

impl Generations {
    pub(crate) fn new() -> Self {
        Self([const { AtomicU64::new(0) }; SLOTS + 1])
    }

    /// Whether nothing in `slot` changed after `version`.
    pub(crate) fn is_current(&self, slot: Slot, version: u64) -> bool {
        self.0[usize::from(slot.0)].load(Ordering::Acquire) <= version
            && self.0[usize::from(WILD)].load(Ordering::Acquire) <= version
    }

    /// Says that `version` changed something in `slot`.
    pub(crate) fn set(&self, slot: Slot, version: u64) {
        self.0[usize::from(slot.0)].store(version, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_and_subject_of_one_first_token_have_one_slot() {
        let slot = Slot::of_subject(b"orders.eu.7");
        for key in [&b"orders\x01"[..], b"orders.eu\x01", b"orders.\x02\x01", b"orders.\x03\x01"] {
            assert_eq!(Slot::of_key(key), slot);
        }
        assert_ne!(Slot::of_key(b"bills\x01"), slot);
    }

    #[test]
    fn change_of_one_token_leaves_others_current() {
        let generations = Generations::new();
        let [orders, bills] = [&b"orders"[..], b"bills"].map(Slot::of_subject);
        generations.set(orders, 5);
        assert!(!generations.is_current(orders, 4));
        assert!(generations.is_current(orders, 5));
        assert!(generations.is_current(bills, 4));
        for wild in [&b"\x02.a\x01"[..], b"\x03\x01"] {
            generations.set(Slot::of_key(wild), 6);
        }
        assert!(!generations.is_current(bills, 5));
    }
}
