//! Any stream of byte pieces as a generator.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_lite::stream::Stream;

use super::Generator;
use crate::brigade::{Brigade, Bucket, SourceError};

/// The pieces of a [`Stream`], to its end.
///
/// Polls the stream only when asked. A piece goes on whole, also where there is less room. An error
/// becomes [`Bucket::Error`] and ends it.
///
/// ```
/// use std::io;
/// use std::task::{Context, Waker};
/// use bytes::Bytes;
/// use futures_lite::stream::{self, StreamExt};
/// use sluicegate_core::brigade::Brigade;
/// use sluicegate_core::generator::{Generator, StreamGenerator};
///
/// let pieces = stream::iter(["one ", "two"]).map(|text| io::Result::Ok(Bytes::from(text)));
/// let mut generator = StreamGenerator::new(pieces);
/// let mut brigade = Brigade::new();
/// while !brigade.ends() {
///     assert!(generator.poll_fill(&mut Context::from_waker(Waker::noop()), &mut brigade).is_ready());
/// }
/// assert_eq!(brigade.to_bytes(), "one two");
/// ```
#[derive(Debug)]
pub struct StreamGenerator<S> {
    stream: S,
}

impl<S> StreamGenerator<S> {
    /// The pieces of `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream. Pieces taken from it directly are missing from the buckets.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Gives the stream back, with what it has not given yet.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S, E> Generator for StreamGenerator<S>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: Display,
{
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        loop {
            brigade.push(match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                // An empty piece would be no bucket, and one at least is promised.
                Some(Ok(bytes)) if bytes.is_empty() => continue,
                Some(Ok(bytes)) => Bucket::Data(bytes),
                Some(Err(error)) => Bucket::Error(SourceError::new(error.to_string())),
                None => Bucket::Eos,
            });
            return Poll::Ready(());
        }
    }
}
