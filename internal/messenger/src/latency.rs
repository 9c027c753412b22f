//! How long things took: a histogram of all time, and of the last minute.
//!
//! ```text
//!   slots of 10 s   │ 0–10 │ 10–20 │ 20–30 │ 30–40 │ 40–50 │ 50–60 │   the seventh replaces the first
//!   each a count per bucket: ≤ 10 µs, ≤ 25 µs, … ≤ 25 s, beyond
//! ```
//!
//! Percentiles are of the last minute and interpolate inside their bucket. Readings of several
//! histograms are merged before percentiles are taken, since percentiles themselves do not add up.

use std::time::Duration;

/// Upper ends of the buckets, inclusive, in nanoseconds; the last bucket, beyond them, has none.
const BOUNDS_NANOS: [u64; 20] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    25_000_000_000,
];
const BUCKETS: usize = BOUNDS_NANOS.len() + 1;
const SLOTS: usize = 6;
const SLOT_SECS: u64 = 10;

/// How long things took: totals of all time, buckets of the last minute.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    count: u64,
    sum_nanos: u64,
    slots: [Slot; SLOTS],
}

/// What happened in one stretch of 10 s.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which stretch, counted from the start of the clock.
    stretch: u64,
    buckets: [u64; BUCKETS],
}

impl Histogram {
    /// Takes in that something took `latency` and ended at `since_start` on the monotonic clock.
    pub fn observe(&mut self, latency: Duration, since_start: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.count += 1;
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
        let stretch = since_start.as_secs() / SLOT_SECS;
        let slot = &mut self.slots[ring_index(stretch)];
        if slot.stretch != stretch {
            *slot = Slot { stretch, ..Slot::default() };
        }
        slot.buckets[BOUNDS_NANOS.partition_point(|bound| *bound < nanos)] += 1;
    }

    /// What the histogram shows at `since_start`.
    #[must_use]
    pub fn read(&self, since_start: Duration) -> Reading {
        let stretch = since_start.as_secs() / SLOT_SECS;
        let mut reading =
            Reading { count: self.count, sum_nanos: self.sum_nanos, buckets: [0; BUCKETS] };
        for slot in &self.slots {
            if slot.stretch <= stretch && stretch - slot.stretch < SLOTS as u64 {
                add(&mut reading.buckets, &slot.buckets);
            }
        }
        reading
    }
}

/// What histograms show at one instant; may be merged with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Number of observations, of all time.
    pub count: u64,
    /// Their sum in nanoseconds, of all time; stays at `u64::MAX` once there.
    pub sum_nanos: u64,
    buckets: [u64; BUCKETS],
}

impl Reading {
    /// Adds what another histogram showed.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
        add(&mut self.buckets, &other.buckets);
    }

    /// The figures of this reading.
    #[must_use]
    pub fn stats(&self) -> LatencyStats {
        LatencyStats {
            count: self.count,
            sum_nanos: self.sum_nanos,
            window_count: self.window_count(),
            p50_nanos: self.percentile_nanos(50),
            p90_nanos: self.percentile_nanos(90),
            p99_nanos: self.percentile_nanos(99),
        }
    }

    /// Number of observations of the last minute.
    #[must_use]
    pub fn window_count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The latency that `percent` of the last minute's observations did not exceed, in nanoseconds.
    ///
    /// Interpolated inside its bucket. Beyond the last bound it stays at 25 s; 0 without
    /// observations.
    #[must_use]
    pub fn percentile_nanos(&self, percent: u8) -> u64 {
        let observations = self.window_count();
        if observations == 0 {
            return 0;
        }
        // In hundredths of an observation, so that nothing is rounded on the way.
        let rank = u128::from(observations) * u128::from(percent.min(100));
        let mut below = 0_u128;
        let mut lower = 0;
        for (bound, count) in BOUNDS_NANOS.iter().zip(self.buckets) {
            let hundredths = u128::from(count) * 100;
            if hundredths > 0 && rank <= below + hundredths {
                let part = u128::from(bound - lower) * (rank - below) / hundredths;
                return lower + u64::try_from(part).unwrap_or(bound - lower);
            }
            below += hundredths;
            lower = *bound;
        }
        lower
    }
}

