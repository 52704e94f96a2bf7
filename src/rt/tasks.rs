//! Tasks on the executor, counted while they live.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Runs a future on the executor's threads, detached.
pub fn spawn<F>(future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    async_std::task::spawn(Counted { future, alive: Alive::new() });
}

/// How many tasks of this process have been spawned and not ended: those of connections, of HTTP/2
/// streams, of upstreams, of listeners, and the clock's. One counts until all it held is dropped.
pub fn tasks() -> usize {
    ALIVE.load(Ordering::Acquire)
}

pin_project! {
    /// A task's future. It goes before its count does: fields are dropped in this order.
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

/// One task. Takes no room in it.
struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // Behind all that the task did, so that who sees the count sees that too.
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
