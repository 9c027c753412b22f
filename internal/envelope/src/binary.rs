//! The binary format: what a group commit writes, and how each record in it proves itself.
//!
//! Little-endian, 8-aligned. `docs/format.md` draws every byte.
//!
//! ```text
//!   segment header 64 B │ batch header 64 B │ record │ record │ … │ batch header │ …
//! ```
//!
//! The first four bytes tell a batch header (an odd magic) from a record (a length that is a
//! multiple of 8), so a reader may start at any record and go on.

use crc32c::crc32c_append;
use pubsub_types::Timestamp;

use crate::batch::TooLarge;
use crate::record::{Kind, Layout, NewRecord, RecordRef};

/// Length of the header at the start of a segment file, in bytes.
pub const SEGMENT_HEADER_BYTES: usize = 64;
/// Length of the header at the start of a batch, in bytes.
pub const BATCH_HEADER_BYTES: usize = 64;
/// Length of the fixed part of a record, in bytes.
pub const RECORD_HEADER_BYTES: usize = 32;
/// Everything starts at a multiple of this, in bytes.
pub const ALIGNMENT: usize = 8;
/// Version of this format, in the segment header.
pub const VERSION: u32 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"pubsublg";
/// Odd, so that no record's length can be mistaken for it.
const BATCH_MAGIC: u32 = u32::from_le_bytes([0xb5, b'P', b'S', b'1']);
const PADDING_MASK: u8 = 0b0000_0111;
const HAS_EXTENSIONS: u8 = 0b0000_1000;
const KNOWN_FLAGS: u8 = PADDING_MASK | HAS_EXTENSIONS;

/// What every checksum of one segment starts from.
///
/// Bytes that another segment or log left in a recycled file, or a record image inside somebody's
/// payload, do not pass with this one's seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u32);

impl Seed {
    /// The seed of the segment of `log_id` that starts at `first_index`.
    #[must_use]
    pub fn new(log_id: u128, first_index: u64) -> Self {
        let seed = crc32c_append(0, &log_id.to_le_bytes());
        Self(crc32c_append(seed, &first_index.to_le_bytes()))
    }
}

/// The header of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Identity of the log.
    pub log_id: u128,
    /// Log index of the first record.
    pub first_index: u64,
    /// Sequence of the first message to come.
    pub first_seq: u64,
    /// When the segment was made.
    pub created: Timestamp,
}

impl SegmentHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.log_id.to_le_bytes());
        out[32..40].copy_from_slice(&self.first_index.to_le_bytes());
        out[40..48].copy_from_slice(&self.first_seq.to_le_bytes());
        out[48..56].copy_from_slice(&self.created.as_nanos().to_le_bytes());
        let crc = crc32c_append(0, &out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header in `bytes`, or `None` when they are damaged or of another version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SEGMENT_HEADER_BYTES] = bytes.first_chunk()?;
        let mut plain = *bytes;
        plain[12..16].fill(0);
        let genuine = bytes[..8] == SEGMENT_MAGIC
            && u32_at(bytes, 8) == VERSION
            && u32_at(bytes, 12) == crc32c_append(0, &plain);
        genuine.then(|| Self {
            log_id: u128::from(u64_at(bytes, 16)) | u128::from(u64_at(bytes, 24)) << 64,
            first_index: u64_at(bytes, 32),
            first_seq: u64_at(bytes, 40),
            created: Timestamp(i64_at(bytes, 48)),
        })
    }
}

/// The header of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchHeader {
    /// Length of the batch with this header, in bytes.
    pub len: u32,
    /// Checksum of this header.
    pub crc: u32,
    /// Checksum of the header of the batch before it in the segment; 0 for the first.
    pub previous: u32,
    /// Raft term; 0 on a channel that is not replicated.
    pub term: u64,
    /// Log index of the first record.
    pub index: u64,
    /// Sequence of the first message in it, or the next one when it holds none.
    pub first_seq: u64,
    /// Time of the first record.
    pub base_time: Timestamp,
    /// Highest log index that was known to be synced when this was written.
    pub durable_index: u64,
    /// Records in it.
    pub count: u32,
}

