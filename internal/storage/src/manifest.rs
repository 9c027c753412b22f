//! What a channel is made of, as its manifest says: a convenience for opening fast, and the only home
//! of identity and configuration, which is why there are two copies.

use std::io;
use std::path::Path;

use pubsub_disk::Disk;
use pubsub_types::{ChannelName, Format, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::{ChannelConfig, Chosen};
use crate::epochs::Epochs;
use crate::recovery::Place;
use crate::scan::Encoding;
use crate::twin::{self, Loaded, Resting, Twin};
use pubsub_envelope::binary::{SEGMENT_HEADER_BYTES, Seed};

/// Version of the manifest and of all that it names.
pub(crate) const VERSION: u32 = 1;
/// File name, without `.a` and `.b`.
pub(crate) const NAME: &str = "MANIFEST";

/// A channel, as its manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) channel: ChannelName,
    pub(crate) log_id: Uuid,
    pub(crate) config: ChannelConfig,
    /// What was chosen when the channel was made.
    #[serde(default, skip_serializing_if = "Chosen::is_empty")]
    pub(crate) chosen: Chosen,
    /// Sealed segments, oldest first.
    pub(crate) sealed: Vec<SegmentInfo>,
    /// File of the active segment.
    pub(crate) active: Option<ActiveInfo>,
    /// Highest log index known to be synced.
    pub(crate) durable_index: u64,
    /// Last sequence when this was written: a channel never falls back behind it unnoticed.
    pub(crate) last_seq: u64,
    /// First sequence that was not trimmed.
    pub(crate) first_seq: u64,
    /// Each opening after an unclean end starts an epoch.
    #[serde(flatten)]
    pub(crate) epochs: Epochs,
    /// Whether the channel was closed in order.
    pub(crate) clean: bool,
}

/// How a segment's bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Written {
    Binary,
    Jsonl,
    /// By the predecessor: JSONL without sequences and checksums.
    Legacy,
}

impl Written {
    /// Bytes before the first record of a segment.
    pub(crate) const fn header_bytes(self) -> u64 {
        match self {
            Self::Binary => SEGMENT_HEADER_BYTES as u64,
            Self::Jsonl | Self::Legacy => 0,
        }
    }
}

impl From<Format> for Written {
    fn from(format: Format) -> Self {
        match format {
            Format::Binary => Self::Binary,
            Format::Jsonl => Self::Jsonl,
        }
    }
}

/// The active segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActiveInfo {
    pub(crate) file: String,
    pub(crate) written: Written,
    pub(crate) first_index: u64,
    pub(crate) first_seq: u64,
}

/// A sealed segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentInfo {
    pub(crate) file: String,
    pub(crate) written: Written,
    /// Log index of the first record.
    pub(crate) first_index: u64,
    /// Log index after the last record.
    pub(crate) next_index: u64,
    /// Sequence of the first message.
    pub(crate) first_seq: u64,
    /// Sequence after the last message; equal to `first_seq` when it holds none.
    pub(crate) next_seq: u64,
    /// Bytes that count. What follows them in the file does not.
    pub(crate) bytes: u64,
    /// Of those, bytes of messages: without headers, padding and what is not a message. 0 where an
    /// earlier version did not count.
    #[serde(default, skip_serializing_if = "none")]
    pub(crate) message_bytes: u64,
    /// Messages that it had when it was sealed.
    pub(crate) messages: u64,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
    /// A write or sync of it failed, or bytes of it are damaged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) suspect: bool,
    /// How many of `messages` a compaction left out, all of them deleted before.
    #[serde(default, skip_serializing_if = "none")]
    pub(crate) removed: u64,
    /// Records in it that change what is deleted, in it or in earlier ones.
    #[serde(default, skip_serializing_if = "none")]
    pub(crate) controls: u64,
    /// Earliest expiry of a message in it, or 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) next_expiry: i64,
}

