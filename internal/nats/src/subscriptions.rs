//! The subscriptions of one connection, by the client's name for them and by ours.
//!
//! ```text
//!   sid "17" ──▶ slot 3 ◀── SubId { slot 3, generation 41 }
//! ```
//!
//! Messages for a subscription may still be on their way when it ends and its slot is another's. The
//! generation tells: an id is never used twice in the life of a connection.

use std::hash::{BuildHasher, Hasher};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use pubsub_types::Filter;

use crate::sid::Sid;

/// Our name for a subscription of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubId {
    slot: u32,
    generation: u32,
}

/// A subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    sid: Sid,
    /// The subject, and the queue group behind it.
    names: Box<str>,
    subject_len: u32,
    /// 0: as many as come.
    pub(crate) max: u32,
    pub(crate) delivered: u64,
    id: SubId,
}

impl Subscription {
    /// Our name for it.
    #[must_use]
    pub const fn id(&self) -> SubId {
        self.id
    }

    /// The client's name for it.
    #[must_use]
    pub fn sid(&self) -> &str {
        self.sid.as_str()
    }

    #[inline]
    pub(crate) fn sid_bytes(&self) -> &[u8] {
        self.sid.as_bytes()
    }

    /// The subject, wildcards included.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.names[..self.subject_len as usize]
    }

    /// The same, as it was asked for.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it never does")]
    pub fn filter(&self) -> Filter {
        Filter::new(self.subject()).expect("it was checked when the subscription began")
    }

    /// The queue group.
    #[must_use]
    pub fn queue(&self) -> Option<&str> {
        let queue = &self.names[self.subject_len as usize..];
        (!queue.is_empty()).then_some(queue)
    }

    /// Messages it has had.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Messages after which it ends, counted from its start.
    #[must_use]
    pub const fn max(&self) -> Option<u32> {
        if self.max == 0 { None } else { Some(self.max) }
    }
}

#[derive(Debug)]
enum Slot {
    Used(Subscription),
    /// The next free slot, if any.
    Free(Option<u32>),
}

/// The subscriptions of one connection.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    slots: Vec<Slot>,
    first_free: Option<u32>,
    by_sid: HashTable<u32>,
    next_generation: u32,
    hasher: SeedableRandomState,
}

impl Subscriptions {
    /// `seed` must not be known to the client, who names the subscriptions.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            first_free: None,
            by_sid: HashTable::new(),
            next_generation: 0,
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_sid.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Used(subscription) => Some(subscription),
            Slot::Free(_) => None,
        })
    }

    pub(crate) fn contains(&self, sid: &str) -> bool {
        self.find(sid).is_some()
    }

    /// Adds one, unless the client has another of that name.
    pub(crate) fn add(&mut self, sid: &str, filter: &Filter, queue: Option<&str>) -> Option<SubId> {
        let subject = filter.as_str();
        let hash = hash(&self.hasher, sid);
        let slots = &self.slots;
        let rehash = |slot: &u32| match &slots[*slot as usize] {
            Slot::Used(it) => hash_of(&self.hasher, it),
            Slot::Free(_) => 0,
        };
        let Entry::Vacant(entry) =
            self.by_sid.entry(hash, |slot| is_named(&slots[*slot as usize], sid), rehash)
        else {
            return None;
        };
        let slot = self.first_free.unwrap_or_else(|| index(slots.len()));
        entry.insert(slot);

        let id = SubId { slot, generation: self.next_generation };
        self.next_generation = self.next_generation.wrapping_add(1);
        let names = [subject, queue.unwrap_or_default()].concat().into_boxed_str();
        let subject_len = index(subject.len());
        let it = Slot::Used(Subscription {
            sid: Sid::new(sid),
            names,
            subject_len,
            max: 0,
            delivered: 0,
            id,
        });
        match self.slots.get_mut(slot as usize) {
            Some(free) => {
                let Slot::Free(next) = std::mem::replace(free, it) else {
                    unreachable!("only free slots are in the list")
                };
                self.first_free = next;
            }
            None => {
                if self.slots.len() == self.slots.capacity() {
                    // By a quarter: doubling would cost a client of many subscriptions too much.
                    self.slots.reserve_exact(self.slots.len() / 4 + 1);
                }
                self.slots.push(it);
            }
        }
        Some(id)
    }

    /// The subscription, if it has not ended.
    #[inline]
    pub(crate) fn get_mut(&mut self, id: SubId) -> Option<&mut Subscription> {
        match self.slots.get_mut(id.slot as usize) {
            Some(Slot::Used(it)) if it.id == id => Some(it),
            _ => None,
        }
    }

    pub(crate) fn by_sid_mut(&mut self, sid: &str) -> Option<&mut Subscription> {
        let slot = self.find(sid)?;
        match &mut self.slots[slot as usize] {
            Slot::Used(it) => Some(it),
            Slot::Free(_) => None,
        }
    }

    pub(crate) fn remove(&mut self, id: SubId) -> Option<Subscription> {
        self.get_mut(id)?;
        let free = Slot::Free(self.first_free);
        let Slot::Used(it) = std::mem::replace(&mut self.slots[id.slot as usize], free) else {
            unreachable!("it was just looked at")
        };
        self.first_free = Some(id.slot);
        let hash = hash_of(&self.hasher, &it);
        if let Ok(entry) = self.by_sid.find_entry(hash, |slot| *slot == id.slot) {
            entry.remove();
        }
        if self.by_sid.is_empty() {
            // Generations go on, so ids of before stay unknown.
            (self.slots, self.first_free, self.by_sid) = (Vec::new(), None, HashTable::new());
        }
        Some(it)
    }

    /// Removes any one.
    pub(crate) fn pop(&mut self) -> Option<Subscription> {
        let slot = *self.by_sid.iter().next()?;
        match &self.slots[slot as usize] {
            Slot::Used(it) => self.remove(it.id),
            Slot::Free(_) => None,
        }
    }

    fn find(&self, sid: &str) -> Option<u32> {
        let hash = hash(&self.hasher, sid);
        self.by_sid.find(hash, |slot| is_named(&self.slots[*slot as usize], sid)).copied()
    }

    /// Bytes of memory held, beyond the value itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        let names: usize = self.iter().map(|it| it.names.len() + it.sid.memory_bytes()).sum();
        self.slots.capacity() * size_of::<Slot>() + self.by_sid.allocation_size() + names
    }
}

