//! Who gets a message: every plain subscriber, and of each queue group one member.
//!
//! ```text
//!   plain    7  12  900                       in the order of the tree, then ascending
//!   groups   "mail"   local 3 5 │ near 81 ×2 │ far 90 ×1        one of them, by a number drawn
//!            "index"  local 4                                   outside
//! ```
//!
//! The buffers stay with the value, so a match allocates nothing once they are large enough.

use std::fmt;
use std::ops::{ControlFlow, Range};

use crate::arena::Words;
use crate::group::Place;
use crate::subscriber::Subscriber;
use crate::walk::{self, Spot};

/// What a subject matches.
///
/// A subscriber that several of its filters match is there several times, as it is for NATS.
pub struct Matches<S> {
    plain: Vec<S>,
    /// None until there are any, and then kept for their space.
    groups: Option<Box<Groups<S>>>,
    scratch: Option<Box<Scratch<S>>>,
}

/// A subscriber in a queue group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<S> {
    /// Who it is.
    pub subscriber: S,
    /// Where it is.
    pub place: Place,
}

/// The groups of a match.
struct Groups<S> {
    /// In the order of the names.
    ends: Vec<GroupEnd>,
    names: String,
    members: Vec<Member<S>>,
}

/// Where a group's name and members end; those of the next one begin there.
#[derive(Clone, Copy, Debug)]
struct GroupEnd {
    name: usize,
    members: usize,
    locals: usize,
    nears: usize,
}

/// Space for a match on its way.
struct Scratch<S> {
    waiting: walk::Waiting,
    bits: walk::Bits,
    stack: walk::Names,
    name: Vec<u8>,
    /// What was found of one group at one filter: its name and its members.
    runs: Vec<(Range<usize>, Range<usize>)>,
    names: Vec<u8>,
    members: Vec<Member<S>>,
}

impl<S: Subscriber> Matches<S> {
    /// No match.
    #[must_use]
    pub const fn new() -> Self {
        Self { plain: Vec::new(), groups: None, scratch: None }
    }

    /// Whether nobody wants the subject.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.as_ref().is_none_or(|groups| groups.ends.is_empty())
    }

    /// The subscribers that each get the message: filter by filter, and of each filter in ascending
    /// order.
    #[must_use]
    pub fn plain(&self) -> &[S] {
        &self.plain
    }

    /// The queue groups of which one member each gets the message, in the order of their names.
    ///
    /// A group that subscribed with several filters that match is one group.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = Group<'_, S>> {
        let groups = self.groups.as_deref();
        let ends = groups.map_or(&[][..], |groups| &groups.ends);
        let (names, members) = groups.map_or(("", &[][..]), |it| (&it.names, &it.members));
        ends.iter().enumerate().map(move |(at, end)| {
            let start = at.checked_sub(1).map(|before| &ends[before]);
            let (name, first) = start.map_or((0, 0), |start| (start.name, start.members));
            Group {
                name: &names[name..end.name],
                members: &members[first..end.members],
                locals: end.locals,
                nears: end.nears,
            }
        })
    }

    /// Forgets the match and keeps the space.
    pub fn clear(&mut self) {
        self.plain.clear();
        if let Some(groups) = &mut self.groups {
            groups.clear();
        }
    }

    /// Bytes of the match outside of the value, and without the space for matches on their way.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let groups = self.groups.as_ref().map_or(0, |groups| {
            size_of::<Groups<S>>()
                + groups.ends.capacity() * size_of::<GroupEnd>()
                + groups.names.capacity()
                + groups.members.capacity() * size_of::<Member<S>>()
        });
        self.plain.capacity() * size_of::<S>() + groups
    }

    /// Makes it the subscribers of the filters at whose ends `find` arrives.
    pub(crate) fn fill(
        &mut self,
        words: Words<'_>,
        find: impl FnOnce(&mut walk::Waiting, &mut dyn FnMut(Spot)),
    ) {
        self.clear();
        let mut scratch = self.scratch.take().unwrap_or_default();
        let mut waiting = std::mem::take(&mut scratch.waiting);
        find(&mut waiting, &mut |spot| scratch.add(&mut self.plain, words, spot));
        scratch.waiting = waiting;
        if !scratch.runs.is_empty() {
            scratch.put_in_order(self.groups.get_or_insert_default());
        }
        self.scratch = Some(scratch);
    }
}

