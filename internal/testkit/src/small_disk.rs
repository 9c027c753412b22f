//! A real file system of a few bytes, to be filled up.
//!
//! ```text
//!   this test ──▶ /proc/<keeper>/root/<dir> ──╮
//!   keeper     (holds the mount namespace) ───┼──▶ tmpfs of N bytes
//!   command()  (enters the namespace)  ───────╯
//! ```
//!
//! It is mounted in a mount namespace of its own: nobody else sees it, and it is gone with the last
//! process in it, however the test ends. It outlives the processes under test, so that they can be
//! killed and started again on the same files.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::output::Source;
use crate::process::{Process, ProcessError};
use crate::require::skipped;
use crate::workdir::{Workdir, isolate};

/// The name by which `PUBSUB_REQUIRE` knows it.
const NAME: &str = "small-disk";

/// Ample for one mount.
const MOUNT_WITHIN: Duration = Duration::from_secs(30);

/// The file that takes up the room.
const BALLAST: &str = "ballast";

/// Ways into a mount namespace: how to make one, and how to enter it. The second needs no privileges
/// where the system lets users make namespaces.
const WAYS: [(&[&str], &[&str]); 2] = [
    (&["--mount"], &["--mount"]),
    (&["--user", "--map-root-user", "--mount"], &["--user", "--preserve-credentials", "--mount"]),
];

/// Mounts, tells so, and keeps the namespace until its input ends.
const KEEPER: &str =
    r#"mount -t tmpfs -o "size=$2,mode=0755" tmpfs "$1" && echo mounted && exec cat"#;

/// Why there is no small disk.
#[derive(Debug, thiserror::Error)]
pub enum SmallDiskError {
    /// This machine does not let us mount.
    #[error("mounting is not permitted here: {why}")]
    NotPermitted {
        /// What the system said to each way that was tried.
        why: String,
    },
    /// No directory could be made to mount it at.
    #[error("make the directory to mount at")]
    Workdir(#[from] io::Error),
}

/// A file system of its own, in memory.
#[derive(Debug)]
pub struct SmallDisk {
    // Before `at`: the mount goes before the directory it hides.
    keeper: Process,
    enter: &'static [&'static str],
    at: Workdir,
}

impl SmallDisk {
    /// Mounts an empty file system of `bytes`, rounded up to whole pages.
    ///
    /// # Errors
    /// [`SmallDiskError::NotPermitted`] where namespaces or mounts are forbidden, or the tools
    /// (`unshare`, `nsenter`, `mount`) are missing.
    pub fn mount(bytes: u64) -> Result<Self, SmallDiskError> {
        let at = Workdir::new()?;
        let mut refusals = Vec::new();
        for (make, enter) in WAYS {
            match keeper(&at, make, bytes) {
                Ok(keeper) => return Ok(Self { keeper, enter, at }),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(SmallDiskError::NotPermitted { why: refusals.join("; ") })
    }

    /// Mounts one, or says that the test is skipped.
    ///
    /// # Panics
    /// When it cannot be mounted and `PUBSUB_REQUIRE` insists on `small-disk`.
    #[must_use]
    pub fn mount_or_skip(bytes: u64) -> Option<Self> {
        Self::mount(bytes).map_err(|error| skipped(NAME, &error.to_string())).ok()
    }

    /// Its root, as the processes started by [`Self::command`] see it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.at.path()
    }

    /// Its root, as this test sees it.
    #[must_use]
    pub fn path_from_here(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        // Joining an absolute path would replace the root instead of going on from it.
        root.join(self.path().strip_prefix("/").unwrap_or_else(|_| self.path()))
    }

    /// A command that will run with the root of the small disk as its current and home directory.
    /// The process started is the program itself, so signals and numbers are the program's.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.keeper.id()))
            .args(self.enter)
            .args(["--", "sh", "-c", r#"cd "$1" && shift && exec "$@""#, "sh"])
            .arg(self.path())
            .arg(program);
        isolate(&mut command, self.path());
        command
    }

    /// Takes up all the room that is left, and says how many bytes that was.
    ///
    /// # Errors
    /// Whatever the file system says, but for being full.
    pub fn fill(&self) -> io::Result<u64> {
        let path = self.path_from_here().join(BALLAST);
        let mut ballast = OpenOptions::new().append(true).create(true).open(path)?;
        let mut taken = 0;
        loop {
            match ballast.write(&[0; 4096]) {
                Ok(written) => taken += written as u64,
                Err(full) if full.kind() == io::ErrorKind::StorageFull => return Ok(taken),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives back what [`Self::fill`] took.
    ///
    /// # Errors
    /// `NotFound` when nothing was taken.
    pub fn make_room(&self) -> io::Result<()> {
        fs::remove_file(self.path_from_here().join(BALLAST))
    }
}

/// Starts the process that mounts the file system and holds the namespace.
fn keeper(at: &Workdir, make: &[&str], bytes: u64) -> Result<Process, String> {
    let mut command = Command::new("unshare");
    command.args(make).args(["--propagation", "private", "--", "sh", "-c", KEEPER, "sh"]);
    command.arg(at.path()).arg(bytes.to_string());
    let refusal = |error: ProcessError| match error {
        ProcessError::Ended { output, .. } => output.stderr.join(", "),
        ProcessError::Spawn { source, .. } => format!("unshare: {source}"),
        error @ (ProcessError::TimedOut { .. } | ProcessError::Io { .. }) => error.to_string(),
    };
    let mut keeper = Process::spawn(&mut command).map_err(refusal)?;
    keeper.wait_for_line(Source::Stdout, "mounted", MOUNT_WITHIN).map_err(refusal)?;
    Ok(keeper)
}
