//! hyper's executor and timer on this runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::{Clock, Instant, Sleep, SystemClock};

/// Spawns hyper's own tasks on the runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        super::spawn(async move {
            future.await;
        });
    }
}

/// Runs hyper's timeouts on the shared timer wheel.
#[derive(Clone)]
pub struct HyperTimer(Arc<SystemClock>);

opaque!(HyperTimer);

impl HyperTimer {
    /// A timer on `clock`.
    pub fn new(clock: Arc<SystemClock>) -> Self {
        Self(clock)
    }

    fn sleep_to(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let clock: Arc<dyn Clock> = Arc::clone(&self.0) as _;
        Box::pin(HyperSleep(Sleep::until(clock, deadline)))
    }
}

impl hyper::rt::Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_to(self.0.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_to(self.0.instant_of(deadline))
    }
}

struct HyperSleep(Sleep);

impl Future for HyperSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl hyper::rt::Sleep for HyperSleep {}
