//! A record: one message, or one thing that happened to a channel.

use std::fmt;

use bytes::Bytes;
use pubsub_types::Timestamp;

use crate::meta::Meta;

/// What a record is. Only messages have a sequence of their own; every other kind carries the
/// sequence of the last message before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A message.
    Message = 1,
    /// Names messages that were deleted one by one.
    Tombstone = 2,
    /// Deletes what matches a filter up to a sequence.
    Purge = 3,
    /// Deletes everything before a sequence.
    Trim = 4,
    /// Consumer positions.
    ConsumerDelta = 5,
    /// The channel's configuration.
    Configuration = 6,
    /// Says what a compaction left out.
    Compaction = 7,
    /// Nothing happened.
    Noop = 8,
}

impl Kind {
    /// The kind with this number on disk.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Message,
            2 => Self::Tombstone,
            3 => Self::Purge,
            4 => Self::Trim,
            5 => Self::ConsumerDelta,
            6 => Self::Configuration,
            7 => Self::Compaction,
            8 => Self::Noop,
            _ => return None,
        })
    }

    /// The word for this kind in a JSONL `ctl` key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Tombstone => "tombstone",
            Self::Purge => "purge",
            Self::Trim => "trim",
            Self::ConsumerDelta => "consumer",
            Self::Configuration => "configuration",
            Self::Compaction => "compaction",
            Self::Noop => "noop",
        }
    }

    /// The kind of a JSONL `ctl` key.
    #[must_use]
    pub fn from_ctl(word: &str) -> Option<Self> {
        (2..=8).filter_map(Self::from_u8).find(|kind| kind.as_str() == word)
    }
}

/// What a publisher hands over, borrowed. The log gives it a sequence.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// When it was published.
    pub time: Timestamp,
    /// Its subject; empty means the channel's own name.
    pub subject: &'a str,
    /// A NATS header block, or nothing.
    pub headers: &'a [u8],
    /// The payload, kept byte for byte.
    pub payload: &'a [u8],
    /// The rest of the envelope.
    pub meta: Meta<'a>,
}

/// A record within a block of bytes, verified.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    /// Sequence of this message; for other kinds, of the last message before it.
    pub seq: u64,
    /// When it was published.
    pub time: Timestamp,
    /// What it is.
    pub kind: Kind,
    /// Extensions, subject, headers and payload, one behind the other.
    pub(crate) body: &'a [u8],
    pub(crate) layout: Layout,
}

/// Where the parts of a body end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) subject_at: u32,
    pub(crate) headers_at: u32,
    pub(crate) payload_at: u32,
}

impl<'a> RecordRef<'a> {
    /// The subject; empty means the channel's own name.
    #[must_use]
    pub fn subject(&self) -> &'a str {
        subject_of(self.body, self.layout)
    }

    /// The NATS header block, or nothing.
    #[must_use]
    pub fn headers(&self) -> &'a [u8] {
        headers_of(self.body, self.layout)
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        payload_of(self.body, self.layout)
    }

    /// The rest of the envelope.
    #[must_use]
    pub fn meta(&self) -> Meta<'a> {
        Meta::decode(extensions_of(self.body, self.layout))
    }

    /// Bytes of memory that the content takes, once kept.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.body.len()
    }

    /// Keeps the record; `block` must be the bytes it was found in, which it then shares.
    #[must_use]
    #[inline]
    pub fn share(&self, block: &Bytes) -> Record {
        Record {
            seq: self.seq,
            time: self.time,
            kind: self.kind,
            body: block.slice_ref(self.body),
            layout: self.layout,
        }
    }

    /// Keeps a copy of the record.
    #[must_use]
    pub fn to_record(&self) -> Record {
        Record {
            seq: self.seq,
            time: self.time,
            kind: self.kind,
            body: Bytes::copy_from_slice(self.body),
            layout: self.layout,
        }
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordRef")
            .field("seq", &self.seq)
            .field("kind", &self.kind)
            .field("subject", &self.subject())
            .field("payload_bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}

/// A record as read. Cheap to clone: it shares the block it was read in.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Sequence of this message; for other kinds, of the last message before it.
    pub seq: u64,
    /// When it was published.
    pub time: Timestamp,
    /// What it is.
    pub kind: Kind,
    body: Bytes,
    layout: Layout,
}

impl Record {
    /// The subject; empty means the channel's own name.
    #[must_use]
    pub fn subject(&self) -> &str {
        subject_of(&self.body, self.layout)
    }

    /// The NATS header block, or nothing.
    #[must_use]
    pub fn headers(&self) -> &[u8] {
        headers_of(&self.body, self.layout)
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        payload_of(&self.body, self.layout)
    }

    /// The payload, sharing the block.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.body.slice(self.layout.payload_at as usize..)
    }

    /// The rest of the envelope.
    #[must_use]
    pub fn meta(&self) -> Meta<'_> {
        Meta::decode(extensions_of(&self.body, self.layout))
    }

    /// The record as a publisher would hand it over, to be written again.
    #[must_use]
    pub fn as_new(&self) -> NewRecord<'_> {
        NewRecord {
            time: self.time,
            subject: self.subject(),
            headers: self.headers(),
            payload: self.payload(),
            meta: self.meta(),
        }
    }

    /// Bytes of memory that the content takes.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.body.len()
    }

    /// A record of envelope, subject, headers and payload; `None` when one is longer than can be said.
    pub(crate) fn encode(
        seq: u64,
        time: Timestamp,
        kind: Kind,
        (meta, subject, headers): (&Meta<'_>, &str, &[u8]),
        payload: &[u8],
    ) -> Option<Self> {
        let len = meta.encoded_bytes() + subject.len() + headers.len() + payload.len();
        let mut body = Vec::with_capacity(len);
        let end = |body: &Vec<u8>| u32::try_from(body.len()).ok();
        meta.encode(&mut body).ok()?;
        let subject_at = end(&body)?;
        body.extend_from_slice(subject.as_bytes());
        let headers_at = end(&body)?;
        body.extend_from_slice(headers);
        let payload_at = end(&body)?;
        body.extend_from_slice(payload);
        end(&body)?;
        let layout = Layout { subject_at, headers_at, payload_at };
        Some(Self { seq, time, kind, body: body.into(), layout })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("seq", &self.seq)
            .field("time", &self.time)
            .field("kind", &self.kind)
            .field("subject", &self.subject())
            .field("payload_bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}

fn extensions_of(body: &[u8], layout: Layout) -> &[u8] {
    &body[..layout.subject_at as usize]
}

fn subject_of(body: &[u8], layout: Layout) -> &str {
    // Decoding refuses subjects that are not UTF-8.
    std::str::from_utf8(&body[layout.subject_at as usize..layout.headers_at as usize])
        .unwrap_or_default()
}

fn headers_of(body: &[u8], layout: Layout) -> &[u8] {
    &body[layout.headers_at as usize..layout.payload_at as usize]
}

fn payload_of(body: &[u8], layout: Layout) -> &[u8] {
    &body[layout.payload_at as usize..]
}
