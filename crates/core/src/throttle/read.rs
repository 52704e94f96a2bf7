//! Reading at a pace: what was read is in hand first, and is handed on when its turn has come.
//!
//! In this order nobody waits in line with nothing to send, a read that would block holds no turn, the end
//! of the stream needs none, and each wait is for the bytes there really are, to the nanosecond.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncRead;

use super::Throttle;
use super::pace::Pace;

/// The most that is read ahead of the pace, in bytes.
pub const MAX_AHEAD: usize = 64 * 1024;

/// The reading direction of a stream.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) pace: Pace,
    /// Read and not handed on. Empty, and without memory, while nothing waits.
    ahead: Vec<u8>,
    /// How much of it was handed on.
    taken: usize,
}

impl Reading {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, ahead: Vec::new(), taken: 0 }
    }

    /// What was read and waits for its turn.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead[self.taken..]
    }

    /// Reads by `read`, at most as much as may be in hand.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        read: impl FnOnce(&mut Context<'_>, &mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if !self.ahead.is_empty() {
            return self.poll_ahead(cx, buf).map(Ok);
        }
        let room = buf.len().min(MAX_AHEAD);
        let read = ready!(read(cx, &mut buf[..room]))?;
        let Some(here) = buf[..room].get(..read) else {
            return Poll::Ready(Err(io::Error::other("the reader says it read more than there is room for")));
        };
        if read == 0 {
            return Poll::Ready(Ok(0));
        }
        let turn = match self.pace.poll_turn(cx, read) {
            Poll::Ready(turn) => turn,
            Poll::Pending => 0,
        };
        // The caller's buffer may be another one next time.
        self.ahead.extend_from_slice(&here[turn..]);
        if turn == 0 {
            return Poll::Pending;
        }
        self.pace.passed(turn);
        Poll::Ready(Ok(turn))
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<usize> {
        let wanted = buf.len().min(self.ahead().len());
        let turn = ready!(self.pace.poll_turn(cx, wanted));
        buf[..turn].copy_from_slice(&self.ahead()[..turn]);
        self.taken += turn;
        if self.ahead().is_empty() {
            self.ahead = Vec::new();
            self.taken = 0;
        }
        self.pace.passed(turn);
        Poll::Ready(turn)
    }
}

impl<IO: AsyncRead> AsyncRead for Throttle<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.reading.poll_read(cx, buf, |cx, buf| this.io.poll_read(cx, buf))
    }
}
