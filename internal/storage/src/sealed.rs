//! A sealed segment: a file that never changes again, its index, and when each was opened.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use pubsub_disk::{Disk, File, Open};

use crate::index::{ActiveIndex, SlotSet};
use crate::manifest::SegmentInfo;
use crate::scan::Encoding;

/// A sealed segment.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) info: SegmentInfo,
    open: Mutex<Opened>,
}

#[derive(Debug, Default)]
struct Opened {
    file: Option<Arc<dyn File>>,
    /// The index from when the segment was active, until its file is written.
    memory: Option<Arc<ActiveIndex>>,
}

impl Sealed {
    /// A segment that nothing is open of.
    pub(crate) fn new(info: SegmentInfo) -> Arc<Self> {
        Arc::new(Self { info, open: Mutex::default() })
    }

    /// A segment that was active until now.
    pub(crate) fn with(info: SegmentInfo, file: Arc<dyn File>, index: ActiveIndex) -> Arc<Self> {
        let open = Opened { file: Some(file), memory: Some(Arc::new(index)) };
        Arc::new(Self { info, open: Mutex::new(open) })
    }

    /// The file's path.
    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(&self.info.file)
    }

    /// The path of the index file.
    pub(crate) fn index_path(&self, dir: &Path) -> PathBuf {
        index_path(dir, &self.info)
    }

    /// The open file.
    ///
    /// # Errors
    /// It could not be opened.
    pub(crate) fn file(&self, disk: &dyn Disk, dir: &Path) -> io::Result<Arc<dyn File>> {
        let mut open = self.open.lock();
        if let Some(file) = &open.file {
            return Ok(file.clone());
        }
        let file = disk.open(&self.path(dir), Open::Read)?;
        open.file = Some(file.clone());
        Ok(file)
    }

    /// Where to start reading for the message `seq`, and how.
    pub(crate) fn start_of(
        &self,
        _disk: &dyn Disk,
        _dir: &Path,
        seq: u64,
        encoding: Encoding,
    ) -> (u64, Encoding) {
        let start = (self.info.written.header_bytes(), encoding);
        let Some(index) = self.open.lock().memory.clone() else { return start };
        let located = index
            .first_at_or_after(crate::contents::seq(seq))
            .and_then(|first| index.locate(first));
        located
            .map_or(start, |location| (location.offset, encoding.starting_at(location.seq.get())))
    }

    /// What was deleted of it while it was active.
    pub(crate) fn deleted_at_seal(&self) -> Option<Arc<SlotSet>> {
        let open = self.open.lock();
        let deletes = open.memory.as_ref()?.deletes();
        (!deletes.is_empty()).then(|| Arc::new(deletes.clone()))
    }

    /// Lets go of the open file; the next reader opens it again.
    pub(crate) fn close(&self) {
        self.open.lock().file = None;
    }
}

/// The path of a segment's index file.
pub(crate) fn index_path(dir: &Path, info: &SegmentInfo) -> PathBuf {
    dir.join(format!("{:020}.idx", info.first_index))
}
