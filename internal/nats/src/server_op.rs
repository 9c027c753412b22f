//! What servers say, read in place: for clients of our own.

use crate::args::split;
use crate::line::Lines;
use crate::number::parse_size;
use crate::verb::Speaker;
use crate::{Close, Verb};

/// Longest line of a server, in bytes. An `INFO` of a large cluster names hundreds of addresses.
const LINE_MAX_BYTES: usize = 1 << 20;

/// An operation of a server. Everything borrows from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerOp<'a> {
    /// `INFO`: JSON text, see [`Info`](crate::Info).
    Info(&'a [u8]),
    /// `MSG` or `HMSG`.
    Message {
        /// The subject it was published to.
        subject: &'a [u8],
        /// The subscription it is for.
        sid: &'a [u8],
        /// Where answers go.
        reply: Option<&'a [u8]>,
        /// The header block, if any, and the payload behind it.
        body: &'a [u8],
        /// Bytes of `body` that are the header block.
        headers_len: usize,
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`.
    Ok,
    /// `-ERR`: the text, without its quotes.
    Err(&'a [u8]),
}

/// Reads the operations of a server.
#[derive(Clone, Debug)]
pub struct ServerDecoder {
    lines: Lines,
    payload_max: usize,
}

impl ServerDecoder {
    /// A decoder that takes messages of up to `payload_max` bytes, headers included.
    #[must_use]
    pub const fn new(payload_max: usize) -> Self {
        Self { lines: Lines::new(Speaker::Server, LINE_MAX_BYTES), payload_max }
    }

    /// How many bytes the input must have before another look is worth it; 0: any byte may do.
    #[must_use]
    pub const fn needed(&self) -> usize {
        self.lines.needed()
    }

    /// The operation that `input` begins with and its length in bytes, or `None` when more is needed.
    ///
    /// # Errors
    /// The server breaks the protocol in the way that `Close` names; nothing behind can be trusted.
    #[inline]
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Option<(ServerOp<'a>, usize)>, Close> {
        let Some(line) = self.lines.next(input)? else { return Ok(None) };
        let mut len = line.len;
        let op = match line.verb {
            Verb::Msg | Verb::Hmsg => {
                let bad = Close::BadArguments(line.verb);
                let (subject, sid, reply, headers_len, size) =
                    message(line.verb, line.args).ok_or(bad)?;
                if size > self.payload_max {
                    return Err(Close::PayloadTooLarge { size, limit: self.payload_max });
                }
                let Some(body) = self.lines.body(input, &line, size)? else { return Ok(None) };
                len += size + 2;
                ServerOp::Message { subject, sid, reply, body, headers_len }
            }
            Verb::Info => ServerOp::Info(line.args.trim_ascii_end()),
            Verb::Err => ServerOp::Err(unquoted(line.args.trim_ascii_end())),
            Verb::Ping => ServerOp::Ping,
            Verb::Pong => ServerOp::Pong,
            Verb::Ok => ServerOp::Ok,
            Verb::Connect | Verb::Pub | Verb::Hpub | Verb::Sub | Verb::Unsub => {
                return Err(Close::UnknownOperation);
            }
        };
        self.lines.consumed();
        Ok(Some((op, len)))
    }
}

type Message<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>, usize, usize);

#[inline]
fn message(verb: Verb, args: &[u8]) -> Option<Message<'_>> {
    let (subject, sid, reply, headers_len, size) = if verb == Verb::Hmsg {
        match split::<5>(args)? {
            ([subject, sid, headers, size, _], 4) => {
                (subject, sid, None, parse_size(headers)?, parse_size(size)?)
            }
            ([subject, sid, reply, headers, size], 5) => {
                (subject, sid, Some(reply), parse_size(headers)?, parse_size(size)?)
            }
            _ => return None,
        }
    } else {
        match split::<4>(args)? {
            ([subject, sid, size, _], 3) => (subject, sid, None, 0, parse_size(size)?),
            ([subject, sid, reply, size], 4) => (subject, sid, Some(reply), 0, parse_size(size)?),
            _ => return None,
        }
    };
    (headers_len <= size).then_some((subject, sid, reply, headers_len, size))
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'")).unwrap_or(text)
}