impl<S: Subscriber> Default for Matches<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy has no more space than it needs, or had.
impl<S: Subscriber> Clone for Matches<S> {
    fn clone(&self) -> Self {
        let groups = self.groups.as_ref().filter(|groups| !groups.ends.is_empty());
        Self { plain: self.plain.clone(), groups: groups.cloned(), scratch: None }
    }

    fn clone_from(&mut self, other: &Self) {
        if self.plain.capacity() / 2 > other.plain.len() || other.groups().len() > 0 {
            *self = other.clone();
            return;
        }
        self.plain.clone_from(&other.plain);
        self.groups = None;
    }
}

impl<S: Subscriber + fmt::Debug> fmt::Debug for Matches<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.groups().collect();
        f.debug_struct("Matches").field("plain", &self.plain).field("groups", &groups).finish()
    }
}

impl<S: Subscriber> PartialEq for Matches<S> {
    fn eq(&self, other: &Self) -> bool {
        self.plain == other.plain && self.groups().eq(other.groups())
    }
}

impl<S: Subscriber> Eq for Matches<S> {}

impl<S> Groups<S> {
    fn clear(&mut self) {
        self.ends.clear();
        self.names.clear();
        self.members.clear();
    }
}

impl<S> Default for Groups<S> {
    fn default() -> Self {
        Self { ends: Vec::new(), names: String::new(), members: Vec::new() }
    }
}

impl<S: Copy> Clone for Groups<S> {
    fn clone(&self) -> Self {
        Self { ends: self.ends.clone(), names: self.names.clone(), members: self.members.clone() }
    }
}

impl<S> Default for Scratch<S> {
    fn default() -> Self {
        Self {
            waiting: walk::Waiting::new(),
            bits: Vec::new(),
            stack: Vec::new(),
            name: Vec::new(),
            runs: Vec::new(),
            names: Vec::new(),
            members: Vec::new(),
        }
    }
}

impl<S: Subscriber> Scratch<S> {
    /// Adds the subscribers of a filter, given the spot behind its end.
    fn add(&mut self, plain: &mut Vec<S>, words: Words<'_>, spot: Spot) {
        let (plain_spot, groups_spot) = walk::kinds(words, spot);
        if let Some(spot) = plain_spot {
            let _never_breaks = walk::subscribers(words, spot, &mut self.bits, |bits, _| {
                plain.push(S::from_bits(bits));
                ControlFlow::Continue(())
            });
        }
        let Some(spot) = groups_spot else { return };
        walk::groups(words, spot, &mut self.stack, &mut self.name, |name, spot| {
            let (names_before, before) = (self.names.len(), self.members.len());
            self.names.extend_from_slice(name);
            let _never_breaks = walk::subscribers(words, spot, &mut self.bits, |bits, place| {
                let place = Place::from_word(place);
                self.members.push(Member { subscriber: S::from_bits(bits), place });
                ControlFlow::Continue(())
            });
            self.runs.push((names_before..self.names.len(), before..self.members.len()));
        });
    }

    /// Moves the groups that were found to where they are read, those with the same name as one.
    fn put_in_order(&mut self, groups: &mut Groups<S>) {
        let Self { runs, names, members, .. } = self;
        let name = |run: &(Range<usize>, Range<usize>)| &names[run.0.clone()];
        // Which of two runs was found first is said by where it begins.
        runs.sort_unstable_by(|one, other| {
            name(one).cmp(name(other)).then(one.1.start.cmp(&other.1.start))
        });
        for same in runs.chunk_by(|one, other| name(one) == name(other)) {
            let name = str::from_utf8(name(&same[0])).expect("a group's name was text");
            groups.names.push_str(name);
            let mut counts = [0; 3];
            for (rank, count) in counts.iter_mut().enumerate() {
                let before = groups.members.len();
                let all = same.iter().flat_map(|run| &members[run.1.clone()]);
                groups.members.extend(all.filter(|member| member.place.rank() == rank));
                *count = groups.members.len() - before;
            }
            groups.ends.push(GroupEnd {
                name: groups.names.len(),
                members: groups.members.len(),
                locals: counts[0],
                nears: counts[1],
            });
        }
        runs.clear();
        names.clear();
        members.clear();
    }
}

