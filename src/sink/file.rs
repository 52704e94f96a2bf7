//! Sends file pages through a sink.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{Sink, Wire};

/// How long after it took bytes a full socket is waited for, before what it refuses is read and buffered: a fast reader
/// has the next bytes taken meanwhile, and they need no memory.
const EAGER: Duration = Duration::from_millis(20);

impl<W: Wire> Sink<W> {
    /// Whether [`poll_send_file`](Self::poll_send_file) can send anything.
    pub fn sends_files(&self) -> bool {
        self.wire.sends_files()
    }

    /// Sends at most `len` bytes of `file` from `offset` without reading them, under the same limits as bytes that are
    /// written; returns how many. Nothing is held in memory meanwhile, also while it waits for tokens.
    ///
    /// Ready with 0 if bytes must be read and written instead: others are buffered, the reader took nothing for 20 ms, or
    /// the file cannot be sent, also because it has shrunk. `file` should be in the page cache: otherwise this blocks.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        if !self.backlog.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let now = self.alarm.clock().now();
        self.state.note_offered(now);
        // Else the next alarm, perhaps for tokens, would be in the past.
        self.end_patience(now);
        let covered = ready!(self.poll_tokens(cx, now, len));
        let sent = loop {
            match self.wire.try_send_file(file, offset, covered) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                sent => break sent,
            }
            let until = self.took_at.map(|took_at| took_at + EAGER).filter(|until| now < *until);
            let Some(until) = until else {
                // Until they are read, nothing waits for the reader.
                self.stall.drained(now);
                break Ok(0);
            };
            if self.wire.poll_writable(cx)?.is_pending() {
                self.tokens.passed(0, covered);
                self.note_refused(now);
                self.patience_ends = self.judge(now, len)?.into_iter().chain([until]).min();
                self.set_alarm(cx);
                return Poll::Pending;
            }
        };
        let taken = sent.as_ref().map_or(0, |taken| *taken);
        self.tokens.passed(taken, covered);
        if taken > 0 {
            self.note_taken(taken, now);
            self.took_at = Some(now);
        }
        Poll::Ready(sent)
    }
}
