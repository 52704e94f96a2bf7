//! A connection in memory: the server's end, which is a [`Wire`], and the client's, which sends requests and reads at some speed.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;

use super::flow::{Inflow, Outflow};
use crate::clock::{Clock, Instant, ManualClock};
use crate::limit::Rate;
use crate::sink::Wire;
use crate::sync::Mutex;

/// Content of any length is cut from these.
pub(super) static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// How fast the bytes of a client travel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speeds {
    /// How fast it reads.
    pub(super) read: Rate,
    /// How fast it sends content.
    pub(super) send: Rate,
    /// How much the kernels hold on the way, in each direction.
    pub(super) buffer: u64,
}

/// A connection, as its client sees it; clones are of the same.
#[derive(Clone)]
pub(super) struct Line(Arc<Inner>);

/// The server's end of a connection.
pub(super) struct ServerEnd(Arc<Inner>);

struct Inner {
    clock: Arc<ManualClock>,
    state: Mutex<State>,
    /// Counts what the server writes, and the content that it reads.
    moved: Arc<AtomicU64>,
}

struct State {
    speeds: Speeds,
    /// The part of the request's head that the server has not read.
    head: Bytes,
    /// Bytes of its content that the server has not read.
    content: u64,
    /// How that content arrives; `None` without content.
    content_flow: Option<Inflow>,
    /// What the server has written.
    response: Outflow,
    /// Once it was full it takes nothing until a third is free, as a socket is not writable before.
    full_until: Instant,
    /// Set once the client's end is closed: to an error by a reset, to `None` by a half-close.
    closed: Option<Option<ErrorKind>>,
    /// The server has closed its end.
    is_over: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Line {
    /// Makes a connection that counts what the server writes, and the content that it reads, in `moved` too.
    pub(super) fn new(clock: Arc<ManualClock>, speeds: Speeds, moved: Arc<AtomicU64>) -> (Self, ServerEnd) {
        let state = State {
            speeds,
            head: Bytes::new(),
            content: 0,
            content_flow: None,
            response: Outflow::new(speeds.read, speeds.buffer, clock.now()),
            full_until: Instant::ZERO,
            closed: None,
            is_over: false,
            reader: None,
            writer: None,
        };
        let inner = Arc::new(Inner { clock, state: Mutex::new(state), moved });
        (Self(Arc::clone(&inner)), ServerEnd(inner))
    }

    /// Sends the head of a request, and content of so many bytes behind it.
    pub(super) fn request(&self, head: Bytes, content: u64) {
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        let speeds = state.speeds;
        (state.head, state.content) = (head, content);
        state.content_flow = (content > 0).then(|| Inflow::new(speeds.send, speeds.buffer, now));
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Ends the connection: with a reset while something is under way, else by closing its half.
    pub(super) fn close(&self, is_reset: bool) {
        let mut state = self.0.state.lock();
        state.closed = Some(is_reset.then_some(ErrorKind::ConnectionReset));
        state.content = 0;
        let wakers = state.reader.take().into_iter().chain(state.writer.take());
        drop(state);
        wakers.for_each(Waker::wake);
    }

    /// Whether a request can be sent on it.
    pub(super) fn is_open(&self) -> bool {
        let state = self.0.state.lock();
        !state.is_over && state.closed.is_none()
    }

    /// When the client will have read all that the server has written.
    pub(super) fn read_at(&self) -> Instant {
        self.0.state.lock().response.empty_at()
    }
}

impl Inner {
    /// Has the waker woken at `due`. A timer that is set more than once does no harm.
    fn wake_at(&self, due: Instant, cx: &Context<'_>) {
        self.clock.wake_at(due, cx.waker().clone());
    }

    /// Returns how many bytes of a request can be read now, at most `want`; zero at its end.
    fn poll_ready(&self, state: &mut State, cx: &Context<'_>, want: usize) -> Poll<io::Result<usize>> {
        if let Some(error) = state.closed.flatten() {
            return Poll::Ready(Err(error.into()));
        }
        if !state.head.is_empty() {
            return Poll::Ready(Ok(want.min(state.head.len())));
        }
        let now = self.clock.now();
        if let (1.., Some(flow)) = (state.content, &mut state.content_flow) {
            let ready = flow.ready(now).min(state.content).min(want as u64);
            if ready > 0 {
                return Poll::Ready(Ok(ready as usize));
            }
            self.wake_at(flow.ready_at(flow.piece().min(state.content)), cx);
            return Poll::Pending;
        }
        if state.closed.is_some() {
            return Poll::Ready(Ok(0));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl State {
    /// Takes `bytes` of a request that are there; content counts as `moved`.
    fn take(&mut self, bytes: usize, moved: &AtomicU64) -> Bytes {
        if !self.head.is_empty() {
            return self.head.split_to(bytes);
        }
        moved.fetch_add(bytes as u64, Ordering::Relaxed);
        self.content -= bytes as u64;
        if let Some(flow) = &mut self.content_flow {
            flow.take(bytes as u64);
        }
        Bytes::from_static(&ZEROS[..bytes])
    }
}

impl Wire for ServerEnd {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let want = buf.len().min(ZEROS.len());
        let mut state = self.0.state.lock();
        let n = ready!(self.0.poll_ready(&mut state, cx, want))?;
        if n > 0 {
            buf[..n].copy_from_slice(&state.take(n, &self.0.moved));
        }
        Poll::Ready(Ok(n))
    }

    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        let mut state = self.0.state.lock();
        let n = ready!(self.0.poll_ready(&mut state, cx, want.min(ZEROS.len())))?;
        Poll::Ready(Ok(if n > 0 { state.take(n, &self.0.moved) } else { Bytes::new() }))
    }

    fn is_gone(&self) -> bool {
        self.0.state.lock().closed.flatten().is_some()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        if let Some(error) = state.closed.flatten() {
            return Poll::Ready(Err(error.into()));
        }
        let offered: u64 = bufs.iter().map(|buf| buf.len() as u64).sum();
        let room = if now < state.full_until { 0 } else { state.response.room(now) };
        let taken = offered.min(room);
        if taken == 0 && offered > 0 {
            state.full_until = state.response.writable_at().max(now + Duration::from_nanos(1));
            state.writer = Some(cx.waker().clone());
            self.0.wake_at(state.full_until, cx);
            return Poll::Pending;
        }
        state.response.put(taken, now);
        drop(state);
        self.0.moved.fetch_add(taken, Ordering::Relaxed);
        Poll::Ready(Ok(taken as usize))
    }

    fn poll_sent(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.state.lock().is_over = true;
        Poll::Ready(Ok(()))
    }

    fn reset_on_close(&self) {
        self.0.state.lock().is_over = true;
    }
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        self.0.state.lock().is_over = true;
    }
}