fn is_named(slot: &Slot, sid: &str) -> bool {
    matches!(slot, Slot::Used(it) if it.sid() == sid)
}

fn hash_of(hasher: &SeedableRandomState, it: &Subscription) -> u64 {
    hash(hasher, it.sid())
}

fn hash(hasher: &SeedableRandomState, sid: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(sid.as_bytes());
    hasher.finish()
}

fn index(value: usize) -> u32 {
    u32::try_from(value).expect("there is no memory for four billion subscriptions")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(text).unwrap()
    }

    #[test]
    fn first_of_a_name_wins() {
        let mut all = Subscriptions::new(7);
        let id = all.add("1", &filter("a"), None).unwrap();
        assert_eq!(all.add("1", &filter("b"), Some("q")), None);
        let it = all.get_mut(id).unwrap();
        assert_eq!((it.sid(), it.subject(), it.queue()), ("1", "a", None));
        let long = "x".repeat(300);
        let id = all.add(&long, &filter("b.*"), Some("q")).unwrap();
        let it = all.get_mut(id).unwrap();
        assert_eq!((it.sid(), it.subject(), it.queue()), (&*long, "b.*", Some("q")));
    }

    #[test]
    fn id_of_what_ended_is_nobodys() {
        let mut all = Subscriptions::new(7);
        let old = all.add("1", &filter("a"), None).unwrap();
        all.remove(old).unwrap();
        let new = all.add("1", &filter("a"), None).unwrap();
        assert_eq!(old.slot, new.slot);
        assert!(all.get_mut(old).is_none() && all.remove(old).is_none());
        assert!(all.get_mut(new).is_some());
    }

    #[test]
    fn hundred_thousand_subscriptions_cost_little_each() {
        let mut all = Subscriptions::new(7);
        for n in 0..100_000 {
            all.add(&n.to_string(), &filter(&format!("orders.{n}.*")), None).unwrap();
        }
        let each = all.memory_bytes() / 100_000;
        assert!(each <= 104, "{each} bytes each");
        while all.pop().is_some() {}
        assert_eq!(all.memory_bytes(), 0);
    }

    proptest! {
        #[test]
        fn same_as_a_map(steps in prop::collection::vec((0u8..3, 0u8..8), 1..200)) {
            let (mut all, mut model, mut gone) = (Subscriptions::new(7), BTreeMap::new(), Vec::new());
            for (what, name) in steps {
                let sid = name.to_string();
                match what {
                    0 => match all.add(&sid, &filter("a"), None) {
                        Some(id) => prop_assert_eq!(model.insert(sid, id), None),
                        None => prop_assert!(model.contains_key(&sid)),
                    },
                    1 => {
                        let found = all.by_sid_mut(&sid).map(|it| it.id());
                        prop_assert_eq!(found, model.get(&sid).copied());
                        if let Some(id) = found {
                            let removed = all.remove(id).unwrap();
                            prop_assert_eq!(removed.sid(), &sid);
                            model.remove(&sid);
                            gone.push(id);
                        }
                    }
                    _ => if let Some(it) = all.pop() {
                        prop_assert_eq!(model.remove(it.sid()), Some(it.id()));
                        gone.push(it.id());
                    }
                }
                prop_assert_eq!(all.len(), model.len());
                prop_assert_eq!(all.iter().count(), model.len());
                prop_assert!(gone.iter().all(|id| all.get_mut(*id).is_none()));
            }
        }
    }
}
