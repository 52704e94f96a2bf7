//! The system's clock with the thread that turns its wheel.

use std::sync::Arc;
use std::task::Waker;

use super::wheel::Turned;
use super::{Clock, Instant, TimerKey};

/// Monotonic system time with one timer wheel, and the thread that turns it for as long as the clock lives.
///
/// A program usually has one, which everything shares.
pub struct SystemClock(Arc<Turned>);

impl SystemClock {
    /// A clock whose origin is now, with its thread, which does not run at all while no timer is set.
    ///
    /// # Panics
    /// If the operating system refuses to start one thread: without it nobody who sleeps would be woken.
    #[allow(clippy::new_without_default)] // reading the system's clock is no default value
    pub fn new() -> Self {
        let clock = Arc::new(Turned::new());
        let turned = Arc::clone(&clock);
        let started = std::thread::Builder::new().name("clock".into()).spawn(move || turned.turn());
        started.expect("the system can start one thread");
        Self(clock)
    }

    /// Where a monotonic system time lies on this clock; times before its origin are the origin.
    pub fn instant_of(&self, time: std::time::Instant) -> Instant {
        self.0.instant_of(time)
    }

    /// Wakes what is due from a task of the executor; never completes. Without one that runs this, the
    /// turning thread wakes.
    pub async fn herald(&self) {
        self.0.herald.serve().await
    }

    /// How many wake-ups are set.
    pub fn sleepers(&self) -> usize {
        self.0.sleepers()
    }
}

impl Drop for SystemClock {
    /// Ends the thread. Who still sleeps holds the clock, so nobody does.
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    // Real time: the thread that turns the wheel is what is tested. No upper bound on lateness is
    // asserted, only that it fires and is never early.
    #[test]
    fn a_clock_wakes_sleepers_by_itself_never_early_and_its_thread_ends_with_it() {
        let clock = Arc::new(SystemClock::new());
        let count = Arc::new(Count::default());
        for millis in [35u64, 15, 25] {
            let deadline = clock.now() + Duration::from_millis(millis);
            let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
            futures_lite::future::block_on(super::super::Sleep::until(shared, deadline));
            assert!(clock.now() >= deadline);
        }
        clock.wake_at(Instant::ZERO, Arc::clone(&count).into());
        while count.0.load(Ordering::SeqCst) == 0 {
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
