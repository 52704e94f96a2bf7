//! A clock that must be left clean, a task that counts its wake-ups, and a stream that does what it is told.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::io::{AsyncRead, AsyncWrite};
use sluicegate::budget::Node;
use sluicegate::clock::{Clock, ManualClock};
use sluicegate::limit::{Budget, Rate};

/// A clock that must have no sleeper left at the end.
#[derive(Default)]
pub struct CleanClock(pub Arc<ManualClock>);

impl CleanClock {
    pub fn node(&self, rate: u64) -> Node {
        Node::root("server", Budget::of(Rate::or_unlimited(rate)), self.0.clone())
    }

    pub fn millis(&self) -> u64 {
        self.0.now().as_nanos() / 1_000_000
    }
}

impl Drop for CleanClock {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.0.sleepers(), 0, "a wake-up was left behind");
        }
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls, and counts how often it is woken.
#[derive(Default)]
pub struct Task(Arc<Woken>);

impl Task {
    pub fn woken(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    pub fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.0))))
    }

    pub fn read(&self, reader: impl AsyncRead + Unpin, len: usize) -> Poll<io::Result<Vec<u8>>> {
        let (mut reader, mut buf) = (reader, vec![0; len]);
        self.poll(|cx| Pin::new(&mut reader).poll_read(cx, &mut buf)).map_ok(|read| {
            buf.truncate(read);
            buf
        })
    }

    pub fn write(&self, writer: impl AsyncWrite + Unpin, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut writer = writer;
        self.poll(|cx| Pin::new(&mut writer).poll_write(cx, bytes))
    }
}

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
    static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| (0..2 << 20).map(|at| (at % 251) as u8).collect());
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
