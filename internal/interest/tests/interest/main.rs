//! Who wants a subject, against a list that is gone through from end to end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cache;
mod changes;
mod depth;
mod groups;
mod matching;
mod model;
mod snapshots;
mod threads;
