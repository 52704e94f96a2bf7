//! A generator of any HTTP body.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::Body;

use super::Generator;
use super::upstream::{MAX_KEPT, with_causes};
use crate::brigade::{Brigade, Bucket, SourceError};
use crate::sync::Mutex;

/// Generates the buckets of any [`http_body::Body`], with its trailers: what a [`Chain`](crate::filter::Chain) takes of another
/// framework's messages.
///
/// Polls for a frame when the last has passed on, so that its source is held back. An error of the body becomes
/// [`Bucket::Error`]. Nothing limits how long the body may wait; for that, and for an upstream's name in errors, see
/// [`UpstreamBody`](super::UpstreamBody).
///
/// ```
/// use std::sync::Arc;
/// use bytes::Bytes;
/// use http_body::Body;
/// use sluicegate_core::body::PacedBody;
/// use sluicegate_core::clock::SystemClock;
/// use sluicegate_core::filter::{Chain, RateFilter};
/// use sluicegate_core::generator::BodyGenerator;
/// use sluicegate_core::limit::{Limit, Rate};
///
/// /// The response at 60 KiB/s, in a chunk each 200 ms.
/// fn paced<B>(response: http::Response<B>) -> http::Response<impl Body<Data = Bytes>>
/// where
///     B: Body + Send,
///     B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
/// {
///     let chain = Chain::new().then(RateFilter::new(Limit::new(Rate::kib_per_second(60))));
///     response.map(|body| PacedBody::new(BodyGenerator::new(body), chain, SystemClock::shared()))
/// }
/// # drop(paced(http::Response::new(String::new())));
/// ```
pub struct BodyGenerator<B> {
    // Not to be locked: with it, a body that is only `Send`, as axum's, makes a `PacedBody` that is `Sync`.
    body: Mutex<Pin<Box<B>>>,
    /// The last frame.
    frame: Bytes,
    /// Bytes of it that were given.
    given: usize,
}

impl<B> BodyGenerator<B> {
    /// Creates a generator of the frames of `body`.
    pub fn new(body: B) -> Self {
        Self { body: Mutex::new(Box::pin(body)), frame: Bytes::new(), given: 0 }
    }

    /// Pushes as much of the last frame as there is room for, at least one byte.
    fn give(&mut self, brigade: &mut Brigade) {
        // What a sleeping chain kept of this frame leaves with what follows it, in one piece.
        let kept = brigade.take_only(MAX_KEPT);
        let begin = self.given.saturating_sub(kept.len());
        if self.frame[begin..self.given] == kept {
            self.given = begin;
        } else {
            brigade.push_front(kept);
        }
        let room = usize::try_from(brigade.room()).unwrap_or(usize::MAX).max(1);
        let end = self.frame.len().min(self.given.saturating_add(room));
        brigade.push(self.frame.slice(self.given..end));
        self.given = end;
        if end == self.frame.len() {
            // A slice would keep the frame's memory.
            (self.frame, self.given) = (Bytes::new(), 0);
        }
    }
}

impl<B> Generator for BodyGenerator<B>
where
    B: Body + Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        while self.given == self.frame.len() {
            let body = self.body.get_mut();
            // A body of known length may be dropped before it returns `None`.
            let frame = if body.is_end_stream() { None } else { ready!(body.as_mut().poll_frame(cx)) };
            let mark = match frame {
                None => Bucket::Eos,
                Some(Err(error)) => {
                    let text = with_causes(&*error.into());
                    Bucket::Error(SourceError::new(format!("body: {text}")))
                }
                // No copy if it is `Bytes` already.
                Some(Ok(frame)) => {
                    match frame.map_data(|mut data| data.copy_to_bytes(data.remaining())).into_data() {
                        Ok(data) => {
                            (self.frame, self.given) = (data, 0);
                            continue;
                        }
                        Err(frame) => match frame.into_trailers() {
                            Ok(fields) => Bucket::Trailers(Box::new(fields)),
                            // Of a kind that is not known yet.
                            Err(_) => continue,
                        },
                    }
                }
            };
            brigade.push(mark);
            return Poll::Ready(());
        }
        self.give(brigade);
        Poll::Ready(())
    }

    fn min_remaining(&self) -> u64 {
        self.body.lock().size_hint().lower().saturating_add((self.frame.len() - self.given) as u64)
    }
}

impl<B> fmt::Debug for BodyGenerator<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyGenerator")
            .field("rest", &(self.frame.len() - self.given))
            .finish_non_exhaustive()
    }
}
