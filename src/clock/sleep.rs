//! Waiting for an instant, as a future that can be set anew without allocating.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Clock, Instant, TimerKey};

/// Completes when its clock reaches the deadline.
///
/// Cancel safe: dropping it takes the wake-up back. Completed, it may be polled again (it stays
/// ready) or [`reset`](Self::reset).
pub struct Sleep {
    clock: Arc<dyn Clock>,
    deadline: Instant,
    armed: Option<(TimerKey, Waker)>,
}

impl Sleep {
    /// Sleeps until `deadline`.
    pub fn until(clock: Arc<dyn Clock>, deadline: Instant) -> Self {
        Self { clock, deadline, armed: None }
    }

    /// Sleeps for `duration` from now.
    pub fn lasting(clock: Arc<dyn Clock>, duration: Duration) -> Self {
        let deadline = clock.now() + duration;
        Self::until(clock, deadline)
    }

    /// The instant slept for.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The clock slept on.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Sleeps until `deadline` instead. The next poll arms it.
    pub fn reset(&mut self, deadline: Instant) {
        if deadline != self.deadline {
            self.disarm();
            self.deadline = deadline;
        }
    }

    /// Takes the wake-up back. The next poll arms it again.
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
        if !this.armed.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
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