fn none(value: &u64) -> bool {
    *value == 0
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl SegmentInfo {
    /// How to read it.
    pub(crate) fn encoding(&self, log_id: Uuid) -> Encoding {
        encoding(self.written, log_id, self.first_index, self.first_seq)
    }
}

/// How to read a segment.
pub(crate) fn encoding(
    written: Written,
    log_id: Uuid,
    first_index: u64,
    first_seq: u64,
) -> Encoding {
    match written {
        Written::Binary => Encoding::Binary(Seed::new(log_id.as_u128(), first_index)),
        Written::Jsonl => Encoding::Jsonl,
        Written::Legacy => Encoding::Legacy { first_seq },
    }
}

/// File name of a segment.
pub(crate) fn segment_file(format: Format, first_index: u64) -> String {
    format!("{first_index:020}.{}", format.extension())
}

/// The number in a segment's file name, and the format of its extension.
pub(crate) fn parse_segment_file(name: &str) -> Option<(u64, Format)> {
    let (stem, extension) = name.split_once('.')?;
    let format = [Format::Jsonl, Format::Binary]
        .into_iter()
        .find(|format| format.extension() == extension)?;
    (stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| stem.parse().ok().map(|first| (first, format)))?
}

impl Manifest {
    /// The manifest of a channel that has nothing yet.
    pub(crate) fn new(channel: ChannelName, log_id: Uuid, config: ChannelConfig) -> Self {
        Self {
            version: VERSION,
            channel,
            log_id,
            config,
            chosen: Chosen::default(),
            sealed: Vec::new(),
            active: None,
            durable_index: 0,
            last_seq: 0,
            first_seq: 1,
            epochs: Epochs::default(),
            clean: false,
        }
    }

    /// Starts an epoch whose first message will be `first_seq`, with a number of `number` or more.
    pub(crate) fn begin_epoch(&mut self, number: u64, first_seq: u64) {
        self.epochs.begin(number, first_seq, self.first_seq);
    }

    fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is always JSON")
    }
}

/// A manifest's files, closed between writes: a channel at rest has one file open, its newest segment.
#[derive(Debug)]
pub(crate) struct ManifestFile(Resting);

/// What was found in a manifest's files.
#[derive(Debug)]
pub(crate) enum Read {
    /// No copy exists, or only empty ones.
    Absent,
    /// Copies exist, and none is whole.
    Damaged,
    /// Of a later version.
    Version(u32),
    /// The newest whole copy.
    Whole(Box<Manifest>),
}

fn interpret(loaded: &Loaded) -> Read {
    #[derive(Deserialize)]
    struct OnlyVersion {
        version: u32,
    }
    let Some(content) = &loaded.content else {
        return if loaded.damaged == 0 { Read::Absent } else { Read::Damaged };
    };
    match serde_json::from_slice::<OnlyVersion>(content) {
        Ok(OnlyVersion { version }) if version > VERSION => return Read::Version(version),
        _ => (),
    }
    Manifest::decode(content).map_or(Read::Damaged, |manifest| Read::Whole(Box::new(manifest)))
}

impl ManifestFile {
    /// Opens the copies, making them when they do not exist.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<(Self, Read)> {
        let (twin, loaded) = Twin::open(disk, dir, NAME)?;
        let read = interpret(&loaded);
        Ok((Self(twin.rest()), read))
    }

    /// Writes and syncs.
    pub(crate) fn store(&mut self, place: Place<'_>, manifest: &Manifest) -> io::Result<()> {
        self.0.store(place.disk, place.dir, NAME, &manifest.encode())
    }
}

/// Reads the copies without touching them.
pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> io::Result<Read> {
    twin::load(disk, dir, NAME).map(|loaded| interpret(&loaded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_twenty_digits_name_a_segment() {
        assert_eq!(parse_segment_file("00000000000000000017.log"), Some((17, Format::Binary)));
        assert_eq!(parse_segment_file("00000000000000000017.jsonl"), Some((17, Format::Jsonl)));
        for other in
            ["17.log", "00000000000000000017.idx", "0000000000000000001x.log", "MANIFEST.a"]
        {
            assert_eq!(parse_segment_file(other), None);
        }
    }
}
