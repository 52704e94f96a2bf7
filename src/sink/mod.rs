//! The sink: between HTTP framing and the socket. Knows no HTTP.
//!
//! A write goes straight from the framing's buffers to the socket, as far as the socket takes it and the connection's
//! token bucket covers it. Without tokens nothing is accepted: the chain waits, and nothing is held. Bytes that the
//! *socket* refuses are held in a bounded buffer, allocated only then, and written when the socket becomes writable.
//! [`SinkSettings`] decide what happens to a reader that does not drain it.
//!
//! Textbook throttles drop bytes when tokens run out; here they wait, because dropping bytes would corrupt a
//! response.

mod backlog;
mod charge;
mod counts;
mod file;
mod held;
mod quiet;
mod read;
mod settings;
mod stall;
mod state;
mod stopwatch;
mod tokens;
mod wire;

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_lite::io::AsyncWrite;

use crate::clock::{Clock, Instant, Sleep};
use crate::limit::{INTERVAL, Limit};
use crate::rt::{MAX_PIECES, Socket, first_bytes};

pub use charge::Charge;
pub use counts::SinkCounts;
pub use held::{HeldAs, HeldBytes};
pub use settings::{OnFull, SinkSettings};
pub use state::{GivenUp, SinkState};
pub use wire::Wire;

use backlog::Backlog;
use stall::{StallDetector, Verdict};
use tokens::Tokens;

/// A socket as HTTP framing sees it: bounded, paced, counted.
///
/// Dropping it takes what it held off the account. The socket then ends in a reset if the sink was
/// [aborted](SinkState::abort), or holds bytes.
pub struct Sink<W: Wire = Socket> {
    wire: W,
    /// What the wire holds, as it is charged.
    wire_held: usize,
    /// The kernel's pace that was set last.
    pacing_rate: Option<u64>,
    /// Bytes that [`begins_with`](Self::begins_with) read, returned by the next read.
    prefix: Bytes,
    settings: Arc<SinkSettings>,
    backlog: Backlog,
    stall: StallDetector,
    tokens: Tokens,
    /// When a write that waits for tokens tries again.
    tokens_due: Option<Instant>,
    /// When the stall detector is to be asked again.
    patience_ends: Option<Instant>,
    /// When the socket last took bytes of a file.
    took_at: Option<Instant>,
    /// Fires at the earlier of the two dues.
    alarm: Sleep,
    state: Arc<SinkState>,
}

impl<W: Wire> fmt::Debug for Sink<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

impl<W: Wire> Sink<W> {
    /// Creates a sink before `wire`, whose counters also add to `totals`.
    pub fn new(wire: W, settings: Arc<SinkSettings>, totals: Arc<SinkCounts>, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Self {
            wire,
            wire_held: 0,
            pacing_rate: None,
            prefix: Bytes::new(),
            backlog: Backlog::new(settings.buffer),
            stall: StallDetector::default(),
            tokens: Tokens::new(settings.limit(), now),
            tokens_due: None,
            patience_ends: None,
            took_at: None,
            alarm: Sleep::until(Arc::clone(&clock), now),
            state: Arc::new(SinkState::new(clock, totals)),
            settings,
        }
    }

    /// Uses `limit`, which may be shared and changed, in place of the settings' rate and burst.
    #[must_use]
    pub fn under(mut self, limit: Limit) -> Self {
        self.tokens = Tokens::new(limit, self.alarm.clock().now());
        self
    }

    /// The state of this sink, for observers. It outlives the sink.
    pub fn state(&self) -> &Arc<SinkState> {
        &self.state
    }

    /// Has the processor fetch what the next write uses.
    pub(crate) fn prefetch(&self) {
        self.state.prefetch();
        self.wire.prefetch();
        black_box((
            self.patience_ends,
            self.took_at,
            self.tokens_due,
            self.backlog.is_empty(),
            self.wire_held,
        ));
    }

    /// The socket.
    pub fn get_ref(&self) -> &W {
        &self.wire
    }

