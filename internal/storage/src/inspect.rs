//! Looks at a data directory without owning or changing it, and says what is wrong and what to do.
//!
//! ```text
//!   NODE ─ channels ─┬─ manifest copies      ╮
//!                    ├─ segments: every record, the chain of batches, the density of sequences
//!                    ├─ index files: every block                         ├─▶ Diagnosis
//!                    ╰─ checkpoints          │
//!   subscribers ─── position copies          ╯
//! ```
//!
//! Only reads. So it may look at a directory whose node runs; what is being written at that moment is
//! then told apart from damage as well as it can be, and called a note.

mod channel;
mod report;
mod segment;
mod subscribers;

use std::io;
use std::path::{Path, PathBuf};

use pubsub_disk::Disk;
use pubsub_types::ChannelName;

use crate::config::ChannelConfig;
use crate::manifest::{self, Read};
use crate::store::{LAYOUT_VERSION, LOCK_FILE, NodeInfo, channel_dir, list_channels};
use crate::twin::{self, State};

pub use report::{Diagnosis, Inspected, Inspection, Problem, Progress, Severity};

/// What `channel` was configured to do when it was last opened, as its manifest says; `None` when it
/// has none that can be read.
#[must_use]
pub fn recorded_config(disk: &dyn Disk, channel: &ChannelName) -> Option<ChannelConfig> {
    match manifest::load(disk, &channel_dir(channel)) {
        Ok(Read::Whole(manifest)) => Some(manifest.config),
        Ok(Read::Absent | Read::Damaged | Read::Version(_)) | Err(_) => None,
    }
}

/// Looks at the whole data directory that `disk` stands for, or at one channel of it.
///
/// `live` says that a node has it open. `progress` is told now and then how far it is.
///
/// # Errors
/// The directory itself could not be listed. A file that cannot be read is a finding.
pub fn inspect(
    disk: &dyn Disk,
    live: bool,
    only: Option<&ChannelName>,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<Inspection> {
    let mut inspector =
        Inspector { disk, live, progress, done: Progress::default(), found: Vec::new() };
    let mut inspection = Inspection::default();
    let names = match only {
        Some(name) => vec![name.clone()],
        None => {
            inspection.node = inspector.node()?;
            list_channels(disk)?
        }
    };
    for name in &names {
        inspector.done.bytes_total += channel::size(disk, &channel_dir(name))?;
    }
    for name in &names {
        inspection.channels.push(inspector.channel(name)?);
    }
    if only.is_none() {
        inspector.orphaned_subscribers(&names)?;
    }
    inspection.findings = inspector.found;
    inspection.findings.sort_by(|a, b| {
        (b.severity, &a.channel, &a.file, a.at).cmp(&(a.severity, &b.channel, &b.file, b.at))
    });
    Ok(inspection)
}

/// One look at a directory.
struct Inspector<'a> {
    disk: &'a dyn Disk,
    live: bool,
    progress: &'a mut dyn FnMut(Progress),
    done: Progress,
    found: Vec<Diagnosis>,
}

impl Inspector<'_> {
    fn find(&mut self, diagnosis: Diagnosis) {
        self.found.push(diagnosis);
    }

    /// Says that so many bytes more were looked at.
    fn advance(&mut self, bytes: u64) {
        self.done.bytes += bytes;
        (self.progress)(self.done);
    }

    /// The directory's identity and what lies beside it.
    fn node(&mut self) -> io::Result<Option<NodeInfo>> {
        let entries = self.disk.list(Path::new(""))?;
        let known =
            ["channels", "subscribers", "trash", LOCK_FILE, "audit", "control.sock", "lost+found"];
        let notes = crate::notes::NOTE_DIRECTORIES;
        let ours = |name: &str| {
            known.contains(&name) || notes.contains(&name) || name.starts_with("NODE.")
        };
        for entry in entries.iter().filter(|entry| !ours(&entry.name)) {
            self.find(Diagnosis::foreign(None, PathBuf::from(&entry.name)));
        }
        self.twin(None, Path::new(""), "NODE", Problem::NodeDamaged)?;
        let loaded = twin::load(self.disk, Path::new(""), "NODE")?;
        let node: Option<NodeInfo> =
            loaded.content.as_deref().and_then(|content| serde_json::from_slice(content).ok());
        if let Some(node) = node.filter(|node| node.version > LAYOUT_VERSION) {
            let mut diagnosis = Diagnosis::new(Problem::Version, None, PathBuf::from("NODE.a"));
            diagnosis.text = format!("the directory has format version {}", node.version);
            self.find(diagnosis);
        }
        if node.is_none() && loaded.damaged == 0 {
            self.find(Diagnosis::new(Problem::NodeMissing, None, PathBuf::from("NODE.a")));
        }
        Ok(node)
    }

    /// Looks at both copies of a small file; whether one of them counts.
    ///
    /// `both` is what is wrong when none does and there should be one.
    fn twin(
        &mut self,
        channel: Option<&ChannelName>,
        dir: &Path,
        name: &str,
        both: Problem,
    ) -> io::Result<bool> {
        let mut states = twin::states(self.disk, dir, name)?;
        if self.live && states.contains(&State::Damaged) {
            // It may have been written just then.
            states = twin::states(self.disk, dir, name)?;
        }
        let whole = states.contains(&State::Whole);
        let damaged = states.contains(&State::Damaged);
        for (state, suffix) in states.into_iter().zip(["a", "b"]) {
            let file = twin::path_of(dir, name, suffix);
            let problem = match state {
                State::Whole | State::Empty => continue,
                State::Missing if !states.contains(&State::Missing) => continue,
                // Never made: then neither was.
                State::Missing if !whole && !damaged => continue,
                State::Missing if whole => Problem::CopyMissing,
                State::Damaged if whole => Problem::CopyDamaged,
                State::Missing | State::Damaged => both,
            };
            self.find(Diagnosis::new(problem, channel, file));
        }
        Ok(whole)
    }

    /// Puts a failure to read into a finding.
    fn unreadable(&mut self, channel: Option<&ChannelName>, file: PathBuf, error: &io::Error) {
        let mut diagnosis = Diagnosis::new(Problem::Unreadable, channel, file);
        diagnosis.text = format!("could not be read: {error}");
        self.find(diagnosis);
    }
}
