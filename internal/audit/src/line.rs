//! Events as lines of JSON: the predecessor's keys in the predecessor's order, empty ones left out.
//!
//! ```json
//! {"ts":"…","event":"forward","message_id":"…","channel":"…","direction":"…","peer":"…",
//!  "peer_addr":"…","send_duration_ms":1.25,"detail":"…"}
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use pubsub_types::Timestamp;
use serde::Deserialize;

use crate::event::{Event, TEXT_MAX_BYTES};
use crate::ids::Id;

/// A line of the log, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// When it happened.
    pub time: Timestamp,
    /// What happened, such as `forward`; may be of another version, and not an
    /// [`EventKind`](crate::EventKind).
    pub event: String,
    /// The message, as every field empty when the event is about none.
    pub message_id: String,
    /// The channel.
    pub channel: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Name of the other end of the link.
    pub peer: String,
    /// Address of the other end of the link.
    pub peer_addr: String,
    /// Milliseconds from the send to the acknowledgement; 0 is not known.
    pub send_duration_ms: f64,
    /// Anything else.
    pub detail: String,
    /// The line itself, without its end.
    pub raw: String,
}

/// What is in a line, as long as it is not kept.
#[derive(Debug, Deserialize)]
pub(crate) struct Fields<'a> {
    pub(crate) ts: Timestamp,
    #[serde(borrow)]
    pub(crate) event: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) message_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) channel: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) direction: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) peer: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) peer_addr: Cow<'a, str>,
    #[serde(default)]
    pub(crate) send_duration_ms: f64,
    #[serde(borrow, default)]
    pub(crate) detail: Cow<'a, str>,
}

impl<'a> Fields<'a> {
    /// What is in a line without its end; `None` when it is damaged.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The line to be kept.
    pub(crate) fn into_line(self, raw: &[u8]) -> Line {
        Line {
            time: self.ts,
            event: self.event.into_owned(),
            message_id: self.message_id.into_owned(),
            channel: self.channel.into_owned(),
            direction: self.direction.into_owned(),
            peer: self.peer.into_owned(),
            peer_addr: self.peer_addr.into_owned(),
            send_duration_ms: self.send_duration_ms,
            detail: self.detail.into_owned(),
            // What was parsed is UTF-8 already.
            raw: String::from_utf8_lossy(raw).into_owned(),
        }
    }
}

/// How many lines were written, and whether more of the event are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) lines: u64,
    /// Where to go on, when `out` was full before all lines were written.
    pub(crate) next: Option<usize>,
}

/// Writes an event's lines from place `from`, 0 for the first, until they end or `out` is `full_at`
/// bytes long. At least one line is written.
pub(crate) fn write(
    out: &mut Vec<u8>,
    time: Timestamp,
    event: &Event,
    from: usize,
    full_at: usize,
) -> Written {
    let mut head = Vec::with_capacity(96);
    // Writing to memory does not fail, here and below.
    let _written = write!(head, "{{\"ts\":\"{time}\",\"event\":\"{}\"", event.kind());
    let tail = tail(event);
    let Some(messages) = event.messages() else {
        out.extend_from_slice(&head);
        out.extend_from_slice(&tail);
        return Written { lines: 1, next: None };
    };
    let mut at = from;
    let mut lines = 0;
    while let Some((id, next)) = messages.ids.at(at) {
        if lines > 0 && out.len() >= full_at {
            return Written { lines, next: Some(at) };
        }
        out.extend_from_slice(&head);
        match id {
            Id::None => (),
            Id::Uuid(id) => {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                out.extend_from_slice(b",\"message_id\":\"");
                out.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
                out.push(b'"');
            }
            Id::Text(id) => field(out, "message_id", id),
        }
        out.extend_from_slice(&tail);
        lines += 1;
        at = next;
    }
    Written { lines, next: None }
}

/// What stands behind the message's id, the same for all messages of an event.
fn tail(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let mut detail = String::new();
    let peer = match event {
        Event::ClientConnected { peer, subscribe, publish } => {
            put(&mut detail, "addr", &peer.addr);
            list(&mut detail, "sub", subscribe);
            list(&mut detail, "pub", publish);
            Some(peer)
        }
        Event::ClientRejected { peer, reason }
        | Event::PeerRevoked { peer, reason }
        | Event::ClientDrain { peer, reason } => {
            detail.push_str(reason);
            Some(peer)
        }
        Event::PeerConnected { peer, failed } => {
            if let Some(attempt) = failed {
                put(&mut detail, "attempt", attempt.number);
                put(&mut detail, "err", &attempt.error);
            }
            Some(peer)
        }
        Event::PeerDisconnected { peer, up, unacked_bytes, reason } => {
            if let Some(bytes) = unacked_bytes {
                put(&mut detail, "unacked_bytes", bytes);
            }
            put(&mut detail, "duration", format_args!("{:.3}s", up.as_secs_f64()));
            if !reason.is_empty() {
                put(&mut detail, "err", reason);
            }
            Some(peer)
        }
        Event::Forward { messages, .. }
        | Event::LoopDropped(messages)
        | Event::PolicyViolation { messages, .. } => {
            field(&mut out, "channel", &messages.channel);
            field(&mut out, "direction", messages.direction.as_str());
            if let Event::PolicyViolation { reason, .. } = event {
                detail.push_str(reason);
            }
            Some(&messages.peer)
        }
        Event::PolicyReloaded { detail: what } => {
            detail.push_str(what);
            None
        }
        Event::PolicyReloadFailed { error } => {
            put(&mut detail, "err", error);
            None
        }
        Event::ReplayGap { peer, channel, direction, first, last, reason } => {
            field(&mut out, "channel", channel);
            field(&mut out, "direction", direction.as_str());
            put(&mut detail, "first", first);
            put(&mut detail, "last", last);
            put(&mut detail, "err", reason);
            Some(peer)
        }
        Event::EventsDropped { count } => {
            put(&mut detail, "count", count);
            None
        }
    };
    if let Some(peer) = peer {
        field(&mut out, "peer", &peer.name);
        field(&mut out, "peer_addr", &peer.addr);
    }
    if let Event::Forward { send_duration: Some(duration), .. } = event {
        milliseconds(&mut out, *duration);
    }
    field(&mut out, "detail", &detail);
    out.extend_from_slice(b"}\n");
    out
}

fn put(detail: &mut String, key: &str, value: impl std::fmt::Display) {
    let space = if detail.is_empty() { "" } else { " " };
    let _written = write!(detail, "{space}{key}={value}");
}

fn list(detail: &mut String, key: &str, values: &[String]) {
    if !values.is_empty() {
        put(detail, key, format_args!("[{}]", values.join(",")));
    }
}

fn field(out: &mut Vec<u8>, key: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    let _written = write!(out, ",\"{key}\":");
    let cut = &value[..value.floor_char_boundary(TEXT_MAX_BYTES)];
    let written = serde_json::to_writer(&mut *out, cut);
    debug_assert!(written.is_ok(), "a text is always JSON, and memory does not fail");
}

fn milliseconds(out: &mut Vec<u8>, duration: Duration) {
    // Sent and acknowledged in no time at all says that nobody measured.
    if duration.is_zero() {
        return;
    }
    // Longer than 104 days loses nanoseconds, which nobody misses.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    let millis = duration.as_nanos() as f64 / 1e6;
    let _written = write!(out, ",\"send_duration_ms\":{millis}");
}

#[cfg(test)]
mod tests;
