//! A connection to the upstream, with what was read of it and belongs to what comes next.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_lite::io::{AsyncRead, AsyncWrite};

use crate::clock::Instant;
use crate::rt::Socket;

/// A connection. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    unread: Bytes,
    /// Until when it may be kept for another exchange; `None` is for ever.
    until: Option<Instant>,
}

impl Link {
    /// A connection on which nothing was said yet.
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, unread: Bytes::new(), until: None }
    }

    /// The same, to be kept for another exchange only until then.
    pub(super) fn until(self, until: Instant) -> Self {
        Self { until: Some(until), ..self }
    }

    /// What was read and not used yet.
    pub(super) fn unread(&mut self) -> &mut Bytes {
        &mut self.unread
    }

    /// Reads at most `want` bytes more, behind what was read and not used; says how many, and none at the
    /// end of the stream.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<usize>> {
        let more = ready!(self.socket.poll_read_bytes(cx, want))?;
        let len = more.len();
        if self.unread.is_empty() {
            self.unread = more;
        } else if len > 0 {
            // Where nobody else holds them they grow in place: what comes byte by byte is not copied each time.
            let mut both = std::mem::take(&mut self.unread).try_into_mut().unwrap_or_else(|shared| {
                let mut own = BytesMut::with_capacity(shared.len() + len);
                own.extend_from_slice(&shared);
                own
            });
            both.extend_from_slice(&more);
            self.unread = both.freeze();
        }
        Poll::Ready(Ok(len))
    }

    /// Where requests are written.
    pub(super) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Whether it can carry another exchange: it may be kept so long, the upstream has not closed it, and has said
    /// nothing that nobody asked for.
    pub(super) fn is_fit(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until) && self.unread.is_empty() && self.socket.is_quiet()
    }
}

/// For a tunnel, which begins with what came behind the head.
impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.unread.is_empty() {
            return self.socket.poll_read_slice(cx, buf);
        }
        let len = buf.len().min(self.unread.len());
        buf[..len].copy_from_slice(&self.unread.split_to(len));
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.socket), cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write_vectored(Pin::new(&mut self.socket), cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.socket), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}
