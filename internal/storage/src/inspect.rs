//! Looks at a data directory without owning or changing it.

use pubsub_disk::Disk;
use pubsub_types::ChannelName;

use crate::config::ChannelConfig;
use crate::manifest::{self, Read};
use crate::store::channel_dir;

/// What `channel` was configured to do when it was last opened, as its manifest says; `None` when it
/// has none that can be read.
#[must_use]
pub fn recorded_config(disk: &dyn Disk, channel: &ChannelName) -> Option<ChannelConfig> {
    match manifest::load(disk, &channel_dir(channel)) {
        Ok(Read::Whole(manifest)) => Some(manifest.config),
        Ok(Read::Absent | Read::Damaged | Read::Version(_)) | Err(_) => None,
    }
}
