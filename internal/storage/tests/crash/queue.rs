//! The executor of a history: jobs wait until the seed picks one.

use std::sync::Arc;

use parking_lot::Mutex;
use pubsub_storage::{Executor, Job};

/// Jobs that were submitted and not run yet.
#[derive(Clone, Default)]
pub(crate) struct Queue(Arc<Mutex<Vec<Job>>>);

impl Executor for Queue {
    fn submit(&self, job: Job) {
        self.0.lock().push(job);
    }
}

/// What a job is about, as its debug form tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// `Commit` or `Housekeep`.
    Other,
    /// A sync of this channel, with or without a mark behind it.
    Sync { channel: String },
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn take(&self, nth: usize) -> Job {
        self.0.lock().remove(nth)
    }

    /// The process is gone, and with it what it meant to do.
    pub(crate) fn forget(&self) {
        // Dropped outside of the lock: a job may hold the last handle of a channel.
        let jobs = std::mem::take(&mut *self.0.lock());
        drop(jobs);
    }
}

impl Work {
    pub(crate) fn of(job: &Job) -> (Self, String) {
        let text = format!("{job:?}");
        let channel = text.split("name: ").nth(1).and_then(|rest| rest.split('"').nth(1));
        let channel = channel.unwrap_or_default().to_owned();
        let task = text.trim_end_matches(')').rsplit(' ').next().unwrap_or_default().to_owned();
        let name = if text.starts_with("Job(Positions") {
            "Positions".to_owned()
        } else {
            format!("{task} {channel}")
        };
        match task.as_str() {
            "Sync" | "Mark" => (Self::Sync { channel }, name),
            _ => (Self::Other, name),
        }
    }
}
