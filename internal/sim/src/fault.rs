//! What can be made to go wrong, and how a test recognises that it did.

use std::error::Error;
use std::io;
use std::ops::Range;

use pubsub_disk::Operation;

/// Kinds of operations, for faults and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// Opening an existing file.
    Open,
    /// Making a file.
    Create,
    /// Listing a directory.
    List,
    /// Making a directory.
    CreateDir,
    /// Making names durable.
    SyncDir,
    /// Giving another name.
    Rename,
    /// Taking a file's name away.
    RemoveFile,
    /// Removing a directory.
    RemoveDir,
    /// Asking how much room there is.
    Space,
    /// Taking a lock.
    Lock,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Making content durable.
    Sync,
    /// Cutting or extending.
    SetLen,
    /// Asking for a length.
    Len,
}

impl Op {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 15] = [
        Self::Open,
        Self::Create,
        Self::List,
        Self::CreateDir,
        Self::SyncDir,
        Self::Rename,
        Self::RemoveFile,
        Self::RemoveDir,
        Self::Space,
        Self::Lock,
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::SetLen,
        Self::Len,
    ];

    /// Whether it only looks.
    #[must_use]
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Open | Self::List | Self::Space | Self::Read | Self::Len)
    }

    pub(crate) fn of(operation: &Operation) -> Self {
        match operation {
            Operation::OpenRoot | Operation::Open => Self::Open,
            Operation::Create => Self::Create,
            Operation::List => Self::List,
            Operation::CreateRoot | Operation::CreateDir => Self::CreateDir,
            Operation::SyncDir => Self::SyncDir,
            Operation::Rename { .. } => Self::Rename,
            Operation::RemoveFile => Self::RemoveFile,
            Operation::RemoveDir => Self::RemoveDir,
            Operation::Space => Self::Space,
            Operation::Lock => Self::Lock,
            Operation::Read { .. } => Self::Read,
            Operation::Write { .. } => Self::Write,
            Operation::Sync => Self::Sync,
            Operation::SetLen { .. } => Self::SetLen,
            Operation::Len => Self::Len,
        }
    }
}

/// An operation that will fail: by itself the next of its kind, once, with `EIO`, having done nothing.
///
/// ```
/// use pubsub_sim::{Fault, Op, SimDisk};
///
/// let disk = SimDisk::new(1);
/// disk.inject(Fault::on(Op::Sync));
/// disk.inject(Fault::on(Op::Write).at("orders").nth(3).times(2).full().half_way());
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    op: Op,
    path: Option<String>,
    /// How many more of its kind pass before it strikes.
    passing: u64,
    /// How many more it strikes.
    left: u64,
    errno: i32,
    half_way: bool,
    loss: Loss,
}

impl Fault {
    /// The next operation of this kind fails.
    #[must_use]
    pub const fn on(op: Op) -> Self {
        Self {
            op,
            path: None,
            passing: 0,
            left: 1,
            errno: EIO,
            half_way: false,
            loss: Loss::Chance,
        }
    }

    /// Only on paths that contain this text. A rename is known by its old path.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// The `nth` from now on fails, where 1 is the next; 0 is the next, too.
    #[must_use]
    pub const fn nth(mut self, nth: u64) -> Self {
        self.passing = nth.saturating_sub(1);
        self
    }

    /// This many fail, one after the other.
    #[must_use]
    pub const fn times(mut self, times: u64) -> Self {
        self.left = times;
        self
    }

    /// All fail, until [`SimDisk::heal`](crate::SimDisk::heal).
    #[must_use]
    pub const fn for_ever(self) -> Self {
        self.times(u64::MAX)
    }

    /// With `ENOSPC` in place of `EIO`.
    #[must_use]
    pub const fn full(self) -> Self {
        self.with_errno(ENOSPC)
    }

    /// With this error number of the operating system in place of `EIO`.
    #[must_use]
    pub const fn with_errno(mut self, errno: i32) -> Self {
        self.errno = errno;
        self
    }

    /// A write has written some of its first bytes (or all, or none) when it fails, and any other
    /// operation may have happened all the same.
    #[must_use]
    pub const fn half_way(mut self) -> Self {
        self.half_way = true;
        self
    }

    /// What a failing [`Op::Sync`] does with the writes it was for. Unsaid, it is [`Loss::Chance`].
    #[must_use]
    pub const fn losing(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// Whether it is about this operation, and its time has come.
    pub(crate) fn comes_up(&mut self, op: Op, path: &str) -> bool {
        if self.op != op || self.path.as_ref().is_some_and(|part| !path.contains(part.as_str())) {
            return false;
        }
        let due = self.passing == 0;
        self.passing = self.passing.saturating_sub(1);
        due
    }

    /// Strikes once.
    pub(crate) const fn strike(&mut self) {
        if self.left != u64::MAX {
            self.left = self.left.saturating_sub(1);
        }
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.left == 0
    }

    pub(crate) fn error(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }

    pub(crate) const fn is_half_way(&self) -> bool {
        self.half_way
    }

    pub(crate) const fn loss(&self) -> Loss {
        self.loss
    }
}

/// What a sync that fails does with what was written since the last success. Reads return all of it
/// until the next power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is lost, and nothing made durable: a later sync that succeeds does that.
    Nothing,
    /// All of it is lost, and a later sync that succeeds makes no difference.
    Everything,
    /// Mostly each write is either durable or lost as the disk's seed decides, and nothing is left
    /// for a later sync; one time in four, nothing is lost.
    Chance,
}

/// Damage to a file that is at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// One bit turns.
    FlipBit {
        /// Which byte.
        at: u64,
        /// Which of its bits, 0 to 7, the lowest first.
        bit: u8,
    },
    /// A part reads as zeros.
    Zero {
        /// Byte positions; what is beyond the end of the file is ignored.
        range: Range<u64>,
    },
    /// The end is missing.
    Truncate {
        /// The length that is left, in bytes.
        len: u64,
    },
    /// There is something behind the end.
    Append {
        /// What.
        bytes: Vec<u8>,
    },
    /// A part cannot be read: `EIO`, until it is written again.
    Unreadable {
        /// Byte positions.
        range: Range<u64>,
    },
    /// The file is gone.
    Delete,
}

/// What happened to the operation during which the machine or the process stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// Nothing.
    Nothing,
    /// Some of it: the first bytes of a write, some of the writes a sync was for. What cannot be
    /// done in part happened or did not.
    Part,
    /// All of it; only the answer was lost.
    Whole,
}

/// What every operation says after a crash, until the disk is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the simulated machine has stopped")]
pub struct Crashed;

impl From<Crashed> for io::Error {
    fn from(crashed: Crashed) -> Self {
        Self::other(crashed)
    }
}

/// Whether a [`Crashed`] is at the bottom of this error, however deep: an [`io::Error`], or any error
/// that has one among its sources.
#[must_use]
pub fn is_crash(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // The source of an `io::Error` is what is below the error inside of it, not that error.
        let inside = error.downcast_ref().and_then(io::Error::get_ref);
        if error.is::<Crashed>() || inside.is_some_and(|inside| inside.is::<Crashed>()) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Numbers that are the same on every Unix.
pub(crate) const ENOENT: i32 = 2;
pub(crate) const EIO: i32 = 5;
pub(crate) const EBADF: i32 = 9;
pub(crate) const EEXIST: i32 = 17;
pub(crate) const ENOTDIR: i32 = 20;
pub(crate) const EISDIR: i32 = 21;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const EFBIG: i32 = 27;
pub(crate) const ENOSPC: i32 = 28;
