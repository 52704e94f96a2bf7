//! Limits the rate of a stream or a sink of bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;

use super::Meter;
use super::pace::Pace;
use crate::budget::{Held, Node};

/// An item of a stream whose rate can be limited: [`Bytes`], or a result of them. Sealed.
pub trait ByteItem: Sized + sealed::Sealed {
    /// Returns the bytes, or the item if it has none.
    fn into_bytes(self) -> Result<Bytes, Self>;

    /// Makes an item of a piece of one.
    fn of_bytes(bytes: Bytes) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for bytes::Bytes {}
    impl<E> Sealed for Result<bytes::Bytes, E> {}
}

impl ByteItem for Bytes {
    fn into_bytes(self) -> Result<Bytes, Self> {
        Ok(self)
    }

    fn of_bytes(bytes: Bytes) -> Self {
        bytes
    }
}

impl<E> ByteItem for Result<Bytes, E> {
    fn into_bytes(self) -> Result<Bytes, Self> {
        self.map_err(Err)
    }

    fn of_bytes(bytes: Bytes) -> Self {
        Ok(bytes)
    }
}

pin_project_lite::pin_project! {
    /// Limits the rate of a [`Stream`] of [`Bytes`] (or of results of them, as of reqwest's `bytes_stream`) or of a [`Sink`] of
    /// [`Bytes`], by a node and all nodes above.
    ///
    /// An item waits for its turn and is passed on in pieces, without a copy; errors pass at once. At most one item is held in
    /// each direction: the stream is polled for the next when that has passed. What was put into the sink passes on while it
    /// is flushed, closed, or polled for readiness.
    ///
    /// *Cancel safety*: dropping it returns what was reserved.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use futures_lite::{StreamExt, future, stream};
    /// use sluicegate_core::budget::Node;
    /// use sluicegate_core::limit::Rate;
    /// use sluicegate_core::throttle::PacedStream;
    ///
    /// let limit = Node::at(Rate::mib_per_second(1));
    /// let pieces = stream::iter([std::io::Result::Ok(Bytes::from("content"))]);
    /// let mut paced = PacedStream::new(pieces, &limit);
    /// assert_eq!(future::block_on(paced.next()).unwrap()?, "content");
    /// assert_eq!(paced.reads().report().bytes, 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[derive(Debug)]
    pub struct PacedStream<S> {
        #[pin]
        stream: S,
        reading: Pace,
        writing: Pace,
        // What waits of the last item taken from the stream.
        read: Bytes,
        // And of the last that was put into the sink.
        written: Bytes,
    }
}

impl<S> PacedStream<S> {
    /// Limits what comes out of `stream`, and what is put into it, by `node`.
    pub fn new(stream: S, node: &Node) -> Self {
        let pace = || Pace::new(node, Meter::new(node.clock().clone()));
        Self { stream, reading: pace(), writing: pace(), read: Bytes::new(), written: Bytes::new() }
    }

    /// Returns the meter of what came out of the stream.
    pub fn reads(&self) -> &Meter {
        self.reading.meter()
    }

    /// Returns the meter of what was passed on to the sink.
    pub fn writes(&self) -> &Meter {
        self.writing.meter()
    }

    /// Returns the node that limits it.
    pub fn node(&self) -> &Node {
        self.reading.node()
    }

    /// Returns what the stream waits for, or else the sink; `None` if neither waits.
    pub fn held(&self) -> Option<Held> {
        self.reading.held().or_else(|| self.writing.held())
    }

    /// Returns the inner stream or sink.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the inner stream or sink. What waits for its turn is in neither.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns the inner stream or sink. What waits for its turn is lost.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Passes on all that was put into the sink.
    fn poll_drain<E>(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>>
    where
        S: Sink<Bytes, Error = E>,
    {
        let mut this = self.project();
        while !this.written.is_empty() {
            // First: a sink that is not ready holds no turn.
            ready!(this.stream.as_mut().poll_ready(cx))?;
            let turn = ready!(this.writing.poll_turn(cx, this.written.len()));
            this.writing.passed(turn);
            this.stream.as_mut().start_send(this.written.split_to(turn))?;
        }
        // An empty slice would keep the item's memory.
        *this.written = Bytes::new();
        Poll::Ready(Ok(()))
    }
}

impl<S> Stream for PacedStream<S>
where
    S: Stream,
    S::Item: ByteItem,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        if this.read.is_empty() {
            let Some(item) = ready!(this.stream.poll_next(cx)) else { return Poll::Ready(None) };
            match item.into_bytes() {
                Ok(bytes) if bytes.is_empty() => return Poll::Ready(Some(S::Item::of_bytes(bytes))),
                Ok(bytes) => *this.read = bytes,
                Err(error) => return Poll::Ready(Some(error)),
            }
        }
        let turn = ready!(this.reading.poll_turn(cx, this.read.len()));
        this.reading.passed(turn);
        let whole = turn == this.read.len();
        let piece = if whole { std::mem::take(this.read) } else { this.read.split_to(turn) };
        Poll::Ready(Some(S::Item::of_bytes(piece)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An item may become many.
        (self.stream.size_hint().0.saturating_add(usize::from(!self.read.is_empty())), None)
    }
}

impl<S: Sink<Bytes>> Sink<Bytes> for PacedStream<S> {
    type Error = S::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        ready!(self.as_mut().poll_drain(cx))?;
        self.project().stream.poll_ready(cx)
    }

    /// # Panics
    /// If [`poll_ready`](Sink::poll_ready) was not ready before: an item that waits would be lost.
    fn start_send(self: Pin<&mut Self>, item: Bytes) -> Result<(), S::Error> {
        let this = self.project();
        assert!(this.written.is_empty(), "poll_ready first");
        if item.is_empty() {
            return this.stream.start_send(item);
        }
        *this.written = item;
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        ready!(self.as_mut().poll_drain(cx))?;
        self.project().stream.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        ready!(self.as_mut().poll_drain(cx))?;
        self.project().stream.poll_close(cx)
    }
}
