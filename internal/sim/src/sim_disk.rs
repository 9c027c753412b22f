//! The handle of a simulated disk: what a test does to it, and what it can see of it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use pubsub_disk::plain;

use crate::fault::{EINVAL, ENOENT};
use crate::tree::errno;
use crate::world::{CrashPlan, World};
use crate::{Corruption, Fault, InFlight, Op, Survival};

/// A disk in memory that keeps only what it was made to promise.
///
/// It is a cheap handle: a clone is the same disk. One seed and one order of calls give the same
/// answers, the same losses and the same [trace](Self::trace).
///
/// ```
/// use std::io::IoSlice;
/// use std::path::Path;
///
/// use pubsub_disk::{Disk, File, Open};
/// use pubsub_sim::{SimDisk, Survival};
///
/// let disk = SimDisk::new(7);
/// let file = disk.open(Path::new("log"), Open::Create)?;
/// disk.sync_dir(Path::new(""))?;
/// file.write_at(&[IoSlice::new(b"synced")], 0)?;
/// file.sync()?;
/// file.write_at(&[IoSlice::new(b", not synced")], 6)?;
///
/// disk.crash();
/// assert!(pubsub_sim::is_crash(&file.len().unwrap_err()));
/// disk.reboot_as(Survival::Nothing);
/// assert_eq!(disk.bytes("log").unwrap(), b"synced");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

/// How directories keep their promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directories {
    /// As POSIX lets them: each name that was not synced is kept or lost by itself, and a file whose
    /// name was never synced is gone, however well its content was synced. Only changes to one and
    /// the same name keep their order, and a rename happens as a whole.
    Strict,
    /// As ext4 and other journals do: changes of names survive in the order they were made, up to
    /// some point. Syncing a file makes its own name durable too, and all changes before.
    Ext4Like,
}

/// A disk at one moment, from which any number of disks can go on.
#[derive(Clone, Debug)]
pub struct Snapshot(Box<World>);

