//! From frames to bytes of the NATS protocol.
//!
//! ```text
//!   head │ payload  head │ ping  head │ payload       one message, in as many frames as the sender likes,
//!        ╰── unmasked ──▶ data ◀── inflated ──╯       with pings in between
//! ```
//!
//! NATS takes a message for a piece of its stream, so nothing waits for the end of one: what came is
//! handed on at once, unless it is compressed and short. All of the input is used up, unless the data
//! has no more room; so a head or a ping cut in two waits here, and the input can be anybody's buffer.

use bytes::{Bytes, BytesMut};

use crate::ws::compressed::Compressed;
use crate::ws::deflate::Pool;
use crate::ws::frame::{Agreed, HEAD_MAX_BYTES, Head, Opcode, head_len, parse};
use crate::ws::mask::Mask;
use crate::ws::{Fault, WsLimits, WsRead};

/// How much compressed input is taken at once, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// Reads what one client sends.
#[derive(Debug)]
pub(crate) struct Reader {
    agreed: Agreed,
    limits: WsLimits,
    /// The head of the next frame, as far as it came.
    head: [u8; HEAD_MAX_BYTES],
    head_len: usize,
    frame: Option<Frame>,
    message: Option<Message>,
    /// The payload of a ping, pong or close, as far as it came.
    control: BytesMut,
    /// The last ping, unanswered.
    ping: Option<Bytes>,
    /// What the client closed with.
    closed: Option<Bytes>,
}

/// A frame whose payload is on its way.
#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    is_final: bool,
    left: u64,
    mask: Option<Mask>,
}

impl Frame {
    /// Moves as much of the payload as there is, by `max` bytes at most.
    fn take(&mut self, input: &mut &[u8], max: usize, out: &mut BytesMut) {
        let len = input.len().min(max).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let (taken, rest) = input.split_at(len);
        let start = out.len();
        out.extend_from_slice(taken);
        if let Some(mask) = &mut self.mask {
            mask.apply(&mut out[start..]);
        }
        *input = rest;
        self.left -= len as u64;
    }
}

/// A message that has begun.
#[derive(Debug)]
enum Message {
    /// And how many bytes its frames have announced.
    Plain(u64),
    Compressed(Box<Compressed>),
}

impl Reader {
    pub(crate) fn new(agreed: Agreed, limits: WsLimits) -> Self {
        Self {
            agreed,
            limits,
            head: [0; HEAD_MAX_BYTES],
            head_len: 0,
            frame: None,
            message: None,
            control: BytesMut::new(),
            ping: None,
            closed: None,
        }
    }

    pub(crate) const fn set_limits(&mut self, limits: WsLimits) {
        self.limits = limits;
    }

    /// The last ping that was not answered.
    pub(crate) const fn take_ping(&mut self) -> Option<Bytes> {
        self.ping.take()
    }

    /// What the client closed with.
    pub(crate) const fn closed(&self) -> Option<&Bytes> {
        self.closed.as_ref()
    }

