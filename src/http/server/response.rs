//! The body of a response on its way to hyper: paced content, and how it fails.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::account::Exchange;
use super::streams::StreamWatch;
use crate::body::{BodyError, PacedBody};
use crate::http::content::Content;

/// What hyper pulls a response's bytes from.
pub(super) struct ResponseBody {
    /// `None` if the answer has no bytes.
    content: Option<PacedBody<Content>>,
    exchange: Exchange,
    failure: Failure,
    /// Over HTTP/2, what watches over this stream's client.
    watch: Option<Arc<StreamWatch>>,
}

/// A failed body tells hyper only when the bytes before the failure went on, or they would be lost
/// with the connection or the stream.
enum Failure {
    None,
    /// The error, kept until the sink was flushed.
    Flushing(BodyError, Flushes),
    Told,
}

/// Flushes that are waited for.
struct Flushes {
    /// How many the sink had seen when the wait began.
    seen: u64,
    /// How many more waits follow this one.
    more: u8,
}

impl ResponseBody {
    pub(super) fn new(content: Option<PacedBody<Content>>, mut exchange: Exchange) -> Self {
        exchange.account.ended = content.is_none();
        let watch = content.as_ref().and_then(|_| StreamWatch::current());
        if content.is_some() && !exchange.is_multiplexed() {
            exchange.connection().sink.expect_more(true);
        }
        Self { content, exchange, failure: Failure::None, watch }
    }

    fn failed(&mut self, error: BodyError) {
        let connection = self.exchange.connection();
        log::warn!(
            connection = connection.id, client:% = connection.ends.peer, bytes = self.exchange.account.bytes, error:%;
            "response aborted: its content could not be given to the end"
        );
        // Over HTTP/2 the connection's task writes what this stream gave, and may be in the middle of a
        // flush that began before; the second one is behind all of it. What a client's shut window holds
        // back is lost with the stream.
        let more = if self.exchange.is_multiplexed() { 1 } else { 0 };
        self.failure = Failure::Flushing(error, Flushes { seen: connection.sink.flushes(), more });
        if !self.exchange.is_multiplexed() {
            // The reset will be the connection's: it must not overtake what the kernel holds.
            connection.sink.send_before_flushed();
        }
    }

    /// Waits for flushes; then the error.
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let sink = &self.exchange.connection().sink;
        let Failure::Flushing(_, flushes) = &mut self.failure else { return Poll::Ready(None) };
        ready!(sink.poll_flushed(cx, flushes.seen));
        if flushes.more > 0 {
            *flushes = Flushes { seen: sink.flushes(), more: flushes.more - 1 };
            return Poll::Ready(Some(Ok(nudge())));
        }
        match std::mem::replace(&mut self.failure, Failure::Told) {
            Failure::Flushing(error, _) => {
                // Over HTTP/1 the reset is the connection's; over HTTP/2 hyper resets the stream alone.
                if !self.exchange.is_multiplexed() {
                    sink.abort();
                }
                Poll::Ready(Some(Err(error)))
            }
            Failure::None | Failure::Told => Poll::Ready(None),
        }
    }
}

/// A frame without bytes. A connection of HTTP/2 that has nothing to write is not flushed; this makes it.
fn nudge() -> Frame<Bytes> {
    Frame::data(Bytes::new())
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // Who was told that the last bytes are the last does not ask for more.
        self.exchange.account.ended |= self.is_end_stream();
        if let Some(content) = &self.content {
            if !self.exchange.is_multiplexed() {
                let sink = &self.exchange.connection().sink;
                sink.expect_more(false);
                if !self.exchange.account.is_whole() {
                    sink.abort();
                }
            }
            // The exchange tells of it in the log.
            self.exchange.account.waits = content.waits();
            self.exchange.account.turns = content.gate().waited().cloned().collect();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(watch) = &this.watch {
            watch.asked_for();
        }
        if !matches!(this.failure, Failure::None) {
            return this.poll_failure(cx);
        }
        let Some(content) = &mut this.content else { return Poll::Ready(None) };
        match ready!(Pin::new(content).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Some(watch) = &this.watch {
                    watch.handed_over(this.exchange.connection().server.clock.now());
                }
                let bytes = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
                this.exchange.account.bytes += bytes;
                this.exchange.connection().handed_over(bytes);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.failed(error);
                if this.exchange.is_multiplexed() {
                    return Poll::Ready(Some(Ok(nudge())));
                }
                this.poll_failure(cx)
            }
            None => {
                this.exchange.account.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.failure, Failure::None) && self.content.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            None => SizeHint::with_exact(0),
            // The head says what there is to say.
            Some(_) => SizeHint::default(),
        }
    }
}
