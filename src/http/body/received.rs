//! The content of a request on an HTTP/2 stream.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Error, Reason, RecvStream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Frame;

use super::Unread;

/// Content whose window is released as it is read, so that flow control slows a client that is not read.
pub(super) struct Received {
    stream: RecvStream,
    /// Bytes not taken yet, if the head has the length.
    left: Option<u64>,
    /// The data has ended; trailers may follow.
    is_data_over: bool,
    /// Where it is listed, unless it was empty from the beginning.
    unread: Option<Unread>,
}

impl Received {
    pub(super) fn new(mut stream: RecvStream, fields: &HeaderMap, unread: &Unread) -> Self {
        let told = fields.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let left = told.or_else(|| stream.is_end_stream().then_some(0));
        let unread = (!stream.is_end_stream()).then(|| unread.clone());
        if let Some(unread) = &unread {
            unread.add(&mut stream);
        }
        Self { stream, left, is_data_over: false, unread }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.is_data_over {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails only if the stream has ended, which the next poll reports.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(broken_off(error)),
                None => self.is_data_over = true,
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|fields| Ok(Frame::trailers(fields))),
            Err(error) => broken_off(error),
        })
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// Bytes not taken yet, if the length is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(unread) = &self.unread {
            unread.remove(&self.stream);
        }
    }
}

/// A client that has what it wants may reset its stream without an error (RFC 9113, section 8.1).
fn broken_off(error: Error) -> Option<Result<Frame<Bytes>, Error>> {
    (error.reason() != Some(Reason::NO_ERROR)).then_some(Err(error))
}
