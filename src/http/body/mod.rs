//! The content of a request, of any version of HTTP.

mod feed;
mod received;
mod unread;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::sync::Mutex;

pub(crate) use feed::{Feed, feed};
pub(crate) use unread::Unread;

use feed::Reader;
use received::Received;

/// A request's content as it comes from the client: data, then trailers if there are any.
///
/// Nothing is read ahead: what a handler leaves stays in the socket, and flow control slows the client. The first
/// [`poll_frame`](Body::poll_frame) sends `100 Continue` to a client that expects it.
///
/// Cancel safe: dropping it in mid-read loses only the content.
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use bytes::Bytes;
/// use http_body::Body;
/// use sluicegate::http::body::RequestBody;
///
/// let mut body = Box::pin(RequestBody::from(Bytes::from("hello")));
/// assert_eq!(body.size_hint().exact(), Some(5));
/// let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
/// else {
///     panic!("it is there");
/// };
/// assert_eq!(frame.into_data().unwrap(), "hello");
/// assert!(body.is_end_stream());
/// ```
pub struct RequestBody(Kind);

/// Content that the server counts and paces on its way to the source.
pub(crate) trait Managed: Send {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>>;

    fn is_end_stream(&self) -> bool;

    /// Bytes not taken yet, if the length is known.
    fn left(&self) -> Option<u64>;

    /// Whether it waits for its pace or a shared limit, and not for its client.
    fn is_held(&self) -> bool;
}

enum Kind {
    /// The rest of content in memory.
    Bytes(Bytes),
    /// From a hyper server.
    Hyper(Incoming),
    /// From an HTTP/2 stream.
    Received(Received),
    /// From an HTTP/1 connection.
    Fed(Reader),
    /// Any of these on its way through a pace. Locked only by shared references, so that the body is `Sync`.
    Managed(Mutex<Box<dyn Managed>>),
}

impl RequestBody {
    /// Creates an empty body.
    pub const fn empty() -> Self {
        Self(Kind::Bytes(Bytes::new()))
    }

    /// The content of an HTTP/2 stream whose head has these fields. What of it waits to be read counts as `unread`.
    pub(crate) fn received(stream: RecvStream, fields: &HeaderMap, unread: &Unread) -> Self {
        Self(Kind::Received(Received::new(stream, fields, unread)))
    }

    /// Content on its way through `managed`.
    pub(crate) fn managed(managed: impl Managed + 'static) -> Self {
        Self(Kind::Managed(Mutex::new(Box::new(managed))))
    }

    /// Whether it waits for a limit of uploads and not for its client: such a wait is no fault of the client.
    pub(crate) fn is_held(&self) -> bool {
        matches!(&self.0, Kind::Managed(body) if body.lock().is_held())
    }
}

/// Content that a connection reads on demand.
impl From<Reader> for RequestBody {
    fn from(reader: Reader) -> Self {
        Self(Kind::Fed(reader))
    }
}

/// Content in memory.
impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Bytes(bytes))
    }
}

/// Content that a hyper server reads.
impl From<Incoming> for RequestBody {
    fn from(body: Incoming) -> Self {
        Self(Kind::Hyper(body))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match &mut self.get_mut().0 {
            Kind::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Hyper(body) => Pin::new(body).poll_frame(cx).map_err(RequestBodyError::caused_by),
            Kind::Received(body) => body.poll_frame(cx).map_err(RequestBodyError::caused_by),
            Kind::Fed(reader) => reader.poll_frame(cx).map_err(|_| RequestBodyError::of(BodyFailure::Broken)),
            Kind::Managed(body) => body.get_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.is_empty(),
            Kind::Hyper(body) => body.is_end_stream(),
            Kind::Received(body) => body.is_end_stream(),
            Kind::Fed(reader) => reader.is_end_stream(),
            Kind::Managed(body) => body.lock().is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Hyper(body) => body.size_hint(),
            Kind::Received(body) => body.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Kind::Fed(reader) => reader.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Kind::Managed(body) => body.lock().left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("is_end_stream", &self.is_end_stream()).finish_non_exhaustive()
    }
}

/// Why a request's content ended before its end: the client left, broke HTTP's framing, sent too much, or sent nothing
/// for too long.
#[derive(Debug)]
pub struct RequestBodyError {
    failure: BodyFailure,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`RequestBodyError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFailure {
    /// The client left, or broke HTTP's framing.
    Broken,
    /// There is more than `max_body`.
    TooLarge,
    /// Nothing came for `body_timeout`.
    TimedOut,
}

impl RequestBodyError {
    pub(crate) fn of(failure: BodyFailure) -> Self {
        Self { failure, cause: None }
    }

    pub(crate) fn failure(&self) -> BodyFailure {
        self.failure
    }

    fn caused_by(cause: impl Error + Send + Sync + 'static) -> Self {
        Self { failure: BodyFailure::Broken, cause: Some(Box::new(cause)) }
    }

    /// Returns whether there is more content than the route's `max_body` allows. The server answers 413 in the
    /// handler's place.
    pub fn is_too_large(&self) -> bool {
        self.failure == BodyFailure::TooLarge
    }

    /// Returns whether the client sent nothing for `body_timeout`. The server answers 408 in the handler's place.
    pub fn is_timed_out(&self) -> bool {
        self.failure == BodyFailure::TimedOut
    }
}

impl fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.failure {
            BodyFailure::Broken => "the request's content broke off",
            BodyFailure::TooLarge => "the request has more content than allowed",
            BodyFailure::TimedOut => "the request's content did not arrive in time",
        })
    }
}

impl Error for RequestBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}
