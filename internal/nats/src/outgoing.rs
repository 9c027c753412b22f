//! One message on its way to any number of connections.

use bytes::Bytes;

use crate::Outbox;
use crate::number::Decimal;

/// Bodies of at least this many bytes are shared between connections, smaller ones copied.
///
/// A reference costs two atomic counts, an entry in a queue and a slice of the write call.
pub const SHARE_MIN_BYTES: usize = 2 << 10;

/// Longest that a line can be beside subject, sid and reply: `HMSG`, spaces, two numbers, line ends.
const LINE_ROOM_BYTES: usize = 40;

/// A message as it is delivered. Made once, written to every connection that wants it.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    subject: &'a str,
    reply: Option<&'a str>,
    body: &'a [u8],
    headers_len: usize,
    shared: Option<&'a Bytes>,
    headers_digits: Decimal,
    total_digits: Decimal,
    payload_digits: Decimal,
}

impl<'a> Outgoing<'a> {
    /// A message whose first `headers_len` bytes of `body` are the header block.
    ///
    /// # Panics
    /// If the body is shorter than its headers.
    #[must_use]
    #[inline]
    pub fn new(
        subject: &'a str,
        reply: Option<&'a str>,
        body: &'a [u8],
        headers_len: usize,
    ) -> Self {
        assert!(headers_len <= body.len(), "headers are part of the body");
        let payload_digits = Decimal::new(body.len() - headers_len);
        let (headers_digits, total_digits) = if headers_len == 0 {
            (payload_digits, payload_digits)
        } else {
            (Decimal::new(headers_len), Decimal::new(body.len()))
        };
        let shared = None;
        Self {
            subject,
            reply,
            body,
            headers_len,
            shared,
            headers_digits,
            total_digits,
            payload_digits,
        }
    }

    /// The same, with a body that connections may hold on to; those of [`SHARE_MIN_BYTES`] they do.
    ///
    /// # Panics
    /// If the body is shorter than its headers.
    #[must_use]
    pub fn shared(
        subject: &'a str,
        reply: Option<&'a str>,
        body: &'a Bytes,
        headers_len: usize,
    ) -> Self {
        let shared = (body.len() >= SHARE_MIN_BYTES).then_some(body);
        Self { shared, ..Self::new(subject, reply, body, headers_len) }
    }

    /// The subject.
    #[must_use]
    pub const fn subject(&self) -> &'a str {
        self.subject
    }

    /// Where answers go.
    #[must_use]
    pub const fn reply(&self) -> Option<&'a str> {
        self.reply
    }

    /// The header block; empty when there is none.
    #[must_use]
    pub fn headers(&self) -> &'a [u8] {
        &self.body[..self.headers_len]
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.body[self.headers_len..]
    }

    /// Headers and payload, in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.body.len()
    }

    /// Writes the message for the subscription `sid`.
    ///
    /// Without `with_headers`, or when it has none, it is a `MSG`; else an `HMSG`.
    #[inline]
    pub fn write(&self, sid: &[u8], with_headers: bool, out: &mut Outbox) {
        let with_headers = with_headers && self.headers_len != 0;
        let body = if with_headers { self.body } else { self.payload() };
        let names = self.subject.len() + sid.len() + self.reply.map_or(0, str::len);
        let Some(shared) = self.shared else {
            out.write(LINE_ROOM_BYTES + names + body.len(), |out| {
                self.write_line(sid, with_headers, out);
                out.extend_from_slice(body);
                out.extend_from_slice(b"\r\n");
            });
            return;
        };
        out.write(LINE_ROOM_BYTES + names, |out| self.write_line(sid, with_headers, out));
        out.share(shared.slice(self.body.len() - body.len()..));
        out.copy(b"\r\n");
    }

    #[inline]
    fn write_line(&self, sid: &[u8], with_headers: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(if with_headers { b"HMSG " } else { b"MSG " });
        out.extend_from_slice(self.subject.as_bytes());
        out.push(b' ');
        out.extend_from_slice(sid);
        out.push(b' ');
        if let Some(reply) = self.reply {
            out.extend_from_slice(reply.as_bytes());
            out.push(b' ');
        }
        if with_headers {
            out.extend_from_slice(self.headers_digits.as_bytes());
            out.push(b' ');
            out.extend_from_slice(self.total_digits.as_bytes());
        } else {
            out.extend_from_slice(self.payload_digits.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}
