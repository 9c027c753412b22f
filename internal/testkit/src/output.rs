//! What a process has said, and the wake-up for whoever waits for more.
//!
//! ```text
//!   stdout ──thread──╮
//!   stderr ──thread──┼──▶ State, under one lock ──wake──▶ whoever waits
//!   exit   ──thread──╯
//! ```
//!
//! One condition variable for all three, so that a process that dies wakes the test that waits for
//! its line.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// All a process has said so far, line by line.
///
/// Line ends are taken off; bytes that are not UTF-8 become replacement characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Lines of standard output.
    pub stdout: Vec<String>,
    /// Lines of standard error.
    pub stderr: Vec<String>,
}

impl Output {
    /// The lines of one of the two.
    #[must_use]
    pub fn lines(&self, source: Source) -> &[String] {
        match source {
            Source::Stdout => &self.stdout,
            Source::Stderr => &self.stderr,
        }
    }

    fn lines_mut(&mut self, source: Source) -> &mut Vec<String> {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.stdout {
            writeln!(f, "  stdout | {line}")?;
        }
        for line in &self.stderr {
            writeln!(f, "  stderr | {line}")?;
        }
        Ok(())
    }
}

/// What is known of a process.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) output: Output,
    /// The process has ended, and can be reaped.
    pub(crate) exited: bool,
    /// How many of the two pipes are still open at the other end.
    pub(crate) pipes_open: u32,
}

impl State {
    /// Whether nothing more will be said.
    pub(crate) fn silent(&self) -> bool {
        self.exited && self.pipes_open == 0
    }
}

/// The state, shared with the threads that fill it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<(Mutex<State>, Condvar)>);

impl Watch {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one push or one flag, so a panic elsewhere leaves nothing half done.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    /// Blocks until `done` says so, at most `within`. False when the time ran out.
    pub(crate) fn wait(&self, within: Duration, mut done: impl FnMut(&State) -> bool) -> bool {
        let waited = self.0.1.wait_timeout_while(self.lock(), within, |state| !done(state));
        let (_state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }

    /// Reads `pipe` to its end, line by line, in a thread of its own.
    pub(crate) fn follow(&self, source: Source, pipe: impl Read + Send + 'static) {
        self.change(|state| state.pipes_open += 1);
        let watch = self.clone();
        // Nobody joins it: it ends with the last process that holds the pipe.
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                line.clear();
                watch.change(|state| state.output.lines_mut(source).push(text));
            }
            watch.change(|state| state.pipes_open -= 1);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn last_line_counts_without_its_line_end() {
        let watch = Watch::default();
        watch.follow(Source::Stdout, &b"one\r\ntwo"[..]);
        assert!(watch.wait(LONG, |state| state.pipes_open == 0));
        assert_eq!(watch.lock().output.stdout, ["one", "two"]);
    }

    #[test]
    fn bytes_that_are_not_text_do_not_end_the_reading() {
        let watch = Watch::default();
        watch.follow(Source::Stderr, &b"\xff\nafter\n"[..]);
        assert!(watch.wait(LONG, |state| state.pipes_open == 0));
        assert_eq!(watch.lock().output.stderr, ["\u{fffd}", "after"]);
    }

    #[test]
    fn waiting_in_vain_ends_at_the_deadline() {
        assert!(!Watch::default().wait(Duration::from_millis(5), |state| state.exited));
    }
}
