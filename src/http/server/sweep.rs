//! Streams of HTTP/2 that fail: when all they gave has left hyper.
//!
//! To reset a stream, hyper forgets what it still holds of it, and nothing says what that is. But a poll of
//! the connection in which the sink took all it was offered has written all that could be written: a
//! *sweep*. After two of them (the first may have begun before) what is left is what the client's shut
//! window holds back, and that is lost with the stream. Other streams could keep the sink full for ever;
//! so as long as one waits for a sweep, they give nothing new.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The sweeps of one connection.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    count: AtomicU64,
    /// Streams that wait for one.
    awaited: AtomicUsize,
    /// They, and those that are held up meanwhile.
    waiting: Mutex<Vec<Waker>>,
}

/// A stream's wait for two sweeps.
#[derive(Debug)]
pub(super) struct Wait {
    seen: u64,
    more: bool,
}

/// What a stream that waits does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Has its connection write something: a connection with nothing to write is not polled.
    Nudge,
    /// Fails.
    Fail,
}

impl Sweeps {
    /// A stream begins to wait. It must [`end`](Self::end) it.
    pub(super) fn begin(&self) -> Wait {
        self.awaited.fetch_add(1, Ordering::SeqCst);
        Wait { seen: self.count.load(Ordering::SeqCst), more: true }
    }

    /// A stream waits no longer.
    pub(super) fn end(&self) {
        if self.awaited.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.wake();
        }
    }

    /// Ready when there was a sweep since `wait` was last ready, or began.
    pub(super) fn poll_wait(&self, cx: &mut Context<'_>, wait: &mut Wait) -> Poll<Next> {
        self.register(cx);
        let count = self.count.load(Ordering::SeqCst);
        if count <= wait.seen {
            return Poll::Pending;
        }
        wait.seen = count;
        Poll::Ready(if std::mem::take(&mut wait.more) { Next::Nudge } else { Next::Fail })
    }

    /// Ready when no stream waits. For those that would give something new.
    pub(super) fn poll_clear(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_awaited() {
            return Poll::Ready(());
        }
        self.register(cx);
        // It may have ended before we said that we are held up.
        if self.is_awaited() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Whether a stream waits.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst) > 0
    }

    /// The connection was polled, and its sink took all it was offered.
    pub(super) fn swept(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    fn register(&self, cx: &mut Context<'_>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_waits_for_two_sweeps_and_holds_others_up_until_it_ends() {
        let sweeps = Sweeps::default();
        let mut cx = Context::from_waker(Waker::noop());
        sweeps.swept();
        assert_eq!(sweeps.poll_clear(&mut cx), Poll::Ready(()));
        let (mut first, mut second) = (sweeps.begin(), sweeps.begin());
        assert_eq!(sweeps.poll_wait(&mut cx, &mut first), Poll::Pending);
        sweeps.swept();
        assert_eq!(sweeps.poll_wait(&mut cx, &mut first), Poll::Ready(Next::Nudge));
        assert_eq!(sweeps.poll_wait(&mut cx, &mut first), Poll::Pending);
        sweeps.swept();
        assert_eq!(sweeps.poll_wait(&mut cx, &mut first), Poll::Ready(Next::Fail));
        assert_eq!(sweeps.poll_wait(&mut cx, &mut second), Poll::Ready(Next::Nudge));
        sweeps.end();
        assert_eq!(sweeps.poll_clear(&mut cx), Poll::Pending);
        sweeps.end();
        assert_eq!(sweeps.poll_clear(&mut cx), Poll::Ready(()));
    }
}
