//! [`Throttle`] through [`std::io`]: waits park the thread.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::Throttle;
use super::pace::Pace;
use super::read::Reading;
use super::write::{bytes_of, cut, poll_write};

/// Blocks the thread while bytes wait for their turn. Not for asynchronous code.
impl<IO: Read> Read for Throttle<IO> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        read(self.reading.get_mut(), &mut self.io, buf)
    }
}

/// Blocks the thread while bytes wait for their turn, and while another thread reads. Not for asynchronous code.
impl<IO> Read for &Throttle<IO>
where
    for<'a> &'a IO: Read,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        read(&mut self.reading.lock(), &self.io, buf)
    }
}

/// Blocks the thread while bytes wait for their turn. Not for asynchronous code.
impl<IO: BufRead> BufRead for Throttle<IO> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let reading = self.reading.get_mut();
        let ahead = reading.ahead().len();
        if ahead > 0 {
            park_until(|cx| reading.poll_show(cx, ahead));
            return Ok(reading.shown_ahead());
        }
        let here = self.io.fill_buf()?;
        let shown = park_until(|cx| reading.poll_show(cx, here.len()));
        Ok(&here[..shown.min(here.len())])
    }

    fn consume(&mut self, bytes: usize) {
        let inner = self.reading.get_mut().consume(bytes);
        self.io.consume(inner);
    }
}

/// Blocks the thread while bytes wait for their turn. Not for asynchronous code.
impl<IO: Write> Write for Throttle<IO> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        write(self.writing.get_mut(), &mut self.io, buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        write_vectored(self.writing.get_mut(), &mut self.io, bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }
}

/// Blocks the thread while bytes wait for their turn, and while another thread writes. Not for asynchronous code.
impl<IO> Write for &Throttle<IO>
where
    for<'a> &'a IO: Write,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        write(&mut self.writing.lock(), &self.io, buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        write_vectored(&mut self.writing.lock(), &self.io, bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.io).flush()
    }
}

fn read(reading: &mut Reading, mut io: impl Read, buf: &mut [u8]) -> io::Result<usize> {
    park_until(|cx| reading.poll_read(cx, buf, |_, buf| Poll::Ready(io.read(buf))))
}

fn write(writing: &mut Pace, mut io: impl Write, buf: &[u8]) -> io::Result<usize> {
    park_until(|cx| poll_write(writing, cx, buf.len(), |_, turn| Poll::Ready(io.write(&buf[..turn]))))
}

fn write_vectored(writing: &mut Pace, mut io: impl Write, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    park_until(|cx| {
        poll_write(writing, cx, bytes_of(bufs), |_, turn| {
            Poll::Ready(cut(bufs, turn, |bufs| io.write_vectored(bufs)))
        })
    })
}

/// Wakes by unparking a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static WAKER: Waker = Arc::new(Unpark(thread::current())).into();
}

/// Polls until ready, parking the thread in between.
fn park_until<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    WAKER.with(|waker| {
        let mut cx = Context::from_waker(waker);
        loop {
            match poll(&mut cx) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::park(),
            }
        }
    })
}
