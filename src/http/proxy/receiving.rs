//! An answer's content as it comes from the upstream.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Frame;

use super::kept::Kept;
use super::link::Link;
use super::upload::Pump;
use crate::generator::Pieces;
use crate::http1::{Framing, Malformed};

/// What one read takes beyond what is wanted where content comes in chunks: their framing is read with it.
const FRAMING: usize = 32;

/// Less than this of a chunk is put together with what else was read: content in tiny chunks must not cost
/// a bucket for each, nor hold all it was read with.
const SMALL: usize = 512;

/// The content behind a head. Dropping it before its end closes the connection.
pub(super) struct Receiving {
    /// `None`: all has come.
    link: Option<Link>,
    framing: Framing,
    /// How many of the bytes read and not used are content.
    content: usize,
    /// What came behind the content, and was not told yet.
    trailers: Option<HeaderMap>,
    /// What came behind the content was no framing, and that was not told yet.
    malformed: Option<Malformed>,
    /// Where the connection goes at the end, if it can be asked again.
    back: Option<Arc<Kept>>,
    /// The request's body, if it is still on its way.
    upload: Option<Pump>,
}

impl Receiving {
    /// The content that comes on `link`, framed as the head says.
    pub(super) fn new(link: Link, framing: Framing, back: Option<Arc<Kept>>, upload: Option<Pump>) -> Self {
        let (trailers, malformed) = (None, None);
        let mut receiving = Self { link: Some(link), framing, content: 0, trailers, malformed, back, upload };
        receiving.end_if_whole();
        receiving
    }

    /// When all has come the connection is free for others, before what came is used.
    fn end_if_whole(&mut self) {
        if self.content > 0 || !self.framing.is_whole() {
            return;
        }
        match self.framing.trailers() {
            Ok(trailers) => self.trailers = trailers,
            Err(malformed) => {
                self.malformed = Some(malformed);
                self.back = None;
            }
        }
        let sent = self.upload.take().is_none_or(|upload| upload.is_over());
        if let (Some(link), Some(kept)) = (self.link.take(), self.back.take())
            && sent
        {
            kept.put(link);
        }
    }

    /// The next content in what was read, at most `most` bytes of it; empty if there is none.
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
                // It is told behind what came before.
                Err(malformed) => {
                    self.malformed = Some(malformed);
                    break;
                }
            }
        }
        // A boxed slice has no spare room.
        Ok(if gathered.is_empty() { first } else { gathered.into_boxed_slice().into() })
    }

    /// The next content of one chunk, if no more than `largest` is left of what was read of that.
    fn take_part(&mut self, most: usize, largest: usize) -> Result<Bytes, Malformed> {
        let Some(link) = &mut self.link else { return Ok(Bytes::new()) };
        let unread = link.unread();
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
            // A rest of some bytes would keep a large buffer.
            *unread = Bytes::copy_from_slice(unread);
        }
        self.end_if_whole();
        Ok(part)
    }
}

impl Pieces for Receiving {
    type Error = io::Error;

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
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
            let Some(link) = &mut self.link else { return Poll::Ready(None) };
            if link.unread().is_empty() {
                let want = match &self.framing {
                    // What comes behind the end is not ours to read.
                    Framing::Length(left) => usize::try_from(*left).map_or(want, |left| left.min(want)),
                    Framing::Chunked(_) => want.saturating_add(FRAMING),
                    Framing::Whole | Framing::UntilClose => want,
                };
                if ready!(link.poll_more(cx, want))? == 0 {
                    let whole = self.framing.end();
                    // An end is told, and nobody can ask again.
                    self.link = None;
                    if whole {
                        return Poll::Ready(None);
                    }
                    let short = "the connection was closed before the end of the content";
                    return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, short))));
                }
            }
            let piece = self.take(want).map_err(broken)?;
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
    }

    /// Trailers are not known to be none before they were asked for.
    fn is_over(&self) -> bool {
        self.link.is_none() && !matches!(self.framing, Framing::Chunked(_))
    }

    fn at_least(&self) -> u64 {
        self.framing.remaining().unwrap_or(0).saturating_add(self.content as u64)
    }
}

#[cfg(test)]
#[path = "receiving_tests.rs"]
mod tests;
