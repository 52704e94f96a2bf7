//! One request on one connection, to the head of its answer.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::response;
use hyper::ext::ReasonPhrase;

use super::link::Link;
use super::upload::{Upload, UploadError};
use crate::http::MAX_HEAD;
use crate::http1::{Head, HeadError, is_interim, read_head};

/// The most that one read takes while a head is looked for. What of it is content goes on as it is.
const PIECE: usize = 4 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum AskError {
    /// There is no connection.
    Connect(io::Error),
    /// Nothing of the request could be written.
    Unsent(io::Error),
    /// Not a byte came in answer.
    Unanswered(io::Error),
    /// The connection failed within the head.
    Cut(io::Error),
    /// The client's body broke off.
    Client,
    HeadTooLarge,
    /// The head is none.
    Malformed(&'static str),
}

/// Sends a request and waits for the head of its answer. Interim answers are passed over, but for a change
/// of protocols; all together they may be as large as one head. The upload may have to go on afterwards.
///
/// Cancel safe: dropping the future closes the connection.
pub(super) async fn ask(mut link: Link, upload: &mut Upload) -> Result<(response::Parts, Link), AskError> {
    let (mut refused, mut heard) = (None, 0);
    let head = poll_fn(|cx| {
        if refused.is_none()
            && let Poll::Ready(Err(error)) = upload.poll_send(cx, link.socket())
        {
            match error {
                UploadError::Client => return Poll::Ready(Err(AskError::Client)),
                UploadError::Upstream(error) if !upload.has_begun() => {
                    return Poll::Ready(Err(AskError::Unsent(error)));
                }
                // It may say why before it closes: what it says counts.
                UploadError::Upstream(error) => refused = Some(error),
            }
        }
        poll_head(cx, &mut link, &mut heard).map_err(|error| match (error, refused.take()) {
            (AskError::Unanswered(_), Some(refused)) => AskError::Unanswered(refused),
            (error, _) => error,
        })
    });
    let head = head.await?;
    Ok((head, link))
}

/// `heard` counts the bytes read.
fn poll_head(
    cx: &mut Context<'_>,
    link: &mut Link,
    heard: &mut usize,
) -> Poll<Result<response::Parts, AskError>> {
    loop {
        let read = match ready!(link.poll_more(cx, PIECE)) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")),
            read => read,
        };
        match read {
            Ok(len) => *heard += len,
            Err(error) if *heard > 0 => return Poll::Ready(Err(AskError::Cut(error))),
            Err(error) => return Poll::Ready(Err(AskError::Unanswered(error))),
        }
        while let Some(Head { mut parts, reason, len }) = read_head(link.unread())? {
            if len > MAX_HEAD {
                return Poll::Ready(Err(AskError::HeadTooLarge));
            }
            link.unread().advance(len);
            if !is_interim(parts.status) {
                if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
                    parts.extensions.insert(reason);
                }
                return Poll::Ready(Ok(parts));
            }
            if *heard - link.unread().len() > MAX_HEAD {
                return Poll::Ready(Err(AskError::HeadTooLarge));
            }
        }
        if link.unread().len() >= MAX_HEAD {
            return Poll::Ready(Err(AskError::HeadTooLarge));
        }
    }
}

impl From<HeadError> for AskError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooManyFields => Self::HeadTooLarge,
            HeadError::Malformed(how) => Self::Malformed(how),
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Unsent(error) => write!(f, "the request could not be sent: {error}"),
            Self::Unanswered(error) => write!(f, "no answer: {error}"),
            Self::Cut(error) => write!(f, "the answer broke off in its head: {error}"),
            Self::Client => f.write_str("the request's body broke off"),
            Self::HeadTooLarge => f.write_str("the response's head is too large"),
            Self::Malformed(how) => write!(f, "no HTTP/1 response: {how}"),
        }
    }
}