impl BatchHeader {
    /// Writes the header and gives back its checksum.
    fn encode(&self, seed: Seed, out: &mut [u8; BATCH_HEADER_BYTES]) -> u32 {
        out.fill(0);
        out[..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
        out[4..8].copy_from_slice(&self.len.to_le_bytes());
        out[12..16].copy_from_slice(&self.previous.to_le_bytes());
        out[16..24].copy_from_slice(&self.term.to_le_bytes());
        out[24..32].copy_from_slice(&self.index.to_le_bytes());
        out[32..40].copy_from_slice(&self.first_seq.to_le_bytes());
        out[40..48].copy_from_slice(&self.base_time.as_nanos().to_le_bytes());
        out[48..56].copy_from_slice(&self.durable_index.to_le_bytes());
        out[56..60].copy_from_slice(&self.count.to_le_bytes());
        let crc = header_crc(seed, out);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// The batch header at the start of `bytes`, or `None` when there is no genuine one.
    #[must_use]
    pub fn decode(seed: Seed, bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BATCH_HEADER_BYTES] = bytes.first_chunk()?;
        if u32_at(bytes, 0) != BATCH_MAGIC || u32_at(bytes, 8) != header_crc(seed, bytes) {
            return None;
        }
        Some(Self {
            len: u32_at(bytes, 4),
            crc: u32_at(bytes, 8),
            previous: u32_at(bytes, 12),
            term: u64_at(bytes, 16),
            index: u64_at(bytes, 24),
            first_seq: u64_at(bytes, 32),
            base_time: Timestamp(i64_at(bytes, 40)),
            durable_index: u64_at(bytes, 48),
            count: u32_at(bytes, 56),
        })
    }
}

/// Whether a batch header could start here; says nothing about its health.
#[must_use]
#[inline]
pub fn looks_like_batch(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|magic| u32::from_le_bytes(*magic) == BATCH_MAGIC)
}

/// Length of the record that seems to start here, if that could be one.
#[must_use]
#[inline]
pub fn record_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    (len >= RECORD_HEADER_BYTES && len.is_multiple_of(ALIGNMENT)).then_some(len)
}

/// The record at the start of `bytes`, with its length, or `None` when there is no genuine one.
#[must_use]
#[inline]
pub fn decode_record(seed: Seed, bytes: &[u8]) -> Option<(RecordRef<'_>, usize)> {
    let len = record_len(bytes)?;
    let record = bytes.get(..len)?;
    if !plausible(record) || u32_at(record, 4) != record_crc(seed, record) {
        return None;
    }
    parse(record).map(|parsed| (parsed, len))
}

/// The record at the start of `bytes`, which are known to be genuine (they are what we wrote).
#[must_use]
#[inline]
pub fn parse_record(bytes: &[u8]) -> Option<(RecordRef<'_>, usize)> {
    let len = record_len(bytes)?;
    let record = bytes.get(..len)?;
    plausible(record).then(|| parse(record).map(|parsed| (parsed, len)))?
}

/// Whether the lengths in a record's header fit each other. Cheap, and enough to skip nearly all
/// places where a scanner behind damage would compute a checksum in vain.
#[inline]
fn plausible(record: &[u8]) -> bool {
    let flags = record[31];
    let fixed = u64::from(u32_at(record, 24))
        + u64::from(u16_at(record, 28))
        + u64::from(flags & PADDING_MASK)
        + if flags & HAS_EXTENSIONS == 0 { 0 } else { 2 };
    Kind::from_u8(record[30]).is_some()
        && flags & !KNOWN_FLAGS == 0
        && fixed <= (record.len() - RECORD_HEADER_BYTES) as u64
}

#[inline]
fn parse(record: &[u8]) -> Option<RecordRef<'_>> {
    let flags = record[31];
    let end = record.len() - usize::from(flags & PADDING_MASK);
    let mut body = record.get(RECORD_HEADER_BYTES..end)?;
    let mut subject_at = 0;
    if flags & HAS_EXTENSIONS != 0 {
        subject_at = u32::from(u16_at(body.first_chunk::<2>()?, 0));
        body = &body[2..];
    }
    let headers_at = subject_at + u32::from(u16_at(record, 28));
    let payload_at = headers_at.checked_add(u32_at(record, 24))?;
    if payload_at as usize > body.len() {
        return None;
    }
    if subject_at < headers_at {
        std::str::from_utf8(&body[subject_at as usize..headers_at as usize]).ok()?;
    }
    Some(RecordRef {
        seq: u64_at(record, 8),
        time: Timestamp(i64_at(record, 16)),
        kind: Kind::from_u8(record[30])?,
        body,
        layout: Layout { subject_at, headers_at, payload_at },
    })
}