/// A queue group that a subject matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a, S> {
    name: &'a str,
    /// Local ones, then near ones, then far ones.
    members: &'a [Member<S>],
    locals: usize,
    nears: usize,
}

/// Whom a message to a queue group goes to, other things being equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// A local member while there is one, then a near one, then a far one: what NATS does.
    #[default]
    Nearest,
    /// Any member, by weight: a local one weighs 1.
    Any,
}

impl<'a, S: Subscriber> Group<'a, S> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Its members: local ones, then near ones, then far ones; in each part as plain subscribers are.
    /// Never empty.
    #[must_use]
    pub const fn members(&self) -> &'a [Member<S>] {
        self.members
    }

    /// Its members in the order in which they should be asked to take the message.
    ///
    /// The first is chosen by `random`, evenly among local members and by weight among others; each
    /// member comes once. Whoever may not or cannot take the message is passed over by going on.
    ///
    /// Costs nothing for a local choice, and a walk over the members for one by weight.
    pub fn choices(&self, random: u64, prefer: Prefer) -> Choices<'a, S> {
        let ends = match prefer {
            Prefer::Nearest => [self.locals, self.locals + self.nears, self.members.len()],
            Prefer::Any => [0, 0, self.members.len()],
        };
        Choices { members: self.members, ends, random, part: None, left: 0, next: 0 }
    }
}

/// Iterator over the members of a group, the chosen one first; see [`Group::choices`].
#[derive(Clone, Debug)]
pub struct Choices<'a, S> {
    members: &'a [Member<S>],
    /// Where each part ends.
    ends: [usize; 3],
    random: u64,
    /// The part that is gone through, once it began.
    part: Option<usize>,
    /// How many of it are left.
    left: usize,
    next: usize,
}

impl<S> Choices<'_, S> {
    fn range(&self, part: usize) -> Range<usize> {
        part.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[part]
    }

    /// Where to begin in a part that is not empty.
    fn draw(&self, range: Range<usize>) -> usize {
        let members = &self.members[range.clone()];
        let weight = |member: &Member<S>| u64::from(member.place.weight());
        let is_even = members.last().is_some_and(|member| member.place == Place::Local);
        if is_even {
            // Local ones come first: if the last is local, all are.
            return range.start + below(self.random, members.len());
        }
        let total: u64 = members.iter().map(weight).sum();
        let mut rest = scale(self.random, total);
        let chosen = members.iter().position(|member| {
            let is_here = rest < weight(member);
            rest = rest.saturating_sub(weight(member));
            is_here
        });
        range.start + chosen.unwrap_or(0)
    }
}

impl<'a, S: Copy> Iterator for Choices<'a, S> {
    type Item = &'a Member<S>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left == 0 {
            let part = self.part.map_or(0, |part| part + 1);
            if part == self.ends.len() {
                return None;
            }
            self.part = Some(part);
            let range = self.range(part);
            self.left = range.len();
            if !range.is_empty() {
                self.next = self.draw(range);
            }
        }
        let range = self.range(self.part?);
        let member = &self.members[self.next];
        self.left -= 1;
        self.next = if self.next + 1 == range.end { range.start } else { self.next + 1 };
        Some(member)
    }
}

/// A number below `limit` for one of 64 bits: as even as 64 bits can say.
fn scale(random: u64, limit: u64) -> u64 {
    let (_, high) = random.carrying_mul(limit, 0);
    high
}

fn below(random: u64, limit: usize) -> usize {
    usize::try_from(scale(random, limit as u64)).expect("a number below a usize")
}
