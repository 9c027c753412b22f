//! Reads a channel from one end to the other, and finds out which messages these are.

use std::collections::BTreeMap;
use std::sync::Arc;

use pubsub_envelope::Record;
use pubsub_storage::{Channel, Item, ReadError};

use crate::model::Model;

/// What a reader was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// By sequence: which record of the model.
    pub(crate) records: BTreeMap<u64, usize>,
    /// Sequences that were told to be unreadable.
    pub(crate) gaps: Vec<u64>,
    /// First sequence that was not trimmed.
    pub(crate) first: u64,
    /// Last sequence; 0 for none.
    pub(crate) last: u64,
}

impl Seen {
    /// Neither read nor told of.
    pub(crate) fn misses(&self, seq: u64) -> bool {
        !self.records.contains_key(&seq) && !self.gaps.contains(&seq)
    }
}

/// All that a reader gives, in steps of `step` messages.
pub(crate) fn read_items(
    channel: &Arc<Channel>,
    after: u64,
    step: usize,
) -> Result<Vec<Item>, ReadError> {
    let mut reader = channel.reader(after);
    let mut all = Vec::new();
    loop {
        let items = reader.read(step, 4096)?;
        if items.is_empty() {
            assert!(
                reader.position() >= channel.last_seq() || channel.last_seq() == 0,
                "order: a reader stops at {} of {}",
                reader.position(),
                channel.last_seq()
            );
            return Ok(all);
        }
        all.extend(items);
    }
}

/// Promise: no record is invented, torn or changed, and each has the sequence that its publisher was
/// told. (`architecture.md` 10: "the readable records are exactly what was written".)
pub(crate) fn identify(model: &Model, own: &str, record: &Record) -> usize {
    let seq = record.seq;
    let Some(nth) = model.find(record.payload()) else {
        panic!("invented: message {seq} has a payload that nobody published: {record:?}");
    };
    let rec = &model.recs[nth];
    assert_eq!(rec.seq, seq, "invented: a message was read at another sequence than it was given");
    let subject = if record.subject() == own { "" } else { record.subject() };
    assert_eq!(rec.subject, subject, "invented: message {seq} has another subject");
    assert_eq!(rec.time, record.time.as_nanos(), "invented: message {seq} has another time");
    nth
}

/// Reads everything.
///
/// # Errors
/// A file could not be read.
pub(crate) fn see(channel: &Arc<Channel>, model: &Model, step: usize) -> Result<Seen, ReadError> {
    let items = read_items(channel, 0, step)?;
    let (first, last) = (channel.first_seq(), channel.last_seq());
    let mut seen = Seen { first, last, ..Seen::default() };
    let mut before = 0;
    for item in items {
        // Promise: sequences ascend.
        let (from, to) = match &item {
            Item::Record(record) => (record.seq, record.seq),
            Item::Gap { first, last } => (*first, *last),
        };
        assert!(before < from && from <= to, "order: {from} to {to} come after {before}");
        assert!(to <= last, "order: {to} is beyond the end, {last}");
        assert!(from >= first, "deletes: {from} is before the first, {first}");
        before = to;
        match item {
            Item::Record(record) => {
                seen.records.insert(record.seq, identify(model, channel.name().as_str(), &record));
            }
            Item::Gap { first, last } => seen.gaps.extend(first..=last),
        }
    }
    Ok(seen)
}
