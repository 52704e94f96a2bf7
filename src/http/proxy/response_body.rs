//! The content of a response, read from the upstream.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Frame;

use super::connection::Connection;
use super::upload::Pump;
use super::upstream::Lease;
use crate::generator::Pieces;
use crate::http1::{Framing, Malformed};

/// Bytes that one read of chunked content takes beyond what is wanted, for the chunks' framing.
const FRAMING: usize = 32;

/// Parts smaller than this are copied together with what else was read: content in tiny chunks must not cost a bucket
/// each, nor keep whole read buffers alive.
const SMALL: usize = 512;

/// The content after a head. Dropping it before its end closes the connection.
pub(super) struct ResponseBody {
    /// `None` once all was read.
    connection: Option<Connection>,
    framing: Framing,
    /// How many of the unread bytes are known to be content.
    content: usize,
    /// Trailers that were read and not returned yet.
    trailers: Option<HeaderMap>,
    /// A framing error after content, not returned yet.
    malformed: Option<Malformed>,
    /// `None` once the exchange is over.
    lease: Option<Lease>,
    upload: Option<Pump>,
}

impl ResponseBody {
    pub(super) fn new(
        connection: Connection,
        framing: Framing,
        lease: Option<Lease>,
        upload: Option<Pump>,
    ) -> Self {
        let (trailers, malformed) = (None, None);
        let mut response_body =
            Self { connection: Some(connection), framing, content: 0, trailers, malformed, lease, upload };
        response_body.end_if_whole();
        response_body
    }

    /// Takes all the content if it came with the head. Nothing of it waits for anybody then, and the connection is free.
    pub(super) fn take_whole(&mut self) -> Option<Bytes> {
        let Framing::Length(left) = self.framing else { return None };
        let unread = self.connection.as_mut()?.unread().len() as u64;
        if left > unread { None } else { self.take_part(usize::MAX, usize::MAX).ok() }
    }

    /// Returns the connection to the pool once all content was read.
    fn end_if_whole(&mut self) {
        if self.content > 0 || !self.framing.is_whole() {
            return;
        }
        match self.framing.trailers() {
            Ok(trailers) => self.trailers = trailers,
            Err(malformed) => {
                self.malformed = Some(malformed);
                self.lease = None;
            }
        }
        let sent = self.upload.take().is_none_or(Pump::finished);
        if let (Some(connection), Some(lease)) = (self.connection.take(), self.lease.take())
            && sent
        {
            lease.give_back(connection);
        }
    }

    /// The next content among the unread bytes, at most `most` bytes; empty if there is none.
    fn take(&mut self, most: usize) -> Result<Bytes, Malformed> {
        let first = self.take_part(most, usize::MAX)?;
        if first.is_empty() || first.len() >= SMALL {
            return Ok(first);
        }
        let mut gathered = Vec::new();
        loop {
            let len = first.len().max(gathered.len());
            match self.take_part(most - len, SMALL - 1) {
                Ok(part) if part.is_empty() => break,
                Ok(part) => {
                    if gathered.is_empty() {
                        gathered.extend_from_slice(&first);
                    }
                    gathered.extend_from_slice(&part);
                }
                // Returned after the content before it.
                Err(malformed) => {
                    self.malformed = Some(malformed);
                    break;
                }
            }
        }
        // A boxed slice has no spare capacity.
        Ok(if gathered.is_empty() { first } else { gathered.into_boxed_slice().into() })
    }

    /// The next content of one chunk, if at most `largest` unread bytes of it are left.
    fn take_part(&mut self, most: usize, largest: usize) -> Result<Bytes, Malformed> {
        let Some(connection) = &mut self.connection else { return Ok(Bytes::new()) };
        let unread = connection.unread();
        if self.content == 0 {
            let taken = self.framing.take(unread)?;
            unread.advance(taken.framing);
            self.content = taken.content;
        }
        if self.content > largest {
            return Ok(Bytes::new());
        }
        let part = unread.split_to(self.content.min(most));
        self.content -= part.len();
        if unread.len() <= FRAMING {
            // A few bytes would keep a large buffer alive.
            *unread = Bytes::copy_from_slice(unread);
        }
        self.end_if_whole();
        Ok(part)
    }
}

impl Pieces for ResponseBody {
    type Error = io::Error;

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.poll_piece_behind(cx, &mut Bytes::new(), want)
    }

    /// Content without framing of its own is read behind `before`.
    fn poll_piece_behind(
        &mut self,
        cx: &mut Context<'_>,
        before: &mut Bytes,
        want: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let broken = |error: Malformed| io::Error::new(io::ErrorKind::InvalidData, error);
        loop {
            if let Some(malformed) = self.malformed.take() {
                return Poll::Ready(Some(Err(broken(malformed))));
            }
            if let Some(fields) = self.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(fields))));
            }
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            if connection.unread().is_empty() {
                let (want, is_bare) = match &self.framing {
                    // Bytes after the end are not this response's.
                    Framing::Length(left) => {
                        (usize::try_from(*left).map_or(want, |left| left.min(want)), true)
                    }
                    Framing::Chunked(_) => (want.saturating_add(FRAMING), false),
                    Framing::Whole | Framing::UntilClose => (want, true),
                };
                let behind = if is_bare { &before[..] } else { &[] };
                let read = ready!(connection.poll_read_behind(cx, behind, want))?;
                if read.is_empty() {
                    let whole = self.framing.end();
                    // The connection is closed and cannot be reused.
                    self.connection = None;
                    if whole {
                        return Poll::Ready(None);
                    }
                    let short = "the connection was closed before the end of the content";
                    return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, short))));
                }
                if is_bare {
                    // All of it is content.
                    self.framing.take(&read[before.len()..]).map_err(broken)?;
                    before.clear();
                    self.end_if_whole();
                    return Poll::Ready(Some(Ok(Frame::data(read))));
                }
                *connection.unread() = read;
            }
            let piece = self.take(want).map_err(broken)?;
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
    }

    /// Chunked content may still have trailers.
    fn is_over(&self) -> bool {
        self.connection.is_none() && !matches!(self.framing, Framing::Chunked(_))
    }

    fn min_remaining(&self) -> u64 {
        self.framing.remaining().unwrap_or(0).saturating_add(self.content as u64)
    }

    fn prefetch(&self) {
        if let Some(connection) = &self.connection {
            connection.prefetch();
        }
    }
}

#[cfg(test)]
#[path = "response_body_tests.rs"]
mod tests;
