//! Limits reads: bytes are read first, and passed on when their turn is granted.
//!
//! In this order no flow waits with nothing to pass, a read that would block holds no turn, the end of the stream needs
//! none, and each wait is exactly that of the bytes there are.

use std::io;
use std::task::{Context, Poll, ready};

use super::pace::Pace;

/// The most bytes that are read ahead of their turn: 64 KiB.
pub const MAX_AHEAD: usize = 64 * 1024;

/// The reading direction of a stream.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) pace: Pace,
    /// Read and not passed on. Without allocation while nothing waits.
    ahead: Vec<u8>,
    /// Bytes at the beginning of `ahead` that were passed on.
    taken: usize,
    /// Bytes that were shown to a caller, and paid for, and not consumed: of `ahead`, or if that is empty of the reader's own
    /// buffer.
    shown: usize,
}

impl Reading {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, ahead: Vec::new(), taken: 0, shown: 0 }
    }

    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead[self.taken..]
    }

    /// Passes on bytes that were read ahead, or else calls `read`.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        read: impl FnOnce(&mut Context<'_>, &mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if !self.ahead.is_empty() {
            return self.poll_ahead(cx, buf).map(Ok);
        }
        let is_paid = self.shown > 0;
        let room = buf.len().min(if is_paid { self.shown } else { MAX_AHEAD });
        let read = ready!(read(cx, &mut buf[..room]))?;
        let Some(here) = buf[..room].get(..read) else {
            return Poll::Ready(Err(io::Error::other(
                "the reader returned more than the length of the buffer",
            )));
        };
        if is_paid {
            self.shown -= read;
            return Poll::Ready(Ok(read));
        }
        if read == 0 {
            return Poll::Ready(Ok(0));
        }
        let turn = match self.pace.poll_turn(cx, read) {
            Poll::Ready(turn) => turn,
            Poll::Pending => 0,
        };
        // The caller may pass another buffer next time.
        self.ahead.extend_from_slice(&here[turn..]);
        if turn == 0 {
            return Poll::Pending;
        }
        self.pace.passed(turn);
        Poll::Ready(Ok(turn))
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<usize> {
        if buf.is_empty() {
            return Poll::Ready(0);
        }
        ready!(self.poll_show(cx, self.ahead().len().min(buf.len())));
        let turn = self.shown.min(buf.len());
        buf[..turn].copy_from_slice(&self.ahead()[..turn]);
        self.consume(turn);
        Poll::Ready(turn)
    }

    /// Shows bytes that were read ahead, or else some of those that `fill` finds in the reader's own buffer.
    pub(super) fn poll_fill_buf<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
        fill: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<&'a [u8]>>,
    ) -> Poll<io::Result<&'a [u8]>> {
        let ahead = self.ahead().len();
        if ahead > 0 {
            ready!(self.poll_show(cx, ahead));
            return Poll::Ready(Ok(self.shown_ahead()));
        }
        let here = ready!(fill(cx))?;
        let shown = ready!(self.poll_show(cx, here.len()));
        Poll::Ready(Ok(&here[..shown.min(here.len())]))
    }

    /// Requests a turn for bytes that the caller will be shown, unless some are shown already; counts them at once. Returns
    /// how many are shown.
    pub(super) fn poll_show(&mut self, cx: &mut Context<'_>, here: usize) -> Poll<usize> {
        if self.shown == 0 {
            self.shown = ready!(self.pace.poll_turn(cx, here.min(MAX_AHEAD)));
            self.pace.passed(self.shown);
        }
        Poll::Ready(self.shown)
    }

    /// Returns what was shown of the bytes read ahead.
    pub(super) fn shown_ahead(&self) -> &[u8] {
        &self.ahead()[..self.shown.min(self.ahead().len())]
    }

    /// Removes bytes that were shown. Returns how many of them are in the reader's own buffer.
    pub(super) fn consume(&mut self, bytes: usize) -> usize {
        let bytes = bytes.min(self.shown);
        self.shown -= bytes;
        if self.ahead.is_empty() {
            return bytes;
        }
        self.taken += bytes;
        if self.ahead().is_empty() {
            self.ahead = Vec::new();
            self.taken = 0;
        }
        0
    }

    /// Forgets what was read ahead: the reader is elsewhere.
    pub(super) fn forget(&mut self) {
        self.ahead = Vec::new();
        self.taken = 0;
        self.shown = 0;
    }
}
