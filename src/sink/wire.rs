//! What a sink stands before.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::rt::ReadBufCursor;

use crate::rt::Socket;

/// A socket, or in tests what behaves like one.
pub trait Wire: Unpin {
    /// Reads what is there into hyper's buffer and says how many bytes that was.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBufCursor<'_>) -> Poll<io::Result<usize>>;

    /// Reads what is there, at most `want` bytes; no bytes at the end of the stream. Holds no memory while it
    /// waits.
    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>>;

    /// Whether the connection is over in both directions, as after a reset. Without a wake-up if not.
    fn is_gone(&self) -> bool;

    /// Writes what can be written at once. `Pending` arranges a wake-up when more can be.
    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Ready when what was written has been sent, to the last byte.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Says that nothing more will be written.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Makes the coming close a reset.
    fn reset_on_close(&self);
}

impl Wire for Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBufCursor<'_>) -> Poll<io::Result<usize>> {
        self.poll_read_into(cx, buf)
    }

    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        Self::poll_read_bytes(self, cx, want)
    }

    fn is_gone(&self) -> bool {
        Self::is_gone(self)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        hyper::rt::Write::poll_write_vectored(Pin::new(self), cx, bufs)
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Self::poll_sent(self, cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_shutdown(Pin::new(self), cx)
    }

    fn reset_on_close(&self) {
        Self::reset_on_close(self);
    }
}
