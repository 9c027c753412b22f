//! The channel log: segments, index, commit pipeline, recovery, compaction, offsets.

pub mod index;
