//! What a channel's configuration may choose between.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// When a channel's writes reach stable storage, and so what an acknowledgement means.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SyncPolicy {
    /// Acknowledged after `write`; the operating system syncs when it likes.
    ///
    /// Survives the process, not the machine.
    None,
    /// Acknowledged after `write`, synced in the background every interval.
    ///
    /// Survives the process; a power cut costs at most one interval. The default of messenger
    /// channels, as the predecessor documents it.
    #[default]
    #[serde(alias = "interval")]
    Periodic,
    /// Acknowledged after `fdatasync`. Survives the power cut. The default of streams.
    Always,
}

impl SyncPolicy {
    /// The name used in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Periodic => "periodic",
            Self::Always => "always",
        }
    }
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for SyncPolicy {
    type Err = UnknownSyncPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "periodic" | "interval" => Ok(Self::Periodic),
            "always" => Ok(Self::Always),
            _ => Err(UnknownSyncPolicy(text.into())),
        }
    }
}

/// The text is not a sync policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown sync policy {0:?}; use none, periodic or always")]
pub struct UnknownSyncPolicy(pub Box<str>);

/// How a channel's records are written.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object per line, for `grep` and `tail -f`. The default of messenger channels.
    #[default]
    Jsonl,
    /// Framed and checksummed binary batches, for speed.
    Binary,
}

impl Format {
    /// The name used in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Binary => "binary",
        }
    }

    /// The extension of a segment file in this format, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Binary => "log",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "jsonl" => Ok(Self::Jsonl),
            "binary" => Ok(Self::Binary),
            _ => Err(UnknownFormat(text.into())),
        }
    }
}

/// The text is not a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}; use jsonl or binary")]
pub struct UnknownFormat(pub Box<str>);
