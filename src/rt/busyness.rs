//! How much of its time a thread works.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Instant;

/// Time over which work is measured: some ticks of the timer wheel.
pub(super) const WINDOW: Duration = Duration::from_millis(50);

/// How busy a thread is, for other threads.
#[derive(Debug, Default)]
pub(super) struct Busyness {
    /// Thousandths of the last window.
    share: AtomicU32,
    /// When that window ended, in nanoseconds.
    measured: AtomicU64,
    /// Since when the thread has not slept, in nanoseconds; 0 while it sleeps.
    awake: AtomicU64,
    /// When another thread last said that it gives work to this one, in nanoseconds.
    given: AtomicU64,
}

impl Busyness {
    /// Returns the share of its time, in thousandths, that the thread has worked lately.
    pub(super) fn at(&self, now: Instant) -> u32 {
        let since = |nanos: &AtomicU64| now.nanos_since(Instant::from_nanos(nanos.load(Relaxed)));
        let window = WINDOW.as_nanos() as u64;
        if self.awake.load(Relaxed) > 0 && since(&self.awake) >= window {
            // In one long task, or waiting for a disk.
            return 1000;
        }
        // A thread that sleeps does not measure.
        if since(&self.measured) >= 4 * window { 0 } else { self.share.load(Relaxed) }
    }

    /// Returns whether the thread takes work from the one that asks: from one in two windows, so that it shows in the next
    /// measurement what it was given.
    pub(super) fn takes_at(&self, now: Instant) -> bool {
        let given = self.given.load(Relaxed);
        let pause = 2 * WINDOW.as_nanos() as u64;
        (given == 0 || now.nanos_since(Instant::from_nanos(given)) >= pause)
            && self.given.compare_exchange(given, now.as_nanos().max(1), Relaxed, Relaxed).is_ok()
    }
}

/// Measures a thread, which has it.
pub(super) struct Meter {
    /// When the window began.
    began: Instant,
    /// Nanoseconds worked since, before the thread last woke.
    worked: u64,
    woke: Instant,
}

impl Meter {
    /// The thread begins to work at `now`.
    pub(super) fn since(now: Instant) -> Self {
        Self { began: now, worked: 0, woke: now }
    }

    /// The thread is about to sleep.
    pub(super) fn falls_asleep(&mut self, now: Instant, busyness: &Busyness) {
        self.worked += now.nanos_since(self.woke);
        self.woke = now;
        busyness.awake.store(0, Relaxed);
    }

    /// The thread has slept until `now`.
    pub(super) fn wakes(&mut self, now: Instant, busyness: &Busyness) {
        self.woke = now;
        busyness.awake.store(now.as_nanos().max(1), Relaxed);
    }

    /// Publishes the share of a window that has ended. Returns whether one has.
    pub(super) fn note(&mut self, now: Instant, busyness: &Busyness) -> bool {
        let lasted = now.nanos_since(self.began);
        if lasted < WINDOW.as_nanos() as u64 {
            return false;
        }
        let worked = self.worked + now.nanos_since(self.woke);
        // At most 1000.
        busyness.share.store((u128::from(worked) * 1000 / u128::from(lasted)) as u32, Relaxed);
        busyness.measured.store(now.as_nanos(), Relaxed);
        *self = Self::since(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Instant = Instant::from_millis;

    #[test]
    fn the_share_of_a_window_is_what_was_not_slept() {
        let busyness = Busyness::default();
        let mut meter = Meter::since(MS(1_000));
        meter.wakes(MS(1_000), &busyness);
        for tick in 0..5 {
            let at = 1_000 + tick * 10;
            assert!(!meter.note(MS(at + 2), &busyness));
            meter.falls_asleep(MS(at + 2), &busyness);
            meter.wakes(MS(at + 10), &busyness);
        }
        assert_eq!(busyness.at(MS(1_050)), 0, "nothing was measured");
        assert!(meter.note(MS(1_050), &busyness));
        assert_eq!(busyness.at(MS(1_050)), 200);
        meter.falls_asleep(MS(1_050), &busyness);
        assert_eq!((busyness.at(MS(1_249)), busyness.at(MS(1_250))), (200, 0), "it sleeps on");
    }

    #[test]
    fn of_threads_that_would_give_at_a_time_one_does() {
        let busyness = Busyness::default();
        let takes = [1_000, 1_000, 1_099, 1_100, 1_199, 1_201].map(|at| busyness.takes_at(MS(at)));
        assert_eq!(takes, [true, false, false, true, false, true]);
    }

    #[test]
    fn a_thread_that_does_not_come_back_is_busy() {
        let busyness = Busyness::default();
        let mut meter = Meter::since(MS(1_000));
        meter.wakes(MS(1_000), &busyness);
        assert_eq!((busyness.at(MS(1_049)), busyness.at(MS(1_050))), (0, 1000));
        assert!(meter.note(MS(1_060), &busyness));
        assert_eq!(busyness.at(MS(1_060)), 1000);
        meter.falls_asleep(MS(1_060), &busyness);
        meter.wakes(MS(1_110), &busyness);
        assert!(meter.note(MS(1_110), &busyness));
        assert_eq!(busyness.at(MS(1_110)), 0);
    }
}
