//! The body of a response on its way to HTTP framing: its content, and how it fails.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::answer_content::{AnswerContent, Polled};
use super::connection_fields;
use super::exchange::Exchange;
use super::spread::Spread;
use super::stream_watch::StreamWatch;
use crate::body::{BodyError, Piece};

/// What the framing pulls a response's bytes from: over HTTP/1 piece by piece, over HTTP/2 chunk by chunk.
pub(super) struct ResponseBody {
    /// `None` if the answer has none.
    content: Option<Box<AnswerContent>>,
    exchange: Exchange,
    /// The content broke off.
    is_failed: bool,
    /// If set, the kernel spreads it over its intervals.
    spread: Option<Box<Spread>>,
    /// Over HTTP/2, how long the stream waits for its client.
    watch: Option<Arc<StreamWatch>>,
}

impl ResponseBody {
    pub(super) fn new(content: Option<Box<AnswerContent>>, mut exchange: Exchange) -> Self {
        exchange.account.ended = content.is_none();
        Self { content, exchange, is_failed: false, spread: None, watch: None }
    }

    /// Has the kernel spread it as `spread` says.
    pub(super) fn spread(mut self, spread: Option<Box<Spread>>) -> Self {
        self.spread = spread;
        self
    }

    /// The bytes per second above which the kernel is to send none of it; `None`: as fast as it can.
    pub(super) fn pacing_rate(&self) -> Option<u64> {
        self.spread.as_ref()?.rate(self.content.as_ref()?, self.exchange.transfer().bytes())
    }

    /// Sets what watches the client of an HTTP/2 stream.
    pub(super) fn watched_by(&mut self, watch: Arc<StreamWatch>) {
        self.exchange.transfer().watched_by(Arc::clone(&watch));
        self.watch = Some(watch);
    }

    fn failed(&mut self, error: &BodyError) {
        let bytes = self.exchange.transfer().bytes();
        self.exchange.connection().log_aborted(self.exchange.addr(), bytes, error);
        self.is_failed = true;
    }

    /// Over HTTP/1: returns the next piece, at least `min_file` bytes of a file that are at hand as [`Piece::File`]. Nothing
    /// follows an error.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        min_file: u64,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        let Some(content) = &mut self.content else { return Poll::Ready(None) };
        let (transfer, connection) = (self.exchange.transfer(), self.exchange.connection());
        let mut piece = ready!(content.poll_piece(cx, transfer, connection, min_file));
        match &mut piece {
            Some(Ok(Piece::Trailers(fields))) => connection_fields::conform_trailers(fields),
            Some(Ok(_)) => {}
            Some(Err(error)) => self.failed(error),
            None => self.exchange.account.ended = true,
        }
        Poll::Ready(piece)
    }

    /// Has the processor fetch what the next piece uses.
    pub(super) fn prefetch(&self) {
        self.exchange.transfer().prefetch();
        if let Some(content) = &self.content {
            content.prefetch();
        }
    }

    /// Removes and counts bytes that were sent of a [`Piece::File`].
    pub(super) fn sent_of_file(&mut self, bytes: u64) {
        if let Some(content) = &mut self.content {
            content.sent(bytes, self.exchange.transfer(), self.exchange.connection());
        }
    }

    /// Whether nothing follows what was returned.
    pub(super) fn is_end_stream(&self) -> bool {
        !self.is_failed && self.content.as_ref().is_none_or(|content| content.is_end_stream())
    }

    /// Whether there is no content.
    pub(super) fn is_empty(&self) -> bool {
        self.content.is_none()
    }

    /// Returns the next chunk of at most `max_len` bytes, or the trailers. The caller counts what it sends of it with
    /// [`sent`](Self::sent). An error is returned at once.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>, max_len: u64) -> Polled {
        let Some(content) = &mut self.content else { return Poll::Ready(None) };
        let (transfer, connection) = (self.exchange.transfer(), self.exchange.connection());
        let mut polled = ready!(content.poll_chunk(cx, transfer, connection, max_len));
        match &mut polled {
            Some(Ok(frame)) => conform(frame),
            Some(Err(error)) => self.failed(error),
            None => {}
        }
        Poll::Ready(polled)
    }

    /// Counts bytes of a chunk that the framing took.
    pub(super) fn sent(&self, bytes: u64) {
        self.exchange.connection().pass(self.exchange.transfer(), bytes);
    }

    /// Notes that the framing took all of it, and its end.
    pub(super) fn end(&mut self) {
        self.exchange.account.ended = true;
    }
}

fn conform(frame: &mut Frame<Bytes>) {
    if let Some(trailers) = frame.trailers_mut() {
        connection_fields::conform_trailers(trailers);
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if !self.exchange.is_multiplexed() {
            // A caller that was told of the end with the last bytes asks for no more.
            self.exchange.account.ended |= self.is_end_stream();
        }
        if let Some(content) = self.content.take() {
            if !self.exchange.is_multiplexed() && !self.exchange.account.is_whole() {
                self.exchange.connection().sink.abort();
            }
            let (waits, turns) = content.end(self.exchange.transfer());
            (self.exchange.account.waits, self.exchange.account.turns) = (waits, turns);
        }
        if let Some(watch) = &self.watch {
            self.exchange.account.window_wait = watch.waited(self.exchange.connection().now());
            self.exchange.account.given_up = watch.is_given_up();
        }
    }
}
