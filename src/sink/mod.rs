//! The sink: between HTTP framing and the socket. Knows no HTTP.
//!
//! A write goes straight from the framing's buffers to the socket while the socket takes it and the
//! connection's token bucket covers it. Without tokens nothing is taken: the chain waits, and nothing is
//! held. What the *socket* refuses is held in a bounded buffer, which exists only then, and goes out when
//! the socket becomes writable, never by trying again and again. What happens to a reader that does not
//! drain it, [`SinkSettings`] say.
//!
//! Textbook throttles drop bytes when tokens run out. Here that only makes them wait, because dropping
//! bytes of a response would corrupt it.

mod backlog;
mod charge;
mod counts;
mod held;
mod quiet;
mod settings;
mod stall;
mod state;
mod stopwatch;
mod tokens;
mod wire;

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::rt::{ReadBuf, ReadBufCursor};

use crate::clock::{Clock, Instant, Sleep};
use crate::limit::{INTERVAL, Limit};
use crate::rt::Socket;

pub use charge::Charge;
pub use counts::SinkCounts;
pub use held::{HeldAs, HeldBytes};
pub use settings::{MAX_BUFFER, MAX_IN_KERNEL, OnFull, SinkSettings};
pub use state::{GivenUp, SinkState};
pub use wire::Wire;

use backlog::Backlog;
use stall::{StallDetector, Verdict};
use tokens::Tokens;

/// Pieces of one vectored write that are passed on; the rest waits for the next write.
const MAX_PIECES: usize = 16;

/// The most [`Sink::begins_with`] reads at a time: the heads of most requests.
const READ_AHEAD: usize = 2048;

/// A socket as HTTP framing sees it: bounded, paced, counted.
///
/// Dropping it gives back what it held. If it was [aborted](SinkState::abort), or bytes have not gone on
/// yet or [are to come](SinkState::expect_more), the socket ends in a reset.
pub struct Sink<W: Wire = Socket> {
    wire: W,
    /// Bytes read ahead, to be read again first.
    prefix: Bytes,
    settings: Arc<SinkSettings>,
    backlog: Backlog,
    stall: StallDetector,
    tokens: Tokens,
    /// When there will be the tokens that a write waits for, or they are looked at again.
    tokens_due: Option<Instant>,
    /// When the patience with the reader may end.
    patience_ends: Option<Instant>,
    /// Rings at the earlier of the two.
    alarm: Sleep,
    state: Arc<SinkState>,
}

impl<W: Wire> Sink<W> {
    /// A sink before `wire`, adding to `totals`.
    pub fn new(wire: W, settings: Arc<SinkSettings>, totals: Arc<SinkCounts>, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Self {
            wire,
            prefix: Bytes::new(),
            backlog: Backlog::new(settings.buffer),
            stall: StallDetector::default(),
            tokens: Tokens::new(settings.limit(), now),
            tokens_due: None,
            patience_ends: None,
            alarm: Sleep::until(Arc::clone(&clock), now),
            state: Arc::new(SinkState::new(clock, totals)),
            settings,
        }
    }

    /// The same under a limit that others share and change, in place of the settings' rate and burst.
    #[must_use]
    pub fn under(mut self, limit: Limit) -> Self {
        self.tokens = Tokens::new(limit, self.alarm.clock().now());
        self
    }

    /// What is known of this sink, for as long as somebody asks.
    pub fn state(&self) -> &Arc<SinkState> {
        &self.state
    }

    /// What the sink stands before.
    pub fn get_ref(&self) -> &W {
        &self.wire
    }

