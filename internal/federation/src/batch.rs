//! Messages on the wire: encoded one behind the other, read back without copying.
//!
//! ```text
//!   batch     epoch · base · after · count · records
//!   record    flags · seq − the one before · [seq − previous] · time − the one before
//!             · meta length u16 · [subject length] · [headers length] · payload length
//!             · meta · subject · headers · payload
//! ```
//!
//! A message that was published by the node that sends it says only what came before it: the rest of
//! its source is the batch's. One that was forwarded has its source and its route in its meta, as it
//! came. The receiver looks at the records where the frame left them.

use std::fmt;

use bytes::Bytes;
use pubsub_envelope::{Meta, NewRecord, Record, Route, Source};
use pubsub_types::Timestamp;

use crate::action::Position;
use crate::wire::{BadFrame, Reader, put_number, unzigzag, zigzag};

/// The message was published by the node that sends it; what it says is the one before it.
const OWN: u8 = 1;
const HAS_SUBJECT: u8 = 2;
const HAS_HEADERS: u8 = 4;
const KNOWN_FLAGS: u8 = OWN | HAS_SUBJECT | HAS_HEADERS;

/// Least bytes of a record: flags, sequence, time, meta length, payload length.
const RECORD_MIN_BYTES: usize = 6;

/// More than what a record takes besides its meta, subject, headers and payload.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 64;

/// Encodes records into one batch.
#[derive(Debug)]
pub(crate) struct BatchWriter {
    bytes: Vec<u8>,
    /// Where the records begin in `bytes`; what is before is room for the frame's header.
    start: usize,
    count: u64,
    base: u64,
    last_seq: u64,
    last_time: i64,
}

impl BatchWriter {
    /// A batch of what comes after the sequence `base`; its buffer leaves `room` bytes in front.
    pub(crate) fn new(base: u64, room: usize, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(room + capacity);
        bytes.resize(room, 0);
        Self { bytes, start: room, count: 0, base, last_seq: base, last_time: 0 }
    }

    /// Appends a message. `previous` is the one before it when it was published here; `None` says that
    /// its source is in `meta`.
    ///
    /// `false` when its meta is longer than the format can say; nothing was appended.
    pub(crate) fn push(&mut self, record: &Record, meta: &Meta<'_>, previous: Option<u64>) -> bool {
        let begun = self.bytes.len();
        let (subject, headers, payload) = (record.subject(), record.headers(), record.payload());
        // One growth at most for the payload; the rest is small.
        self.bytes.reserve(RECORD_OVERHEAD_BYTES + record.content_bytes());
        let out = &mut self.bytes;
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        out.push(
            flag(previous.is_some(), OWN)
                | flag(!subject.is_empty(), HAS_SUBJECT)
                | flag(!headers.is_empty(), HAS_HEADERS),
        );
        put_number(out, record.seq.saturating_sub(self.last_seq));
        if let Some(previous) = previous {
            put_number(out, record.seq.saturating_sub(previous));
        }
        put_number(out, zigzag(record.time.0.wrapping_sub(self.last_time)));
        let meta_len_at = out.len();
        out.extend_from_slice(&[0; 2]);
        for (part, always) in [(subject.as_bytes(), false), (headers, false), (payload, true)] {
            if always || !part.is_empty() {
                put_number(out, part.len() as u64);
            }
        }
        let meta_at = out.len();
        let encoded = meta.encode(out).is_ok();
        let Ok(meta_len) = u16::try_from(out.len() - meta_at) else {
            out.truncate(begun);
            return false;
        };
        if !encoded {
            out.truncate(begun);
            return false;
        }
        out[meta_len_at..][..2].copy_from_slice(&meta_len.to_le_bytes());
        out.extend_from_slice(subject.as_bytes());
        out.extend_from_slice(headers);
        out.extend_from_slice(payload);
        self.count += 1;
        self.last_seq = record.seq;
        self.last_time = record.time.0;
        true
    }

