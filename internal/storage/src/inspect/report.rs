//! What a look at a data directory found.

use std::path::PathBuf;

use pubsub_types::ChannelName;
use serde::Serialize;

use crate::store::NodeInfo;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Something is not as it was written; no message is lost, and it mends itself or is ignored.
    Warning,
    /// Messages, or what is known about them, are lost or cannot be trusted.
    Damage,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Problem {
    /// Both copies of the directory's identity are damaged.
    NodeDamaged,
    /// The directory has no identity.
    NodeMissing,
    /// Written by a later version.
    Version,
    /// One of two copies of a small file is damaged; the other counts.
    CopyDamaged,
    /// One of two copies of a small file is gone; the other counts.
    CopyMissing,
    /// No copy of a manifest is whole.
    ManifestDamaged,
    /// A channel has no manifest.
    ManifestMissing,
    /// No copy of the record of deleted messages is whole.
    CheckpointDamaged,
    /// A segment is gone.
    SegmentMissing,
    /// A segment ends before its last record.
    SegmentShort,
    /// The header of a segment is damaged, or of another segment.
    HeaderDamaged,
    /// Bytes within a segment are no record.
    RecordDamaged,
    /// Batches do not follow each other.
    ChainBroken,
    /// Messages that were stored are in no file.
    SequencesMissing,
    /// Bytes at the end of the newest segment that a crash tore.
    TornTail,
    /// Bytes behind the end of a sealed segment.
    TrailingBytes,
    /// A segment that the manifest does not name.
    Unlisted,
    /// An index file is damaged.
    IndexDamaged,
    /// A sealed segment has no index file.
    IndexMissing,
    /// No copy of a subscriber's position is whole.
    PositionDamaged,
    /// A subscriber's position is beyond the end of its channel.
    PositionBeyond,
    /// Positions of a channel that does not exist.
    Orphaned,
    /// A file or directory that is not ours.
    Foreign,
    /// Bytes that were copied aside before a cut.
    Quarantined,
    /// A file cannot be read.
    Unreadable,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub problem: Problem,
    /// In which channel.
    pub channel: Option<ChannelName>,
    /// In which file, from the data directory.
    pub file: PathBuf,
    /// Where in the file, in bytes from its start.
    pub at: Option<u64>,
    /// How many bytes.
    pub bytes: Option<u64>,
    /// First and last sequence of the messages that are lost with it.
    pub seqs: Option<(u64, u64)>,
    /// What was found.
    pub text: String,
    /// What to do.
    pub advice: String,
}

/// How far a look is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of segments looked at.
    pub bytes: u64,
    /// Bytes of segments there are.
    pub bytes_total: u64,
}

/// What was looked at in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// Its name.
    pub channel: ChannelName,
    /// Segment files that were read.
    pub segments: u64,
    /// Records that prove themselves, of every kind.
    pub records: u64,
    /// Messages among them.
    pub messages: u64,
    /// Bytes of segments that were read.
    pub bytes: u64,
    /// First sequence found.
    pub first_seq: Option<u64>,
    /// Last sequence found.
    pub last_seq: Option<u64>,
    /// Subscribers that have a position.
    pub subscribers: u64,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Who the directory is.
    pub node: Option<NodeInfo>,
    /// What was looked at.
    pub channels: Vec<Inspected>,
    /// What was found, worst first.
    pub findings: Vec<Diagnosis>,
}

impl Inspection {
    /// The worst of the findings.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Whether nothing is worse than a note.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.worst().is_none_or(|worst| worst == Severity::Note)
    }
}

impl Diagnosis {
    pub(super) fn new(problem: Problem, channel: Option<&ChannelName>, file: PathBuf) -> Self {
        let (severity, text, advice) = problem.describe();
        Self {
            severity,
            problem,
            channel: channel.cloned(),
            file,
            at: None,
            bytes: None,
            seqs: None,
            text: text.to_owned(),
            advice: advice.to_owned(),
        }
    }

    pub(super) fn foreign(channel: Option<&ChannelName>, file: PathBuf) -> Self {
        Self::new(Problem::Foreign, channel, file)
    }

    pub(super) fn at(mut self, at: u64, bytes: u64) -> Self {
        self.at = Some(at);
        self.bytes = Some(bytes);
        self
    }

