//! Finding control lines and the payloads behind them in a buffer that grows.
//!
//! ```text
//!   PUB orders.eu 5\r\n hello\r\n PUB ord…
//!   ╰──── line ────╯    ╰ body ╯  ╰ more bytes are needed; nothing of it is consumed
//! ```
//!
//! An operation is consumed as a whole or not at all. Between two looks at the same beginning only
//! two numbers are kept: how far the search for the line's end came, and how long the operation is
//! once that is known. So input that comes byte by byte is not searched again from the start.

use memchr::memchr;

use crate::Close;
use crate::args::trim_start;
use crate::verb::{Said, Speaker, Verb};

/// How much longer than its arguments a line may be: the verb, the spaces behind it, the line's end.
///
/// nats-server counts arguments only, and takes any number of spaces before them and any text behind
/// `PING`. That is a line without end, so here it has one.
const LINE_SLACK_BYTES: usize = 128;

/// What is behind a payload.
const CRLF: &[u8] = b"\r\n";

/// A whole control line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) verb: Verb,
    /// What follows the verb and its spaces, without the line's end.
    pub(crate) args: &'a [u8],
    /// Bytes of the line, its end included.
    pub(crate) len: usize,
}

/// Searches the input of one connection, whose beginning is always the beginning of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    speaker: Speaker,
    /// Longest arguments, in bytes.
    args_max: usize,
    /// No line end is in this many bytes.
    searched: usize,
    /// With fewer bytes the operation is not whole.
    needed: usize,
}

impl Lines {
    pub(crate) const fn new(speaker: Speaker, args_max: usize) -> Self {
        Self { speaker, args_max, searched: 0, needed: 0 }
    }

    pub(crate) const fn set_args_max(&mut self, args_max: usize) {
        self.args_max = args_max;
    }

    /// How long the input must get before anything can come of it; 0 when that is not known.
    pub(crate) const fn needed(&self) -> usize {
        self.needed
    }

    /// The line that `input` begins with, or `None` when more is needed.
    #[inline]
    pub(crate) fn next<'a>(&mut self, input: &'a [u8]) -> Result<Option<Line<'a>>, Close> {
        // The last byte is not waited for: the one before it may be wrong already.
        if input.len() + 1 < self.needed {
            return Ok(None);
        }
        let line_max = self.args_max.saturating_add(LINE_SLACK_BYTES);
        let to = input.len().min(line_max);
        let from = self.searched.min(to);
        let Some(found) = memchr(b'\n', &input[from..to]) else {
            self.searched = to;
            return self.check_unfinished(&input[..to], line_max).map(|()| None);
        };
        let end = from + found;
        self.searched = end;
        let text = match &input[..end] {
            [text @ .., b'\r'] => text,
            text => text,
        };
        let (verb, args) = match Verb::of(self.speaker, text, true) {
            Said::Verb(verb, len) => (verb, trim_start(&text[len..])),
            Said::Beginning | Said::Nothing => return Err(Close::UnknownOperation),
        };
        if args.len() > self.args_max && !has_no_args(verb) {
            return Err(self.too_long());
        }
        Ok(Some(Line { verb, args, len: end + 1 }))
    }

    /// The `size` bytes behind `line`, or `None` when more is needed.
    #[inline]
    pub(crate) fn body<'a>(
        &mut self,
        input: &'a [u8],
        line: &Line<'_>,
        size: usize,
    ) -> Result<Option<&'a [u8]>, Close> {
        // A size has nine digits at most, and a line is in memory: no sum can overflow.
        let end = line.len + size;
        let whole = end + CRLF.len();
        let behind = input.get(end..whole.min(input.len())).unwrap_or_default();
        if !CRLF.starts_with(behind) {
            return Err(Close::UnknownOperation);
        }
        if input.len() < whole {
            self.needed = whole;
            return Ok(None);
        }
        Ok(Some(&input[line.len..end]))
    }

    /// The operation is consumed; the input begins with the next one.
    #[inline]
    pub(crate) const fn consumed(&mut self) {
        self.searched = 0;
        self.needed = 0;
    }

    /// Refuses what no line end can make good.
    fn check_unfinished(&self, text: &[u8], line_max: usize) -> Result<(), Close> {
        let too_long = match Verb::of(self.speaker, text, false) {
            Said::Verb(verb, len) => {
                let args = trim_start(&text[len..]);
                let args = args.strip_suffix(b"\r").unwrap_or(args);
                args.len() > self.args_max && !has_no_args(verb)
            }
            Said::Beginning => false,
            Said::Nothing => return Err(Close::UnknownOperation),
        };
        // The end of the longest line would have been among these bytes.
        if too_long || self.searched == line_max { Err(self.too_long()) } else { Ok(()) }
    }

    const fn too_long(&self) -> Close {
        Close::ControlLineTooLong { limit: self.args_max }
    }
}

/// What stands behind these verbs is passed over.
const fn has_no_args(verb: Verb) -> bool {
    matches!(verb, Verb::Ping | Verb::Pong | Verb::Ok)
}
