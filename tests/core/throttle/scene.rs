//! A stream that reads and writes by script.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use futures_lite::io::{AsyncRead, AsyncWrite};

pub use testkit::task::{CleanClock, Task, node};

/// What a [`Script`] does when it is read or written next.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Gives or takes at most so many bytes.
    Move(usize),
    Block,
    Fail,
}

/// Reads the endless pattern of [`content`], writes into memory; in steps. Without any more it goes
/// on for ever, or ends where it was told.
#[derive(Debug, Default)]
pub struct Script {
    pub steps: VecDeque<Step>,
    /// Bytes it gives before its end.
    pub end: Option<usize>,
    pub given: usize,
    /// The most it was asked for at once.
    pub most_asked: usize,
    pub taken: Vec<u8>,
    /// How many slices came in each vectored write.
    pub slices: Vec<usize>,
    pub flushed: usize,
    pub closed: bool,
}

impl Script {
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), ..Self::default() }
    }

    pub fn ending(bytes: usize) -> Self {
        Self { end: Some(bytes), ..Self::default() }
    }

    fn step(&mut self, most: usize) -> Poll<io::Result<usize>> {
        match self.steps.pop_front().unwrap_or(Step::Move(usize::MAX)) {
            Step::Move(bytes) => Poll::Ready(Ok(bytes.min(most))),
            Step::Block => Poll::Pending,
            Step::Fail => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

/// A piece of an endless pattern.
pub fn content(range: std::ops::Range<usize>) -> Vec<u8> {
    static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| testkit::wire::content(2 << 20));
    let begin = range.start % 251;
    PATTERN[begin..begin + range.len()].to_vec()
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.most_asked = self.most_asked.max(buf.len());
        let most = self.end.map_or(buf.len(), |end| buf.len().min(end - self.given));
        self.step(most).map_ok(|bytes| {
            buf[..bytes].copy_from_slice(&content(self.given..self.given + bytes));
            self.given += bytes;
            bytes
        })
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.most_asked = self.most_asked.max(buf.len());
        self.step(buf.len()).map_ok(|bytes| {
            self.taken.extend_from_slice(&buf[..bytes]);
            bytes
        })
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.slices.push(bufs.len());
        let whole: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
        self.poll_write(cx, &whole)
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

/// What is ready.
pub fn ready<T>(polled: Poll<io::Result<T>>) -> T {
    match polled {
        Poll::Ready(result) => result.expect("no error"),
        Poll::Pending => panic!("it waits"),
    }
}
