//! [`Throttle`] through [`std::io`]: waits park the thread.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::Throttle;
use super::write::{bytes_of, cut, poll_write};

/// Blocks the thread while bytes wait for their turn. Not for asynchronous code.
impl<IO: Read> Read for Throttle<IO> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Self { io, reading, .. } = self;
        park_until(|cx| reading.poll_read(cx, buf, |_, buf| Poll::Ready(io.read(buf))))
    }
}

/// Blocks the thread while bytes wait for their turn. Not for asynchronous code.
impl<IO: Write> Write for Throttle<IO> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Self { io, writing, .. } = self;
        park_until(|cx| poll_write(writing, cx, buf.len(), |_, turn| Poll::Ready(io.write(&buf[..turn]))))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let Self { io, writing, .. } = self;
        park_until(|cx| {
            poll_write(writing, cx, bytes_of(bufs), |_, turn| {
                Poll::Ready(cut(bufs, turn, |bufs| io.write_vectored(bufs)))
            })
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }
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
