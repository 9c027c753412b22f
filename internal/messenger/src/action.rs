//! What goes into a delivery and what comes out of it.

use std::time::Duration;

use pubsub_types::{Seq, Timestamp};

/// A message for the delivery, in the order of the log.
#[derive(Clone, Debug)]
pub struct Incoming<M> {
    /// Its sequence.
    pub seq: Seq,
    /// When it was published; compared with `max_age` at the start only.
    pub time: Timestamp,
    /// Its size, for the figures.
    pub size_bytes: u64,
    /// Why its payload cannot be decoded. Such a message goes to the dead letters and is never handed
    /// to the handler.
    pub undecodable: Option<String>,
    /// The message itself, kept until it is dealt with.
    pub message: M,
}

/// Why messages are missing from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Their records are damaged.
    Damaged,
    /// Retention or a purge deleted them before this subscriber read them.
    Deleted,
}

/// One handing-out of one message. Answers to an earlier one are told apart by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The message.
    pub seq: Seq,
    /// How many times it has been handed out, this time included, since the subscriber started.
    pub delivery: u64,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hand the message out, then tell `handle_result`. A handler still at work on an earlier
    /// delivery of the same message is to be dropped.
    Invoke {
        /// Names this handing-out in the answer.
        token: Token,
        /// Which attempt it is, from 1; tries that ended in "retry later" are not counted.
        attempt: u32,
    },
    /// Append a dead letter for this message durably, then tell `handle_dead_letter_written`.
    WriteDeadLetter {
        /// The message.
        seq: Seq,
        /// Attempts made; 0 when the payload could not be decoded.
        attempts: u32,
        /// Why the last one failed.
        last_error: String,
        /// When the last one failed.
        failed_at: Timestamp,
    },
    /// Save that everything up to `seq` is dealt with, then tell `handle_position_saved`. Several may
    /// be saved at once, by saving the last.
    SavePosition {
        /// The position.
        seq: u64,
    },
    /// Write this to the log.
    Notice(Notice),
    /// Nothing is in flight any more and nothing follows; `position` is the last one to save.
    Stopped {
        /// Everything up to here is dealt with.
        position: u64,
    },
}

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An attempt failed and another follows.
    AttemptFailed {
        /// The message.
        seq: Seq,
        /// Which attempt, from 1.
        attempt: u32,
        /// Why.
        error: String,
        /// Pause before the next one.
        retry_in: Duration,
    },
    /// The handler asked for the message to come again later.
    RetryLater {
        /// The message.
        seq: Seq,
    },
    /// The payload cannot be decoded; the handler is not called.
    Undecodable {
        /// The message.
        seq: Seq,
        /// Why.
        error: String,
    },
    /// The message is in the dead letters, durably.
    DeadLettered {
        /// The message.
        seq: Seq,
        /// Attempts made.
        attempts: u32,
        /// Why the last one failed.
        error: String,
    },
    /// The dead letter could not be written; the message stays and the write is tried again.
    DeadLetterNotWritten {
        /// The message.
        seq: Seq,
        /// Why.
        error: String,
        /// Pause before the next try.
        retry_in: Duration,
    },
    /// A message that is a dead letter itself failed for good and is passed over.
    DeadLetterSkipped {
        /// The message.
        seq: Seq,
        /// Attempts made.
        attempts: u32,
        /// Why the last one failed.
        error: String,
    },
    /// Messages are missing from the log and were passed over.
    Passed {
        /// First sequence missing.
        first: u64,
        /// Last sequence missing.
        last: u64,
        /// Why.
        why: Missing,
    },
    /// Messages older than `max_age` were skipped at the start.
    TooOldSkipped {
        /// Number of messages.
        messages: u64,
        /// Their size.
        bytes: u64,
    },
    /// The position could not be saved.
    PositionNotSaved {
        /// Why.
        error: String,
        /// Failures in a row, this one included.
        in_a_row: u32,
    },
    /// Nothing is handed out until a position can be saved again.
    Paused,
    /// A position was saved; messages are handed out again.
    Resumed,
}
