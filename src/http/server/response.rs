//! The body of a response on its way to HTTP framing: paced content, and how it fails.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::account::Exchange;
use super::connection_fields;
use super::h2::StreamWatch;
use crate::body::{BodyError, PacedBody};
use crate::http::content::Content;
use crate::rt::FileReader;

/// A frame of content, or why there is none.
type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// What framing pulls a response's bytes from: over HTTP/1 as a [`Body`], over HTTP/2 chunk by chunk.
pub(super) struct ResponseBody {
    /// The answer has no bytes.
    is_empty: bool,
    exchange: Exchange,
    /// The sink was told that more is to come.
    expected: bool,
    failure: Failure,
    /// Over HTTP/2, how long the stream waits for its client.
    watch: Option<Arc<StreamWatch>>,
}

/// Over HTTP/1 a failed body reports it only when the bytes before the failure went on, or they would be lost with
/// the connection.
enum Failure {
    None,
    /// The error, kept until the sink was flushed once more than so often.
    Flushing(BodyError, u64),
    Told,
}

impl ResponseBody {
    pub(super) fn new(content: Option<PacedBody<Content, FileReader>>, mut exchange: Exchange) -> Self {
        exchange.account.ended = content.is_none();
        let is_empty = content.is_none();
        if let Some(content) = content {
            exchange.connection().sink.expect_more();
            exchange.transfer().begin(content);
        }
        Self { is_empty, exchange, expected: !is_empty, failure: Failure::None, watch: None }
    }

    /// Notes what watches over the client of a stream of HTTP/2.
    pub(super) fn watched_by(&mut self, watch: Arc<StreamWatch>) {
        self.exchange.transfer().watched_by(Arc::clone(&watch));
        self.watch = Some(watch);
    }

    /// Tells the sink that nothing more is to come of this.
    fn no_more(&mut self) {
        if std::mem::take(&mut self.expected) {
            self.exchange.connection().sink.expect_no_more();
        }
    }

    fn failed(&mut self, error: &BodyError) {
        let bytes = self.exchange.transfer().flow().bytes;
        self.exchange.connection().tell_aborted(self.exchange.addr(), bytes, error);
        self.no_more();
    }

    /// Waits until the bytes before the failure went on; then the error.
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Failure::Flushing(_, seen) = &self.failure {
            // The reset is the connection's.
            let connection = self.exchange.connection();
            ready!(connection.sink.poll_flushed(cx, *seen));
            connection.sink.abort();
        }
        match std::mem::replace(&mut self.failure, Failure::Told) {
            Failure::Flushing(error, _) => Poll::Ready(Some(Err(error))),
            Failure::None | Failure::Told => Poll::Ready(None),
        }
    }

    /// The next chunk of at most `most` bytes, or the trailers. What is sent of it is [counted](Self::sent) then. An
    /// error is reported at once.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>, most: u64) -> Polled {
        let mut polled = ready!(self.exchange.transfer().poll_chunk(cx, self.exchange.connection(), most));
        match &mut polled {
            Some(Ok(frame)) => conform(frame),
            Some(Err(error)) => self.failed(error),
            None => {}
        }
        Poll::Ready(polled)
    }

    /// Counts bytes of a chunk that the framing has.
    pub(super) fn sent(&self, bytes: u64) {
        self.exchange.transfer().handed_on(bytes, self.exchange.connection());
    }

    /// The framing has all of it, and its end.
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
            // Who was told that the last bytes are the last does not ask for more.
            self.exchange.account.ended |= self.is_end_stream();
        }
        self.no_more();
        if let Some(content) = self.exchange.transfer().end() {
            if !self.exchange.is_multiplexed() && !self.exchange.account.is_whole() {
                self.exchange.connection().sink.abort();
            }
            // The exchange tells of it in the log.
            self.exchange.account.waits = content.waits();
            self.exchange.account.turns = content.gate().waited().cloned().collect();
        }
        if let Some(watch) = &self.watch {
            self.exchange.account.window_wait = watch.waited(self.exchange.connection().now());
            self.exchange.account.given_up = watch.is_given_up();
        }
    }
}

/// As HTTP/1 pulls it.
impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        if !matches!(this.failure, Failure::None) {
            return this.poll_failure(cx);
        }
        if this.is_empty {
            return Poll::Ready(None);
        }
        match ready!(this.exchange.transfer().poll_frame(cx, this.exchange.connection())) {
            Some(Ok(mut frame)) => {
                conform(&mut frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.failed(&error);
                // The reset must not overtake what the kernel holds.
                let sink = &this.exchange.connection().sink;
                sink.send_before_flushed();
                this.failure = Failure::Flushing(error, sink.flushes());
                this.poll_failure(cx)
            }
            None => {
                this.exchange.account.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.failure, Failure::None) && self.exchange.transfer().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Of others the head says what there is to say.
        if self.is_empty { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
