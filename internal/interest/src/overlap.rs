//! From a filter to the places in the tree whose filters have a subject in common with it.
//!
//! ```text
//!   asked    a . * . c            in the tree    a . b . *        a.b.c is a subject of both
//!            a . >                               * . x            a.x
//!            a . b                               a . >            a.b
//! ```
//!
//! Where the filter asked about has a wildcard, the walk goes through every token that the tree has
//! there, so a question that begins with a wildcard can cost as much as the tree is large.

use std::ops::ControlFlow;

use crate::arena::{At, NONE, Words};
use crate::key::{ANY, END, REST};
use crate::walk::Spot;

/// How far the question is.
#[derive(Clone, Copy, Debug)]
enum Asking {
    /// So many bytes of it are behind.
    At(usize),
    /// Behind a wildcard for one token, of which the tree has more bytes; then at this one.
    InToken(usize),
    /// All that is below.
    All,
    /// It ended together with the filter in the tree.
    Found,
}

/// Calls `found` with the spot behind the end of each filter that overlaps `asked`, a filter as it is
/// in a key.
pub(crate) fn overlapping(
    words: Words<'_>,
    root: At,
    asked: &[u8],
    mut found: impl FnMut(Spot) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if root == NONE {
        return ControlFlow::Continue(());
    }
    let mut stack = vec![(root, Asking::At(0))];
    while let Some((at, mut asking)) = stack.pop() {
        let node = words.node(at);
        let label = node.label();
        let mut is_apart = false;
        for position in 0..label.len() {
            match step(asked, asking, label.byte(position)) {
                None => is_apart = true,
                Some(Asking::Found) => {
                    found(Spot { node: at, at: position + 1 })?;
                    is_apart = true;
                }
                Some(next) => asking = next,
            }
            if is_apart {
                break;
            }
        }
        if is_apart {
            continue;
        }
        for (byte, child) in node.edges().rev() {
            match step(asked, asking, byte) {
                None => (),
                Some(Asking::Found) => found(Spot::start_of(child))?,
                Some(next) => stack.push((child, next)),
            }
        }
    }
    ControlFlow::Continue(())
}

/// Where the question is after the tree went on with `byte`; none when they have nothing in common.
fn step(asked: &[u8], asking: Asking, byte: u8) -> Option<Asking> {
    let at = match asking {
        Asking::All if byte == END => return Some(Asking::Found),
        Asking::All | Asking::Found => return Some(asking),
        Asking::InToken(_) if byte != b'.' && byte != END => return Some(asking),
        Asking::InToken(at) | Asking::At(at) => at,
    };
    match (byte, asked.get(at)) {
        (END, None) => Some(Asking::Found),
        (END, Some(_)) | (_, None) => None,
        (REST, Some(_)) | (_, Some(&REST)) => Some(Asking::All),
        (ANY, Some(_)) => {
            let rest = &asked[at..];
            let len = rest.iter().position(|byte| *byte == b'.').unwrap_or(rest.len());
            Some(Asking::At(at + len))
        }
        (_, Some(&ANY)) => Some(Asking::InToken(at + 1)),
        (byte, Some(wanted)) => (byte == *wanted).then_some(Asking::At(at + 1)),
    }
}
