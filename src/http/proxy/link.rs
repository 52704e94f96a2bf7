//! The bytes from and to an upstream: a socket, with TLS or without.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_lite::io::{AsyncRead, AsyncWrite};

use crate::rt::{Socket, poll_read_behind};
use crate::tls::ClientSocket;

/// A connection to an upstream that carries HTTP.
#[derive(Debug)]
pub(super) enum Link {
    Plain(Socket),
    Tls(ClientSocket),
}

impl Link {
    /// Reads what is available, at most `want` bytes, behind a copy of `before`; empty at the end of the stream. Under TLS that
    /// end was announced: a close without announcement is an error.
    pub(super) fn poll_read_behind(
        &mut self,
        cx: &mut Context<'_>,
        before: &[u8],
        want: usize,
    ) -> Poll<io::Result<Bytes>> {
        poll_read_behind(before, want, |space| match self {
            Self::Plain(socket) => socket.poll_read_slice(cx, space),
            Self::Tls(socket) => socket.poll_read_slice(cx, space),
        })
    }

    pub(super) fn poll_write_slices(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Tls(socket) => socket.poll_write(cx, bufs),
        }
    }

    /// Sends what was written. Only TLS holds any of it.
    pub(super) fn poll_send_off(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(socket) => socket.poll_flush(cx),
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether the upstream is connected, and nothing is unread or unsent.
    pub(super) fn is_quiet(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_quiet(),
            Self::Tls(socket) => socket.is_quiet(),
        }
    }

    /// A second handle to the connection, for another task. The connection is closed when both are dropped.
    pub(super) fn twin(&self) -> Self {
        match self {
            Self::Plain(socket) => Self::Plain(socket.twin()),
            Self::Tls(socket) => Self::Tls(socket.twin()),
        }
    }
}

/// For tunnels.
impl AsyncRead for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => socket.poll_read_slice(cx, buf),
            Self::Tls(socket) => socket.poll_read_slice(cx, buf),
        }
    }
}

/// For tunnels. Closing shuts down the sending half; the upstream can still be read.
impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_slices(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send_off(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_close(cx),
            Self::Tls(socket) => socket.poll_shutdown(cx),
        }
    }
}