    /// The socket, for what precedes its first bytes.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.wire
    }

    /// Has the kernel spread what the socket takes: no more than `rate` bytes per second leave; `None`: as fast as they can.
    /// A system call if that is another rate than before.
    pub(crate) fn set_pacing_rate(&mut self, rate: Option<u64>) {
        if rate != self.pacing_rate {
            self.pacing_rate = rate;
            self.wire.set_pacing_rate(rate);
        }
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
        let most = if self.backlog.is_empty() {
            self.end_patience(now);
            offered
        } else {
            offered.min(self.backlog.room())
        };
        let covered = ready!(self.poll_tokens(cx, now, most));
        let mut taken = 0;
        if self.backlog.is_empty() {
            let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
            match self.wire.poll_write(cx, first_bytes(bufs, covered, &mut pieces)) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.note_taken(n, now);
                    taken = n;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => self.note_refused(now),
            }
        }
        // A socket that took a part may take more: the next write asks it again. One that took nothing is full, and
        // its bytes are buffered.
        if taken == 0 {
            taken = self.backlog.take(bufs, covered);
            self.state.note_buffered(self.backlog.len() - taken, self.backlog.len());
        }
        self.tokens.passed(taken, covered);
        Poll::Ready(Ok(taken))
    }

    /// Takes tokens for up to `most` bytes; returns for how many. Waits until they cover a piece.
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

    /// Writes the buffer. Ready when it is empty.
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
        self.stall.drained(now);
        self.end_patience(now);
        self.state.note_reader_done(now);
        Poll::Ready(Ok(()))
    }

    /// Charges what the wire holds.
    fn charge_wire(&mut self) {
        let held = self.wire.held();
        if held != self.wire_held {
            self.state.change_held(HeldAs::Tls, self.wire_held as u64, held as u64);
            self.wire_held = held;
        }
    }

    /// Ends a wait for the reader, if there was one.
    fn end_patience(&mut self, now: Instant) {
        if self.patience_ends.take().is_some() {
            self.state.note_reader_done(now);
        }
    }

    /// The socket took bytes, and nothing is before what comes next.
    fn note_taken(&mut self, bytes: usize, now: Instant) {
        self.state.note_written(bytes, now);
        self.stall.took(bytes as u64, now);
        self.stall.drained(now);
    }

    fn note_refused(&mut self, now: Instant) {
        self.state.note_would_block();
        self.state.note_reader_behind(now);
        self.stall.refused(now);
    }

    /// Waits for the reader as long as the settings allow. `offered` more bytes would be given.
    fn poll_patience<T>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        offered: usize,
    ) -> Poll<io::Result<T>> {
        self.patience_ends = self.judge(now, offered)?;
        self.set_alarm(cx);
        Poll::Pending
    }

    /// When the reader is to be judged again.
    ///
    /// # Errors
    /// It is given up.
    fn judge(&mut self, now: Instant, offered: usize) -> io::Result<Option<Instant>> {
        let why = match self.stall.judge(&self.settings, now) {
            Verdict::Until(until) => return Ok(until),
            Verdict::Overflowed => GivenUp::Overflowed,
            Verdict::Stalled => GivenUp::Stalled,
        };
        // A flush or shutdown after the error gets the same error, and counts nothing.
        if self.state.given_up().is_none() {
            self.state.note_reader_done(now);
            self.state.note_given_up(why, self.backlog.len(), offered);
            self.state.abort();
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the reader does not take its bytes"))
    }

    /// Flushes, and waits until the kernel has sent everything. For a connection that is about to be reset, which discards
    /// what the kernel has not sent.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut *self).poll_flush(cx))?;
        self.wire.poll_sent(cx).map(Ok)
    }

    /// Wakes the task when tokens or the stall detector are due, whichever is first.
    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        let Some(due) = self.tokens_due.into_iter().chain(self.patience_ends).min() else { return };
        self.alarm.reset(due);
        if Pin::new(&mut self.alarm).poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

/// The one way for bytes; that for files is [`poll_send_file`](Sink::poll_send_file).
impl<W: Wire> AsyncWrite for Sink<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = self.poll_take(cx, bufs);
        self.charge_wire();
        self.state.note_waiting(if taken.is_pending() { bufs.iter().map(|buf| buf.len()).sum() } else { 0 });
        taken
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.backlog.is_empty() {
            let now = this.alarm.clock().now();
            let drained = this.poll_drain(cx, now)?;
            this.charge_wire();
            if drained.is_pending() {
                return this.poll_patience(cx, now, 0);
            }
        }
        this.state.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        if self.state.is_aborted() {
            // No clean end: dropping the socket will send the reset.
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let this = &mut *self;
        let ended = this.wire.poll_shutdown(cx);
        let now = this.alarm.clock().now();
        if ended.is_pending() {
            // TLS announces the end, and a reader must take that too.
            this.note_refused(now);
            return this.poll_patience(cx, now, 0);
        }
        this.stall.drained(now);
        this.end_patience(now);
        ended
    }
}

impl<W: Wire> Drop for Sink<W> {
    fn drop(&mut self) {
        let now = self.alarm.clock().now();
        self.state.note_tokens_ready(now);
        self.state.note_reader_done(now);
        self.state.note_buffered(self.backlog.len(), 0);
        self.state.note_waiting(0);
        self.state.change_held(HeldAs::Tls, self.wire_held as u64, 0);
        // Bytes are missing: the end must not look clean.
        if self.state.is_aborted() || self.state.is_writing() {
            self.wire.reset_on_close();
        }
    }
}

#[cfg(test)]
mod tests;
