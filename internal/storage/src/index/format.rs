//! The bytes of an index file.
//!
//! ```text
//!   header      256 B  magic · version · flags · what segment · its hash · totals · section lengths · crc
//!   points      where to start reading               blocks of 255 × (slot, offset, greatest time before)
//!   postings    slots of subjects with many messages blocks of 4 KiB: slot before the block · gaps
//!   subjects    sorted, each after what it shares    blocks of up to 2 KiB, cut where a subject ends
//!               with the one before it
//!   point directory · subject directory · filter · missing slots · deleted slots        a block each
//! ```
//!
//! All numbers are little-endian, and those that are usually small are varints. Every block ends in a
//! crc32c over its section, its place in it and its bytes, seeded with what the file is the index of.
//! So a block of another file, of another place, or of an older index of the same segment is as
//! damaged as one with a flipped bit.

use pubsub_types::{LogIndex, Seq, Timestamp};

use super::{IndexError, Totals};

/// Bytes of the header, which is at the start of the file.
pub(super) const HEADER_BYTES: usize = 256;

/// Bytes of the checksum at the end of a block.
pub(super) const CRC_BYTES: usize = size_of::<u32>();

/// Which segment an index is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentId {
    /// The log.
    pub log_id: u128,
    /// Log index of the segment's first record; what its file is named after.
    pub first_index: LogIndex,
    /// Sequence of the first message that the segment had when it was whole; slots count from it.
    pub first_seq: Seq,
}

/// What the segment's file was when the index was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentDigest {
    /// Length of its valid prefix, in bytes.
    pub len_bytes: u64,
    /// xxh3-128 of that prefix.
    pub hash: u128,
}

/// The parts of the file behind the header, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Points,
    Postings,
    Subjects,
    PointDirectory,
    SubjectDirectory,
    Filter,
    Missing,
    Deletes,
}

/// Everything that is known without reading on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: SegmentId,
    pub(super) digest: SegmentDigest,
    pub(super) totals: Totals,
    /// Whether every message has the empty subject, so that nothing is said about subjects.
    pub(super) plain: bool,
    /// Subjects in the table.
    pub(super) subjects: u32,
    /// Bytes of each section.
    pub(super) sections: [u64; Section::COUNT],
}

impl Section {
    const COUNT: usize = 8;

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Points => "points",
            Self::Postings => "postings",
            Self::Subjects => "subjects",
            Self::PointDirectory => "point directory",
            Self::SubjectDirectory => "subject directory",
            Self::Filter => "filter",
            Self::Missing => "missing slots",
            Self::Deletes => "deleted slots",
        }
    }
}

impl Header {
    /// Bytes of a section.
    pub(super) fn len_of(&self, section: Section) -> u64 {
        self.sections[section as usize]
    }

    /// Byte of the file where a section starts.
    pub(super) fn start_of(&self, section: Section) -> u64 {
        HEADER_BYTES as u64 + self.sections[..section as usize].iter().sum::<u64>()
    }

    /// The greatest slot that has a message; `None` when the segment has none.
    pub(super) fn last_slot(&self) -> Option<u32> {
        let slots = self.totals.last?.get() - self.id.first_seq.get();
        Some(u32::try_from(slots).expect("checked when the header was decoded"))
    }

    /// Whether every slot up to the last has its message.
    pub(super) fn is_dense(&self) -> bool {
        self.last_slot().is_none_or(|last| u64::from(last) + 1 == self.totals.messages)
    }

    /// What every checksum in the file starts from.
    pub(super) fn seed(&self) -> u32 {
        let fixed = Writer::new().id(&self.id).digest(&self.digest);
        crc32c::crc32c(&fixed.bytes)
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let totals = &self.totals;
        let mut out = Writer::new();
        out.bytes.extend_from_slice(&MAGIC);
        out = out.u32(VERSION).u32(if self.plain { PLAIN } else { 0 });
        out = out.id(&self.id).digest(&self.digest);
        out = out.u64(totals.messages).u64(totals.bytes);
        out = out.u64(totals.first.map_or(0, Seq::get)).u64(totals.last.map_or(0, Seq::get));
        out = out.time(totals.first_time).time(totals.last_time).time(totals.max_time);
        out = out.u64(u64::from(self.subjects));
        out = self.sections.iter().fold(out, |out, &len| out.u64(len));
        out.bytes.resize(HEADER_BYTES - CRC_BYTES, 0);
        let crc = crc32c::crc32c(&out.bytes);
        out.u32(crc).bytes.try_into().expect("padded to the header's length")
    }

