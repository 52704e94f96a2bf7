//! A limit in one line: on the process's clock, below no other.

use super::{Paced, PacedStream, Throttle};
use crate::budget::Node;
use crate::clock::SystemClock;
use crate::limit::Budget;

impl Node {
    /// Creates a root on the [process's clock](SystemClock::shared): one limit, for what is put below it, and no name to
    /// invent. A [`Rate`](crate::limit::Rate) is a budget.
    ///
    /// ```
    /// use std::io::{Read, repeat};
    /// use sluicegate_core::budget::Node;
    /// use sluicegate_core::limit::{Budget, Rate};
    /// use sluicegate_core::throttle::Throttle;
    ///
    /// // 1 MiB/s for all downloads, 1 MiB ahead of it.
    /// let downloads = Node::at(Budget::of(Rate::mib_per_second(1)).with_burst(1 << 20));
    /// let (mut first, mut second) = (Throttle::new(repeat(1), &downloads), Throttle::new(repeat(2), &downloads));
    /// first.read_exact(&mut [0; 1000])?;
    /// second.read_exact(&mut [0; 500])?;
    /// assert_eq!(downloads.passed().bytes, 1500);
    ///
    /// downloads.set(Rate::kib_per_second(200)); // at once, for both
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the operating system refuses to start one thread, at the process's first use of the clock.
    #[must_use]
    pub fn at(budget: impl Into<Budget>) -> Self {
        Self::root("limit", budget.into(), SystemClock::shared())
    }
}

/// Limits what is read from and written to `io`, together, to a rate of its own.
///
/// `io` may be blocking (`std::io`) or not (`futures-io`, with the feature `tokio` tokio's). Waits for the [process's
/// clock](SystemClock::shared), which needs no runtime: it has one thread. For a limit that several streams share, or one for
/// each direction, see [`Throttle::new`] and [`Throttle::directional`].
///
/// ```
/// use futures_lite::{AsyncReadExt, future, io::Cursor};
/// use sluicegate_core::limit::Rate;
/// use sluicegate_core::throttle::pace;
///
/// let mut reader = pace(Cursor::new("any AsyncRead"), Rate::kib_per_second(100));
/// let mut text = String::new();
/// future::block_on(reader.read_to_string(&mut text))?;
/// assert_eq!(text, "any AsyncRead");
///
/// // While bytes flow:
/// reader.read_node().set(Rate::mib_per_second(1));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// As [`Node::at`].
pub fn pace<IO>(io: IO, budget: impl Into<Budget>) -> Throttle<IO> {
    Throttle::new(io, &Node::at(budget))
}

/// Limits an HTTP body to a rate of its own, whichever way it goes: a response, or the request of an upload.
///
/// ```
/// use sluicegate_core::limit::Rate;
/// use sluicegate_core::throttle::pace_body;
///
/// let upload = http::Request::put("/file").body(String::from("content"))?;
/// let upload = upload.map(|body| pace_body(body, Rate::mib_per_second(1)));
/// assert_eq!(http_body::Body::size_hint(upload.body()).exact(), Some(7), "its length is still known");
/// # Ok::<(), http::Error>(())
/// ```
///
/// # Panics
/// As [`Node::at`].
pub fn pace_body<B>(body: B, budget: impl Into<Budget>) -> Paced<B> {
    Paced::new(body, &Node::at(budget))
}

/// Limits a stream or a sink of [`Bytes`](bytes::Bytes) to a rate of its own.
///
/// ```
/// use bytes::Bytes;
/// use futures_lite::{StreamExt, future, stream};
/// use sluicegate_core::limit::Rate;
/// use sluicegate_core::throttle::pace_stream;
///
/// let pieces = stream::iter([Bytes::from("one"), Bytes::from("two")]);
/// let paced = pace_stream(pieces, Rate::kib_per_second(100));
/// assert_eq!(future::block_on(paced.collect::<Vec<_>>()), ["one", "two"]);
/// ```
///
/// # Panics
/// As [`Node::at`].
pub fn pace_stream<S>(stream: S, budget: impl Into<Budget>) -> PacedStream<S> {
    PacedStream::new(stream, &Node::at(budget))
}
