//! hyper's executor, timer and connections on this runtime.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::io::{AsyncRead, AsyncWrite};

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

/// A connection as hyper reads and writes it.
pub(crate) struct ForHyper<T>(pub(crate) T);

/// Bytes of one read.
const READ: usize = 4 * 1024;

impl<T: AsyncRead + Unpin> hyper::rt::Read for ForHyper<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper's cursor can be advanced only by unsafe code or by copying.
        let mut space = [0; READ];
        let most = buf.remaining().min(READ);
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, &mut space[..most]))?;
        buf.put_slice(&space[..read]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> hyper::rt::Write for ForHyper<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
