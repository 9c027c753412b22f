//! What a process uses, as `/proc` tells it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What a process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Memory it has in RAM now, in bytes (`VmRSS`).
    pub memory_bytes: u64,
    /// The most memory it ever had in RAM, in bytes (`VmHWM`).
    pub memory_peak_bytes: u64,
    /// Processor time spent in it and in the kernel for it, in steps of a clock tick (10 ms).
    pub cpu: Duration,
    /// Open file descriptors.
    pub open_files: usize,
    /// Threads.
    pub threads: u64,
}

/// What process `pid` uses now.
///
/// # Errors
/// `NotFound` when there is no such process, `InvalidData` when it has ended but is not reaped.
pub(crate) fn of(pid: u32) -> io::Result<Usage> {
    let proc = Path::new("/proc").join(pid.to_string());
    let status = fs::read_to_string(proc.join("status"))?;
    let stat = fs::read_to_string(proc.join("stat"))?;
    Ok(Usage {
        memory_bytes: status_field(&status, "VmRSS")? * 1024,
        memory_peak_bytes: status_field(&status, "VmHWM")? * 1024,
        cpu: cpu(&stat, rustix::param::clock_ticks_per_second())?,
        open_files: fs::read_dir(proc.join("fd"))?.count(),
        threads: status_field(&status, "Threads")?,
    })
}

/// The number in a line like `VmRSS:     1234 kB`.
fn status_field(status: &str, name: &str) -> io::Result<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| invalid(&format!("no {name} in the status of the process")))
}

/// User and system time: fields 14 and 15 of `stat`, counted from 1.
fn cpu(stat: &str, ticks_per_second: u64) -> io::Result<Duration> {
    let ticks = |nth| fields(stat).nth(nth).and_then(|field| field.parse::<u64>().ok());
    let (Some(user), Some(system)) = (ticks(14 - 3), ticks(15 - 3)) else {
        return Err(invalid("no processor times in the stat of the process"));
    };
    Ok(Duration::from_nanos((user + system) * (1_000_000_000 / ticks_per_second)))
}

/// The fields of `stat` from the third on. The second is the program's name in parentheses, which
/// may hold anything, so the last parenthesis is what ends it.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_name_with_spaces_and_parentheses_does_not_shift_the_numbers() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 1 2 3 4 250 50 9 9 20 0 1 0 5 6 7";
        assert_eq!(cpu(stat, 100).unwrap(), Duration::from_secs(3));
    }

    #[test]
    fn memory_is_told_in_the_units_of_the_kernel() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n";
        assert_eq!(status_field(status, "VmRSS").unwrap(), 1024);
        assert_eq!(status_field(status, "VmHWM").unwrap(), 2048);
        assert_eq!(status_field(status, "Threads").unwrap(), 3);
    }

    #[test]
    fn missing_number_is_named() {
        let error = status_field("State:\tZ (zombie)\n", "VmRSS").unwrap_err();
        assert_eq!(error.to_string(), "no VmRSS in the status of the process");
    }
}