    /// Bytes of memory held, beyond the value itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        let message = match &self.message {
            Some(Message::Compressed(message)) => size_of::<Compressed>() + message.memory_bytes(),
            _ => 0,
        };
        self.control.capacity() + message
    }

    /// Reads from the front of `input` to the end of `data`, which gets no longer than `data_max`.
    pub(crate) fn read(
        &mut self,
        input: &mut &[u8],
        data: &mut BytesMut,
        data_max: usize,
        pool: &mut Pool,
    ) -> Result<WsRead, Fault> {
        loop {
            if self.closed.is_some() {
                return Ok(WsRead::Closed);
            }
            let stop = match &self.frame {
                None => match self.read_head(input)? {
                    Some(head) => self.begin(&head).map(|()| None)?,
                    None => Some(WsRead::More),
                },
                Some(frame) if frame.opcode.is_control() => self.read_control(input)?,
                Some(_) => self.read_data(input, data, data_max, pool)?,
            };
            if let Some(stop) = stop {
                return Ok(stop);
            }
        }
    }

    /// The head of the next frame, when it is whole.
    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Fault> {
        loop {
            if let Some(head) = parse(&self.head[..self.head_len], self.agreed)? {
                self.head_len = 0;
                return Ok(Some(head));
            }
            let missing = head_len(&self.head[..self.head_len]) - self.head_len;
            let (taken, rest) = input.split_at(missing.min(input.len()));
            if taken.is_empty() {
                return Ok(None);
            }
            self.head[self.head_len..][..taken.len()].copy_from_slice(taken);
            self.head_len += taken.len();
            *input = rest;
        }
    }

    /// Whether a frame fits what came before.
    fn begin(&mut self, head: &Head) -> Result<(), Fault> {
        match (head.opcode, &mut self.message) {
            (Opcode::Data, Some(_)) => return Err(Fault::Interleaved),
            (Opcode::Data, message) => {
                *message = Some(if head.is_compressed {
                    Message::Compressed(Box::default())
                } else {
                    Message::Plain(head.len)
                });
            }
            (Opcode::Continuation, Some(_)) if head.is_compressed => {
                return Err(Fault::Continuation);
            }
            (Opcode::Continuation, None) => return Err(Fault::Continuation),
            (Opcode::Continuation, Some(Message::Plain(len))) => {
                *len = len.saturating_add(head.len);
            }
            (Opcode::Continuation, Some(Message::Compressed(_)))
            | (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => (),
        }
        if let Some(Message::Plain(len)) = self.message
            && len > self.limits.message_max
        {
            return Err(Fault::TooLarge { limit: self.limits.message_max });
        }
        let (opcode, is_final) = (head.opcode, head.is_final);
        self.frame = Some(Frame { opcode, is_final, left: head.len, mask: head.mask });
        Ok(())
    }

    fn read_control(&mut self, input: &mut &[u8]) -> Result<Option<WsRead>, Fault> {
        let Some(frame) = &mut self.frame else { return Ok(None) };
        frame.take(input, usize::MAX, &mut self.control);
        if frame.left != 0 {
            return Ok(Some(WsRead::More));
        }
        let payload = std::mem::take(&mut self.control).freeze();
        match frame.opcode {
            // Who asks more often than answers go out is answered once.
            Opcode::Ping => self.ping = Some(payload),
            Opcode::Close => {
                check_close(&payload)?;
                self.closed = Some(payload);
            }
            Opcode::Pong | Opcode::Data | Opcode::Continuation => (),
        }
        self.frame = None;
        Ok(None)
    }

    fn read_data(
        &mut self,
        input: &mut &[u8],
        data: &mut BytesMut,
        data_max: usize,
        pool: &mut Pool,
    ) -> Result<Option<WsRead>, Fault> {
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else {
            return Ok(None);
        };
        match message {
            Message::Plain(_) => {
                frame.take(input, data_max.saturating_sub(data.len()), data);
                if frame.left != 0 {
                    let stop = if input.is_empty() { WsRead::More } else { WsRead::Full };
                    return Ok(Some(stop));
                }
            }
            Message::Compressed(message) => {
                if message.takes_more() {
                    frame.take(input, PIECE_BYTES, &mut message.gathered);
                }
                let is_last = frame.left == 0 && frame.is_final;
                if (message.is_due(&self.limits)? || is_last)
                    && message.inflate(is_last, data, data_max, &self.limits, pool)?
                {
                    return Ok(Some(WsRead::Full));
                }
                if frame.left != 0 {
                    return Ok(input.is_empty().then_some(WsRead::More));
                }
            }
        }
        if frame.is_final
            && let Some(Message::Compressed(message)) = self.message.take()
        {
            message.finish(pool);
        }
        self.frame = None;
        Ok(None)
    }
}

/// Whether a close says why in a way that it may.
fn check_close(payload: &[u8]) -> Result<(), Fault> {
    let (code, text) = match payload {
        [] => return Ok(()),
        [_] => return Err(Fault::CloseTooShort),
        [high, low, text @ ..] => (u16::from_be_bytes([*high, *low]), text),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Fault::CloseCode(code));
    }
    std::str::from_utf8(text).map(|_| ()).map_err(|_| Fault::CloseText)
}
