//! Tasks on the executor, counted while they live, and blocking work off its threads.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::workers::{self, Load};

static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Runs a future on this worker, or on any if this thread is none, detached.
pub fn spawn<F>(future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let worker = workers::here().unwrap_or_else(workers::any);
    worker.spawn(Counted { future, alive: Alive::new() });
}

/// Runs a future on a worker that has time left, detached, until that gives it to another: for connections.
pub fn spawn_spread<F>(future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let worker = workers::for_connection();
    let load = worker.count();
    worker.spawn_moving(Counted { future: Spread { future, load }, alive: Alive::new() });
}

/// Runs `work` on the blocking pool and returns its result.
///
/// Cancel safe: if the future is dropped, `work` still runs to its end and its result is dropped.
///
/// # Panics
/// If `work` panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // Not by async-std, which starts its executor for this: a client of the quota in another runtime reads files too.
    RunsOn(Some(::blocking::unblock(work))).await
}

/// Work that runs to its end if nobody waits for it any more.
struct RunsOn<T>(Option<::blocking::Task<T>>);

impl<T> Future for RunsOn<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Some(task) => {
                let result = ready!(Pin::new(task).poll(cx));
                self.0 = None;
                Poll::Ready(result)
            }
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for RunsOn<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

/// Number of live tasks of this process: of connections, HTTP/2 streams, upstreams, listeners and the clock. A task counts
/// until everything it holds is dropped.
pub fn tasks() -> usize {
    ALIVE.load(Ordering::Acquire)
}

pin_project! {
    struct Spread<F> {
        #[pin]
        future: F,
        load: Load,
    }
}

impl<F: Future<Output = ()>> Future for Spread<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(cx)
    }
}

pin_project! {
    /// A task's future. Declared first, so it is dropped before its count.
    struct Counted<F> {
        #[pin]
        future: F,
        alive: Alive,
    }
}

impl<F: Future<Output = ()>> Future for Counted<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(cx)
    }
}

/// Counts one task; zero-sized.
struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // Release: pairs with the Acquire load in `tasks()`.
        ALIVE.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_takes_no_room() {
        assert_eq!(size_of::<Counted<[u8; 3]>>(), 3);
    }
}
