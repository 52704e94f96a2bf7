//! One request on one connection, to the head of its answer.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::response::Parts;
use hyper::ext::ReasonPhrase;

use super::ProxySource;
use super::link::Link;
use super::response;
use super::sending::Progress;
use super::upload::{Upload, UploadError};
use crate::http::interim::Interim;
use crate::http1::{Head, HeadError, HeadScan, Malformed, is_interim, read_head};

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

/// How the answer to one request is listened for.
pub(super) struct Listening {
    /// The most bytes of a head, and of all interim heads together.
    pub(super) max_head: usize,
    pub(super) max_fields: usize,
    /// Where interim responses go, if the client takes any.
    pub(super) interim: Option<Interim>,
    /// An interim response is a sign of life.
    pub(super) progress: Progress,
}

impl Listening {
    /// As `source` says, for a client that takes interim responses by `interim`.
    pub(super) fn new(source: &ProxySource, interim: Option<Interim>, progress: Progress) -> Self {
        let (max_head, max_fields) = (source.max_response_head, source.max_response_fields);
        Self { max_head, max_fields, interim, progress }
    }

    fn heard_interim(&self, head: Parts) -> Result<(), Malformed> {
        self.progress.heard();
        let (status, fields) = response::interim(head)?;
        if let Some(interim) = &self.interim {
            interim.send(status, fields);
        }
        Ok(())
    }
}

/// Sends a request and waits for the head of its answer. Interim answers, but for a change of protocols, are
/// passed on; all together they may be as large as one head. The upload may have to go on afterwards.
///
/// Cancel safe: dropping the future closes the connection.
pub(super) async fn ask(
    mut link: Link,
    upload: &mut Upload,
    listening: &Listening,
) -> Result<(Parts, Link), AskError> {
    let (mut refused, mut reading) = (None, HeadReading { listening, scan: HeadScan::default(), heard: 0 });
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
        reading.poll_head(cx, &mut link).map_err(|error| match (error, refused.take()) {
            (AskError::Unanswered(_), Some(refused)) => AskError::Unanswered(refused),
            (error, _) => error,
        })
    });
    let head = head.await?;
    Ok((head, link))
}

/// A head that is being read, and the interim ones before it.
struct HeadReading<'a> {
    listening: &'a Listening,
    scan: HeadScan,
    /// The bytes read of all heads.
    heard: usize,
}

impl HeadReading<'_> {
    fn poll_head(&mut self, cx: &mut Context<'_>, link: &mut Link) -> Poll<Result<Parts, AskError>> {
        let Listening { max_head, max_fields, .. } = *self.listening;
        loop {
            let read = match ready!(link.poll_more(cx, PIECE)) {
                Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")),
                read => read,
            };
            match read {
                Ok(len) => self.heard += len,
                Err(error) if self.heard > 0 => return Poll::Ready(Err(AskError::Cut(error))),
                Err(error) => return Poll::Ready(Err(AskError::Unanswered(error))),
            }
            while self.scan.is_due(link.unread())
                && let Some(Head { mut parts, reason, len }) = read_head(link.unread(), max_fields)?
            {
                if len > max_head {
                    return Poll::Ready(Err(AskError::HeadTooLarge));
                }
                link.unread().advance(len);
                self.scan = HeadScan::default();
                if !is_interim(parts.status) {
                    if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
                        parts.extensions.insert(reason);
                    }
                    return Poll::Ready(Ok(parts));
                }
                if self.heard - link.unread().len() > max_head {
                    return Poll::Ready(Err(AskError::HeadTooLarge));
                }
                self.listening.heard_interim(parts).map_err(|error| AskError::Malformed(error.0))?;
            }
            if link.unread().len() >= max_head {
                return Poll::Ready(Err(AskError::HeadTooLarge));
            }
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