    pub(super) fn losing(mut self, seqs: Option<(u64, u64)>) -> Self {
        self.seqs = seqs;
        self
    }

    pub(super) fn noted(mut self, text: &str, advice: &str) -> Self {
        self.severity = Severity::Note;
        text.clone_into(&mut self.text);
        advice.clone_into(&mut self.advice);
        self
    }
}

const RESTORE: &str = "the messages named are gone unless a backup has them; all others are served. \
                       Keep a copy of the file, and look at the disk (smartctl, dmesg)";
const BY_ITSELF: &str = "nothing; the next write or start puts it right";

impl Problem {
    /// How bad it is, what it is, and what to do.
    fn describe(self) -> (Severity, &'static str, &'static str) {
        use Severity::{Damage, Note, Warning};
        match self {
            Self::NodeDamaged => (
                Damage,
                "both copies of the directory's identity are damaged",
                "move NODE.a and NODE.b away; the next start gives the directory a new identity",
            ),
            Self::NodeMissing => (
                Warning,
                "the directory has no identity",
                "if it is the right directory, make sure it holds nothing but channels/ and subscribers/; \
                 the next start gives it one",
            ),
            Self::Version => (
                Damage,
                "it was written by a later version",
                "use a program of that version or later",
            ),
            Self::CopyDamaged => {
                (Warning, "this copy is damaged; the other one is whole and counts", BY_ITSELF)
            }
            Self::CopyMissing => {
                (Warning, "this copy is missing; the other one is whole and counts", BY_ITSELF)
            }
            Self::ManifestDamaged => (
                Damage,
                "no copy of the manifest is whole",
                "the next start builds it again from the segments; what was trimmed may come back, and \
                 the channel's settings are those of the configuration",
            ),
            Self::ManifestMissing => (
                Damage,
                "the channel has no manifest",
                "the next start builds it again from the segments",
            ),
            Self::CheckpointDamaged => (
                Warning,
                "no copy of the record of deleted messages is whole",
                "the next start builds it again from the segments",
            ),
            Self::SegmentMissing => (Damage, "the segment file is missing", RESTORE),
            Self::SegmentShort => (Damage, "the segment file ends before its last record", RESTORE),
            Self::HeaderDamaged => (
                Damage,
                "the segment's header is damaged or of another segment",
                "its records are read with what the manifest says; keep a copy of the file",
            ),
            Self::RecordDamaged => (Damage, "bytes are no record", RESTORE),
            Self::ChainBroken => (
                Damage,
                "a batch does not follow the one before it",
                "a batch in between was lost or the file was put together from others; compare with a \
                 backup",
            ),
            Self::SequencesMissing => (Damage, "messages that were stored are in no file", RESTORE),
            Self::TornTail => (
                Warning,
                "the end of the newest segment is no record; a crash tore it, or something was appended",
                "the next start cuts it and keeps a copy in quarantine/; it was above everything known \
                 to be synced",
            ),
            Self::TrailingBytes => (
                Warning,
                "bytes follow the end of a sealed segment",
                "they are ignored; something else wrote to the file",
            ),
            Self::Unlisted => {
                (Warning, "the manifest does not name this segment", "the next start takes it in")
            }
            Self::IndexDamaged => (
                Warning,
                "the index file is damaged",
                "it is built again from its segment when it is needed; removing the file hurries that",
            ),
            Self::IndexMissing => {
                (Note, "the segment has no index file", "nothing; it is built when it is needed")
            }
            Self::PositionDamaged => (
                Damage,
                "no copy of the subscriber's position is whole; it would start over",
                "`pubsub subscriber seek` sets it",
            ),
            Self::PositionBeyond => (
                Warning,
                "the subscriber's position is beyond the end of the channel",
                "the next start of the subscriber moves it back to the end",
            ),
            Self::Orphaned => (
                Note,
                "positions of a channel that does not exist",
                "remove the directory if the channel is not to come back",
            ),
            Self::Foreign => (Note, "not a file of ours", "nothing; it is left alone"),
            Self::Quarantined => (
                Note,
                "bytes that were copied aside before a cut",
                "look at them if messages are missed; remove them when nobody does",
            ),
            Self::Unreadable => (
                Damage,
                "could not be read",
                "look at the permissions and the disk (smartctl, dmesg)",
            ),
        }
    }
}
