//! What changed between two snapshots, by filter and group: what a link tells its peer.
//!
//! ```text
//!   older  ●────────┬──── orders.* ── 3        "orders.*" 3 → 2
//!   newer  ●────────┼──── orders.* ── 2        "bills"    0 → 1
//!                   ├──── bills ── 1
//!                   ╰──── a million others     the same nodes in both: skipped, all at once
//! ```
//!
//! Both trees are walked together, byte by byte, down to where the subscribers of a filter or a group
//! begin. Their shapes may differ in where labels are parted, and that is no change.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::arena::Words;
use crate::group::Place;
use crate::key::{Part, Texts};
use crate::snapshot::Snapshot;
use crate::subscriber::Subscriber;
use crate::walk::{self, Spot};

/// A filter, or a queue group on it, whose subscribers changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The filter.
    pub filter: &'a str,
    /// The queue group.
    pub group: Option<&'a str>,
    /// What it weighed before: for a group the weights of its members together, without a group 1
    /// when there was a subscriber, and 0 when there was none.
    pub before: u64,
    /// What it weighs now, likewise.
    pub after: u64,
}

/// What changed between two snapshots; see [`Snapshot::changes_since`].
///
/// Keeps both snapshots, so it may be gone through in portions.
pub struct Changes<S, F> {
    pairs: Pairs<S>,
    include: F,
    bits: walk::Bits,
}

impl<S: Subscriber, F: FnMut(S) -> bool> Changes<S, F> {
    pub(crate) fn new(
        older: Option<Arc<Snapshot<S>>>,
        newer: Arc<Snapshot<S>>,
        include: F,
    ) -> Self {
        Self { pairs: Pairs::new(older, newer), include, bits: Vec::new() }
    }

    /// The next change, in order of the filters. None at the end, and again when asked again.
    ///
    /// Looks at the subscribers of the filter or group: without a group until one is included, in a
    /// group at all of them.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend what it yields")]
    pub fn next(&mut self) -> Option<Change<'_>> {
        loop {
            let pair = self.pairs.next()?;
            let mut weigh = |snapshot: Option<&Arc<Snapshot<S>>>, spot: Option<Spot>| {
                let (snapshot, spot) = snapshot.zip(spot)?;
                let words = snapshot.words();
                Some(weigh(words, spot, pair.in_group, &mut self.include, &mut self.bits))
            };
            let before = weigh(self.pairs.older.as_ref(), pair.old).unwrap_or(0);
            let after = weigh(Some(&self.pairs.newer), pair.new).unwrap_or(0);
            if before != after {
                let (filter, group) = self.pairs.read_texts();
                return Some(Change { filter, group, before, after });
            }
        }
    }
}

/// What the subscribers at a spot weigh together; one is enough outside of a group.
fn weigh<S: Subscriber>(
    words: Words<'_>,
    spot: Spot,
    in_group: bool,
    include: &mut impl FnMut(S) -> bool,
    bits: &mut walk::Bits,
) -> u64 {
    let mut weight = 0;
    let _where_it_ended = walk::subscribers(words, spot, bits, |bits, place| {
        if !include(S::from_bits(bits)) {
            return ControlFlow::Continue(());
        }
        if !in_group {
            weight = 1;
            return ControlFlow::Break(());
        }
        weight += u64::from(Place::from_word(place).weight());
        ControlFlow::Continue(())
    });
    weight
}

impl<S: Subscriber, F> fmt::Debug for Changes<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("pairs", &self.pairs).finish_non_exhaustive()
    }
}

/// A filter, or a queue group on it, that has subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The filter.
    pub filter: &'a str,
    /// The queue group.
    pub group: Option<&'a str>,
    /// How many subscribers it has: 1 or more.
    pub subscribers: usize,
}

/// The distinct filters and groups of a snapshot; see [`Snapshot::filters`].
///
/// Keeps its snapshot, so it may be gone through in portions.
pub struct Filters<S>(Pairs<S>);

impl<S: Subscriber> Filters<S> {
    pub(crate) fn new(snapshot: Arc<Snapshot<S>>) -> Self {
        Self(Pairs::new(None, snapshot))
    }

    /// The next filter or group: by filter, the one without a group first. None at the end, and again
    /// when asked again.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend what it yields")]
    pub fn next(&mut self) -> Option<Wanted<'_>> {
        let pair = self.0.next()?;
        let subscribers = pair.new.map_or(0, |spot| self.0.newer.leaves_at(spot));
        let (filter, group) = self.0.read_texts();
        Some(Wanted { filter, group, subscribers })
    }
}

impl<S: Subscriber> fmt::Debug for Filters<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filters").field("pairs", &self.0).finish_non_exhaustive()
    }
}

