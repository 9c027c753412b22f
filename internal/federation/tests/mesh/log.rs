//! A log in memory, of which a crash keeps what was synced and perhaps a little more.

use std::sync::Arc;

use pubsub_envelope::{Kind, NewRecord, Record, binary};
use pubsub_federation::{EpochList, Epochs, LogInfo, Missing, MissingReason};
use pubsub_sim::Rng;
use uuid::Uuid;

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) id: Uuid,
    records: Vec<Record>,
    /// Records up to here survive a crash.
    pub(crate) synced: u64,
    /// First sequence that retention left.
    pub(crate) first: u64,
    epochs: Vec<(u64, u64)>,
    /// Sequences that can no longer be read.
    pub(crate) damaged: Vec<u64>,
    /// Readers see what is written, and not only what is synced.
    pub(crate) periodic: bool,
}

impl Log {
    pub(crate) fn new(id: Uuid, periodic: bool) -> Self {
        Self {
            id,
            records: Vec::new(),
            synced: 0,
            first: 1,
            epochs: vec![(1, 1)],
            damaged: Vec::new(),
            periodic,
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.records.len() as u64
    }

    /// The last sequence that readers see.
    pub(crate) fn visible(&self) -> u64 {
        if self.periodic { self.last() } else { self.synced }
    }

    pub(crate) fn info(&self) -> LogInfo {
        let epochs: Arc<dyn Epochs> = Arc::new(EpochList(self.epochs.clone()));
        LogInfo { log: self.id, epochs, first: self.first, last: self.visible() }
    }

    pub(crate) fn append(&mut self, new: &NewRecord<'_>) -> u64 {
        let seq = self.last() + 1;
        let mut bytes = Vec::new();
        binary::encode_record(&mut bytes, Kind::Message, seq, new).unwrap();
        self.records.push(binary::parse_record(&bytes).unwrap().0.to_record());
        seq
    }

    /// Loses what comes after `last`, as if it had never been appended.
    pub(crate) fn truncate(&mut self, last: u64) {
        self.records.truncate(usize::try_from(last).unwrap());
    }

    /// The node dies: what was not synced is lost from some record on, and what is given out next is of
    /// another epoch.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        let kept = self.synced + rng.below(self.last() - self.synced + 1);
        self.truncate(kept);
        self.synced = kept;
        let number = self.epochs.last().map_or(1, |epoch| epoch.0 + 1);
        self.epochs.retain(|epoch| epoch.1 <= kept);
        self.epochs.push((number, kept + 1));
    }

    /// What comes after `after`, of about `max_bytes`.
    pub(crate) fn read(&self, after: u64, max_bytes: usize) -> Read<'_> {
        let mut read = Read { items: Vec::new(), after, at_end: false };
        let mut bytes = 0;
        if after + 1 < self.first {
            let missing =
                Missing { first: after + 1, last: self.first - 1, why: MissingReason::Retention };
            read.items.push(Item::Missing(missing));
            read.after = self.first - 1;
        }
        while bytes < max_bytes {
            let next = self.get(read.after + 1).filter(|record| record.seq <= self.visible());
            let Some(record) = next else {
                read.at_end = true;
                break;
            };
            bytes += record.content_bytes();
            read.after = record.seq;
            if self.damaged.contains(&record.seq) {
                let seq = record.seq;
                let missing = Missing { first: seq, last: seq, why: MissingReason::Damage };
                read.items.push(Item::Missing(missing));
            } else {
                read.items.push(Item::Record(record));
            }
        }
        read
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Record> {
        self.records.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    /// All that was ever appended and not lost, retention or not.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }
}

pub(crate) struct Read<'a> {
    pub(crate) items: Vec<Item<'a>>,
    pub(crate) after: u64,
    pub(crate) at_end: bool,
}

pub(crate) enum Item<'a> {
    Record(&'a Record),
    Missing(Missing),
}
