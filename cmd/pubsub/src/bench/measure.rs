//! One measurement: how much was done, in how long, for how much of the processor.

use std::time::Duration;

use pubsub_node::clock;
use rustix::time::{ClockId, clock_gettime};

/// What was measured once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    /// Things done a second.
    pub(super) per_second: f64,
    /// Microseconds of processor time for each, of all threads of this process.
    pub(super) cpu_micros: f64,
    /// `fdatasync` calls for each.
    pub(super) syncs: f64,
    /// Payload bytes a second.
    pub(super) bytes_per_second: f64,
}

/// A running measurement.
#[derive(Debug)]
pub(super) struct Stopwatch {
    started: Duration,
    cpu: Duration,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { started: clock::since_start(), cpu: cpu() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        clock::since_start().saturating_sub(self.started)
    }

    /// Ends it: `done` things of `bytes` bytes each, and so many syncs.
    pub(super) fn finish(self, done: u64, bytes: u64, syncs: u64) -> Measured {
        let (seconds, cpu) = (self.elapsed().as_secs_f64(), cpu().saturating_sub(self.cpu));
        let done = float(done.max(1));
        Measured {
            per_second: done / seconds,
            cpu_micros: cpu.as_secs_f64() * 1e6 / done,
            syncs: float(syncs) / done,
            bytes_per_second: done * float(bytes) / seconds,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

/// The middle of `values`, by `key`; the lower one of two. Zero for none.
pub(super) fn median(values: &[Measured], key: impl Fn(&Measured) -> f64) -> f64 {
    let mut keys: Vec<f64> = values.iter().map(key).collect();
    keys.sort_by(f64::total_cmp);
    keys.get(keys.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// Processor time of all threads of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_round_of_three_does_not_count() {
        let rate = |per_second| Measured { per_second, ..Measured::default() };
        let rates = [rate(900.0), rate(1.0), rate(1000.0)];
        assert!((median(&rates, |it| it.per_second) - 900.0).abs() < 1e-9);
        assert!(median(&[], |it| it.per_second).abs() < 1e-9);
    }
}
