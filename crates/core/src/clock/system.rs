//! The system's clock with its timer thread.

use std::sync::Arc;
use std::task::Waker;

use super::wheel::WheelClock;
use super::{Clock, Instant, TimerKey};

/// Monotonic system time with a timer wheel and a timer thread, which ends with the clock. A program needs one.
pub struct SystemClock(Arc<WheelClock>);

impl SystemClock {
    /// Creates a clock whose origin is now, and starts its thread, which sleeps while no timer is set.
    ///
    /// # Panics
    /// If the operating system refuses to start a thread: without it no timer would fire.
    #[allow(clippy::new_without_default, reason = "it starts a thread")]
    #[allow(clippy::disallowed_methods, reason = "the core has no runtime to start it")]
    pub fn new() -> Self {
        let clock = Arc::new(WheelClock::new());
        let turned = Arc::clone(&clock);
        let started = std::thread::Builder::new().name("clock".into()).spawn(move || turned.turn());
        started.expect("the system can start one thread");
        Self(clock)
    }

    /// Converts a monotonic system time to this clock; times before its origin are the origin.
    pub fn instant_of(&self, time: std::time::Instant) -> Instant {
        self.0.instant_of(time)
    }

    /// Wakes what is due from a task of the executor; never completes. While no task runs this, the timer thread
    /// wakes what is due itself.
    pub async fn run_wake_task(&self) {
        self.0.wake_task.run().await
    }

    /// Returns the number of timers that are set.
    pub fn sleepers(&self) -> usize {
        self.0.sleepers()
    }
}

impl Drop for SystemClock {
    /// Ends the thread. No sleep is left: each holds an `Arc` of its clock.
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn calendar(&self) -> std::time::SystemTime {
        self.0.calendar()
    }

    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey {
        self.0.wake_at(deadline, waker)
    }

    fn cancel(&self, key: TimerKey) {
        self.0.cancel(key);
    }

    fn may_have_fired(&self, deadline: Instant) -> bool {
        self.0.may_have_fired(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::wake_count::WakeCount;
    use std::time::Duration;

    // Real time: the thread that turns the wheel is what is tested. No upper bound on lateness is
    // asserted, only that it fires and is never early.
    #[test]
    fn a_clock_wakes_sleepers_by_itself_never_early_and_its_thread_ends_with_it() {
        let clock = Arc::new(SystemClock::new());
        let count = Arc::new(WakeCount::default());
        for millis in [35u64, 15, 25] {
            let deadline = clock.now() + Duration::from_millis(millis);
            let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
            futures_lite::future::block_on(super::super::Sleep::until(shared, deadline));
            assert!(clock.now() >= deadline);
        }
        clock.wake_at(Instant::ZERO, Arc::clone(&count).into());
        while count.get() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(clock.sleepers(), 0);
        let turned = Arc::downgrade(&clock.0);
        drop(clock);
        while turned.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
