//! Streams of HTTP/2 whose window stays shut: each is reset by its own timer, without harm to its
//! neighbours.
//!
//! A stream waits in hyper for its window, and hyper asks neither us nor the body meanwhile. But it runs
//! each stream as a task, through our executor: dropping that task resets the stream. So each task is
//! wrapped in a watch that its response's body tells when bytes were handed over and when more are asked for.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::{Clock, Instant, Sleep};
use crate::rt;

thread_local! {
    /// The watch of the stream whose task is being polled on this thread.
    static CURRENT: RefCell<Option<Arc<StreamWatch>>> = const { RefCell::new(None) };
}

/// Since when one stream has waited for its client.
#[derive(Debug, Default)]
pub(super) struct StreamWatch {
    /// Nanoseconds; 0 while the client is not waited for.
    waiting_since: AtomicU64,
}

impl StreamWatch {
    /// The watch of the stream that is being answered; `None` over HTTP/1.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Bytes were handed over: from now on the client is waited for.
    pub(super) fn handed_over(&self, now: Instant) {
        self.waiting_since.store(now.as_nanos().max(1), Ordering::Relaxed);
    }

    /// More bytes are asked for: the client took what there was.
    pub(super) fn asked_for(&self) {
        self.waiting_since.store(0, Ordering::Relaxed);
    }

    /// Since when the client has been waited for.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        match self.waiting_since.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }
}

/// Runs hyper's tasks for one HTTP/2 connection; ends those whose client takes nothing for `patience`.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    clock: Arc<dyn Clock>,
    patience: Duration,
}

impl StreamExecutor {
    pub(super) fn new(clock: Arc<dyn Clock>, patience: Duration) -> Self {
        Self { clock, patience }
    }
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let watched = Watched {
            stream: Box::pin(stream),
            watch: Arc::default(),
            alarm: Sleep::until(Arc::clone(&self.clock), self.clock.now()),
            patience: self.patience,
        };
        rt::spawn(async move {
            if watched.await.is_none() {
                log::debug!("stream reset: its client took nothing for too long");
            }
        });
    }
}

/// A stream's task with its watch. `None`: the client took nothing for too long.
struct Watched<F> {
    stream: Pin<Box<F>>,
    watch: Arc<StreamWatch>,
    alarm: Sleep,
    patience: Duration,
}

impl<F: Future> Future for Watched<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let outer = CURRENT.replace(Some(Arc::clone(&this.watch)));
        let polled = this.stream.as_mut().poll(cx);
        CURRENT.set(outer);
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Some(output));
        }
        let Some(since) = this.watch.waiting_since() else { return Poll::Pending };
        this.alarm.reset(since + this.patience);
        Pin::new(&mut this.alarm).poll(cx).map(|()| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::task::Waker;

    fn watched<F: Future>(stream: F, clock: &Arc<ManualClock>) -> Watched<F> {
        let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
        let alarm = Sleep::until(clock, Instant::ZERO);
        Watched { stream: Box::pin(stream), watch: Arc::default(), alarm, patience: Duration::from_secs(60) }
    }

    #[test]
    fn a_stream_is_let_go_when_its_patience_ends_and_not_a_nanosecond_before() {
        let clock = Arc::new(ManualClock::new());
        clock.advance(Duration::from_secs(1));
        let mut stream = watched(std::future::pending::<()>(), &clock);
        let mut cx = Context::from_waker(Waker::noop());
        let mut poll = || Pin::new(&mut stream).poll(&mut cx);
        assert!(poll().is_pending());
        assert_eq!(clock.sleepers(), 0, "the client is not waited for");
        let watch = Arc::clone(&stream.watch);
        watch.handed_over(clock.now());
        let mut poll = || Pin::new(&mut stream).poll(&mut cx);
        assert!(poll().is_pending());
        assert_eq!(clock.next_deadline(), Some(Instant::from_millis(61_000)));
        clock.advance(Duration::from_nanos(59_999_999_999));
        assert!(poll().is_pending());
        clock.advance(Duration::from_nanos(1));
        assert_eq!(poll(), Poll::Ready(None));
    }

    #[test]
    fn a_stream_whose_client_asks_again_in_time_goes_on() {
        let clock = Arc::new(ManualClock::new());
        let mut stream = watched(std::future::pending::<()>(), &clock);
        let watch = Arc::clone(&stream.watch);
        let mut cx = Context::from_waker(Waker::noop());
        watch.handed_over(clock.now());
        assert!(Pin::new(&mut stream).poll(&mut cx).is_pending());
        clock.advance(Duration::from_secs(59));
        watch.asked_for();
        watch.handed_over(clock.now());
        clock.advance(Duration::from_secs(59));
        assert!(Pin::new(&mut stream).poll(&mut cx).is_pending());
    }

    #[test]
    fn the_answering_code_finds_its_streams_watch_and_no_other() {
        let clock = Arc::new(ManualClock::new());
        let mut stream = watched(async { StreamWatch::current() }, &clock);
        let own = Arc::clone(&stream.watch);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Some(found))) = Pin::new(&mut stream).poll(&mut cx) else { panic!("no watch") };
        assert!(Arc::ptr_eq(&found, &own));
        assert!(StreamWatch::current().is_none());
    }
}