    /// The header in `bytes` of a file of `file_len` bytes.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES], file_len: u64) -> Result<Self, IndexError> {
        let mut rest = Reader(bytes);
        if rest.take::<8>() != MAGIC {
            return Err(damaged("magic"));
        }
        let (checked, crc) = bytes.split_at(HEADER_BYTES - CRC_BYTES);
        if crc32c::crc32c(checked).to_le_bytes() != crc {
            return Err(damaged("header"));
        }
        let found = rest.u32();
        if found != VERSION {
            return Err(IndexError::Version { found });
        }
        let header = Self::decode_fields(rest).ok_or_else(|| damaged("header field"))?;
        header.is_possible(file_len).then_some(header).ok_or_else(|| damaged("header field"))
    }

    fn decode_fields(mut rest: Reader<'_>) -> Option<Self> {
        let flags = rest.u32();
        let header = Self {
            plain: flags == PLAIN,
            id: SegmentId {
                log_id: rest.u128(),
                first_index: LogIndex(rest.u64()),
                first_seq: Seq::new(rest.u64())?,
            },
            digest: SegmentDigest { len_bytes: rest.u64(), hash: rest.u128() },
            totals: Totals {
                messages: rest.u64(),
                bytes: rest.u64(),
                first: Seq::new(rest.u64()),
                last: Seq::new(rest.u64()),
                first_time: rest.time(),
                last_time: rest.time(),
                max_time: rest.time(),
            },
            subjects: u32::try_from(rest.u64()).ok()?,
            sections: std::array::from_fn(|_| rest.u64()),
        };
        (flags & !PLAIN == 0).then_some(header)
    }

    /// Whether the fields agree with each other and with the file.
    fn is_possible(&self, file_len: u64) -> bool {
        let totals = &self.totals;
        let range_fits = match (totals.first, totals.last) {
            (None, None) => totals.messages == 0,
            (Some(first), Some(last)) if self.id.first_seq <= first && first <= last => {
                let slots = last.get() - self.id.first_seq.get();
                let most = last.get() - first.get() + 1;
                slots < u64::from(u32::MAX) && (1..=most).contains(&totals.messages)
            }
            _ => false,
        };
        let end =
            self.sections.iter().try_fold(HEADER_BYTES as u64, |at, &len| at.checked_add(len));
        let about_subjects = [Section::Subjects, Section::SubjectDirectory, Section::Filter];
        let no_subjects = self.plain || self.subjects == 0;
        range_fits
            && end == Some(file_len)
            && !(self.plain && self.subjects > 0)
            && u64::from(self.subjects) <= totals.messages
            && about_subjects.into_iter().all(|it| (self.len_of(it) == 0) == no_subjects)
            && (!no_subjects || self.len_of(Section::Postings) == 0)
            && (self.len_of(Section::Points) == 0) == (totals.messages == 0)
            && (self.len_of(Section::PointDirectory) == 0) == (totals.messages == 0)
            && (self.len_of(Section::Missing) == 0) == self.is_dense()
    }
}

/// The checksum of a block's bytes, `at` being its place in its section.
pub(super) fn checksum(seed: u32, section: Section, at: u64, bytes: &[u8]) -> u32 {
    let mut place = [0; 9];
    place[0] = section as u8;
    place[1..].copy_from_slice(&at.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &place), bytes)
}

const MAGIC: [u8; 8] = *b"psub.idx";
const VERSION: u32 = 1;
const PLAIN: u32 = 1;

fn damaged(what: &'static str) -> IndexError {
    IndexError::Damaged { what, at: 0 }
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn new() -> Self {
        Self { bytes: Vec::with_capacity(HEADER_BYTES) }
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn u32(self, value: u32) -> Self {
        self.put(&value.to_le_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.put(&value.to_le_bytes())
    }

    fn u128(self, value: u128) -> Self {
        self.put(&value.to_le_bytes())
    }

    fn time(self, value: Timestamp) -> Self {
        self.put(&value.0.to_le_bytes())
    }

    fn id(self, id: &SegmentId) -> Self {
        self.u128(id.log_id).u64(id.first_index.0).u64(id.first_seq.get())
    }

    fn digest(self, digest: &SegmentDigest) -> Self {
        self.u64(digest.len_bytes).u128(digest.hash)
    }
}

/// Takes fields off the front of a header, which has room for all of them.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the header has room for its fields");
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.take())
    }

    fn time(&mut self) -> Timestamp {
        Timestamp(i64::from_le_bytes(self.take()))
    }
}
