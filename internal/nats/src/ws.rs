//! NATS through WebSocket: RFC 6455, with messages compressed as in RFC 7692.
//!
//! ```text
//!   bytes ──▶ Request ──▶ Accepted: the answer, and then
//!
//!   wire ──read──▶ data ──▶ Session ──▶ outbox ──write──▶ wire
//! ```
//!
//! Messages are pieces of a stream of bytes, in both directions. Everything for the client waits in
//! the session's outbox, where its limit is; what is framed already is a few pieces, so a client
//! that does not read is found out as on any other connection.

use bytes::BytesMut;

use crate::Outbox;

mod compressed;
mod deflate;
mod fault;
mod frame;
mod handshake;
mod limits;
mod mask;
mod reader;

pub use deflate::Pool;
pub use fault::{Fault, close_code};
pub use handshake::{Accepted, Origin, Policy, REQUEST_MAX_BYTES, Refusal, Request};
pub use limits::WsLimits;

use frame::{Agreed, CONTROL_MAX_BYTES, Opcode};
use reader::Reader;

/// Most bytes in one frame to a client, before compression.
const FRAME_MAX_BYTES: usize = 64 << 10;

/// Framed bytes that wait; with more nothing is framed.
const WIRE_MAX_BYTES: usize = 64 << 10;

/// Messages shorter than this are not worth compressing, in bytes; nats-server draws the line here.
const DEFLATE_MIN_BYTES: usize = 64;

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WsRead {
    /// The input is used up.
    More,
    /// The data has no more room. It is to be read, and the rest of the input shown again.
    Full,
    /// The client closes. What is in `data` came before.
    Closed,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct WebSocket {
    reader: Reader,
    deflate: bool,
    /// A close was sent; nothing follows.
    is_closed: bool,
}

impl WebSocket {
    /// A connection whose handshake was answered with this.
    #[must_use]
    pub fn new(accepted: &Accepted, limits: WsLimits) -> Self {
        let Accepted { deflate, unmasked, .. } = *accepted;
        let reader = Reader::new(Agreed { deflate, unmasked }, limits);
        Self { reader, deflate, is_closed: false }
    }

    /// Changes the limits, when it is known who the client is.
    pub const fn set_limits(&mut self, limits: WsLimits) {
        self.reader.set_limits(limits);
    }

    /// Reads from the front of `input` to the end of `data`, which gets no longer than `data_max`.
    ///
    /// # Errors
    /// What the client did wrong; then [`WebSocket::fail`] tells it, and the connection is over.
    pub fn read(
        &mut self,
        input: &mut &[u8],
        data: &mut BytesMut,
        data_max: usize,
        pool: &mut Pool,
    ) -> Result<WsRead, Fault> {
        if self.is_closed {
            return Ok(WsRead::Closed);
        }
        self.reader.read(input, data, data_max, pool)
    }

    /// Frames what waits in `out`, as long as little waits in `wire`; answers pings and closes.
    pub fn write(&mut self, out: &mut Outbox, wire: &mut Outbox, pool: &mut Pool) {
        if self.is_closed {
            return;
        }
        if let Some(ping) = self.reader.take_ping() {
            control(Opcode::Pong, &ping, wire);
        }
        while !out.is_empty() && wire.pending() < WIRE_MAX_BYTES {
            let len = out.pending().min(FRAME_MAX_BYTES);
            if self.deflate && len >= DEFLATE_MIN_BYTES {
                let deflated = pool.deflate(out.first(len));
                wire.write(16, |wire| frame::write(wire, Opcode::Data, true, deflated.len()));
                wire.share(deflated.into());
                out.advance(len);
            } else {
                wire.write(16, |wire| frame::write(wire, Opcode::Data, false, len));
                out.move_to(len, wire);
            }
        }
        if let Some(close) = self.reader.closed() {
            // The same back, as the protocol wants it.
            control(Opcode::Close, close, wire);
            self.is_closed = true;
        }
    }

    /// Tells the client that it is over: a status, such as [`close_code`] gives, and a few words.
    pub fn close(&mut self, code: u16, reason: &str, wire: &mut Outbox) {
        if self.is_closed {
            return;
        }
        let mut end = reason.len().min(CONTROL_MAX_BYTES - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let payload = [&code.to_be_bytes()[..], &reason.as_bytes()[..end]].concat();
        control(Opcode::Close, &payload, wire);
        self.is_closed = true;
    }

    /// Bytes of memory held, beyond the value itself.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.reader.memory_bytes()
    }

    /// Tells the client what it did wrong.
    pub fn fail(&mut self, fault: &Fault, wire: &mut Outbox) {
        self.close(fault.code(), &fault.to_string(), wire);
    }
}

fn control(opcode: Opcode, payload: &[u8], wire: &mut Outbox) {
    wire.write(payload.len() + 2, |wire| {
        frame::write(wire, opcode, false, payload.len());
        wire.extend_from_slice(payload);
    });
}
