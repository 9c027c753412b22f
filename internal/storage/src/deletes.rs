//! What was deleted, written down at each checkpoint, so that opening a channel reads it from one
//! small file instead of from every segment.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use pubsub_disk::Disk;
use serde::{Deserialize, Serialize};

use crate::compact;
use crate::contents::Contents;
use crate::index::SlotSet;
use crate::recovery::Place;
use crate::report::Finding;
use crate::sealed::Sealed;
use crate::twin::{self, Twin};
use crate::walk::{From, walk};

/// File name, without `.a` and `.b`.
const NAME: &str = "checkpoint";

#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    /// Every record up to this log index is counted in.
    index: u64,
    /// First sequence that was not trimmed.
    first_seq: u64,
    deleted: Vec<DeletedIn>,
}

/// What is deleted in one segment.
#[derive(Debug, Serialize, Deserialize)]
struct DeletedIn {
    /// First sequence of the segment.
    first_seq: u64,
    /// The set, encoded.
    slots: String,
}

/// Writes down what is deleted in the sealed segments. Nothing is written when there is nothing to
/// say and never was.
pub(crate) fn store(disk: &dyn Disk, dir: &Path, contents: &Contents) -> io::Result<()> {
    let exists = twin::load(disk, dir, NAME)?.content.is_some();
    if contents.deleted.is_empty() && !exists {
        return Ok(());
    }
    let encode = |sealed: &Arc<Sealed>| {
        let info = &sealed.info;
        let set =
            contents.deleted.get(&info.first_seq).filter(|_| info.next_seq > info.first_seq)?;
        let slots = BASE64.encode(&set.encode());
        Some(DeletedIn { first_seq: info.first_seq, slots })
    };
    let checkpoint = Checkpoint {
        index: contents.active.info.first_index - 1,
        first_seq: contents.first_seq,
        deleted: contents.sealed.iter().filter_map(encode).collect(),
    };
    let bytes = serde_json::to_vec(&checkpoint).map_err(io::Error::other)?;
    Twin::open(disk, dir, NAME)?.0.store(&bytes)
}

/// What was written down.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checkpointed {
    /// Every record up to this log index is counted in.
    pub(crate) index: u64,
    /// First sequence that was not trimmed. It may be newer than the index, so it is to be applied
    /// after all that follows the index.
    pub(crate) first_seq: u64,
}

/// Reads what was written down into `contents`.
///
/// What happened between then and the active segment is read from the sealed segments; all of it,
/// when what was written down is damaged.
pub(crate) fn load(
    place: Place<'_>,
    contents: &mut Contents,
    findings: &mut Vec<Finding>,
) -> io::Result<Checkpointed> {
    let loaded = twin::load(place.disk, place.dir, NAME)?;
    let mut known = Checkpointed::default();
    let mut sets = BTreeMap::new();
    match loaded.content.as_deref().map(decode) {
        Some(Some((checkpoint, deleted))) => {
            known = Checkpointed { index: checkpoint.index, first_seq: checkpoint.first_seq };
            sets.extend(deleted);
        }
        Some(None) => findings.push(Finding::DeletesRebuilt),
        None if loaded.damaged > 0 => findings.push(Finding::DeletesRebuilt),
        None => (),
    }
    add_holes(place, contents, &mut sets, findings)?;
    for (first, set) in sets {
        contents.install_deleted(first, set);
    }
    replay_sealed(place, contents, known.index)?;
    Ok(known)
}

/// What was written down as deleted, by first sequence of the segment; nothing when it is damaged.
pub(crate) fn recorded(disk: &dyn Disk, dir: &Path) -> io::Result<BTreeMap<u64, SlotSet>> {
    let loaded = twin::load(disk, dir, NAME)?;
    let known = loaded.content.as_deref().and_then(decode);
    Ok(known.map(|(_, sets)| sets.into_iter().collect()).unwrap_or_default())
}

fn decode(bytes: &[u8]) -> Option<(Checkpoint, Vec<(u64, SlotSet)>)> {
    let checkpoint: Checkpoint = serde_json::from_slice(bytes).ok()?;
    let set = |deleted: &DeletedIn| {
        let bytes = BASE64.decode(deleted.slots.as_bytes()).ok()?;
        Some((deleted.first_seq, SlotSet::decode(&bytes).ok()?))
    };
    let sets = checkpoint.deleted.iter().map(set).collect::<Option<Vec<_>>>()?;
    Some((checkpoint, sets))
}

/// Works out what compactions left out, where `sets` do not know it: what was written down may be
/// damaged, or the older of two because the newer is.
fn add_holes(
    place: Place<'_>,
    contents: &Contents,
    sets: &mut BTreeMap<u64, SlotSet>,
    findings: &mut Vec<Finding>,
) -> io::Result<()> {
    for sealed in contents.sealed.iter().filter(|sealed| sealed.info.removed > 0) {
        let info = &sealed.info;
        if sets.get(&info.first_seq).is_some_and(|set| set.count() >= info.removed) {
            continue;
        }
        let (index, damage) = match sealed.walk(place, contents.log_id) {
            Ok(index) => index,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        sealed.close();
        findings.extend(damage);
        let set = sets.entry(info.first_seq).or_default();
        for slots in compact::holes(&index, info.first_seq, info.next_seq).ranges() {
            set.insert_range(slots);
        }
    }
    Ok(())
}

/// Applies what sealed segments say happened after `index`.
fn replay_sealed(place: Place<'_>, contents: &mut Contents, index: u64) -> io::Result<()> {
    let behind: Vec<_> = contents
        .sealed
        .iter()
        .filter(|sealed| sealed.info.controls > 0 && sealed.info.next_index > index + 1)
        .cloned()
        .collect();
    for sealed in behind {
        let info = &sealed.info;
        let file = match sealed.file(place) {
            Ok(file) => file,
            // Already reported as missing; what it said is gone with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let encoding = info.encoding(contents.log_id);
        let from = From {
            at: info.written.header_bytes(),
            first_index: info.first_index,
            first_seq: info.first_seq,
        };
        let walked = walk(&file, encoding, from, info.bytes)?;
        sealed.close();
        for (at, control) in walked.controls {
            if at > index {
                contents.apply_control(&control);
            }
        }
    }
    Ok(())
}

/// Takes a file away that a recorded command deleted: out of sight first, then gone.
pub(crate) fn discard(disk: &dyn Disk, dir: &Path, file: &str) -> io::Result<()> {
    let trash = dir.join("trash");
    match disk.create_dir(&trash) {
        Ok(()) => disk.sync_dir(dir)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
        Err(error) => return Err(error),
    }
    let aside = trash.join(file);
    match disk.rename(&dir.join(file), &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            disk.sync_dir(dir)?;
            disk.sync_dir(&trash)?;
            disk.remove_file(&aside)
        }
    }
}