/// Walks two trees together, and stops at filters and groups that are not the same nodes in both.
struct Pairs<S> {
    older: Option<Arc<Snapshot<S>>>,
    newer: Arc<Snapshot<S>>,
    /// Whether the same number means the same node in both.
    share_nodes: bool,
    /// To come, the next one last.
    stack: Vec<Fork>,
    key: Vec<u8>,
    texts: Texts,
    // Kept for their space.
    old_edges: Vec<(u8, Spot)>,
    new_edges: Vec<(u8, Spot)>,
}

/// Where both trees go on after so much of the key and one more byte.
#[derive(Clone, Copy)]
struct Fork {
    old: Option<Spot>,
    new: Option<Spot>,
    len: usize,
    byte: Option<u8>,
    part: Part,
}

/// Where the subscribers of a filter or group are.
struct Pair {
    old: Option<Spot>,
    new: Option<Spot>,
    in_group: bool,
}

impl<S: Subscriber> Pairs<S> {
    fn new(older: Option<Arc<Snapshot<S>>>, newer: Arc<Snapshot<S>>) -> Self {
        let old = older.as_ref().and_then(|older| older.root());
        let new = newer.root();
        let share_nodes = older.as_ref().is_some_and(|older| older.shares_nodes_with(&newer));
        Self {
            older,
            newer,
            share_nodes,
            stack: vec![Fork { old, new, len: 0, byte: None, part: Part::Filter }],
            key: Vec::new(),
            texts: Texts::default(),
            old_edges: Vec::new(),
            new_edges: Vec::new(),
        }
    }

    /// The key of the last pair as texts.
    fn read_texts(&mut self) -> (&str, Option<&str>) {
        self.texts.read(&self.key);
        (self.texts.filter(), self.texts.group())
    }

    fn next(&mut self) -> Option<Pair> {
        loop {
            let Fork { mut old, mut new, len, byte, mut part } = self.stack.pop()?;
            self.key.truncate(len);
            self.key.extend(byte);
            loop {
                if (old.is_none() && new.is_none()) || (self.share_nodes && old == new) {
                    break;
                }
                if let Part::Subscriber { in_group } = part {
                    return Some(Pair { old, new, in_group });
                }
                let old_words = self.older.as_ref().map(|older| older.words());
                let new_words = Some(self.newer.words());
                match (next_byte(old_words, old), next_byte(new_words, new)) {
                    (Next::Byte(one), Next::Byte(other)) if one == other => {
                        part = self.go(one, part);
                    }
                    (Next::Byte(one), Next::Nothing) | (Next::Nothing, Next::Byte(one)) => {
                        part = self.go(one, part);
                    }
                    _ => {
                        self.part_ways(old, new, part);
                        break;
                    }
                }
                for spot in [&mut old, &mut new].into_iter().flatten() {
                    spot.at += 1;
                }
            }
        }
    }

    fn go(&mut self, byte: u8, part: Part) -> Part {
        self.key.push(byte);
        part.after(byte)
    }

    /// Puts off every way that one of the trees goes on.
    fn part_ways(&mut self, old: Option<Spot>, new: Option<Spot>, part: Part) {
        let old_words = self.older.as_ref().map(|older| older.words());
        edges(old_words, old, &mut self.old_edges);
        edges(Some(self.newer.words()), new, &mut self.new_edges);
        let len = self.key.len();
        let start = self.stack.len();
        let mut olds = self.old_edges.drain(..).peekable();
        let mut news = self.new_edges.drain(..).peekable();
        loop {
            let bytes = [olds.peek(), news.peek()].map(|edge| edge.map(|(byte, _)| *byte));
            let Some(byte) = bytes.into_iter().flatten().min() else { break };
            let old = olds.next_if(|edge| edge.0 == byte).map(|edge| edge.1);
            let new = news.next_if(|edge| edge.0 == byte).map(|edge| edge.1);
            self.stack.push(Fork { old, new, len, byte: Some(byte), part: part.after(byte) });
        }
        self.stack[start..].reverse();
    }
}

impl<S> fmt::Debug for Pairs<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairs").field("to_come", &self.stack.len()).finish_non_exhaustive()
    }
}

/// How a tree goes on.
enum Next {
    /// It does not.
    Nothing,
    /// In one way.
    Byte(u8),
    /// In several.
    Fork,
}

fn next_byte(words: Option<Words<'_>>, spot: Option<Spot>) -> Next {
    let Some((words, spot)) = words.zip(spot) else { return Next::Nothing };
    let label = words.node(spot.node).label();
    if spot.at == label.len() { Next::Fork } else { Next::Byte(label.byte(spot.at)) }
}

/// Every way a tree goes on.
fn edges(words: Option<Words<'_>>, spot: Option<Spot>, edges: &mut Vec<(u8, Spot)>) {
    let Some((words, spot)) = words.zip(spot) else { return };
    let node = words.node(spot.node);
    if spot.at < node.label().len() {
        edges.push((node.label().byte(spot.at), Spot { at: spot.at + 1, ..spot }));
    } else {
        edges.extend(node.edges().map(|(byte, child)| (byte, Spot::start_of(child))));
    }
}
