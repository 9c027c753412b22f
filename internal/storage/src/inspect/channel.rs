//! One channel: its manifest, what it names, and what else is there.

use std::io;
use std::path::{Path, PathBuf};

use pubsub_disk::{Disk, Entry, EntryKind, Open};
use pubsub_types::{ChannelName, LogIndex};

use super::segment::{Given, SegmentSeen};
use super::{Diagnosis, Inspected, Inspector, Problem};
use crate::contents::seq;
use crate::deletes;
use crate::index::{IndexError, SealedIndex, SegmentId};
use crate::manifest::{self, Manifest, Read, SegmentInfo, parse_segment_file};
use crate::store::channel_dir;
use crate::twin::path_of;

/// Bytes of the segment files in `dir`.
pub(super) fn size(disk: &dyn Disk, dir: &Path) -> io::Result<u64> {
    let segments = |entry: &Entry| parse_segment_file(&entry.name).is_some();
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        other => Ok(other?.iter().filter(|entry| segments(entry)).map(|entry| entry.len).sum()),
    }
}

impl Inspector<'_> {
    /// Looks at a channel.
    pub(super) fn channel(&mut self, name: &ChannelName) -> io::Result<Inspected> {
        let dir = channel_dir(name);
        let mut inspected = Inspected {
            channel: name.clone(),
            segments: 0,
            records: 0,
            messages: 0,
            bytes: 0,
            first_seq: None,
            last_seq: None,
            subscribers: 0,
        };
        self.twin(Some(name), &dir, manifest::NAME, Problem::ManifestDamaged)?;
        self.twin(Some(name), &dir, "checkpoint", Problem::CheckpointDamaged)?;
        let manifest = match manifest::load(self.disk, &dir)? {
            Read::Whole(manifest) => Some(*manifest),
            Read::Version(version) => {
                let mut diagnosis = Diagnosis::new(
                    Problem::Version,
                    Some(name),
                    path_of(&dir, manifest::NAME, "a"),
                );
                diagnosis.text = format!("the channel has format version {version}");
                self.find(diagnosis);
                return Ok(inspected);
            }
            Read::Damaged => None,
            Read::Absent => {
                if size(self.disk, &dir)? > 0 {
                    let file = path_of(&dir, manifest::NAME, "a");
                    self.find(Diagnosis::new(Problem::ManifestMissing, Some(name), file));
                }
                None
            }
        };
        let entries = self.disk.list(&dir)?;
        self.others(name, &dir, &entries)?;
        let given = self.given(name, &dir, manifest.as_ref(), &entries)?;
        let deleted = deletes::recorded(self.disk, &dir)?;
        let mut expected = manifest.as_ref().map(|manifest| manifest.first_seq);
        let newest = given.len().saturating_sub(1);
        for (nth, segment) in given.into_iter().enumerate() {
            let first = segment.first_seq();
            if let (Some(expected), Some(first)) = (expected, first)
                && first > expected
            {
                self.gap(name, &dir.join(segment.file()), expected, first - 1);
            }
            let is_newest = nth == newest;
            let deleted = first.and_then(|first| deleted.get(&first));
            let seen = self.segment(name, &dir, &segment, manifest.as_ref(), is_newest, deleted)?;
            inspected.add(&seen);
            if let Some(info) = segment.sealed() {
                self.index(name, &dir, manifest.as_ref(), info);
            }
            expected = seen.next_seq.or(expected);
        }
        inspected.subscribers = self.subscribers(name, expected.map_or(0, |next| next - 1))?;
        Ok(inspected)
    }

    fn gap(&mut self, name: &ChannelName, file: &Path, first: u64, last: u64) {
        let diagnosis = Diagnosis::new(Problem::SequencesMissing, Some(name), file.to_owned());
        self.find(diagnosis.losing(Some((first, last))));
    }

    /// The segments, oldest first: those that the manifest names and those that are there.
    fn given(
        &mut self,
        name: &ChannelName,
        dir: &Path,
        manifest: Option<&Manifest>,
        entries: &[Entry],
    ) -> io::Result<Vec<Given>> {
        let mut given = Vec::new();
        if let Some(manifest) = manifest {
            given.extend(manifest.sealed.iter().cloned().map(Given::Sealed));
            given.extend(manifest.active.clone().map(Given::Active));
        }
        let oldest = given.iter().map(Given::number).min();
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
            let Some((number, format)) = parse_segment_file(&entry.name) else { continue };
            if given.iter().any(|known| known.file() == entry.name) {
                continue;
            }
            let file = dir.join(&entry.name);
            if oldest.is_some_and(|oldest| number < oldest) {
                let note = Diagnosis::new(Problem::Unlisted, Some(name), file);
                self.find(
                    note.noted("left over from a trim", "nothing; the next start removes it"),
                );
                continue;
            }
            if manifest.is_some() && !self.live {
                self.find(Diagnosis::new(Problem::Unlisted, Some(name), file));
            }
            given.push(Given::Unlisted { file: entry.name.clone(), number, format });
        }
        given.sort_by_key(Given::number);
        Ok(given)
    }

    /// What is in the directory besides segments.
    fn others(&mut self, name: &ChannelName, dir: &Path, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            let stem = entry.name.split('.').next().unwrap_or_default();
            let known = parse_segment_file(&entry.name).is_some()
                || [manifest::NAME, "checkpoint", "trash"].contains(&stem)
                || entry.name.ends_with(".idx")
                || entry.name.ends_with(".partial")
                || entry.name.ends_with(".compact");
            if entry.name == "quarantine" {
                for copy in self.disk.list(&dir.join("quarantine"))? {
                    let file = dir.join("quarantine").join(&copy.name);
                    let note = Diagnosis::new(Problem::Quarantined, Some(name), file);
                    self.find(note.at(0, copy.len));
                }
            } else if !known {
                self.find(Diagnosis::foreign(Some(name), dir.join(&entry.name)));
            }
        }
        Ok(())
    }

    /// Looks at the index of a sealed segment.
    fn index(
        &mut self,
        name: &ChannelName,
        dir: &Path,
        manifest: Option<&Manifest>,
        info: &SegmentInfo,
    ) {
        let Some(manifest) = manifest else { return };
        let path = dir.join(format!("{:020}.idx", info.first_index));
        let id = SegmentId {
            log_id: manifest.log_id.as_u128(),
            first_index: LogIndex(info.first_index),
            first_seq: seq(info.first_seq),
        };
        let file = match self.disk.open(&path, Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.find(Diagnosis::new(Problem::IndexMissing, Some(name), path));
            }
            Err(error) => return self.unreadable(Some(name), path, &error),
            Ok(file) => file,
        };
        match SealedIndex::open(file, id).and_then(|index| index.verify().map(|()| index)) {
            Ok(index) if index.digest().len_bytes == info.bytes => (),
            Ok(_) if info.removed > 0 => {
                let note = Diagnosis::new(Problem::IndexDamaged, Some(name), path);
                self.find(note.noted(
                    "the index is from before a compaction of its segment",
                    "nothing; it is built when it is needed",
                ));
            }
            Ok(index) => {
                let (of, bytes) = (index.digest().len_bytes, info.bytes);
                let text = format!("the index is of {of} bytes of its segment, which has {bytes}");
                self.bad_index(name, path, &text, None);
            }
            Err(IndexError::Io { source, .. }) => self.unreadable(Some(name), path, &source),
            Err(error) => {
                let at = match &error {
                    IndexError::Damaged { at, .. } => Some(*at),
                    _ => None,
                };
                self.bad_index(name, path, &error.to_string(), at);
            }
        }
    }

    fn bad_index(&mut self, name: &ChannelName, path: PathBuf, text: &str, at: Option<u64>) {
        let mut diagnosis = Diagnosis::new(Problem::IndexDamaged, Some(name), path);
        text.clone_into(&mut diagnosis.text);
        diagnosis.at = at;
        self.find(diagnosis);
    }
}

impl Inspected {
    fn add(&mut self, seen: &SegmentSeen) {
        self.segments += u64::from(seen.there);
        self.records += seen.records;
        self.messages += seen.messages;
        self.bytes += seen.bytes;
        self.first_seq = self.first_seq.or(seen.first_seq);
        self.last_seq = seen.last_seq.or(self.last_seq);
    }
}
