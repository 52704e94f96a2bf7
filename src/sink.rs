//! The sink: between HTTP framing and the socket.
//!
//! A plain one for now: it passes bytes through, counts them, lets others wait until all bytes went
//! on, and turns an aborted exchange into a reset. Knows no HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};

use crate::clock::{Clock, Instant};
use crate::rt::Socket;

/// What a connection's sink knows, shared with those who write through it.
pub struct SinkState {
    written: AtomicU64,
    read: AtomicU64,
    /// When the first byte since [`await_bytes`](Self::await_bytes) came, in nanoseconds; 0 before it.
    heard: AtomicU64,
    aborted: AtomicBool,
    flushes: AtomicU64,
    /// A flush lasts until the kernel has sent all it took.
    sends: AtomicBool,
    /// Someone waits for a flush. Spares the lock on the data path.
    awaited: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
    clock: Arc<dyn Clock>,
}

impl SinkState {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            aborted: AtomicBool::new(false),
            flushes: AtomicU64::new(0),
            sends: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            waiting: Mutex::new(Vec::new()),
            clock,
        }
    }

    /// Bytes the socket took, heads and framing included.
    pub fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Bytes that came from the socket.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Forgets when bytes came: the next byte begins a new message.
    pub fn await_bytes(&self) {
        self.heard.store(0, Ordering::Relaxed);
    }

    /// When the first byte since [`await_bytes`](Self::await_bytes) came.
    pub fn heard_at(&self) -> Option<Instant> {
        match self.heard.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }

    /// Makes the end of the connection a reset: its peer must not take what it got for complete.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }

    /// Whether the connection is to end, or ended, with a reset.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }

    /// How often all bytes handed to the sink had gone on.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// Ready when there have been more flushes than the `seen` that were there before.
    pub fn poll_flushed(&self, cx: &mut Context<'_>, seen: u64) -> Poll<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        drop(waiting);
        self.awaited.store(true, Ordering::SeqCst);
        // It may have happened before we said that we wait.
        if self.flushes.load(Ordering::SeqCst) > seen { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Makes a flush, from now on, last until the kernel has sent what it took: a reset discards what it
    /// has not. For a connection that is about to be aborted.
    pub fn send_before_flushed(&self) {
        self.sends.store(true, Ordering::Relaxed);
    }

    fn note_read(&self, n: usize) {
        if n > 0 {
            self.read.fetch_add(n as u64, Ordering::Relaxed);
            if self.heard.load(Ordering::Relaxed) == 0 {
                self.heard.store(self.clock.now().as_nanos().max(1), Ordering::Relaxed);
            }
        }
    }

    fn flushed(&self) {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        if self.awaited.load(Ordering::SeqCst) && self.awaited.swap(false, Ordering::SeqCst) {
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

/// The most [`Sink::begins_with`] reads at a time: the heads of most requests.
const READ_AHEAD: usize = 2048;

/// A socket as HTTP framing sees it.
pub struct Sink {
    socket: Socket,
    /// Bytes read ahead, to be read again first.
    prefix: Bytes,
    state: Arc<SinkState>,
}

impl Sink {
    /// A sink before `socket`. The clock tells when bytes came.
    pub fn new(socket: Socket, clock: Arc<dyn Clock>) -> Self {
        Self { socket, prefix: Bytes::new(), state: Arc::new(SinkState::new(clock)) }
    }

    /// What is known of this sink, for as long as somebody asks.
    pub fn state(&self) -> &Arc<SinkState> {
        &self.state
    }

    /// The socket behind.
    pub fn get_ref(&self) -> &Socket {
        &self.socket
    }

    /// Whether the peer begins with `preface`. What it read is read again by whoever comes next.
    ///
    /// It reads a whole head at once if it is there. hyper asks for 8 KiB more whenever a head comes in
    /// pieces, and would keep 16 KiB for a connection whose first piece is these few bytes.
    ///
    /// # Errors
    /// The socket's; `UnexpectedEof` if the peer left before it could be known.
    pub async fn begins_with(&mut self, preface: &'static [u8]) -> io::Result<bool> {
        let mut seen = Vec::new();
        let begins = loop {
            if seen.starts_with(preface) {
                break true;
            }
            let n = std::future::poll_fn(|cx| {
                // On the stack, not in the future: a connection must not keep room for it.
                let mut buf = [0; READ_AHEAD];
                let n = ready!(self.socket.poll_read_slice(cx, &mut buf))?;
                seen.extend_from_slice(&buf[..n]);
                Poll::Ready(io::Result::Ok(n))
            })
            .await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.state.note_read(n);
            let known = seen.len().min(preface.len());
            if seen[..known] != preface[..known] {
                break false;
            }
        };
        self.prefix = seen.into();
        Ok(begins)
    }
}

impl hyper::rt::Read for Sink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.has_remaining() {
            let n = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix.split_to(n));
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        let n = ready!(this.socket.poll_read_into(cx, &mut buf))?;
        this.state.note_read(n);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Sink {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.socket).poll_write(cx, buf))?;
        self.state.written.fetch_add(n as u64, Ordering::Relaxed);
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bufs))?;
        self.state.written.fetch_add(n as u64, Ordering::Relaxed);
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        if self.state.sends.load(Ordering::Relaxed) {
            ready!(self.socket.poll_sent(cx));
        }
        self.state.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state.is_aborted() {
            // No clean end: dropping the socket will send the reset.
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.state.is_aborted() {
            self.socket.reset_on_close();
        }
    }
}
