//! A sink as the `h2` crate reads and writes it: by tokio's traits, without its runtime.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_lite::io as futures;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::server::connection::Connection;
use crate::http::server::lingering::Lingering;
use crate::sink::{Sink, Wire};

/// The most bytes of one read: a frame of the size that peers begin with, and its head.
const MAX_READ: usize = 16 * 1024 + 9;

pub(super) struct Io<W: Wire> {
    sink: Sink<W>,
    /// Once the write half is shut down.
    lingering: Option<Box<Lingering>>,
    connection: Arc<Connection>,
}

impl<W: Wire> Io<W> {
    pub(super) fn new(sink: Sink<W>, connection: Arc<Connection>) -> Self {
        Self { sink, lingering: None, connection }
    }

    fn is_giving(&self) -> bool {
        self.connection.giving.load(Ordering::Relaxed) > 0
    }

    /// The sink, whose kernel keeps the pace of the streams.
    fn paced(&mut self) -> Pin<&mut Sink<W>> {
        self.connection.stream_paces.apply(&mut self.sink);
        Pin::new(&mut self.sink)
    }
}

impl<W: Wire> AsyncRead for Io<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let space = buf.initialize_unfilled_to(buf.remaining().min(MAX_READ));
        let len = ready!(futures::AsyncRead::poll_read(Pin::new(&mut self.sink), cx, space))?;
        buf.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<W: Wire> AsyncWrite for Io<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        futures::AsyncWrite::poll_write(self.paced(), cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        futures::AsyncWrite::poll_write_vectored(self.paced(), cx, bufs)
    }

    // Otherwise small frames are copied together.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does not wait for the client while a response has more to give: the framing asks no stream for its next frame while
    /// it flushes, so that the sink's buffer could not fill, and a client that cannot hold the pace would not be found.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match futures::AsyncWrite::poll_flush(Pin::new(&mut self.sink), cx) {
            Poll::Pending if self.is_giving() => Poll::Ready(Ok(())),
            flushed => flushed,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let lingering = match &mut this.lingering {
            Some(lingering) => lingering,
            none => {
                ready!(futures::AsyncWrite::poll_close(Pin::new(&mut this.sink), cx))?;
                // A client that reads a response sends updates of its window, whatever it was told.
                none.insert(Box::new(Lingering::new(&this.connection.server.clock)))
            }
        };
        lingering.poll(cx, &mut this.sink).map(Ok)
    }
}

impl<W: Wire> Drop for Io<W> {
    fn drop(&mut self) {
        // Content is still to come: the end must not look clean.
        if self.is_giving() {
            self.sink.state().abort();
        }
    }
}

/// A response that has more content to give.
pub(super) struct Giving(Arc<Connection>);

impl Giving {
    pub(super) fn new(connection: &Arc<Connection>) -> Self {
        connection.giving.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connection))
    }
}

impl Drop for Giving {
    fn drop(&mut self) {
        self.0.giving.fetch_sub(1, Ordering::Relaxed);
    }
}
