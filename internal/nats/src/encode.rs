//! Lines of the protocol, written straight into a buffer.
//!
//! What is written here is not checked again: subjects, queues and sids come from where they were
//! checked. A message is written by [`Outgoing`](crate::Outgoing).

use crate::number::Decimal;

/// `+OK`.
pub const OK: &[u8] = b"+OK\r\n";

/// `PING`.
pub const PING: &[u8] = b"PING\r\n";

/// `PONG`.
pub const PONG: &[u8] = b"PONG\r\n";

/// The line of a server that tells of an error.
pub fn error(out: &mut Vec<u8>, text: &str) {
    put(out, &[b"-ERR '", text.as_bytes(), b"'\r\n"]);
}

/// The line of a server that says who it is; `json` is an [`Info`](crate::Info).
pub fn info(out: &mut Vec<u8>, json: &[u8]) {
    put(out, &[b"INFO ", json, b" \r\n"]);
}

/// The line of a client that says who it is; `json` is a [`Connect`](crate::Connect).
pub fn connect(out: &mut Vec<u8>, json: &[u8]) {
    put(out, &[b"CONNECT ", json, b"\r\n"]);
}

/// A message of a client. With headers it is an `HPUB`, and `headers` is the whole block.
pub fn publish(
    out: &mut Vec<u8>,
    subject: &str,
    reply: Option<&str>,
    headers: &[u8],
    payload: &[u8],
) {
    let (reply, space) = reply.map_or(("", ""), |reply| (reply, " "));
    let total = Decimal::new(headers.len() + payload.len());
    if headers.is_empty() {
        put(out, &[b"PUB ", subject.as_bytes(), b" ", reply.as_bytes(), space.as_bytes()]);
    } else {
        put(out, &[b"HPUB ", subject.as_bytes(), b" ", reply.as_bytes(), space.as_bytes()]);
        put(out, &[Decimal::new(headers.len()).as_bytes(), b" "]);
    }
    put(out, &[total.as_bytes(), b"\r\n", headers, payload, b"\r\n"]);
}

/// A client asks for a subject.
pub fn subscribe(out: &mut Vec<u8>, subject: &str, queue: Option<&str>, sid: u64) {
    let (queue, space) = queue.map_or(("", ""), |queue| (queue, " "));
    put(out, &[b"SUB ", subject.as_bytes(), b" ", queue.as_bytes(), space.as_bytes()]);
    put(out, &[sid.to_string().as_bytes(), b"\r\n"]);
}

/// A client wants no more, or `max` messages in all.
pub fn unsubscribe(out: &mut Vec<u8>, sid: u64, max: Option<usize>) {
    put(out, &[b"UNSUB ", sid.to_string().as_bytes()]);
    if let Some(max) = max {
        put(out, &[b" ", Decimal::new(max).as_bytes()]);
    }
    put(out, &[b"\r\n"]);
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.reserve(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
}
