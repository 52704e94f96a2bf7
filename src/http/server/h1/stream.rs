//! An upgraded connection as a byte stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_lite::io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBuf, Write};

use crate::sink::{Sink, Wire};

/// The sink, with the bytes that were read ahead.
pub(super) struct ClientStream<W: Wire> {
    unread: Bytes,
    sink: Sink<W>,
}

impl<W: Wire> ClientStream<W> {
    pub(super) fn new(unread: Bytes, sink: Sink<W>) -> Self {
        Self { unread, sink }
    }
}

impl<W: Wire> AsyncRead for ClientStream<W> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.unread.is_empty() {
            let len = buf.len().min(self.unread.len());
            self.unread.copy_to_slice(&mut buf[..len]);
            return Poll::Ready(Ok(len));
        }
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.sink).poll_read(cx, buf.unfilled()))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl<W: Wire> AsyncWrite for ClientStream<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.sink).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.sink).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.sink).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.sink).poll_shutdown(cx)
    }
}