impl SimDisk {
    /// An empty disk without limits, with [`Directories::Strict`] and without garbage.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_world(World::new(seed))
    }

    /// A disk that goes on from a snapshot, for a process of its own: nothing is open or locked, and
    /// steps, counts, faults, planned crash and trace begin anew. Quota, directories, garbage and clock
    /// are as they were. When the snapshot's machine had stopped, so has this one, and wants a
    /// [`reboot`](Self::reboot) or [`restart`](Self::restart).
    #[must_use]
    pub fn from_snapshot(snapshot: &Snapshot, seed: u64) -> Self {
        Self::with_world(snapshot.0.branch(seed))
    }

    /// The disk as it is, with everything that is not durable yet. Cheap: contents are shared until
    /// one side writes.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(Box::new(self.world().branch(0)))
    }

    // The laws it obeys.

    /// How directories keep their promises.
    pub fn set_directories(&self, directories: Directories) {
        self.world().directories = directories;
    }

    /// Whether, after a power cut, the part of a file that a lost write was to extend can hold any
    /// bytes: random ones, or those of another file at the same place. Otherwise they are zeros.
    pub fn set_garbage(&self, garbage: bool) {
        self.world().garbage = garbage;
    }

    /// How many bytes of content fit; `None` is without limit. What has a name or is open takes room;
    /// holes do not. It can be set below what is taken.
    pub fn set_quota(&self, bytes: Option<u64>) {
        self.world().quota = bytes;
    }

    /// The time that written files get, in nanoseconds since the epoch; 0 is unknown.
    pub fn set_now(&self, nanos: i64) {
        self.world().now_nanos = nanos;
    }

    /// Whether operations that only look are steps, too, at which the machine can stop.
    pub fn set_reads_are_steps(&self, are_steps: bool) {
        self.world().reads_are_steps = are_steps;
    }

    // Stopping and starting.

    /// How many steps were taken: operations that change something, syncs and locks, whether or not they
    /// succeeded.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.world().steps
    }

    /// Stops the machine at this step, counted as [`steps`](Self::steps) counts, the first being 1.
    /// The disk's seed decides what becomes of that operation.
    pub fn crash_at(&self, step: u64) {
        self.world().crash_plan = Some(CrashPlan { step, in_flight: None });
    }

    /// Stops the machine at this step, and says what becomes of it.
    pub fn crash_at_with(&self, step: u64, in_flight: InFlight) {
        self.world().crash_plan = Some(CrashPlan { step, in_flight: Some(in_flight) });
    }

    /// Stops the machine. Every operation fails from now on ([`is_crash`](crate::is_crash)) until
    /// [`reboot`](Self::reboot) says that it was the power, or [`restart`](Self::restart) that it was
    /// only the process.
    pub fn crash(&self) {
        self.world().stopped = true;
    }

    /// Whether the machine has stopped.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        self.world().stopped
    }

    /// The power went and is back. What was synced is there; this seed decides about all the rest, and
    /// about everything that is left to chance from now on. What was open is dead, locks are released.
    /// Faults stay: [`heal`](Self::heal) them.
    pub fn reboot(&self, seed: u64) {
        self.reboot_as(Survival::Chance(seed));
    }

    /// The power went and is back, and it is said what survived.
    pub fn reboot_as(&self, survival: Survival) {
        self.world().reboot(survival);
    }

    /// The process was killed, and another begins: the kernel kept everything as it was written, and
    /// none of it is any more durable than it was. What was open is dead, locks are released.
    pub fn restart(&self) {
        self.world().restart();
    }

    /// Kills the process and begins another: [`crash`](Self::crash) and [`restart`](Self::restart).
    pub fn kill(&self) {
        let mut world = self.world();
        world.stopped = true;
        world.restart();
    }

    // Making it fail.

    /// Makes an operation fail. Any number can be planned.
    pub fn inject(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    /// Forgets all planned faults. What failed syncs have lost stays lost.
    pub fn heal(&self) {
        self.world().faults.clear();
    }

    /// Damages a file at rest, in what is durable and in what reads return.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`, and `InvalidInput` when the file has no such part.
    pub fn corrupt(&self, path: &str, corruption: &Corruption) -> io::Result<()> {
        plain(Path::new(path))?;
        let tree = &mut self.world().tree;
        if *corruption == Corruption::Delete {
            return tree.delete(path);
        }
        let ino = tree.find_file(path)?;
        let file = tree.file_mut(ino).ok_or_else(|| errno(ENOENT))?;
        if file.content.corrupt(corruption) { Ok(()) } else { Err(errno(EINVAL)) }
    }

    /// Puts a file there, with the directories above it, durably, as if it had always been.
    ///
    /// # Errors
    /// `AlreadyExists`, and `NotADirectory` when there is a file on the way.
    pub fn plant(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        plain(Path::new(path))?;
        self.world().tree.plant(path, bytes)
    }

    // Looking at it.

    /// Paths of all files that a process sees, in order.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        self.world().tree.walk(false).into_iter().map(|(path, _)| path).collect()
    }

    /// Paths of all files that would be there if all that was not synced were lost, in order.
    #[must_use]
    pub fn durable_files(&self) -> Vec<String> {
        self.world().tree.walk(true).into_iter().map(|(path, _)| path).collect()
    }

    /// What reads of a file return.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let world = self.world();
        let ino = world.tree.find_file(path).ok()?;
        world.tree.file(ino).map(|file| file.content.cache().to_vec())
    }

    /// What a file would hold if all that was not synced were lost; `None` when it would not be there.
    #[must_use]
    pub fn durable_bytes(&self, path: &str) -> Option<Vec<u8>> {
        let world = self.world();
        world.tree.find_durable_file(path).map(|file| file.content.durable().to_vec())
    }

    /// How many operations of a kind were asked for, failed ones included, since the disk was made or
    /// [`reset_counts`](Self::reset_counts).
    #[must_use]
    pub fn count(&self, op: Op) -> u64 {
        self.world().count(op)
    }

    /// How many bytes were written since then.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.world().bytes_written
    }

    /// Counts from zero again. [`steps`](Self::steps) goes on.
    pub fn reset_counts(&self) {
        let mut world = self.world();
        world.counts = Default::default();
        world.bytes_written = 0;
    }

    /// What happened, one line for each operation, and what each reboot left. The last 65,536 lines.
    #[must_use]
    pub fn trace(&self) -> String {
        self.world().trace.text()
    }

    fn with_world(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)) }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new(0)
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never waits: whoever prints a disk may be in the middle of something.
        match self.world.try_lock() {
            Some(world) => f
                .debug_struct("SimDisk")
                .field("steps", &world.steps)
                .field("stopped", &world.stopped)
                .finish_non_exhaustive(),
            None => f.debug_struct("SimDisk").finish_non_exhaustive(),
        }
    }
}
