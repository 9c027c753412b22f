//! Dead letters: listed, shown, published again.

use std::sync::Arc;

use bytes::Bytes;
use pubsub_envelope::Record;
use pubsub_messenger::{BadDeadLetter, DeadLetter, error_text};
use pubsub_storage::{Channel, Item, PublishError, ReadError};
use pubsub_types::{ChannelName, Filter, Seq, Timestamp};

use super::super::protocol::{
    DeadLetterRow, DeadLettersRow, DlqReplayed, ErrorCode, Failure, Response,
};
use super::{Ops, publish};
use crate::clock;

/// Letters read at a time.
const READ_MESSAGES: usize = 256;
const READ_BYTES: usize = 1 << 20;

/// Longest list of letters in one answer.
const LIST_MAX: u64 = 1000;

impl Ops {
    /// The dead-letter channel of `name`, or `None` when nothing ever failed.
    fn letters_of(&self, name: &ChannelName) -> Result<Option<Arc<Channel>>, Failure> {
        let letters = name.dead_letter().unwrap_or_else(|| name.clone());
        match self.channel(&letters) {
            Ok(channel) => Ok(Some(channel)),
            Err(failure) if failure.code == ErrorCode::NotFound => {
                // A misspelt channel must not look like one without failures.
                self.channel(name).map(|_| None)
            }
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn dlq_channels(&self) -> Result<Response, Failure> {
        let names = self.channel_names()?;
        let channels = names
            .iter()
            .filter_map(|name| Some((name.dead_letter_of()?, self.channel(name))))
            .map(|(channel, letters)| match letters.and_then(|letters| count(&letters)) {
                Ok((letters, ends)) => {
                    let (oldest, newest) = ends.unzip();
                    DeadLettersRow { channel, letters, oldest, newest, error: None }
                }
                // A list that fails as a whole because of one bad channel would hide the good ones.
                Err(failure) => {
                    let error = Some(failure.message);
                    DeadLettersRow { channel, letters: 0, oldest: None, newest: None, error }
                }
            })
            .collect();
        Ok(Response::DeadLetterChannels { channels })
    }

    pub(super) fn dlq_list(
        &self,
        name: &ChannelName,
        limit: u64,
        after: u64,
    ) -> Result<Response, Failure> {
        let mut letters = Vec::new();
        let Some(channel) = self.letters_of(name)? else {
            return Ok(Response::DeadLetters { letters, more: false });
        };
        let limit = usize::try_from(limit.clamp(1, LIST_MAX)).unwrap_or(1);
        let mut reader = channel.reader(after);
        loop {
            let items = reader.read(READ_MESSAGES.min(limit + 1), READ_BYTES)?;
            if items.is_empty() {
                return Ok(Response::DeadLetters { letters, more: false });
            }
            for item in items {
                if letters.len() == limit {
                    return Ok(Response::DeadLetters { letters, more: true });
                }
                letters.push(match item {
                    Item::Record(record) => row(&record),
                    Item::Gap { first, .. } => {
                        unreadable(first, "it is damaged on disk".to_owned())
                    }
                });
            }
        }
    }

    pub(super) fn dlq_show(
        &self,
        name: &ChannelName,
        seq: u64,
    ) -> Result<(Response, Bytes), Failure> {
        let record = self.letter(name, seq)?;
        let payload = match DeadLetter::decode(record.payload()) {
            Ok(letter) => letter.original.payload_bytes(),
            Err(_) => record.payload_bytes(),
        };
        Ok((Response::DeadLetter(Box::new(row(&record))), payload))
    }

    fn letter(&self, name: &ChannelName, seq: u64) -> Result<Record, Failure> {
        let missing = || {
            Failure::new(
                ErrorCode::NotFound,
                format!("channel {name} has no dead letter {seq}"),
                format!("`pubsub dlq ls {name}` lists all"),
            )
        };
        let channel = self.letters_of(name)?.ok_or_else(missing)?;
        let seq = Seq::new(seq).ok_or_else(missing)?;
        channel.get(seq).map_err(|error| {
            let failure = Failure::from(error);
            if failure.code == ErrorCode::NotFound { missing() } else { failure }
        })
    }

    pub(super) fn dlq_replay(
        &self,
        name: &ChannelName,
        seqs: &[u64],
        dry_run: bool,
    ) -> Result<Response, Failure> {
        let mut done = DlqReplayed::default();
        if !seqs.is_empty() {
            for seq in seqs {
                let record = self.letter(name, *seq)?;
                self.replay_one(name, &record, dry_run, &mut done)?;
            }
            return Ok(Response::Replayed(done));
        }
        let Some(channel) = self.letters_of(name)? else { return Ok(Response::Replayed(done)) };
        let mut reader = channel.reader(0);
        // What fails again while we replay comes behind this.
        let last = channel.last_seq();
        loop {
            let items = reader.read(READ_MESSAGES, READ_BYTES)?;
            if items.is_empty() {
                return Ok(Response::Replayed(done));
            }
            for item in items {
                match item {
                    Item::Record(record) if record.seq <= last => {
                        self.replay_one(name, &record, dry_run, &mut done)?;
                    }
                    Item::Record(_) => return Ok(Response::Replayed(done)),
                    Item::Gap { .. } => done.unreadable += 1,
                }
            }
        }
    }

    /// Publishes first and deletes then: a crash in between repeats a message and loses none.
    fn replay_one(
        &self,
        name: &ChannelName,
        record: &Record,
        dry_run: bool,
        done: &mut DlqReplayed,
    ) -> Result<(), Failure> {
        let Ok(letter) = DeadLetter::decode(record.payload()) else {
            done.unreadable += 1;
            return Ok(());
        };
        done.replayed += 1;
        if dry_run {
            return Ok(());
        }
        let (channel, _) = self.open_or_create(&letter.channel)?;
        let appended = publish::append(&channel, &[letter.replay()])?;
        let first = done.seqs.map_or_else(|| appended.first.get(), |(first, _)| first);
        done.seqs = Some((first, appended.last.get()));
        if let (Some(letters), Some(seq)) = (self.letters_of(name)?, Seq::new(record.seq)) {
            let deleted = letters.delete(&[(seq, seq)], clock::now()).wait();
            deleted.map_err(|error| Failure::from(PublishError::from(error)))?;
        }
        Ok(())
    }
}

/// How many letters there are, and when the first and the last of them were written.
fn count(letters: &Arc<Channel>) -> Result<(u64, Option<(Timestamp, Timestamp)>), Failure> {
    let totals = letters.totals(&Filter::all())?;
    let Some((first, last)) = totals.first.zip(totals.last) else { return Ok((0, None)) };
    let time = |seq| match letters.get(seq) {
        Ok(record) => Ok(Some(record.time)),
        // Deleted since, or damaged: there is no telling, and the others count all the same.
        Err(ReadError::Io { channel, file, source }) => {
            Err(ReadError::Io { channel, file, source })
        }
        Err(_) => Ok(None),
    };
    Ok((totals.messages, time(first)?.zip(time(last)?)))
}

fn row(record: &Record) -> DeadLetterRow {
    let letter = match DeadLetter::decode(record.payload()) {
        Ok(letter) => letter,
        Err(error) => return unreadable(record.seq, reason(&error)),
    };
    let meta = letter.original.meta();
    DeadLetterRow {
        seq: record.seq,
        channel: letter.channel.to_string(),
        original_seq: letter.original.seq,
        id: meta.id.to_string(),
        payload_type: meta.payload_type.to_owned(),
        published: letter.original.time,
        failed_at: letter.failed_at,
        attempts: letter.attempts,
        last_error: letter.last_error.clone(),
        unreadable: None,
    }
}

fn reason(error: &BadDeadLetter) -> String {
    error_text(error)
}

fn unreadable(seq: u64, why: String) -> DeadLetterRow {
    let never = Timestamp(0);
    DeadLetterRow {
        seq,
        channel: String::new(),
        original_seq: 0,
        id: String::new(),
        payload_type: String::new(),
        published: never,
        failed_at: never,
        attempts: None,
        last_error: String::new(),
        unreadable: Some(why),
    }
}