    /// Takes the last record back: it did not fit.
    pub(crate) fn undo(&mut self, mark: Mark) {
        self.bytes.truncate(mark.len);
        self.count = mark.count;
        self.last_seq = mark.last_seq;
        self.last_time = mark.last_time;
    }

    /// Where the batch is now, to come back to.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            len: self.bytes.len(),
            count: self.count,
            last_seq: self.last_seq,
            last_time: self.last_time,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Bytes of the records so far.
    pub(crate) fn records_bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The buffer, and where the records begin in it.
    pub(crate) fn into_parts(self) -> (Vec<u8>, usize) {
        (self.bytes, self.start)
    }
}

/// A state of a [`BatchWriter`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    len: usize,
    count: u64,
    last_seq: u64,
    last_time: i64,
}

/// Messages of one channel, received together.
#[derive(Clone, PartialEq)]
pub struct Batch {
    /// The peer's log, its epoch now, and the position after this batch.
    position: Position,
    /// Epoch in which the peer's own messages in it were given their sequences.
    epoch: u64,
    bytes: Bytes,
    entries: Vec<Entry>,
}

/// Where the parts of a record are in the bytes of the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    seq: u64,
    /// For the peer's own messages.
    previous: Option<u64>,
    time: Timestamp,
    meta_at: u32,
    subject_at: u32,
    headers_at: u32,
    payload_at: u32,
    end: u32,
}

/// What a batch says besides its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    /// Epoch of the sender's own messages in it.
    pub(crate) epoch: u64,
    /// Sequence before its first message.
    pub(crate) base: u64,
    /// Position after it.
    pub(crate) after: u64,
    /// Number of records.
    pub(crate) count: u64,
}

impl Batch {
    /// Reads the records in `bytes`, of a message of at most `message_max` bytes each.
    pub(crate) fn decode(
        head: BatchHead,
        position: Position,
        bytes: Bytes,
        message_max: usize,
    ) -> Result<Self, BadFrame> {
        let most = (bytes.len() / RECORD_MIN_BYTES) as u64;
        if head.count > most {
            return Err(BadFrame::Short("records"));
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(BadFrame::Invalid("length"));
        }
        let count = usize::try_from(head.count).map_err(|_| BadFrame::Invalid("count"))?;
        let mut entries = Vec::with_capacity(count);
        let mut reader = Reader::new(&bytes);
        let (mut seq, mut time) = (head.base, 0_i64);
        for _ in 0..count {
            let entry = Entry::decode(&mut reader, bytes.len(), message_max, seq, time)?;
            (seq, time) = (entry.seq, entry.time.0);
            entries.push(entry);
        }
        reader.end()?;
        if seq > head.after || head.base > head.after {
            return Err(BadFrame::Invalid("position"));
        }
        Ok(Self { position, epoch: head.epoch, bytes, entries })
    }

