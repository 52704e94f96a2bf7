//! [`Throttle`] through the traits of `futures-io`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};

use super::Throttle;
use super::pace::Pace;
use super::write::{bytes_of, cut, poll_write};

impl<IO: AsyncRead> AsyncRead for Throttle<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.reading.get_mut().poll_read(cx, buf, |cx, buf| this.io.poll_read(cx, buf))
    }
}

/// For one reading task at a time.
impl<IO> AsyncRead for &Throttle<IO>
where
    for<'a> &'a IO: AsyncRead,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut io = &self.io;
        self.reading.lock().poll_read(cx, buf, |cx, buf| Pin::new(&mut io).poll_read(cx, buf))
    }
}

impl<IO: AsyncBufRead> AsyncBufRead for Throttle<IO> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        this.reading.get_mut().poll_fill_buf(cx, |cx| this.io.poll_fill_buf(cx))
    }

    fn consume(self: Pin<&mut Self>, bytes: usize) {
        let this = self.project();
        let inner = this.reading.get_mut().consume(bytes);
        this.io.consume(inner);
    }
}

impl<IO: AsyncWrite> AsyncWrite for Throttle<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        write(this.writing.get_mut(), this.io, cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        write_vectored(this.writing.get_mut(), this.io, cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_close(cx)
    }
}

/// For one writing task at a time.
impl<IO> AsyncWrite for &Throttle<IO>
where
    for<'a> &'a IO: AsyncWrite,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        write(&mut self.writing.lock(), Pin::new(&mut &self.io), cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        write_vectored(&mut self.writing.lock(), Pin::new(&mut &self.io), cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &self.io).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &self.io).poll_close(cx)
    }
}

fn write(
    writing: &mut Pace,
    io: Pin<&mut impl AsyncWrite>,
    cx: &mut Context<'_>,
    buf: &[u8],
) -> Poll<io::Result<usize>> {
    poll_write(writing, cx, buf.len(), |cx, turn| io.poll_write(cx, &buf[..turn]))
}

fn write_vectored(
    writing: &mut Pace,
    io: Pin<&mut impl AsyncWrite>,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    poll_write(writing, cx, bytes_of(bufs), |cx, turn| {
        cut(bufs, turn, |bufs| io.poll_write_vectored(cx, bufs))
    })
}
