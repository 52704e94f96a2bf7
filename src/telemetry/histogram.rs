//! A histogram of durations that many threads add to without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds; a last bucket takes longer durations.
///
/// From a small file over loopback to a paced download of an hour. Paced responses are long, so there are more bounds
/// above a second than elsewhere.
const BOUNDS: [u64; 16] = [
    5_000,
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
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
];

/// Bounds for short delays, in microseconds: from an event's publication to its subscriber.
const FINE: [u64; BOUNDS.len()] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
];

/// Durations, counted by size and summed.
///
/// The sum is in whole microseconds: ten thousand responses that never end fill it in 58 years.
#[derive(Debug)]
pub struct Durations {
    bounds: &'static [u64; BOUNDS.len()],
    /// One for each bound, and one for what is above the last.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Default for Durations {
    /// Resolves 5 ms to an hour.
    fn default() -> Self {
        Self { bounds: &BOUNDS, buckets: Default::default(), micros: AtomicU64::new(0) }
    }
}

impl Durations {
    /// Resolves 0.1 ms to five minutes.
    pub(crate) fn fine() -> Self {
        Self { bounds: &FINE, ..Self::default() }
    }

    pub(crate) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    /// Each bucket's inclusive upper bound in seconds, and the number of durations in it and in no bucket before. The
    /// last bound is infinite.
    pub fn buckets(&self) -> [(f64, u64); BOUNDS.len() + 1] {
        std::array::from_fn(|at| {
            let bound = self.bounds.get(at).map_or(f64::INFINITY, |micros| *micros as f64 / 1e6);
            (bound, self.buckets[at].load(Ordering::Relaxed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_at_a_bound_is_below_it_and_a_microsecond_more_is_above() {
        for (micros, bound) in [
            (0, 0.005),
            (5_000, 0.005),
            (5_001, 0.01),
            (1_000_000, 1.0),
            (1_000_001, 2.5),
            (3_600_000_000, 3600.0),
            (3_600_000_001, f64::INFINITY),
        ] {
            let durations = Durations::default();
            durations.observe(Duration::from_micros(micros));
            let hit: Vec<_> = durations.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
            assert_eq!(hit, [(bound, 1)], "{micros}");
            assert_eq!(durations.sum(), Duration::from_micros(micros));
        }
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b) && FINE.is_sorted_by(|a, b| a < b));
    }
}
