//! What a history is about: the configuration that its seed draws.

use std::time::Duration;

use pubsub_sim::{Directories, Rng};
use pubsub_storage::{ChannelConfig, Limits, StoreOptions};
use pubsub_types::{Format, SyncPolicy};

/// The configuration of a history.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) config: ChannelConfig,
    pub(crate) directories: Directories,
    /// Subjects besides the channel's own name.
    pub(crate) subjects: Vec<&'static str>,
    pub(crate) channels: usize,
    pub(crate) operations: u64,
    pub(crate) records_max: u64,
    pub(crate) payload_max: u64,
    pub(crate) flush: Duration,
    /// Whether operations fail without a crash.
    pub(crate) faults: bool,
    /// Whether machines and processes stop.
    pub(crate) crashes: bool,
    /// Whether an opening may be configured for the other format.
    pub(crate) switches: bool,
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let format = if rng.coin() { Format::Binary } else { Format::Jsonl };
        let sync = match rng.below(5) {
            0 | 1 => SyncPolicy::Always,
            2 | 3 => SyncPolicy::Periodic,
            _ => SyncPolicy::None,
        };
        let several = rng.coin();
        let config = ChannelConfig {
            format,
            sync,
            segment_bytes: 512 << rng.below(5),
            limits: draw_limits(rng, several),
            compaction_threshold_bytes: if rng.chance(1, 5) { 2048 } else { 0 },
            ..ChannelConfig::default()
        };
        Self {
            config,
            directories: if rng.coin() { Directories::Strict } else { Directories::Ext4Like },
            subjects: if several { vec!["a", "b.1", "b.2", "c.d.e"] } else { Vec::new() },
            channels: 1 + usize::from(rng.chance(1, 3)),
            operations: 20 + rng.below(90),
            records_max: 1 + rng.below(8),
            payload_max: 1 << (3 + rng.below(7)),
            flush: Duration::from_millis(rng.below(2) * 500),
            faults: rng.chance(1, 2),
            crashes: rng.chance(7, 8),
            switches: true,
        }
    }

    pub(crate) fn options(&self) -> StoreOptions {
        StoreOptions {
            defaults: self.config.clone(),
            offset_flush_interval: self.flush,
            compact_bytes_min: Some(0),
            ..StoreOptions::default()
        }
    }

    /// Whether an acknowledgement outlives a power cut by itself.
    pub(crate) fn always(&self) -> bool {
        self.config.sync == SyncPolicy::Always
    }
}

fn draw_limits(rng: &mut Rng, several: bool) -> Limits {
    let mut limits = Limits::default();
    match rng.below(10) {
        0 | 1 => limits.max_messages = 1 + rng.below(30),
        2 => limits.max_bytes = 1000 + rng.below(6000),
        3 | 4 if several => limits.max_messages_per_subject = 1 + rng.below(6),
        5 => limits.max_age = Duration::from_secs(10 + rng.below(60)),
        6 if several => {
            limits.max_messages = 10 + rng.below(30);
            limits.max_messages_per_subject = 1 + rng.below(10);
        }
        _ => (),
    }
    limits
}
