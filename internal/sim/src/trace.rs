//! What happened to a disk, as text: two runs of one seed must read the same, byte for byte.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::io;
use std::path::Path;
use std::sync::Arc;

use pubsub_disk::Operation;

use crate::InFlight;
use crate::pages::Pages;

/// The last [`EVENTS_MAX`] things that happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    events: VecDeque<Event>,
    forgotten: u64,
}

/// One thing that happened. Made into text only when someone asks.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Done {
        step: Option<u64>,
        operation: Operation,
        path: Arc<str>,
        digest: u64,
        outcome: Outcome,
    },
    /// A file that a reboot left.
    Left {
        path: String,
        content: Pages,
    },
    Note(String),
}

/// How an operation ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Ok,
    Refused(io::ErrorKind),
    Failed(io::ErrorKind),
    Stopped(InFlight),
}

/// Events that are kept; older ones are forgotten, and the text says how many.
const EVENTS_MAX: usize = 1 << 16;

impl Trace {
    pub(crate) fn push(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
            self.forgotten += 1;
        }
        self.events.push_back(event);
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut write = || -> fmt::Result {
            if self.forgotten > 0 {
                writeln!(text, "({} earlier events are forgotten)", self.forgotten)?;
            }
            self.events.iter().try_for_each(|event| writeln!(text, "{event}"))
        };
        write().expect("a string takes everything");
        text
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(text) => f.write_str(text),
            Self::Left { path, content } => {
                let digest = digest(&content.to_vec());
                write!(f, "    = {path}: {} bytes [{digest:016x}]", content.len())
            }
            Self::Done { step, operation, path, digest, outcome } => {
                match step {
                    Some(step) => write!(f, "{step:>5} ")?,
                    None => write!(f, "    - ")?,
                }
                write!(f, "{}", operation.on(Path::new(&**path)))?;
                if matches!(operation, Operation::Write { .. }) {
                    write!(f, " [{digest:016x}]")?;
                }
                match outcome {
                    Outcome::Ok => Ok(()),
                    Outcome::Refused(kind) => write!(f, ": {kind}"),
                    Outcome::Failed(kind) => write!(f, ": made to fail: {kind}"),
                    Outcome::Stopped(InFlight::Nothing) => write!(f, ": stopped before"),
                    Outcome::Stopped(InFlight::Part) => write!(f, ": stopped in the middle"),
                    Outcome::Stopped(InFlight::Whole) => write!(f, ": stopped after"),
                }
            }
        }
    }
}

/// A number that differs when the bytes do, nearly always. Fast rather than good.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    // Four lanes, so that one multiplication need not wait for another.
    let [mut a, mut b, mut c, mut d] = [1, 2, 3, bytes.len() as u64];
    let (words, tail) = bytes.as_chunks::<8>();
    let (rows, rest) = words.as_chunks::<4>();
    for [w, x, y, z] in rows {
        a = mix(a, *w);
        b = mix(b, *x);
        c = mix(c, *y);
        d = mix(d, *z);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    let rest = rest.iter().fold(mix(4, last), |hash, word| mix(hash, *word));
    [a, b, c, d].into_iter().fold(rest, |hash, lane| mix(hash, lane.to_le_bytes()))
}

#[inline]
fn mix(hash: u64, word: [u8; 8]) -> u64 {
    (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_keeps_the_last_events_and_says_how_many_it_forgot() {
        let mut trace = Trace::default();
        for n in 0..EVENTS_MAX + 2 {
            trace.push(Event::Note(format!("event {n}")));
        }
        let text = trace.text();
        assert!(text.starts_with("(2 earlier events are forgotten)\nevent 2\n"));
        assert_eq!(text.lines().count(), EVENTS_MAX + 1);
    }

    #[test]
    fn every_bit_changes_the_digest() {
        let bytes = [7; 77];
        let original = digest(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(digest(&changed), original, "bit {bit}");
        }
        assert_ne!(digest(&bytes[..76]), digest(&bytes));
    }
}
