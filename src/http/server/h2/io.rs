//! A sink as the `h2` crate reads and writes it: by tokio's traits, without its runtime.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::io as futures;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::server::connection::Connection;
use crate::sink::{Sink, Wire};

/// The most bytes of one read: a frame of the size that peers begin with, and its head.
const MAX_READ: usize = 16 * 1024 + 9;

pub(super) struct Io<W: Wire> {
    sink: Sink<W>,
    connection: Arc<Connection>,
}

impl<W: Wire> Io<W> {
    pub(super) fn new(sink: Sink<W>, connection: Arc<Connection>) -> Self {
        Self { sink, connection }
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures::AsyncWrite::poll_flush(Pin::new(&mut self.sink), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures::AsyncWrite::poll_close(Pin::new(&mut self.sink), cx)
    }
}