    /// Writes as much of `bufs` as the socket takes, the buffer holds and the tokens cover.
    fn poll_take(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        let now = self.alarm.clock().now();
        self.state.note_offered(now);
        if !self.backlog.is_empty() && self.poll_drain(cx, now)?.is_pending() && self.backlog.room() == 0 {
            self.stall.full(now);
            return self.poll_patience(cx, now, offered);
        }
        let most = if self.backlog.is_empty() { offered } else { offered.min(self.backlog.room()) };
        let covered = ready!(self.poll_tokens(cx, now, most));
        let mut taken = 0;
        if self.backlog.is_empty() {
            match write_most(&mut self.wire, cx, bufs, covered) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.state.note_written(n, now);
                    taken = n;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => self.note_refused(now),
            }
        }
        // A socket that took a part may take more; it is asked again by the next write. One that took
        // nothing is full, and what it refused is held for it.
        if taken == 0 {
            taken = self.backlog.take(bufs, covered);
            self.state.note_buffered(self.backlog.len() - taken, self.backlog.len());
        }
        self.tokens.give_back(covered - taken);
        Poll::Ready(Ok(taken))
    }

    /// Waits until the tokens cover a piece of `most` bytes, and says how many they cover; they are taken.
    fn poll_tokens(&mut self, cx: &mut Context<'_>, now: Instant, most: usize) -> Poll<usize> {
        match self.tokens.take(now, most) {
            Ok(covered) => {
                if self.tokens_due.take().is_some() {
                    self.state.note_tokens_ready(now);
                }
                Poll::Ready(covered)
            }
            Err(due) => {
                // The limit may be changed meanwhile.
                self.tokens_due = Some(due.min(now + INTERVAL));
                self.state.note_tokens_short(now, due);
                self.set_alarm(cx);
                Poll::Pending
            }
        }
    }

    /// Writes what is held. `Ready` when nothing is.
    fn poll_drain(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<io::Result<()>> {
        while !self.backlog.is_empty() {
            match self.wire.poll_write(cx, &[IoSlice::new(self.backlog.as_slice())]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.state.note_written(n, now);
                    self.state.note_buffered(self.backlog.len(), self.backlog.len() - n);
                    self.backlog.advance(n);
                    self.stall.took(n as u64, now);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.note_refused(now);
                    return Poll::Pending;
                }
            }
        }
        self.stall.drained();
        self.patience_ends = None;
        self.state.note_reader_done(now);
        Poll::Ready(Ok(()))
    }

    fn note_refused(&mut self, now: Instant) {
        self.state.note_would_block();
        self.state.note_reader_behind(now);
        self.stall.refused(now);
    }

    /// Waits for the reader as long as the settings say. `offered` bytes more would be given.
    fn poll_patience<T>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        offered: usize,
    ) -> Poll<io::Result<T>> {
        let why = match self.stall.judge(&self.settings, now) {
            Verdict::Until(until) => {
                self.patience_ends = until;
                self.set_alarm(cx);
                return Poll::Pending;
            }
            Verdict::Overflowed => GivenUp::Overflowed,
            Verdict::Stalled => GivenUp::Stalled,
        };
        // Whoever asks again after the error, to flush or to shut down, hears the same and counts no more.
        if self.state.given_up().is_none() {
            self.state.note_reader_done(now);
            self.state.note_given_up(why, self.backlog.len(), offered);
            self.state.abort();
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader does not take its bytes")))
    }

    /// Has the task woken when there are tokens or the patience ends, whichever is first.
    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        let Some(due) = self.tokens_due.into_iter().chain(self.patience_ends).min() else { return };
        self.alarm.reset(due);
        if Pin::new(&mut self.alarm).poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

/// Writes at most `most` bytes of `bufs`, without copying.
fn write_most(
    wire: &mut impl Wire,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
    most: usize,
) -> Poll<io::Result<usize>> {
    let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
    let (mut used, mut left) = (0, most);
    for buf in bufs.iter().filter(|buf| !buf.is_empty()).take(MAX_PIECES) {
        let n = left.min(buf.len());
        if n == 0 {
            break;
        }
        pieces[used] = IoSlice::new(&buf[..n]);
        used += 1;
        left -= n;
    }
    wire.poll_write(cx, &pieces[..used])
}

impl<W: Wire> Sink<W> {
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
                let mut read = ReadBuf::new(&mut buf);
                let n = ready!(self.wire.poll_read(cx, &mut read.unfilled()))?;
                seen.extend_from_slice(read.filled());
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

impl<W: Wire> Sink<W> {
    /// Reads what is there, at most about `want` bytes; no bytes at the end of the stream. Holds no memory
    /// while it waits.
    pub fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        if !self.prefix.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.prefix)));
        }
        let bytes = ready!(self.wire.poll_read_bytes(cx, want))?;
        self.state.note_read(bytes.len());
        Poll::Ready(Ok(bytes))
    }
}

impl<W: Wire> hyper::rt::Read for Sink<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.has_remaining() {
            let n = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix.split_to(n));
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        let n = ready!(this.wire.poll_read(cx, &mut buf))?;
        this.state.note_read(n);
        Poll::Ready(Ok(()))
    }
}

impl<W: Wire> hyper::rt::Write for Sink<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = self.poll_take(cx, bufs);
        self.state.note_waiting(if taken.is_pending() { bufs.iter().map(|buf| buf.len()).sum() } else { 0 });
        taken
    }

    // Without this hyper copies every body into its flat buffer.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.backlog.is_empty() {
            let now = this.alarm.clock().now();
            if this.poll_drain(cx, now)?.is_pending() {
                let given_up = this.poll_patience(cx, now, 0);
                let goes_on = given_up.is_pending() && this.state.expects_more();
                return if goes_on { Poll::Ready(Ok(())) } else { given_up };
            }
        }
        if this.state.sends_before_flushed() {
            ready!(this.wire.poll_sent(cx));
        }
        this.state.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.close();
        ready!(self.as_mut().poll_flush(cx))?;
        if self.state.is_aborted() {
            // No clean end: dropping the socket will send the reset.
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.wire.poll_shutdown(cx)
    }
}

impl<W: Wire> Drop for Sink<W> {
    fn drop(&mut self) {
        let now = self.alarm.clock().now();
        self.state.note_tokens_ready(now);
        self.state.note_reader_done(now);
        self.state.note_buffered(self.backlog.len(), 0);
        self.state.note_waiting(0);
        // What has not gone on is missing, or not even here yet: the end must not look clean.
        if self.state.is_aborted() || self.state.is_writing() || self.state.expects_more() {
            self.wire.reset_on_close();
        }
    }
}

#[cfg(test)]
mod tests;
