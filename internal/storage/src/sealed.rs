//! A sealed segment: a file that never changes again, its index, and what of them is open.
//!
//! ```text
//!   just sealed ──▶ index in memory ──housekeeping──▶ index file ──first question──▶ opened
//!   reopened    ──────────────────────────────────────▶ missing or damaged: built again from the segment
//! ```

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use pubsub_disk::{File, Open};
use pubsub_types::LogIndex;
use uuid::Uuid;

use crate::contents::seq;
use crate::index::{
    ActiveIndex, IndexError, SealedIndex, SealedIndexBuilder, SegmentDigest, SegmentId, SlotSet,
};
use crate::manifest::SegmentInfo;
use crate::recovery::Place;
use crate::report::Finding;
use crate::scan::SEQUENTIAL_BLOCK_BYTES;
use crate::walk::{Damage, From, walk};

/// A sealed segment.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) info: SegmentInfo,
    /// Earliest expiry of a message that is not deleted, as far as it is known; 0 for none.
    next_expiry: AtomicI64,
    /// Messages of it that count: not deleted, as far as it is known which of those can be read.
    live: AtomicU64,
    open: Mutex<Opened>,
}

#[derive(Debug, Default)]
struct Opened {
    file: Option<Arc<dyn File>>,
    /// The index from when the segment was active, or built again, until its file is written.
    memory: Option<Arc<ActiveIndex>>,
    index: Option<Arc<SealedIndex>>,
}

/// The index of a sealed segment, wherever it is.
#[derive(Clone, Debug)]
pub(crate) enum SegmentIndex {
    Memory(Arc<ActiveIndex>),
    File(Arc<SealedIndex>),
}

impl Sealed {
    /// A segment that nothing is open of.
    pub(crate) fn new(info: SegmentInfo) -> Arc<Self> {
        let live = info.messages;
        Self::of(info, live, Opened::default())
    }

    /// A segment that was active until now, or was read whole.
    pub(crate) fn with(info: SegmentInfo, file: Arc<dyn File>, index: ActiveIndex) -> Arc<Self> {
        let live = info.messages.saturating_sub(index.deletes().count());
        Self::of(
            info,
            live,
            Opened { file: Some(file), memory: Some(Arc::new(index)), index: None },
        )
    }

    fn of(info: SegmentInfo, live: u64, open: Opened) -> Arc<Self> {
        let next_expiry = AtomicI64::new(info.next_expiry);
        Arc::new(Self { info, next_expiry, live: AtomicU64::new(live), open: Mutex::new(open) })
    }

    /// Messages of it that count.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// Counts `messages` of it as deleted; how many that were.
    pub(crate) fn count_deleted(&self, messages: u64) -> u64 {
        let live = self.live();
        self.live.store(live.saturating_sub(messages), Ordering::Relaxed);
        live.min(messages)
    }

