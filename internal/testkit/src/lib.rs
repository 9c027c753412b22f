//! Real processes for the black-box tests: started, watched, killed, measured, and never left over.
//!
//! ```text
//!   Workdir ──spawn──▶ Process ──▶ wait_for_line  wait_for_exit     wakes when something happens
//!                         │   ╰──▶ kill  terminate  pause  resume
//!                         │   ╰──▶ usage                            memory, CPU, open files
//!                         ╰─ drop: it and all it started have ended, also when the test panicked
//! ```
//!
//! [`certs`] makes the certificates that some of them need.
//!
//! The rule that makes it work: nobody sleeps. Threads block on the pipes and on the process, and
//! whoever waits is woken by the first line, end of file or exit, or by its deadline.

mod binary;
pub mod certs;
mod eventually;
mod golden;
mod marked;
mod output;
mod process;
mod require;
mod small_disk;
mod usage;
mod workdir;

pub use binary::{BinaryError, binary};
pub use eventually::{TimedOut, eventually};
pub use golden::{GOLDEN_VARIABLE, GoldenError, golden};
pub use output::{Output, Source};
pub use process::{Process, ProcessError};
pub use require::{REQUIRE_VARIABLE, Require, SKIPS_VARIABLE, skipped};
pub use small_disk::{SmallDisk, SmallDiskError};
pub use usage::Usage;
pub use workdir::Workdir;
