//! Work that blocks on the disk, as values: somebody else decides on which thread it runs, and when.

use std::sync::Arc;

use pubsub_types::Timestamp;

use crate::channel::Channel;
use crate::positions::PositionFile;

/// Runs jobs. A thread pool in a node, a seeded queue in the simulator.
pub trait Executor: Send + Sync {
    /// Takes a job to be run soon. Must not run it before returning: the caller may hold locks.
    fn submit(&self, job: Job);
}

/// Something to do that blocks on the disk.
#[derive(Clone, Debug)]
pub struct Job(Work);

#[derive(Clone, Debug)]
enum Work {
    Channel(Arc<Channel>, Task),
    Positions(Vec<Arc<PositionFile>>),
}

/// What a job does for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Writes what waits.
    Commit,
    /// Makes durable what was written.
    Sync,
    /// Notes in the manifest what is durable.
    Mark,
    /// Removes files of deleted segments, finishes indexes of sealed ones.
    Housekeep,
    /// Deletes what has expired by then.
    Expire(Timestamp),
}

impl Job {
    pub(crate) fn channel(channel: Arc<Channel>, task: Task) -> Self {
        Self(Work::Channel(channel, task))
    }

    pub(crate) fn positions(files: Vec<Arc<PositionFile>>) -> Self {
        Self(Work::Positions(files))
    }

    /// Does it. Whatever goes wrong is told to those who wait, logged and counted.
    pub fn run(self) {
        match self.0 {
            Work::Channel(channel, _) if channel.is_retired() => (),
            Work::Channel(channel, Task::Commit) => channel.drive_to_idle(),
            Work::Channel(channel, Task::Sync) => channel.sync_written(),
            Work::Channel(channel, Task::Mark) => channel.mark_durable(),
            Work::Channel(channel, Task::Housekeep) => channel.housekeep(),
            Work::Channel(channel, Task::Expire(now)) => channel.expire(now),
            Work::Positions(files) => {
                for file in files {
                    if let Err(error) = file.sync() {
                        tracing::warn!(channel = %file.channel(), subscriber = %file.id(), %error, "position was not synced; it is tried again");
                    }
                }
            }
        }
    }
}
