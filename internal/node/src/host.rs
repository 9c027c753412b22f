//! The machine that the node runs on, and the directory that it keeps.

use std::io;
use std::path::Path;

/// The host's name, as the system knows it; empty when it has none.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Makes a data directory and the directories in it that every node has. What is there stays.
///
/// [`crate::Node::start`] does this too; this is for those who want it done before, by somebody who
/// may.
///
/// # Errors
/// One could not be made.
pub fn ensure_directories(data_dir: &Path) -> io::Result<()> {
    for dir in ["", "channels", "subscribers", "trash"] {
        std::fs::create_dir_all(data_dir.join(dir))?;
    }
    Ok(())
}