/// The figures of one latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LatencyStats {
    /// Observations of all time.
    pub count: u64,
    /// Their sum in nanoseconds.
    pub sum_nanos: u64,
    /// Observations of the last minute.
    pub window_count: u64,
    /// Half of the last minute's took no longer, in nanoseconds.
    pub p50_nanos: u64,
    /// Nine in ten of the last minute's took no longer, in nanoseconds.
    pub p90_nanos: u64,
    /// 99 in 100 of the last minute's took no longer, in nanoseconds.
    pub p99_nanos: u64,
}

fn ring_index(stretch: u64) -> usize {
    usize::try_from(stretch % SLOTS as u64).expect("less than the number of slots")
}

fn add(sum: &mut [u64; BUCKETS], more: &[u64; BUCKETS]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS_NANOS, Histogram, Reading};
    use std::time::Duration;

    const fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn observed(latencies_nanos: impl IntoIterator<Item = u64>) -> Reading {
        let mut histogram = Histogram::default();
        for nanos in latencies_nanos {
            histogram.observe(Duration::from_nanos(nanos), at(0));
        }
        histogram.read(at(0))
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_that_it_ends() {
        for (index, bound) in BOUNDS_NANOS.into_iter().enumerate() {
            assert_eq!(observed([bound]).buckets[index], 1, "{bound}");
            assert_eq!(observed([bound + 1]).buckets[index + 1], 1, "{bound}");
        }
        assert_eq!(observed([0]).buckets[0], 1);
    }

    #[test]
    fn percentiles_interpolate_inside_their_bucket() {
        // Ten in (100 µs, 250 µs]: the fifth is half way through it.
        assert_eq!(observed([200_000; 10]).percentile_nanos(50), 175_000);
        // Half below 10 µs, half in (10 µs, 25 µs]: the 75th in hundred is half way through those.
        let two = observed([5_000, 5_000, 20_000, 20_000]);
        assert_eq!(two.percentile_nanos(50), 10_000);
        assert_eq!(two.percentile_nanos(75), 17_500);
        assert_eq!(two.percentile_nanos(100), 25_000);
    }

    #[test]
    fn nothing_observed_reads_as_zeroes() {
        assert_eq!(Histogram::default().read(at(99)).stats(), super::LatencyStats::default());
    }

    #[test]
    fn latencies_beyond_the_last_bound_read_as_the_last_bound() {
        let reading = observed([26_000_000_000, 90_000_000_000]);
        assert_eq!(reading.percentile_nanos(50), 25_000_000_000);
        assert_eq!(reading.stats().p99_nanos, 25_000_000_000);
        assert_eq!(reading.sum_nanos, 116_000_000_000);
    }

    #[test]
    fn observations_leave_the_window_after_a_minute_slot_by_slot_and_stay_in_the_totals() {
        let mut histogram = Histogram::default();
        histogram.observe(Duration::from_micros(1), at(5));
        histogram.observe(Duration::from_micros(1), at(15));
        assert_eq!(histogram.read(at(59)).window_count(), 2);
        assert_eq!(histogram.read(at(60)).window_count(), 1);
        assert_eq!(histogram.read(at(70)).window_count(), 0);
        // The slot of the first ten seconds is used again for the seventh.
        histogram.observe(Duration::from_micros(1), at(60));
        assert_eq!(histogram.read(at(60)).window_count(), 2);
        let stats = histogram.read(at(1_000)).stats();
        assert_eq!((stats.count, stats.sum_nanos, stats.window_count), (3, 3_000, 0));
    }

    #[test]
    fn readings_are_merged_before_percentiles_are_taken() {
        let mut merged = observed([5_000; 9]);
        merged.merge(&observed([2_000_000_000]));
        assert_eq!((merged.count, merged.window_count()), (10, 10));
        assert_eq!(merged.percentile_nanos(90), 10_000);
        assert!(merged.percentile_nanos(99) > 1_000_000_000);
    }
}
