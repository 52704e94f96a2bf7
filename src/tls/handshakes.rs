//! Bounds the handshakes that run at a time.
//!
//! Handshakes beyond the bound wait for their turn. One that has had its turn for [`GRACE`] while others wait loses
//! it: clients that open connections and send nothing delay the others by that much, not by the whole timeout.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_listener::Event;
use futures_lite::future;

use crate::clock::{Clock, Sleep};

/// Handshakes at a time: each may hold 20 KiB.
pub(super) const MAX_HANDSHAKES: usize = 512;

/// How long a handshake has its turn while others wait. A round trip to the far side of the earth and back twice.
const GRACE: Duration = Duration::from_secs(1);

/// The turns of handshakes.
#[derive(Debug)]
pub(super) struct Handshakes {
    most: usize,
    running: AtomicUsize,
    waiting: AtomicUsize,
    /// A turn is free.
    freed: Event,
    /// Somebody begins to wait.
    crowded: Event,
}

/// One turn; the next begins when it is dropped.
struct Turn<'a>(&'a Handshakes);

/// One of those that wait.
struct Waiting<'a>(&'a Handshakes);

impl Handshakes {
    pub(super) fn new(most: usize) -> Self {
        let counter = AtomicUsize::default;
        Self { most, running: counter(), waiting: counter(), freed: Event::new(), crowded: Event::new() }
    }

    /// Runs `handshake` when it is its turn. `None` if it lost it to others.
    pub(super) async fn run<T>(
        &self,
        clock: Arc<dyn Clock>,
        handshake: impl Future<Output = T>,
    ) -> Option<T> {
        let _turn = self.turn().await;
        let overdue = async {
            Sleep::lasting(clock, GRACE).await;
            wait_until(&self.crowded, || self.waiting.load(Ordering::SeqCst) > 0).await;
            None
        };
        future::or(async { Some(handshake.await) }, overdue).await
    }

    async fn turn(&self) -> Turn<'_> {
        // Those that wait go first.
        if self.waiting.load(Ordering::SeqCst) == 0
            && let Some(turn) = self.try_turn()
        {
            return turn;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(self);
        self.crowded.notify(1);
        loop {
            let mut freed = pin!(self.freed.listen());
            if let Some(turn) = self.try_turn() {
                return turn;
            }
            freed.as_mut().await;
        }
    }

    fn try_turn(&self) -> Option<Turn<'_>> {
        let more = |running| (running < self.most).then_some(running + 1);
        self.running.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_additional(1);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn wait_until(event: &Event, holds: impl Fn() -> bool) {
    while !holds() {
        let listener = event.listen();
        if holds() {
            return;
        }
        listener.await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn one_that_had_its_turn_for_a_second_loses_it_to_those_that_wait_and_only_to_them() {
        let (manual, handshakes) = (Arc::new(ManualClock::new()), Handshakes::new(2));
        let clock = || Arc::clone(&manual) as Arc<dyn Clock>;
        let mut cx = Context::from_waker(Waker::noop());
        let mut hung = pin!(handshakes.run(clock(), pending::<()>()));
        assert!(hung.as_mut().poll(&mut cx).is_pending());
        manual.advance(Duration::from_millis(500));
        let mut late = pin!(handshakes.run(clock(), pending::<()>()));
        assert!(late.as_mut().poll(&mut cx).is_pending());
        manual.advance(Duration::from_secs(60));
        assert!(hung.as_mut().poll(&mut cx).is_pending(), "nobody waits");
        let mut quick = Box::pin(handshakes.run(clock(), async { "done" }));
        assert!(quick.as_mut().poll(&mut cx).is_pending(), "two are the most");
        assert_eq!(hung.as_mut().poll(&mut cx), Poll::Ready(None));
        assert_eq!(quick.as_mut().poll(&mut cx), Poll::Ready(Some("done")));
        assert!(late.as_mut().poll(&mut cx).is_pending(), "nobody waits any more");
        // One that gives up waiting leaves no trace.
        drop(quick);
        let third = handshakes.turn();
        let mut waiting = Box::pin(handshakes.turn());
        let _third = future::block_on(third);
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        drop(waiting);
        assert_eq!(
            (handshakes.running.load(Ordering::SeqCst), handshakes.waiting.load(Ordering::SeqCst)),
            (2, 0)
        );
    }

    #[test]
    fn within_its_second_a_turn_is_safe_and_a_freed_one_goes_to_the_next() {
        let (manual, handshakes) = (Arc::new(ManualClock::new()), Handshakes::new(1));
        let clock = || Arc::clone(&manual) as Arc<dyn Clock>;
        let mut cx = Context::from_waker(Waker::noop());
        let (done, is_done) = (Event::new(), AtomicUsize::new(0));
        let slow = wait_until(&done, || is_done.load(Ordering::SeqCst) > 0);
        let mut slow = pin!(handshakes.run(clock(), slow));
        assert!(slow.as_mut().poll(&mut cx).is_pending());
        let mut next = pin!(handshakes.run(clock(), async { "next" }));
        assert!(next.as_mut().poll(&mut cx).is_pending());
        manual.advance(GRACE - Duration::from_nanos(1));
        assert!(slow.as_mut().poll(&mut cx).is_pending() && next.as_mut().poll(&mut cx).is_pending());
        is_done.store(1, Ordering::SeqCst);
        done.notify(1);
        assert_eq!(slow.as_mut().poll(&mut cx), Poll::Ready(Some(())));
        assert_eq!(next.as_mut().poll(&mut cx), Poll::Ready(Some("next")));
    }
}
