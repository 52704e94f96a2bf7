//! [`Throttle`] through the traits of tokio. Feature `tokio`.
//!
//! Only the traits: nothing here needs tokio's runtime, and nothing of it is compiled.

use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use super::Throttle;
use super::read::MAX_AHEAD;
use super::seek::from_caller;
use super::write::{bytes_of, cut, poll_write};

impl<IO: AsyncRead> AsyncRead for Throttle<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let room = buf.remaining().min(MAX_AHEAD);
        let read = this.reading.get_mut().poll_read(cx, buf.initialize_unfilled_to(room), |cx, buf| {
            let mut buf = ReadBuf::new(buf);
            ready!(this.io.poll_read(cx, &mut buf))?;
            Poll::Ready(Ok(buf.filled().len()))
        });
        buf.advance(ready!(read)?);
        Poll::Ready(Ok(()))
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
        poll_write(this.writing.get_mut(), cx, buf.len(), |cx, turn| this.io.poll_write(cx, &buf[..turn]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        poll_write(this.writing.get_mut(), cx, bytes_of(bufs), |cx, turn| {
            cut(bufs, turn, |bufs| this.io.poll_write_vectored(cx, bufs))
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}

/// Moves reader and writer. Takes no turn.
impl<IO: AsyncSeek> AsyncSeek for Throttle<IO> {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let this = self.project();
        let reading = this.reading.get_mut();
        this.io.start_seek(from_caller(reading, position)?)?;
        // The inner seek has begun: what was read ahead is of elsewhere.
        reading.forget();
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = self.project();
        let ahead = this.reading.get_mut().ahead().len() as u64;
        Poll::Ready(Ok(ready!(this.io.poll_complete(cx))?.saturating_sub(ahead)))
    }
}
