//! From a subject to the places in the tree where its subscribers are.
//!
//! ```text
//!   orders.eu.7      ──▶ o r d e r s . ─┬─ ANY ── . 7 END ●          at the start of a token the walk
//!                                       ├─ REST ── END ●             forks: the token itself, ANY, REST
//!                                       └─ e u . ─── 7 END ●
//! ```
//!
//! The ways wait in a queue of the caller's, never on the thread's stack: a subject has up to
//! thousands of tokens. They take turns, a node each, so that while the memory of one node is on its
//! way another one is looked at.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::arena::{At, NONE, Words};
use crate::key::{ANY, END, PLAIN, REST};
use crate::node::{Node, Shape};

/// A place within a node: so many bytes of its label are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) node: At,
    pub(crate) at: usize,
}

impl Spot {
    pub(crate) const fn start_of(node: At) -> Self {
        Self { node, at: 0 }
    }
}

/// Nodes to go on with.
pub(crate) type Waiting = VecDeque<Way>;

/// A node to go on with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    node: At,
    /// Its shape: read when the way is found, so that the memory is on its way while others go on.
    shape: Shape,
    /// How much of the subject is behind.
    used: usize,
}

/// Whether this is a subject that may be published: no control byte, no space, no empty token.
pub(crate) fn is_subject(text: &[u8]) -> bool {
    // Without a way out of the loops, so that they go many bytes at a time.
    let is_text = text.iter().fold(true, |is_text, byte| is_text & (*byte > b' '));
    let pairs = text.iter().zip(text.get(1..).unwrap_or_default());
    let has_empty = pairs.fold(false, |found, (a, b)| found | ((*a == b'.') & (*b == b'.')));
    let ends = [text.first(), text.last()];
    is_text && !has_empty && ends.into_iter().all(|byte| byte.is_some_and(|byte| *byte != b'.'))
}

/// Calls `found` with the spot behind the end of each filter that matches.
pub(crate) fn matching(
    words: Words<'_>,
    root: At,
    subject: &[u8],
    waiting: &mut Waiting,
    mut found: impl FnMut(Spot) -> ControlFlow<()>,
) -> ControlFlow<()> {
    waiting.clear();
    if root == NONE || !is_subject(subject) {
        return ControlFlow::Continue(());
    }
    let way = |node, used| Way { node, shape: words.node(node).shape(), used };
    waiting.push_back(way(root, 0));
    while let Some(Way { node: at, shape, used }) = waiting.pop_front() {
        let node = words.node_of_shape(at, shape);
        let used = match along_label(node, subject, used) {
            Along::Through(used) => used,
            Along::End(behind) => {
                found(Spot { node: at, at: behind })?;
                continue;
            }
            Along::Apart => continue,
        };
        let Some(byte) = subject.get(used) else {
            if node.byte(0) == END {
                found(Spot::start_of(node.child(0)))?;
            }
            continue;
        };
        // Control bytes are the lowest, so they come first, if there are any.
        if node.byte(0) <= REST {
            for (byte, child) in node.edges() {
                match byte {
                    END => (),
                    ANY => waiting.push_back(way(child, token_end(subject, used))),
                    REST => found(Spot { node: child, at: 1 })?,
                    _ => break,
                }
            }
        }
        if let Some(position) = node.find(*byte) {
            waiting.push_back(way(node.child(position), used + 1));
        }
    }
    ControlFlow::Continue(())
}

/// How a label and a subject go on together.
enum Along {
    /// Not at all.
    Apart,
    /// The filter ends after so many bytes of the label, and matches.
    End(usize),
    /// To the end of the label, and so far in the subject.
    Through(usize),
}

fn along_label(node: Node<'_>, subject: &[u8], mut used: usize) -> Along {
    let label = node.label();
    let mut at = 0;
    loop {
        let same = label.common(at, subject, used);
        at += same;
        used += same;
        if at == label.len() {
            return Along::Through(used);
        }
        // The tree and the subject are at the same token, or the bytes before would differ.
        match label.byte(at) {
            ANY if used < subject.len() => {
                used = token_end(subject, used);
                at += 1;
            }
            REST if used < subject.len() => return Along::End(at + 2),
            END if used == subject.len() => return Along::End(at + 1),
            _ => return Along::Apart,
        }
    }
}

/// Where the token at `from` ends.
fn token_end(subject: &[u8], from: usize) -> usize {
    subject[from..].iter().position(|byte| *byte == b'.').map_or(subject.len(), |len| from + len)
}

/// Where a filter's subscribers are, from the spot behind its end: the plain ones, and the groups.
pub(crate) fn kinds(words: Words<'_>, spot: Spot) -> (Option<Spot>, Option<Spot>) {
    let node = words.node(spot.node);
    if spot.at == node.label().len() {
        // The node forks here, so it has both.
        return (Some(Spot::start_of(node.child(0))), Some(Spot::start_of(node.child(1))));
    }
    let behind = Spot { at: spot.at + 1, ..spot };
    if node.label().byte(spot.at) == PLAIN { (Some(behind), None) } else { (None, Some(behind)) }
}

/// Subtrees of subscribers to come back to, with the bits above them.
pub(crate) type Bits = Vec<(At, u64)>;

/// Calls `each` with bits and place of each subscriber, in ascending order.
pub(crate) fn subscribers(
    words: Words<'_>,
    spot: Spot,
    stack: &mut Bits,
    mut each: impl FnMut(u64, u32) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let node = words.node(spot.node);
    let mut next = Some((node, node.label().shift_into(spot.at, 0)));
    stack.clear();
    loop {
        let (node, bits) = match next.take() {
            Some(next) => next,
            None => {
                let Some((at, bits)) = stack.pop() else { return ControlFlow::Continue(()) };
                let node = words.node(at);
                (node, node.label().shift_into(0, bits))
            }
        };
        if node.is_leaf() {
            each(bits, node.place())?;
        }
        stack.extend(node.edges().rev().map(|(byte, child)| (child, bits << 8 | u64::from(byte))));
    }
}

/// Names to come back to: a subtree, the length of the name above it, and the byte in between.
pub(crate) type Names = Vec<(Spot, usize, u8)>;

/// Calls `each` with name and subscribers of each group, in order of the names.
pub(crate) fn groups(
    words: Words<'_>,
    spot: Spot,
    stack: &mut Names,
    name: &mut Vec<u8>,
    mut each: impl FnMut(&[u8], Spot),
) {
    stack.clear();
    name.clear();
    let mut next = Some(spot);
    loop {
        let spot = match next.take() {
            Some(spot) => spot,
            None => {
                let Some((spot, len, byte)) = stack.pop() else { return };
                name.truncate(len);
                if byte == END {
                    each(name, spot);
                    continue;
                }
                name.push(byte);
                spot
            }
        };
        let node = words.node(spot.node);
        let label = node.label();
        let end = (spot.at..label.len()).find(|at| label.byte(*at) == END);
        name.extend((spot.at..end.unwrap_or(label.len())).map(|at| label.byte(at)));
        match end {
            Some(end) => each(name, Spot { node: spot.node, at: end + 1 }),
            None => stack.extend(
                node.edges().rev().map(|(byte, child)| (Spot::start_of(child), name.len(), byte)),
            ),
        }
    }
}