    /// The position in the peer's log after this batch.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no message and only moves the position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of its messages.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The message at this place of [`Self::iter`].
    pub(crate) fn nth(&self, nth: usize) -> Option<Received<'_>> {
        self.entries.get(nth).map(|entry| Received { batch: self, entry })
    }

    /// The messages, in the order of the peer's log.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Received<'_>> + Clone {
        self.entries.iter().map(|entry| Received { batch: self, entry })
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("messages", &self.entries.len())
            .field("bytes", &self.bytes.len())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Entry {
    fn decode(
        reader: &mut Reader<'_>,
        total: usize,
        message_max: usize,
        last_seq: u64,
        last_time: i64,
    ) -> Result<Self, BadFrame> {
        let flags = reader.byte("record flags")?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(BadFrame::Invalid("record flags"));
        }
        let seq = match last_seq.checked_add(reader.number("sequence")?) {
            Some(seq) if seq > last_seq => seq,
            _ => return Err(BadFrame::Invalid("sequence")),
        };
        let previous = if flags & OWN == 0 {
            None
        } else {
            match seq.checked_sub(reader.number("previous")?) {
                Some(previous) if previous < seq => Some(previous),
                _ => return Err(BadFrame::Invalid("previous")),
            }
        };
        let time = last_time.wrapping_add(unzigzag(reader.number("time")?));
        let meta = usize::from(u16::from_le_bytes(reader.array("meta length")?));
        let mut length = |present: bool, field| {
            if present { reader.length(field, message_max) } else { Ok(0) }
        };
        let subject = length(flags & HAS_SUBJECT != 0, "subject")?;
        let headers = length(flags & HAS_HEADERS != 0, "headers")?;
        let payload = length(true, "payload")?;
        let size = subject.saturating_add(headers).saturating_add(payload);
        if size > message_max {
            let (found, limit) = (size as u64, message_max as u64);
            return Err(BadFrame::Limit { field: "message", found, limit });
        }
        let at = total - reader.left().len();
        let body = reader.take("message", meta + size)?;
        if std::str::from_utf8(&body[meta..][..subject]).is_err() {
            return Err(BadFrame::Invalid("subject"));
        }
        let place =
            |offset: usize| u32::try_from(at + offset).map_err(|_| BadFrame::Invalid("length"));
        Ok(Self {
            seq,
            previous,
            time: Timestamp(time),
            meta_at: place(0)?,
            subject_at: place(meta)?,
            headers_at: place(meta + subject)?,
            payload_at: place(meta + subject + headers)?,
            end: place(meta + size)?,
        })
    }
}

/// A message within a [`Batch`].
#[derive(Clone, Copy)]
pub struct Received<'a> {
    batch: &'a Batch,
    entry: &'a Entry,
}

impl<'a> Received<'a> {
    /// Its sequence in the peer's log.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.entry.seq
    }

    /// When it was published.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.entry.time
    }

    /// Whether it was published by the peer itself, as the peer says.
    #[must_use]
    pub const fn is_peers_own(&self) -> bool {
        self.entry.previous.is_some()
    }

    /// The peer's log.
    #[must_use]
    pub const fn peer_log(&self) -> uuid::Uuid {
        self.batch.position.log
    }

    /// The envelope as the peer sent it, with the source of the peer's own messages filled in. What
    /// is to be stored also needs the route: see [`crate::Accepted::records`].
    #[must_use]
    pub fn meta(&self) -> Meta<'a> {
        let mut meta = Meta::decode(self.part(self.entry.meta_at, self.entry.subject_at));
        if let Some(previous) = self.entry.previous {
            let log = self.batch.position.log;
            let (epoch, seq) = (self.batch.epoch, self.entry.seq);
            meta.source = Some(Source { log, epoch, seq, previous });
        }
        meta
    }

    /// Bytes of the envelope.
    pub(crate) const fn meta_bytes(&self) -> usize {
        (self.entry.subject_at - self.entry.meta_at) as usize
    }

    /// The subject; empty means the channel's own name.
    #[must_use]
    pub fn subject(&self) -> &'a str {
        // Decoding refused what is not UTF-8.
        std::str::from_utf8(self.part(self.entry.subject_at, self.entry.headers_at))
            .unwrap_or_default()
    }

    /// The NATS header block, or nothing.
    #[must_use]
    pub fn headers(&self) -> &'a [u8] {
        self.part(self.entry.headers_at, self.entry.payload_at)
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.part(self.entry.payload_at, self.entry.end)
    }

    /// The payload, sharing the bytes of the batch.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.batch.bytes.slice(self.entry.payload_at as usize..self.entry.end as usize)
    }

    /// The message to be appended, with `route` and without what the format has no room for.
    pub(crate) fn to_new(self, meta: Meta<'a>, route: Route<'a>) -> NewRecord<'a> {
        NewRecord {
            time: self.time(),
            subject: self.subject(),
            headers: self.headers(),
            payload: self.payload(),
            meta: Meta { route, ..meta },
        }
    }

    fn part(&self, from: u32, to: u32) -> &'a [u8] {
        &self.batch.bytes[from as usize..to as usize]
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("seq", &self.seq())
            .field("meta", &self.meta())
            .field("payload_bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}
