//! A future that waits for an instant and can be reset without allocating.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Clock, Instant, TimerKey};

/// Completes when its clock reaches the deadline.
///
/// *Cancel safety*: dropping it cancels its timer. A completed sleep stays ready, and may be [`reset`](Self::reset).
pub struct Sleep {
    clock: Arc<dyn Clock>,
    deadline: Instant,
    /// The timer that is set, and the waker it was set for.
    armed: Option<(TimerKey, Waker)>,
}

impl Sleep {
    /// Creates a sleep until `deadline`. The first poll sets the timer.
    pub fn until(clock: Arc<dyn Clock>, deadline: Instant) -> Self {
        Self { clock, deadline, armed: None }
    }

    /// Creates a sleep of `duration` from now.
    pub fn lasting(clock: Arc<dyn Clock>, duration: Duration) -> Self {
        let deadline = clock.now() + duration;
        Self::until(clock, deadline)
    }

    /// Returns the deadline.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns whether a timer is set.
    pub fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// Returns whether a timer is set that will wake `waker`: a poll may be left out until then.
    pub fn is_set_for(&self, waker: &Waker) -> bool {
        // The timer may have fired, and the clock stepped back since.
        self.armed.as_ref().is_some_and(|(_, armed)| armed.will_wake(waker))
            && !self.clock.may_have_fired(self.deadline)
    }

    /// Moves the deadline. If it differs, the timer is cancelled and the next poll sets another.
    pub fn reset(&mut self, deadline: Instant) {
        if deadline != self.deadline {
            self.disarm();
            self.deadline = deadline;
        }
    }

    /// Cancels the timer. The next poll sets it again.
    pub fn disarm(&mut self) {
        if let Some((key, _)) = self.armed.take() {
            self.clock.cancel(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.clock.now() >= this.deadline {
            this.disarm();
            return Poll::Ready(());
        }
        if !this.is_set_for(cx.waker()) {
            this.disarm();
            let key = this.clock.wake_at(this.deadline, cx.waker().clone());
            this.armed = Some((key, cx.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("is_armed", &self.armed.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::clock::wake_count::WakeCount;
    use std::task::Waker;

    /// A clock, a sleep of 200 ms on it, and a count of its wake-ups.
    struct Scene {
        clock: Arc<ManualClock>,
        sleep: Sleep,
        woken: Arc<WakeCount>,
    }

    impl Scene {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new());
            let sleep = Sleep::lasting(clock.clone(), Duration::from_millis(200));
            Self { clock, sleep, woken: Arc::default() }
        }

        fn is_ready(&mut self) -> bool {
            let waker = Waker::from(Arc::clone(&self.woken));
            Pin::new(&mut self.sleep).poll(&mut Context::from_waker(&waker)).is_ready()
        }

        fn woken(&self) -> usize {
            self.woken.get()
        }
    }

    /// No scene may leave a sleeper behind.
    impl Drop for Scene {
        fn drop(&mut self) {
            self.sleep.disarm();
            if !std::thread::panicking() {
                assert_eq!(self.clock.sleepers(), 0);
            }
        }
    }

    #[test]
    fn ready_at_the_deadline_and_not_a_nanosecond_before() {
        let mut scene = Scene::new();
        assert!(!scene.is_ready());
        scene.clock.set(Instant::from_nanos(199_999_999));
        assert!(!scene.is_ready() && scene.woken() == 0);
        scene.clock.set(Instant::from_millis(200));
        assert_eq!(scene.woken(), 1);
        assert!(scene.is_ready() && scene.is_ready(), "and it stays so");
    }

    #[test]
    fn repeated_polls_set_one_timer() {
        let mut scene = Scene::new();
        for _ in 0..100 {
            assert!(!scene.is_ready());
        }
        assert_eq!(scene.clock.sleepers(), 1);
        scene.clock.advance_to_next();
        assert_eq!(scene.woken(), 1);
    }

    #[test]
    fn the_task_that_polled_last_is_woken() {
        let mut scene = Scene::new();
        assert!(!scene.is_ready());
        let first = std::mem::take(&mut scene.woken);
        assert!(!scene.is_ready());
        scene.clock.advance_to_next();
        assert_eq!((first.get(), scene.woken()), (0, 1));
    }

    // The wake-up had fired and was not set anew: the task would have slept for ever.
    #[test]
    fn a_clock_that_steps_back_between_wake_up_and_poll_wakes_again() {
        let mut scene = Scene::new();
        assert!(!scene.is_ready());
        scene.clock.set(Instant::from_millis(200));
        scene.clock.set(Instant::from_millis(100));
        assert!(!scene.is_ready());
        assert_eq!(scene.clock.advance_to_next(), Some(Instant::from_millis(200)));
        assert_eq!(scene.woken(), 2);
        assert!(scene.is_ready());
    }

    #[test]
    fn reset_moves_the_timer_unless_the_deadline_is_the_same() {
        let mut scene = Scene::new();
        assert!(!scene.is_ready());
        scene.sleep.reset(Instant::from_millis(200));
        assert_eq!(scene.clock.sleepers(), 1);
        scene.sleep.reset(Instant::from_millis(50));
        assert_eq!(scene.clock.sleepers(), 0, "armed by the next poll");
        assert!(!scene.is_ready());
        assert_eq!(scene.clock.next_deadline(), Some(Instant::from_millis(50)));
        scene.clock.advance_to_next();
        assert!(scene.is_ready());
        scene.sleep.reset(Instant::from_millis(60));
        assert!(!scene.is_ready(), "a sleep that was completed sleeps again");
    }

    #[test]
    fn dropping_a_sleep_cancels_its_timer() {
        let clock = Arc::new(ManualClock::new());
        let mut sleep = Sleep::until(clock.clone(), Instant::from_millis(1));
        assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(clock.sleepers(), 1);
        drop(sleep);
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn a_past_deadline_is_ready_without_a_timer() {
        let mut scene = Scene::new();
        scene.clock.advance(Duration::from_secs(1));
        assert!(scene.is_ready());
        assert_eq!((scene.woken(), scene.clock.sleepers()), (0, 0));
    }
}
