//! Subscriber positions never skip an undelivered message, and do not forget what was synced.
//!
//! After an opening a position is one of those that were set since the last synced one, moved back to
//! what survived of the log. So a message that takes a lost one's sequence is delivered.

use std::sync::Arc;

use pubsub_storage::PositionFile;

use crate::model::Ending;

/// What a history knows of one subscriber.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) file: Option<Arc<PositionFile>>,
    /// Where it may stand after a power cut: the last synced first, then what was written since.
    possible: Vec<u64>,
    /// What the kernel has for sure, if the last write was heard to succeed.
    written: Option<u64>,
    /// A write failed and none has succeeded since: its bytes may be in the file all the same.
    doubtful: bool,
    /// The file exists for sure.
    pub(crate) known: bool,
    /// What happened since it was last open.
    pub(crate) ending: Ending,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            file: None,
            possible: Vec::new(),
            written: None,
            doubtful: false,
            known: false,
            ending: Ending::Running,
        }
    }
}

impl Standing {
    /// The highest that it may stand at.
    pub(crate) fn highest(&self) -> u64 {
        self.possible.iter().copied().max().unwrap_or(0)
    }

    /// It was opened, and stands where its file says. Everything up to `trimmed` is deleted: of two places
    /// before that, none is further than the other.
    pub(crate) fn opened(&mut self, file: Arc<PositionFile>, start: u64, trimmed: u64) {
        let (seq, ending) = (file.seq(), self.ending);
        if self.known {
            let possible = match (ending, self.written) {
                (Ending::Cut, _) | (_, None) => self.possible.clone(),
                _ if self.doubtful => self.possible.clone(),
                (_, Some(written)) => vec![written],
            };
            let same = |other: &u64| *other == seq || (*other <= trimmed && seq <= trimmed);
            assert!(
                possible.iter().any(same),
                "positions: a subscriber stands at {seq} after {ending:?}; it can be {possible:?}"
            );
        } else {
            assert!(
                seq == start || self.possible.contains(&seq),
                "positions: a new subscriber starts at {seq}, not {start}; or {:?}",
                self.possible
            );
        }
        (self.known, self.doubtful, self.ending) = (true, false, Ending::Running);
        self.possible = vec![seq];
        self.written = Some(seq);
        self.file = Some(file);
    }

    /// Opening failed: the file may be there or not, and hold `start`.
    pub(crate) fn attempted(&mut self, start: u64) {
        // Torn at its making it says nothing, and then all is delivered.
        self.possible.extend([start, 0]);
        self.written = None;
    }

    /// The file may have been removed.
    pub(crate) fn doubt(&mut self) {
        self.known = false;
    }

    /// Takes note of what became of writes and syncs; `crashed` when one may have been interrupted.
    pub(crate) fn note(&mut self, crashed: bool) {
        let Some(file) = &self.file else { return };
        if file.written_seq() != u64::MAX && self.written != Some(file.written_seq()) {
            self.possible.push(file.written_seq());
            self.written = Some(file.written_seq());
        }
        self.doubtful &= file.seq() != file.written_seq();
        if crashed && file.seq() != file.written_seq() {
            self.possible.push(file.seq());
            self.written = None;
        } else if !crashed && !file.is_dirty() && file.seq() == file.written_seq() {
            self.possible = vec![file.written_seq()];
        }
    }

    /// A write was tried and failed: some of it may be in the file.
    pub(crate) fn failed(&mut self) {
        if let Some(file) = &self.file {
            self.possible.push(file.seq());
            self.doubtful = true;
        }
    }

    /// The log was opened and ends here: a position beyond is moved back.
    pub(crate) fn clamp(&mut self, last: u64) {
        for seq in &mut self.possible {
            *seq = (*seq).min(last);
        }
        self.written = self.written.map(|seq| seq.min(last));
    }

    /// The process is gone.
    pub(crate) fn give_up(&mut self, crashed: bool) {
        self.note(crashed);
        self.file = None;
    }
}
