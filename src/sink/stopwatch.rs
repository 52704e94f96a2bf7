//! Measures waits, also while they last.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Instant;

/// Measures one wait at a time. One task starts and stops it; others may read it.
#[derive(Debug)]
pub(super) struct Stopwatch {
    /// Start of the wait or of its last lap, in nanoseconds; `STOPPED` without a wait.
    since: AtomicU64,
}

/// Not an instant of any clock: 584 years after its origin.
const STOPPED: u64 = u64::MAX;

impl Default for Stopwatch {
    fn default() -> Self {
        Self { since: AtomicU64::new(STOPPED) }
    }
}

impl Stopwatch {
    /// Starts or continues a wait. Returns the time since its start or its last lap.
    pub(super) fn lap(&self, now: Instant) -> Duration {
        elapsed(self.since.swap(now.as_nanos(), Ordering::Relaxed), now)
    }

    /// Ends the wait. Returns the time since its start or its last lap.
    pub(super) fn stop(&self, now: Instant) -> Duration {
        elapsed(self.since.swap(STOPPED, Ordering::Relaxed), now)
    }

    /// Whether a wait is going on.
    pub(super) fn is_running(&self) -> bool {
        self.since.load(Ordering::Relaxed) != STOPPED
    }

    /// The time since its start or its last lap.
    pub(super) fn lasting(&self, now: Instant) -> Duration {
        elapsed(self.since.load(Ordering::Relaxed), now)
    }
}

fn elapsed(since: u64, now: Instant) -> Duration {
    if since == STOPPED { Duration::ZERO } else { now - Instant::from_nanos(since) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nanosecond_of_a_wait_is_reported_once() {
        let (at, for_) = (Instant::from_nanos, Duration::from_nanos);
        let watch = Stopwatch::default();
        assert_eq!((watch.stop(at(5)), watch.lasting(at(6)), watch.is_running()), (for_(0), for_(0), false));
        assert_eq!(
            (watch.lap(at(0)), watch.lap(at(10)), watch.lasting(at(14))),
            (for_(0), for_(10), for_(4))
        );
        assert_eq!((watch.lap(at(15)), watch.lasting(at(15))), (for_(5), for_(0)));
        assert_eq!((watch.stop(at(22)), watch.lasting(at(30))), (for_(7), for_(0)));
        assert_eq!((watch.lap(at(40)), watch.stop(at(39))), (for_(0), for_(0)), "a clock that steps back");
    }
}