/// Appends a record to `out` with its checksum left open: [`seal_batch`] computes it.
///
/// # Errors
/// A length does not fit; `out` is as it was.
pub fn encode_record(
    out: &mut Vec<u8>,
    kind: Kind,
    seq: u64,
    record: &NewRecord<'_>,
) -> Result<(), TooLarge> {
    let start = out.len();
    let undo = |out: &mut Vec<u8>, error| {
        out.truncate(start);
        Err(error)
    };
    out.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
    out.extend_from_slice(&[0; 2]);
    let extensions_start = out.len();
    if let Err(error) = record.meta.encode(out) {
        return undo(out, TooLarge::Meta(error));
    }
    let mut flags = 0;
    if out.len() == extensions_start {
        out.truncate(extensions_start - 2);
    } else {
        flags |= HAS_EXTENSIONS;
        let Ok(len) = u16::try_from(out.len() - extensions_start) else {
            let len = out.len() - extensions_start;
            return undo(out, TooLarge::Extensions { len });
        };
        out[extensions_start - 2..extensions_start].copy_from_slice(&len.to_le_bytes());
    }
    out.extend_from_slice(record.subject.as_bytes());
    out.extend_from_slice(record.headers);
    out.extend_from_slice(record.payload);
    let padding = out.len().next_multiple_of(ALIGNMENT) - out.len();
    out.extend_from_slice(&[0; ALIGNMENT][..padding]);
    #[expect(clippy::cast_possible_truncation, reason = "padding is below 8")]
    let padding = padding as u8;
    let len = out.len() - start;
    let lengths = (
        u32::try_from(len),
        u16::try_from(record.subject.len()),
        u32::try_from(record.headers.len()),
    );
    let (Ok(len32), Ok(subject_len), Ok(headers_len)) = lengths else {
        return undo(out, TooLarge::Record { len, limit: u32::MAX as usize });
    };
    let header = &mut out[start..start + RECORD_HEADER_BYTES];
    header[..4].copy_from_slice(&len32.to_le_bytes());
    header[8..16].copy_from_slice(&seq.to_le_bytes());
    header[16..24].copy_from_slice(&record.time.as_nanos().to_le_bytes());
    header[24..28].copy_from_slice(&headers_len.to_le_bytes());
    header[28..30].copy_from_slice(&subject_len.to_le_bytes());
    header[30] = kind as u8;
    header[31] = flags | padding;
    Ok(())
}

/// Computes every checksum of a batch whose records were appended behind room for its header.
///
/// Gives back the header's checksum, which the next batch names.
///
/// # Panics
/// When `batch` does not hold whole records behind [`BATCH_HEADER_BYTES`]: a fault of ours.
pub fn seal_batch(seed: Seed, batch: &mut [u8], header: &BatchHeader) -> u32 {
    let (head, mut records) =
        batch.split_first_chunk_mut::<BATCH_HEADER_BYTES>().expect("a batch has a header");
    while !records.is_empty() {
        let len = record_len(records).expect("a batch holds whole records");
        let (record, rest) = records.split_at_mut(len);
        let crc = record_crc(seed, record);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
        records = rest;
    }
    header.encode(seed, head)
}

#[inline]
fn record_crc(seed: Seed, record: &[u8]) -> u32 {
    crc32c_append(crc32c_append(seed.0, &record[..4]), &record[8..])
}

fn header_crc(seed: Seed, header: &[u8; BATCH_HEADER_BYTES]) -> u32 {
    crc32c_append(crc32c_append(seed.0, &header[..8]), &header[12..])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    bytes[at..].first_chunk().map_or(0, |chunk| i64::from_le_bytes(*chunk))
}
