//! The driver of one direction: pulls a paced body and writes it, to the end or the first failure.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_lite::io::AsyncWrite;
use http_body::Body;

use super::StreamError;
use super::record::Direction;
use crate::body::{BodyError, PacedBody, ReadFile};
use crate::generator::Generator;

/// Pieces after which the task yields.
const PIECES: usize = 16;

/// What a direction's bytes are written to.
pub(super) trait Destination: AsyncWrite {
    /// Flushes; of a peer that is to be reset then, waits until the kernel has sent everything, as a reset discards the rest.
    fn poll_sent(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Sends a body to its end, then closes that direction. If `to` is a [`Sink`](crate::sink::Sink), it decides how long a
/// slow reader is waited for.
pub(super) struct SendBody<G: Generator, R: ReadFile, W> {
    body: PacedBody<G, R>,
    to: W,
    direction: Direction,
    /// A limit holds it.
    is_held: bool,
    /// What is left of the piece being written.
    piece: Bytes,
    stage: Stage,
}

enum Stage {
    Giving,
    /// Sends what was written before the failure.
    Failing(Option<BodyError>),
    Closing,
}

impl<G: Generator + Unpin, R: ReadFile + Unpin, W: Destination + Unpin> SendBody<G, R, W> {
    pub(super) fn new(body: PacedBody<G, R>, to: W, direction: Direction) -> Self {
        Self { body, to, direction, is_held: false, piece: Bytes::new(), stage: Stage::Giving }
    }

    /// Writes the current piece and takes the next one.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        while self.piece.has_remaining() {
            let written =
                ready!(Pin::new(&mut self.to).poll_write(cx, &self.piece)).map_err(StreamError::Client)?;
            self.piece.advance(written);
            self.direction.moved(written as u64);
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.note_held(polled.is_pending() && self.body.held().is_some_and(|held| held.by.is_limit()));
        match polled {
            Poll::Ready(Some(Ok(frame))) => self.piece = frame.into_data().unwrap_or_default(),
            Poll::Ready(Some(Err(error))) => self.stage = Stage::Failing(Some(error)),
            Poll::Ready(None) => self.stage = Stage::Closing,
            Poll::Pending => {
                // The sink may hold bytes that can be sent meanwhile.
                let _ = Pin::new(&mut self.to).poll_flush(cx).map_err(StreamError::Client)?;
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn note_held(&mut self, is_held: bool) {
        if std::mem::replace(&mut self.is_held, is_held) != is_held {
            self.direction.hold(is_held);
        }
    }
}

impl<G: Generator + Unpin, R: ReadFile + Unpin, W: Destination + Unpin> Future for SendBody<G, R, W> {
    type Output = Result<(), StreamError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        for _ in 0..PIECES {
            match &mut this.stage {
                Stage::Giving => ready!(this.poll_piece(cx))?,
                Stage::Failing(error) => {
                    let sent = ready!(Pin::new(&mut this.to).poll_sent(cx));
                    return Poll::Ready(Err(match (sent, error.take()) {
                        (Ok(()), Some(error)) => StreamError::Source(error.to_string()),
                        (sent, _) => StreamError::Client(sent.err().unwrap_or(io::ErrorKind::Other.into())),
                    }));
                }
                Stage::Closing => return Pin::new(&mut this.to).poll_close(cx).map_err(StreamError::Client),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<G: Generator, R: ReadFile, W> Drop for SendBody<G, R, W> {
    fn drop(&mut self) {
        if self.is_held {
            self.direction.hold(false);
        }
        self.direction.waited(self.body.waits(), self.body.gate());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brigade::{Brigade, Bucket, SourceError};
    use crate::clock::ManualClock;
    use crate::filter::{Chain, RateFilter};
    use crate::limit::{Limit, Rate};
    use crate::tcp::Record;
    use std::sync::Arc;
    use std::task::Waker;

    /// Accepts everything and records when.
    #[derive(Default)]
    struct Taker {
        clock: Option<Arc<ManualClock>>,
        taken: Vec<(u64, usize)>,
        closed: bool,
        refuses: bool,
    }

    impl AsyncWrite for Taker {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            use crate::clock::Clock;
            if self.refuses {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let at = self.clock.as_ref().map_or(0, |clock| clock.now().as_nanos() / 1_000_000);
            // Partial writes, so that a piece takes several.
            let n = buf.len().min(10_000);
            match self.taken.last_mut() {
                Some((last, sum)) if *last == at => *sum += n,
                _ => self.taken.push((at, n)),
            }
            Poll::Ready(Ok(n))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.closed = true;
            Poll::Ready(Ok(()))
        }
    }

    impl Destination for Taker {
        fn poll_sent(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    /// What was written and when (ms), whether it was closed, how it ended, and bytes in the record.
    type Driven = (Vec<(u64, usize)>, bool, Result<(), StreamError>, u64);

    fn drive(source: Brigade, refuses: bool) -> Driven {
        let clock = Arc::new(ManualClock::new());
        let record = Record::new(clock.clone());
        let chain = Chain::new().then(RateFilter::new(Limit::new(Rate::or_unlimited(61_440))));
        let body = PacedBody::new(source, chain, clock.clone());
        let taker = Taker { clock: Some(clock.clone()), refuses, ..Taker::default() };
        let direction = Direction { record: Arc::clone(&record), down: true };
        let mut sending = SendBody::new(body, taker, direction);
        let mut cx = Context::from_waker(Waker::noop());
        let ended = loop {
            match Pin::new(&mut sending).poll(&mut cx) {
                Poll::Ready(ended) => break ended,
                Poll::Pending => _ = clock.advance_to_next(),
            }
        };
        (std::mem::take(&mut sending.to.taken), sending.to.closed, ended, record.down())
    }

    fn data(len: usize) -> Brigade {
        [Bucket::Data(vec![0; len].into())].into_iter().collect()
    }

    #[test]
    fn the_timeline_is_that_of_a_response() {
        let (taken, closed, ended, down) = drive(data(38_400), false);
        assert_eq!(taken, [(0, 12_288), (200, 12_288), (400, 13_824)]);
        assert!(closed && ended.is_ok() && down == 38_400);
    }

    #[test]
    fn a_failed_source_is_not_an_end_and_the_bytes_before_are_sent() {
        let mut source = data(20_000);
        source.push(Bucket::Error(SourceError::new("gone")));
        let (taken, closed, ended, down) = drive(source, false);
        assert_eq!(taken.iter().map(|(_, n)| n).sum::<usize>(), 20_000);
        assert!(matches!(ended, Err(StreamError::Source(_))) && !closed && down == 20_000);
    }

    #[test]
    fn a_failed_reader_ends_the_stream() {
        let (taken, closed, ended, down) = drive(data(20_000), true);
        assert!(matches!(ended, Err(StreamError::Client(_))) && !closed && taken.is_empty() && down == 0);
    }
}
