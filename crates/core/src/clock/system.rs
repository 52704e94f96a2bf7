//! The system's clock: monotonic time, and a thread that turns a timer wheel.
//!
//! The only file that reads the operating system's clock. One timer of the reactor for each sleep of each stream would cost
//! more than all of HTTP; here thousands of streams share slots of 10 ms, and one thread fires a slot at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, PoisonError};
use std::task::Waker;

use super::wake_task::WakeTask;
use super::wheel::{Wheel, tick_after, tick_before};
use super::{Clock, Instant, TimerKey};
use crate::sync::Mutex;

/// Monotonic system time with a timer wheel and a timer thread, which ends with the clock. A program needs one.
pub struct SystemClock(Arc<Inner>);

struct Inner {
    origin: std::time::Instant,
    wheel: Mutex<Wheel>,
    changed: Condvar,
    /// A copy of the wheel's last fired tick, to be read without the lock. Never behind it.
    fired: AtomicU64,
    wake_task: WakeTask,
}

impl SystemClock {
    /// Creates a clock whose origin is now, and starts its thread, which sleeps while no timer is set.
    ///
    /// # Panics
    /// If the operating system refuses to start a thread: without it no timer would fire.
    #[allow(clippy::new_without_default, reason = "it starts a thread")]
    pub fn new() -> Self {
        let inner = Arc::new(Inner {
            origin: std::time::Instant::now(),
            wheel: Mutex::default(),
            changed: Condvar::new(),
            fired: AtomicU64::new(0),
            wake_task: WakeTask::default(),
        });
        let turned = Arc::clone(&inner);
        let started = std::thread::Builder::new().name("clock".into()).spawn(move || turned.turn());
        started.expect("the system can start one thread");
        Self(inner)
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
        self.0.wheel.lock().len()
    }
}

impl Inner {
    fn instant_of(&self, time: std::time::Instant) -> Instant {
        Instant::ZERO + time.saturating_duration_since(self.origin)
    }

    fn now(&self) -> Instant {
        self.instant_of(std::time::Instant::now())
    }

    /// Turns the wheel until the clock is dropped: sleeps until the next occupied slot, and wakes what is due. Blocks.
    fn turn(&self) {
        let mut due = Vec::new();
        let mut wheel = self.wheel.lock();
        while !wheel.stopped {
            let tick = tick_before(self.now());
            // Before timers are removed: a task that reads the old value is still woken.
            self.fired.store(tick, Ordering::SeqCst);
            wheel.take_due(tick, &mut due);
            if !due.is_empty() {
                // Not asleep: the ring is examined again below, so no thread needs to notify.
                wheel.asleep_until = 0;
                drop(wheel);
                self.wake_task.wake(&mut due);
                wheel = self.wheel.lock();
                continue;
            }
            let next = wheel.next_tick();
            wheel.asleep_until = next.unwrap_or(u64::MAX);
            wheel = match next {
                None => self.changed.wait(wheel).unwrap_or_else(PoisonError::into_inner),
                Some(tick) => {
                    let wait = Wheel::start_of(tick) - self.now();
                    self.changed.wait_timeout(wheel, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Drop for SystemClock {
    /// Ends the thread. No sleep is left: each holds an `Arc` of its clock.
    fn drop(&mut self) {
        self.0.wheel.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn calendar(&self) -> std::time::SystemTime {
        std::time::SystemTime::now()
    }

    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey {
        let mut wheel = self.0.wheel.lock();
        let (key, tick) = wheel.set(deadline, waker);
        let wake_thread = tick < wheel.asleep_until;
        if wake_thread {
            wheel.asleep_until = tick;
        }
        drop(wheel);
        if wake_thread {
            self.0.changed.notify_one();
        }
        key
    }

    fn cancel(&self, key: TimerKey) {
        let removed = self.0.wheel.lock().cancel(key);
        // Outside the lock: dropping a waker may drop a task, which may cancel a timer.
        drop(removed);
    }

    fn may_have_fired(&self, deadline: Instant) -> bool {
        // A timer set for a tick that had fired is one tick later; then this is true early, which does no harm.
        tick_after(deadline) <= self.0.fired.load(Ordering::SeqCst)
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
