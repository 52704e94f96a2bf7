//! The same for [`std::io`]: a wait parks the thread, and needs no runtime.

use std::io::{self, IoSlice, Read, Write};
use std::task::Poll;

use futures_lite::future::{block_on, poll_fn};

use super::Throttle;
use super::write::{bytes_of, cut, poll_write};

/// Blocks the thread for as long as the bytes wait for their turn. Not for asynchronous code.
impl<IO: Read> Read for Throttle<IO> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Self { io, reading, .. } = self;
        block_on(poll_fn(|cx| reading.poll_read(cx, buf, |_, buf| Poll::Ready(io.read(buf)))))
    }
}

/// Blocks the thread for as long as the bytes wait for their turn. Not for asynchronous code.
impl<IO: Write> Write for Throttle<IO> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Self { io, writing, .. } = self;
        block_on(poll_fn(|cx| {
            poll_write(writing, cx, buf.len(), |_, turn| Poll::Ready(io.write(&buf[..turn])))
        }))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let Self { io, writing, .. } = self;
        block_on(poll_fn(|cx| {
            poll_write(writing, cx, bytes_of(bufs), |_, turn| {
                Poll::Ready(cut(bufs, turn, |bufs| io.write_vectored(bufs)))
            })
        }))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }
}
