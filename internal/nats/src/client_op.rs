//! What clients say, read in place.

use crate::args::split;
use crate::line::{Line, Lines};
use crate::number::parse_size;
use crate::verb::Speaker;
use crate::{Close, Verb};

/// An operation of a client. Everything borrows from the input; nothing is checked beyond its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOp<'a> {
    /// `CONNECT`: the options, as JSON text.
    Connect(&'a [u8]),
    /// `PUB` or `HPUB`.
    Publish(RawPublish<'a>),
    /// `SUB`.
    Subscribe {
        /// The subject, wildcards included.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// `UNSUB`.
    Unsubscribe {
        /// The client's name for the subscription.
        sid: &'a [u8],
        /// How many messages it may have in all; 0: it ends now.
        max: usize,
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `INFO`, which only servers have reason to send: the JSON text.
    Info(&'a [u8]),
    /// `+OK`, which only servers have reason to send.
    Ok,
}

/// A message of a client, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawPublish<'a> {
    /// The subject.
    pub subject: &'a [u8],
    /// Where answers go.
    pub reply: Option<&'a [u8]>,
    /// The header block, if any, and the payload behind it.
    pub body: &'a [u8],
    /// Bytes of `body` that are the header block.
    pub headers_len: usize,
}

/// What a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest arguments of an operation, in bytes.
    pub control_line_max: usize,
    /// Largest message, headers included, in bytes.
    pub payload_max: usize,
    /// Whether `HPUB` is allowed.
    pub headers: bool,
}

/// Reads the operations of one client.
///
/// The caller keeps the input, shows its beginning, and drops what was consumed.
#[derive(Clone, Debug)]
pub struct ClientDecoder {
    lines: Lines,
    limits: Limits,
}

impl ClientDecoder {
    /// A decoder at the beginning of a connection.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { lines: Lines::new(Speaker::Client, limits.control_line_max), limits }
    }

    /// Changes the limits; they hold from the next operation on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.lines.set_args_max(limits.control_line_max);
        self.limits = limits;
    }

    /// The limits that hold.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// How many bytes the input must have before another look is worth it; 0: any byte may do.
    #[must_use]
    pub const fn needed(&self) -> usize {
        self.lines.needed()
    }

    /// The operation that `input` begins with and its length in bytes, or `None` when more is needed.
    ///
    /// What is handed out counts as consumed: the next look must be behind it.
    ///
    /// # Errors
    /// Why the connection is to be closed. A wrong beginning is refused as soon as it is one, without
    /// waiting for the end of the line or the payload.
    #[inline]
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Option<(ClientOp<'a>, usize)>, Close> {
        let Some(line) = self.lines.next(input)? else { return Ok(None) };
        let mut len = line.len;
        let op = match line.verb {
            Verb::Pub | Verb::Hpub => {
                let (mut publish, size) = self.publish(&line)?;
                let Some(body) = self.lines.body(input, &line, size)? else { return Ok(None) };
                publish.body = body;
                len += size + 2;
                ClientOp::Publish(publish)
            }
            Verb::Sub => subscribe(line.args).ok_or(Close::BadArguments(Verb::Sub))?,
            Verb::Unsub => unsubscribe(line.args).ok_or(Close::BadArguments(Verb::Unsub))?,
            Verb::Ping => ClientOp::Ping,
            Verb::Pong => ClientOp::Pong,
            Verb::Connect => ClientOp::Connect(line.args),
            Verb::Info => ClientOp::Info(line.args),
            Verb::Ok => ClientOp::Ok,
            Verb::Err => return Err(Close::ClientError),
            Verb::Msg | Verb::Hmsg => return Err(Close::UnknownOperation),
        };
        self.lines.consumed();
        Ok(Some((op, len)))
    }

    /// The message that `line` announces, without its body, and the size of that.
    #[inline]
    fn publish<'a>(&self, line: &Line<'a>) -> Result<(RawPublish<'a>, usize), Close> {
        if line.verb == Verb::Hpub && !self.limits.headers {
            return Err(Close::HeadersNotEnabled);
        }
        let (publish, size) =
            publish(line.verb, line.args).ok_or(Close::BadArguments(line.verb))?;
        let limit = self.limits.payload_max;
        if size > limit {
            return Err(Close::PayloadTooLarge { size, limit });
        }
        Ok((publish, size))
    }
}

#[inline]
fn publish(verb: Verb, args: &[u8]) -> Option<(RawPublish<'_>, usize)> {
    let (subject, reply, headers_len, size) = if verb == Verb::Hpub {
        match split::<4>(args)? {
            ([subject, headers, size, _], 3) => (subject, None, parse_size(headers)?, size),
            ([subject, reply, headers, size], 4) => {
                (subject, Some(reply), parse_size(headers)?, size)
            }
            _ => return None,
        }
    } else {
        match split::<3>(args)? {
            ([subject, size, _], 2) => (subject, None, 0, size),
            ([subject, reply, size], 3) => (subject, Some(reply), 0, size),
            _ => return None,
        }
    };
    let size = parse_size(size)?;
    let publish = RawPublish { subject, reply, body: &[], headers_len };
    (headers_len <= size).then_some((publish, size))
}

fn subscribe(args: &[u8]) -> Option<ClientOp<'_>> {
    match split::<3>(args)? {
        ([subject, sid, _], 2) => Some(ClientOp::Subscribe { subject, queue: None, sid }),
        ([subject, queue, sid], 3) => {
            Some(ClientOp::Subscribe { subject, queue: Some(queue), sid })
        }
        _ => None,
    }
}

fn unsubscribe(args: &[u8]) -> Option<ClientOp<'_>> {
    match split::<2>(args)? {
        ([sid, _], 1) => Some(ClientOp::Unsubscribe { sid, max: 0 }),
        // nats-server takes what is no number for none at all.
        ([sid, max], 2) => Some(ClientOp::Unsubscribe { sid, max: parse_size(max).unwrap_or(0) }),
        _ => None,
    }
}
