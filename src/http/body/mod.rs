//! The content of a request, of any version of HTTP.

mod feed;
mod received;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

pub(crate) use feed::{Feed, feed};

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

enum Kind {
    /// The rest of content in memory.
    Bytes(Bytes),
    /// From a hyper server.
    Hyper(Incoming),
    /// From an HTTP/2 stream.
    Received(Received),
    /// From an HTTP/1 connection.
    Fed(Reader),
}

impl RequestBody {
    /// Creates an empty body.
    pub const fn empty() -> Self {
        Self(Kind::Bytes(Bytes::new()))
    }

    /// The content of an HTTP/2 stream whose head has these fields.
    pub(crate) fn received(stream: RecvStream, fields: &HeaderMap) -> Self {
        Self(Kind::Received(Received::new(stream, fields)))
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
            Kind::Fed(reader) => reader.poll_frame(cx).map_err(|_| RequestBodyError { cause: None }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.is_empty(),
            Kind::Hyper(body) => body.is_end_stream(),
            Kind::Received(body) => body.is_end_stream(),
            Kind::Fed(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Hyper(body) => body.size_hint(),
            Kind::Received(body) => body.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Kind::Fed(reader) => reader.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("is_end_stream", &self.is_end_stream()).finish_non_exhaustive()
    }
}

/// Why a request's content ended before its end: the client left, or broke HTTP's framing.
#[derive(Debug)]
pub struct RequestBodyError {
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl RequestBodyError {
    fn caused_by(cause: impl Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Box::new(cause)) }
    }
}

impl fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's content broke off")
    }
}

impl Error for RequestBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}
