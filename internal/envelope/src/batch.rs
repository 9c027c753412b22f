//! A batch: what one group commit writes.

use std::borrow::Cow;

use pubsub_types::{Format, Timestamp};

use crate::binary::{self, ALIGNMENT, BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, Seed};
use crate::jsonl;
use crate::meta::MetaTooLong;
use crate::record::{Kind, NewRecord, Record};

/// When a batch is full. A record larger than `bytes` is a batch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes, header included.
    pub bytes: usize,
    /// Records.
    pub records: usize,
}

impl Default for BatchLimits {
    /// 1 MiB or 4,096 records: at that size a sync costs more than its bytes, and larger batches only
    /// wait longer.
    fn default() -> Self {
        Self { bytes: 1 << 20, records: 4096 }
    }
}

/// A record does not fit the format. Nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// One field of the envelope is too long.
    #[error(transparent)]
    Meta(#[from] MetaTooLong),
    /// The fields of the envelope are too long together.
    #[error("envelope fields of {len} bytes together exceed the limit of 65535")]
    Extensions {
        /// Their length in bytes.
        len: usize,
    },
    /// The record is too long.
    #[error("record of {len} bytes exceeds the limit of {limit}")]
    Record {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

/// One record in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it starts in the batch, in bytes.
    pub start: u32,
    /// Its length in bytes, padding or line break included.
    pub len: u32,
    /// Its sequence.
    pub seq: u64,
    /// Its time.
    pub time: Timestamp,
    /// What it is.
    pub kind: Kind,
    /// Whether it is a message on the channel's own subject that never expires:
    /// then the entry says all that an index wants to know.
    pub plain: bool,
}

/// What a batch learns about its place only when it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Log index of its first record.
    pub index: u64,
    /// Checksum of the header of the batch before it in the segment; 0 for the first.
    pub previous: u32,
    /// Highest log index that is known to be synced.
    pub durable_index: u64,
}

/// Records encoded one behind the other, in the order in which the log will hold them.
#[derive(Clone, Debug)]
pub struct Batch {
    format: Format,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    first_seq: u64,
}

impl Batch {
    /// An empty batch whose first message will have `first_seq`.
    ///
    /// `buffer` is reused; its content is dropped.
    #[must_use]
    pub fn new(format: Format, first_seq: u64, buffer: Vec<u8>) -> Self {
        let mut bytes = buffer;
        bytes.clear();
        if format == Format::Binary {
            bytes.resize(BATCH_HEADER_BYTES, 0);
        }
        Self { format, bytes, entries: Vec::new(), first_seq }
    }

    /// Appends a message; gives back its sequence.
    ///
    /// # Errors
    /// It does not fit the format. Nothing was appended.
    pub fn push_message(&mut self, channel: &str, record: &NewRecord<'_>) -> Result<u64, TooLarge> {
        let seq = self.next_seq();
        self.push(channel, Kind::Message, seq, record)?;
        Ok(seq)
    }

    /// Appends a record that is not a message, with the sequence of the last message.
    ///
    /// # Errors
    /// It does not fit the format. Nothing was appended.
    pub fn push_control(
        &mut self,
        channel: &str,
        kind: Kind,
        record: &NewRecord<'_>,
    ) -> Result<(), TooLarge> {
        let seq = self.next_seq() - 1;
        self.push(channel, kind, seq, record)
    }

    /// Appends a record that already has a sequence, which must not be below the ones before it.
    ///
    /// # Errors
    /// It does not fit the format. Nothing was appended.
    pub fn push(
        &mut self,
        channel: &str,
        kind: Kind,
        seq: u64,
        record: &NewRecord<'_>,
    ) -> Result<(), TooLarge> {
        let start = self.bytes.len();
        match self.format {
            Format::Binary => binary::encode_record(&mut self.bytes, kind, seq, record)?,
            Format::Jsonl => {
                // Whoever reads the line encodes its fields.
                record.meta.check()?;
                jsonl::encode_record(&mut self.bytes, channel, kind, seq, record);
            }
        }
        let len = self.bytes.len() - start;
        let (Ok(start32), Ok(len32)) = (u32::try_from(start), u32::try_from(len)) else {
            self.bytes.truncate(start);
            return Err(TooLarge::Record { len, limit: u32::MAX as usize });
        };
        self.entries.push(Entry {
            start: start32,
            len: len32,
            seq,
            time: record.time,
            kind,
            plain: kind == Kind::Message
                && record.subject.is_empty()
                && record.meta.expires.is_none(),
        });
        Ok(())
    }

