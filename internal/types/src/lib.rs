//! Names, subjects, sequences and times: nouns that are checked once and then trusted.
//!
//! ```text
//!   text from outside ──parse──▶ ChannelName  SubscriberId  Subject  Filter  Seq  Timestamp
//!                       ╰─▶ an error that names what was wrong
//! ```
//!
//! Nobody downstream checks again: a value of one of these types is proof that the check was made.

mod channel;
mod file_name;
mod policy;
mod position;
mod subject;
mod time;

pub use channel::{
    CHANNEL_NAME_MAX_BYTES, ChannelName, DEAD_LETTER_SUFFIX, InvalidChannelName,
    InvalidSubscriberId, SUBSCRIBER_ID_MAX_BYTES, SubscriberId,
};
pub use file_name::{FILE_NAME_MAX_BYTES, file_name_for, name_from_file};
pub use policy::{Format, SyncPolicy, UnknownFormat, UnknownSyncPolicy};
pub use position::{LogIndex, Seq};
pub use subject::{Filter, InvalidSubject, SUBJECT_MAX_BYTES, Subject};
pub use time::{InvalidTimestamp, Timestamp};
