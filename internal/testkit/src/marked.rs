//! Finding and ending what a process started, also when the process itself is gone.
//!
//! Parents are no guide: a child whose parent died belongs to `init`. What is inherited without fail
//! is the environment, so each [`crate::Process`] has a mark in its own.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Kills every process with `mark` (`NAME=value`) in its environment, and says how many there were.
pub(crate) fn kill(mark: &str) -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).filter(|pid| kill_if_marked(*pid, mark)).count()
}

fn kill_if_marked(pid: Pid, mark: &str) -> bool {
    // The handle comes first: should the process end and its id go to another, the signal reaches
    // nobody.
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    // Unreadable is somebody else's; empty has ended, or is of the kernel.
    let environ = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    let is_marked = environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes());
    is_marked && pidfd_send_signal(handle, Signal::KILL).is_ok()
}
