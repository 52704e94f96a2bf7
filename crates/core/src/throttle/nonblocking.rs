//! [`Throttle`] through the traits of `futures-io`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::Throttle;
use super::write::{bytes_of, cut, poll_write};

impl<IO: AsyncRead> AsyncRead for Throttle<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.reading.poll_read(cx, buf, |cx, buf| this.io.poll_read(cx, buf))
    }
}

impl<IO: AsyncWrite> AsyncWrite for Throttle<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        poll_write(this.writing, cx, buf.len(), |cx, turn| this.io.poll_write(cx, &buf[..turn]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        poll_write(this.writing, cx, bytes_of(bufs), |cx, turn| {
            cut(bufs, turn, |bufs| this.io.poll_write_vectored(cx, bufs))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_close(cx)
    }
}
