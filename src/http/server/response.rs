//! The body of a response on its way to hyper: paced content, and how it fails.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::account::Exchange;
use super::connection_fields;
use super::held::StreamHeld;
use super::pieces::{Piece, Pieces};
use super::streams::StreamWatch;
use super::sweep;
use crate::body::{BodyError, PacedBody};
use crate::http::content::Content;

/// What hyper pulls a response's bytes from.
pub(super) struct ResponseBody {
    /// The answer has no bytes.
    is_empty: bool,
    exchange: Exchange,
    /// The sink was told that more is to come.
    expected: bool,
    failure: Failure,
    /// Over HTTP/2, what watches over this stream's client.
    watch: Option<Arc<StreamWatch>>,
    /// Over HTTP/2, what this stream has with the framing.
    held: Option<Arc<StreamHeld>>,
}

/// A failed body tells hyper only when the bytes before the failure went on, or they would be lost
/// with the connection or the stream.
enum Failure {
    None,
    /// Over HTTP/1: the error, kept until the sink was flushed once more than so often.
    Flushing(BodyError, u64),
    /// Over HTTP/2: the error, kept until the connection was swept.
    Sweeping(BodyError, sweep::Wait),
    Told,
}

impl ResponseBody {
    pub(super) fn new(content: Option<PacedBody<Content>>, mut exchange: Exchange) -> Self {
        exchange.account.ended = content.is_none();
        let watch = content.as_ref().and_then(|_| StreamWatch::current());
        if content.is_some() {
            exchange.connection().sink.expect_more();
        }
        let is_empty = content.is_none();
        let held = watch.as_ref().map(|_| StreamHeld::new(&exchange.connection().sink));
        if let Some(content) = content {
            let pieces = watch.clone().zip(held.clone()).map(|(watch, held)| Pieces::new(watch, held));
            exchange.transfer().begin(content, pieces);
        }
        Self { is_empty, exchange, expected: !is_empty, failure: Failure::None, watch, held }
    }

    /// Tells the sink that nothing more is to come of this.
    fn no_more(&mut self) {
        if std::mem::take(&mut self.expected) {
            self.exchange.connection().sink.expect_no_more();
        }
    }

    fn failed(&mut self, error: BodyError) {
        let connection = self.exchange.connection();
        let bytes = self.exchange.transfer().flow().bytes;
        connection.tell_aborted(self.exchange.addr(), bytes, &error);
        self.failure = if self.exchange.is_multiplexed() {
            Failure::Sweeping(error, connection.sweeps.begin())
        } else {
            // The reset will be the connection's: it must not overtake what the kernel holds.
            connection.sink.send_before_flushed();
            Failure::Flushing(error, connection.sink.flushes())
        };
        self.no_more();
    }

    /// Waits until the bytes before the failure went on; then the error.
    fn poll_failure<D>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<D>, BodyError>>> {
        let connection = self.exchange.connection();
        match &self.failure {
            Failure::None | Failure::Told => return Poll::Ready(None),
            // The reset is the connection's.
            Failure::Flushing(_, seen) => {
                ready!(connection.sink.poll_flushed(cx, *seen));
                connection.sink.abort();
            }
            // hyper resets the stream alone.
            Failure::Sweeping(_, wait) => {
                ready!(connection.sweeps.poll_wait(cx, wait));
                connection.sweeps.end();
            }
        }
        match std::mem::replace(&mut self.failure, Failure::Told) {
            Failure::Flushing(error, _) | Failure::Sweeping(error, _) => Poll::Ready(Some(Err(error))),
            Failure::None | Failure::Told => Poll::Ready(None),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // Who was told that the last bytes are the last does not ask for more.
        self.exchange.account.ended |= self.is_end_stream();
        self.no_more();
        if matches!(self.failure, Failure::Sweeping(..)) {
            self.exchange.connection().sweeps.end();
        }
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

impl ResponseBody {
    /// The next frame, with what is charged for it.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, BodyError>>> {
        if let Some(held) = &self.held
            && held.is_crowded()
            && self.exchange.transfer().is_between_chunks()
        {
            // The client is waited for as before: it has not taken what there is.
            ready!(held.poll_empty(cx));
        }
        if let Some(watch) = &self.watch {
            watch.asked_for(self.exchange.connection().now());
        }
        if !matches!(self.failure, Failure::None) {
            return self.poll_failure(cx);
        }
        if self.is_empty {
            return Poll::Ready(None);
        }
        let connection = self.exchange.connection();
        ready!(connection.sweeps.poll_clear(cx));
        match ready!(self.exchange.transfer().poll_frame(cx, connection)) {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    connection_fields::conform_trailers(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.failed(error);
                self.poll_failure(cx)
            }
            None => {
                self.exchange.account.ended = true;
                Poll::Ready(None)
            }
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
        let frame = ready!(self.get_mut().poll_piece(cx));
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(Piece::into_bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.failure, Failure::None) && self.exchange.transfer().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Of others the head says what there is to say.
        if self.is_empty { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

/// The same for HTTP/2, whose framing drops a piece when it is written: until then the piece is charged.
pub(super) struct StreamBody(pub(super) ResponseBody);

impl Body for StreamBody {
    type Data = Piece;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BodyError>>> {
        self.get_mut().0.poll_piece(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