    /// The file's path.
    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(&self.info.file)
    }

    /// The path of the index file.
    pub(crate) fn index_path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{:020}.idx", self.info.first_index))
    }

    fn id(&self, log_id: Uuid) -> SegmentId {
        SegmentId {
            log_id: log_id.as_u128(),
            first_index: LogIndex(self.info.first_index),
            first_seq: seq(self.info.first_seq),
        }
    }

    /// The open file.
    ///
    /// # Errors
    /// It could not be opened.
    pub(crate) fn file(&self, place: Place<'_>) -> io::Result<Arc<dyn File>> {
        let mut open = self.open.lock();
        if let Some(file) = &open.file {
            return Ok(file.clone());
        }
        let file = place.disk.open(&self.path(place.dir), Open::Read)?;
        open.file = Some(file.clone());
        Ok(file)
    }

    /// The index, if it is in memory or its file is there and whole.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn opened_index(
        &self,
        place: Place<'_>,
        log_id: Uuid,
    ) -> io::Result<Option<SegmentIndex>> {
        let mut open = self.open.lock();
        if let Some(memory) = &open.memory {
            return Ok(Some(SegmentIndex::Memory(memory.clone())));
        }
        if open.index.is_none() {
            open.index = self.open_index(place, log_id)?;
        }
        Ok(open.index.clone().map(SegmentIndex::File))
    }

    fn open_index(&self, place: Place<'_>, log_id: Uuid) -> io::Result<Option<Arc<SealedIndex>>> {
        let file = match place.disk.open(&self.index_path(place.dir), Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match SealedIndex::open(file, self.id(log_id)) {
            // Of this segment, but of a shorter or longer form of it.
            Ok(index) if index.digest().len_bytes != self.info.bytes => Ok(None),
            Ok(index) => Ok(Some(Arc::new(index))),
            Err(IndexError::Io { source, .. }) => Err(source),
            Err(error) => {
                tracing::warn!(channel = %place.name, segment = %self.info.file, %error, "index is built again");
                Ok(None)
            }
        }
    }

    /// Builds the index again from the segment, as if nothing was deleted; what is damaged comes with it.
    ///
    /// # Errors
    /// The file is not there or could not be read.
    pub(crate) fn walk(
        &self,
        place: Place<'_>,
        log_id: Uuid,
    ) -> io::Result<(ActiveIndex, Vec<Finding>)> {
        let from = From {
            at: self.info.written.header_bytes(),
            first_index: self.info.first_index,
            first_seq: self.info.first_seq,
        };
        let file = self.file(place)?;
        let walked = walk(&file, self.info.encoding(log_id), from, self.info.bytes)?;
        let found = |damage: &Damage| Finding::Damaged {
            file: self.info.file.clone(),
            at: damage.at,
            bytes: damage.len,
        };
        Ok((walked.index, walked.damage.iter().map(found).collect()))
    }

    /// Takes in an index that was built again and told what is deleted; housekeeping writes it.
    pub(crate) fn install(&self, index: ActiveIndex) -> Arc<ActiveIndex> {
        let index = Arc::new(index);
        self.open.lock().memory = Some(index.clone());
        index
    }

    /// Forgets an index file that turned out to be damaged; it is built again when it is needed.
    pub(crate) fn distrust_index(&self) {
        self.open.lock().index = None;
    }

    /// Tells an index that is still in memory what was deleted since.
    pub(crate) fn note_deleted(&self, slots: RangeInclusive<u32>) {
        let mut open = self.open.lock();
        if let Some(memory) = &mut open.memory {
            let mut set = SlotSet::new();
            set.insert_range(slots);
            Arc::make_mut(memory).delete_slots(&set);
        }
    }

    /// The index, if it is only in memory.
    pub(crate) fn unwritten_index(&self) -> Option<Arc<ActiveIndex>> {
        self.open.lock().memory.clone()
    }

    /// Writes the index file from `memory`.
    ///
    /// # Errors
    /// A file could not be read or written; the index stays in memory.
    pub(crate) fn write_index(
        &self,
        place: Place<'_>,
        log_id: Uuid,
        memory: &ActiveIndex,
    ) -> io::Result<()> {
        let digest = self.digest(place)?;
        let path = self.index_path(place.dir);
        let partial = path.with_extension("idx.partial");
        match place.disk.remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let file = place.disk.open(&partial, Open::Create)?;
        SealedIndexBuilder::new(memory, self.id(log_id), digest).write(&*file)?;
        file.sync()?;
        place.disk.rename(&partial, &path)?;
        place.disk.sync_dir(place.dir)?;
        let mut open = self.open.lock();
        open.memory = None;
        open.index = None;
        Ok(())
    }

    fn digest(&self, place: Place<'_>) -> io::Result<SegmentDigest> {
        let file = self.file(place)?;
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        let mut block = vec![0; SEQUENTIAL_BLOCK_BYTES];
        let mut at = 0;
        while at < self.info.bytes {
            let want = usize::try_from(self.info.bytes - at).unwrap_or(usize::MAX);
            let end = want.min(block.len());
            let got = file.read_at(&mut block[..end], at)?;
            if got == 0 {
                break;
            }
            hash.update(&block[..got]);
            at += got as u64;
        }
        Ok(SegmentDigest { len_bytes: self.info.bytes, hash: hash.digest128() })
    }

    /// Earliest expiry of a message, as far as it is known; 0 for none.
    pub(crate) fn next_expiry(&self) -> i64 {
        self.next_expiry.load(Ordering::Relaxed)
    }

    /// Notes what a pass over the segment found to be the earliest expiry.
    pub(crate) fn set_next_expiry(&self, nanos: i64) {
        self.next_expiry.store(nanos, Ordering::Relaxed);
    }

    /// Lets go of open files; the next reader opens them again.
    pub(crate) fn close(&self) {
        let mut open = self.open.lock();
        open.file = None;
        open.index = None;
    }

    /// Bytes of memory that its index takes now.
    pub(crate) fn index_memory(&self) -> usize {
        let open = self.open.lock();
        let memory = open.memory.as_ref().map_or(0, |index| index.memory_bytes());
        memory + open.index.as_ref().map_or(0, |index| index.memory_bytes())
    }
}
