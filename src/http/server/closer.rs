//! Asks a connection's task to end it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

/// Asks the task of one connection to end it: at once, or if it is idle.
#[derive(Default)]
pub(super) struct Closer {
    closed: AtomicBool,
    /// Asked to end if idle.
    asked: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Closer {
    /// Closes it and wakes the task. False if it was closed before.
    pub(super) fn close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::SeqCst);
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.wake();
        }
        first
    }

    /// Asks the task to end the connection if it is idle, and wakes it. False if it was asked before.
    pub(super) fn ask(&self) -> bool {
        let first = !self.asked.swap(true, Ordering::SeqCst);
        // Left there for `close`: the task may find that it is not idle.
        let task = self.task.lock().clone();
        if let Some(task) = task {
            task.wake();
        }
        first
    }

    /// Has the processor fetch what tells whether it is closed.
    pub(super) fn prefetch(&self) {
        std::hint::black_box(self.closed.load(Ordering::Relaxed));
    }

    /// Whether it is closed, or was asked to end.
    pub(super) fn is_told(&self) -> bool {
        self.closed.load(Ordering::SeqCst) || self.asked.load(Ordering::SeqCst)
    }

    /// Whether the task was asked to end the connection if idle, since the last call.
    pub(super) fn take_asked(&self) -> bool {
        // Read at each poll, and mostly not set.
        self.asked.load(Ordering::SeqCst) && self.asked.swap(false, Ordering::SeqCst)
    }

    /// Waits to be closed, or to be asked to end.
    pub(super) async fn closed_or_asked(&self) {
        let asked = std::future::poll_fn(|_| match self.take_asked() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        // In this order: the waker is registered before the flag is read.
        futures_lite::future::or(self.closed(), asked).await;
    }

    /// Waits to be closed.
    pub(super) async fn closed(&self) {
        // The waker is registered again only if it changed: no lock at each poll.
        let mut known: Option<Waker> = None;
        std::future::poll_fn(move |cx: &mut Context<'_>| {
            if !known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                let task = cx.waker().clone();
                known = Some(task.clone());
                *self.task.lock() = Some(task);
            }
            if self.closed.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;

    use crate::wake_count::WakeCount;

    #[test]
    fn who_is_asked_to_end_may_go_on_and_be_closed_later() {
        let closer = Closer::default();
        let wakes = WakeCount::default();
        let waker = wakes.waker();
        let mut cx = Context::from_waker(&waker);
        let mut closed = pin!(closer.closed());
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Pending);
        assert!(closer.ask() && !closer.ask());
        assert!(closer.take_asked() && !closer.take_asked());
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Pending);
        closer.close();
        assert_eq!(wakes.get(), 3);
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Ready(()));

        let closer = Closer::default();
        let mut told = pin!(closer.closed_or_asked());
        assert_eq!(told.as_mut().poll(&mut cx), Poll::Pending);
        closer.ask();
        assert_eq!(wakes.get(), 4);
        assert_eq!(told.as_mut().poll(&mut cx), Poll::Ready(()));
    }

    #[test]
    fn a_connection_is_told_once_before_it_listens_or_while_it_does() {
        let (early, late) = (Closer::default(), Closer::default());
        let wakes = WakeCount::default();
        let waker = wakes.waker();
        let mut cx = Context::from_waker(&waker);
        assert!(early.close() && !early.close());
        assert_eq!(pin!(early.closed()).poll(&mut cx), Poll::Ready(()));

        let mut closed = pin!(late.closed());
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Pending);
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Pending);
        assert_eq!(wakes.get(), 0);
        late.close();
        assert_eq!(wakes.get(), 1);
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Ready(()));
    }
}
