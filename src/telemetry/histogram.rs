//! A histogram of durations that many threads add to without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds; a last bucket takes longer durations.
///
/// From a small file over loopback to a paced download of an hour. Paced responses are long, so there are more bounds
/// above a second than elsewhere.
const BOUNDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

/// Bounds for short delays, in seconds: from an event's publication to its subscriber.
const FINE: [f64; BOUNDS.len()] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];

/// Durations, counted by size and summed.
///
/// The sum is in whole microseconds: ten thousand responses that never end fill it in 58 years.
#[derive(Debug)]
pub struct Durations {
    bounds: &'static [f64; BOUNDS.len()],
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
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
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
            let bound = self.bounds.get(at).copied().unwrap_or(f64::INFINITY);
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