    /// Makes room for `record`, so that pushing it takes one allocation at most.
    pub fn reserve_for(&mut self, record: &NewRecord<'_>) {
        let envelope = record.meta.encoded_bytes();
        let content = envelope + record.subject.len() + record.headers.len() + record.payload.len();
        self.bytes.reserve(match self.format {
            // Header, the length of the extensions, and the padding.
            Format::Binary => content + RECORD_HEADER_BYTES + 2 + ALIGNMENT - 1,
            // Keys and punctuation; escapes may still make it grow.
            Format::Jsonl => content + 300,
        });
        self.entries.reserve(1);
    }

    /// Takes back the records from the `nth` on.
    pub fn truncate(&mut self, nth: usize) {
        if let Some(entry) = self.entries.get(nth) {
            self.bytes.truncate(entry.start as usize);
            self.entries.truncate(nth);
        }
    }

    /// Whether there is room for another record within `limits`.
    #[must_use]
    pub fn has_room(&self, limits: BatchLimits) -> bool {
        self.bytes.len() < limits.bytes && self.entries.len() < limits.records
    }

    /// The sequence that the next message pushed would have.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.entries.last().map_or(self.first_seq, |entry| entry.seq + 1)
    }

    /// Sequence of the first message, or the next one when it holds none.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The records' places.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether it holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes to write.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How it is encoded.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Computes the checksums that depend on where the batch is written. A batch may be sealed again
    /// for another segment, should the first have failed. Gives back the header's checksum.
    ///
    /// # Panics
    /// When the batch has 4 GiB or more: limits are far below.
    pub fn seal(&mut self, seed: Seed, place: Place) -> u32 {
        if self.format == Format::Jsonl {
            return 0;
        }
        let len = u32::try_from(self.bytes.len()).expect("batches are far below 4 GiB");
        let count = u32::try_from(self.entries.len()).expect("a record has 32 bytes or more");
        let header = BatchHeader {
            len,
            crc: 0,
            previous: place.previous,
            term: 0,
            index: place.index,
            first_seq: self.first_seq,
            base_time: self.entries.first().map_or(Timestamp(0), |entry| entry.time),
            durable_index: place.durable_index,
            count,
        };
        binary::seal_batch(seed, &mut self.bytes, &header)
    }

    /// The record at `entry`, decoded again from the bytes.
    ///
    /// # Panics
    /// When `entry` is not of this batch: a fault of ours.
    #[must_use]
    pub fn record(&self, entry: &Entry) -> Record {
        let bytes = &self.bytes[entry.start as usize..][..entry.len as usize];
        match self.format {
            Format::Binary => binary::parse_record(bytes).expect("we encoded it").0.to_record(),
            Format::Jsonl => jsonl::decode_line(&bytes[..bytes.len() - 1]).expect("we encoded it"),
        }
    }

    /// The subject of the record at `entry`; empty means the channel's own name.
    ///
    /// # Panics
    /// When `entry` is not of this batch: a fault of ours.
    #[must_use]
    pub fn subject(&self, entry: &Entry) -> Cow<'_, str> {
        if entry.plain {
            return Cow::Borrowed("");
        }
        match self.format {
            Format::Binary => {
                let bytes = &self.bytes[entry.start as usize..][..entry.len as usize];
                Cow::Borrowed(binary::parse_record(bytes).expect("we encoded it").0.subject())
            }
            Format::Jsonl => Cow::Owned(self.record(entry).subject().to_owned()),
        }
    }

    /// Gives the buffer back for another batch.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Meta;
    use proptest::prelude::*;

    fn message<'a>(payload: &'a [u8], subject: &'a str) -> NewRecord<'a> {
        NewRecord { time: Timestamp(5), subject, payload, ..NewRecord::default() }
    }

    #[test]
    fn only_messages_use_up_a_sequence() {
        let mut batch = Batch::new(Format::Binary, 4, Vec::new());
        assert_eq!(batch.push_message("c", &message(b"a", "")), Ok(4));
        batch.push_control("c", Kind::Trim, &message(b"{}", "")).unwrap();
        assert_eq!(batch.push_message("c", &message(b"b", "")), Ok(5));
        assert_eq!(batch.entries().iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 4, 5]);
    }

    #[test]
    fn a_field_that_no_reader_could_take_in_is_refused_in_both_formats() {
        let long = "x".repeat(70_000);
        for format in [Format::Binary, Format::Jsonl] {
            let mut batch = Batch::new(format, 1, Vec::new());
            let meta = Meta { origin: &long, ..Meta::default() };
            let record = NewRecord { meta, ..message(b"b", "") };
            let refused = batch.push_message("c", &record).unwrap_err();
            assert_eq!(refused, TooLarge::Meta(MetaTooLong { field: "origin", len: 70_000 }));
            assert!(batch.is_empty());
        }
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_the_batch_as_it_was() {
        let mut batch = Batch::new(Format::Binary, 1, Vec::new());
        batch.push_message("c", &message(b"a", "")).unwrap();
        let before = batch.bytes().to_vec();
        let long = "x".repeat(70_000);
        let meta = Meta { origin: &long, ..Meta::default() };
        batch.push_message("c", &NewRecord { meta, ..message(b"b", "") }).unwrap_err();
        let half = "x".repeat(40_000);
        let meta = Meta { origin: &half, service_name: &half, ..Meta::default() };
        batch.push_message("c", &NewRecord { meta, ..message(b"b", "") }).unwrap_err();
        assert_eq!(batch.bytes(), before);
        assert_eq!(batch.entries().len(), 1);
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_binary_batch_costs_one_record_or_the_header() {
        let mut batch = Batch::new(Format::Binary, 1, Vec::new());
        for payload in [b"one".as_slice(), b"twotwo", b"three"] {
            batch.push_message("c", &message(payload, "s.u")).unwrap();
        }
        let seed = Seed::new(7, 1);
        batch.seal(seed, Place::default());
        for at in 0..batch.bytes().len() {
            for bit in 0..8 {
                let mut bytes = batch.bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let header_lost = BatchHeader::decode(seed, &bytes).is_none();
                let lost = batch.entries().iter().filter(|entry| {
                    binary::decode_record(seed, &bytes[entry.start as usize..]).is_none()
                });
                assert_eq!(lost.count() + usize::from(header_lost), 1, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn bytes_of_another_segment_or_log_do_not_pass() {
        let mut batch = Batch::new(Format::Binary, 1, Vec::new());
        batch.push_message("c", &message(b"one", "")).unwrap();
        batch.seal(Seed::new(7, 1), Place::default());
        for other in [Seed::new(7, 2), Seed::new(8, 1)] {
            assert_eq!(BatchHeader::decode(other, batch.bytes()), None);
            assert!(binary::decode_record(other, &batch.bytes()[64..]).is_none());
        }
    }

    proptest! {
        #[test]
        fn every_record_comes_back_in_both_formats(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8),
            subject in "[a-z.]{0,8}", origin in ".{0,8}", binary_format in any::<bool>(),
        ) {
            let format = if binary_format { Format::Binary } else { Format::Jsonl };
            let mut batch = Batch::new(format, 1, Vec::new());
            let meta = Meta { origin: &origin, ..Meta::default() };
            for payload in &payloads {
                let record = NewRecord { meta, headers: b"NATS/1.0\r\n\r\n", ..message(payload, &subject) };
                batch.push_message("c", &record).unwrap();
            }
            batch.seal(Seed::new(1, 1), Place::default());
            for (payload, entry) in payloads.iter().zip(batch.entries()) {
                let record = batch.record(entry);
                prop_assert_eq!(record.payload(), payload);
                prop_assert_eq!(record.subject(), &subject);
                prop_assert_eq!(record.headers(), b"NATS/1.0\r\n\r\n");
                prop_assert_eq!(record.meta().origin, &origin);
                prop_assert_eq!(record.seq, entry.seq);
            }
        }

        #[test]
        fn no_bytes_make_binary_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let seed = Seed::new(1, 1);
            let _one = binary::decode_record(seed, &bytes);
            let _two = binary::parse_record(&bytes);
            let _three = BatchHeader::decode(seed, &bytes);
            let _four = binary::SegmentHeader::decode(&bytes);
        }
    }
}
