//! Streams of HTTP/2 that fail: when all they gave has left hyper.
//!
//! To reset a stream, hyper forgets what it still holds of it, and nothing says what that is. But a poll of
//! the connection in which the sink took all it was offered has written all that could be written: a
//! *sweep*. After two of them (the first may have begun before) what is left is what the client's shut
//! window holds back, and that is lost with the stream. Other streams could keep the sink full for ever;
//! so as long as one waits for a sweep, they give nothing new.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The sweeps of one connection.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    count: AtomicU64,
    /// Streams that wait for one.
    awaited: AtomicUsize,
    /// They, and those that are held up meanwhile.
    waiting: Mutex<Vec<Waker>>,
    /// The connection's task. It has nothing to write for a stream whose window is shut, so it is not
    /// polled for that.
    connection: Mutex<Option<Waker>>,
}

/// A stream's wait for two sweeps.
#[derive(Debug)]
pub(super) struct Wait {
    until: u64,
}

impl Sweeps {
    /// A stream begins to wait. It must [`end`](Self::end) it.
    pub(super) fn begin(&self) -> Wait {
        self.awaited.fetch_add(1, Ordering::SeqCst);
        Wait { until: self.count.load(Ordering::SeqCst) + 2 }
    }

    /// A stream waits no longer.
    pub(super) fn end(&self) {
        if self.awaited.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.wake();
        }
    }

    /// Ready when there were two sweeps since `wait` began.
    pub(super) fn poll_wait(&self, cx: &mut Context<'_>, wait: &Wait) -> Poll<()> {
        self.register(cx);
        if self.count.load(Ordering::SeqCst) >= wait.until {
            return Poll::Ready(());
        }
        // Outside the lock: waking may poll the task.
        let connection = lock(&self.connection).clone();
        connection.into_iter().for_each(Waker::wake);
        Poll::Pending
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

    /// The connection is about to be polled.
    pub(super) fn polled_by(&self, cx: &Context<'_>) {
        let mut connection = lock(&self.connection);
        if !connection.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *connection = Some(cx.waker().clone());
        }
    }

    /// The connection was polled, and its sink took all it was offered.
    pub(super) fn swept(&self) {
        if self.is_awaited() {
            self.count.fetch_add(1, Ordering::SeqCst);
            self.wake();
        }
    }

    fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst) > 0
    }

    fn register(&self, cx: &mut Context<'_>) {
        let mut waiting = lock(&self.waiting);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        waiting.into_iter().for_each(Waker::wake);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_stream_waits_for_two_sweeps_and_holds_others_up_until_it_ends() {
        let sweeps = Sweeps::default();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(sweeps.poll_clear(&mut cx), Poll::Ready(()));
        let first = sweeps.begin();
        assert_eq!(sweeps.poll_wait(&mut cx, &first), Poll::Pending);
        sweeps.swept();
        let second = sweeps.begin();
        assert_eq!(sweeps.poll_wait(&mut cx, &first), Poll::Pending);
        sweeps.swept();
        assert_eq!(sweeps.poll_wait(&mut cx, &first), Poll::Ready(()));
        assert_eq!(sweeps.poll_wait(&mut cx, &second), Poll::Pending);
        sweeps.end();
        assert_eq!(sweeps.poll_clear(&mut cx), Poll::Pending);
        sweeps.end();
        assert_eq!(sweeps.poll_clear(&mut cx), Poll::Ready(()));
    }

    #[test]
    fn who_waits_has_the_connection_polled_and_a_sweep_wakes_it() {
        let sweeps = Sweeps::default();
        let (connection, stream) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let woken = || (connection.0.load(Ordering::SeqCst), stream.0.load(Ordering::SeqCst));
        sweeps.polled_by(&Context::from_waker(&Arc::clone(&connection).into()));
        let wait = sweeps.begin();
        let waker = Arc::clone(&stream).into();
        let mut cx = Context::from_waker(&waker);
        for sweep in 0..2 {
            assert_eq!(sweeps.poll_wait(&mut cx, &wait), Poll::Pending);
            assert_eq!(woken(), (sweep + 1, sweep));
            sweeps.swept();
            assert_eq!(woken(), (sweep + 1, sweep + 1));
        }
        assert_eq!(sweeps.poll_wait(&mut cx, &wait), Poll::Ready(()));
        sweeps.end();
    }
}
