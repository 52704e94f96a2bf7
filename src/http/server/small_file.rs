//! Small files of the cache that nothing paces or changes: the head and the content are put together and sent in one write,
//! without filters and without a body that is asked for pieces.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, request};

use super::exchange::Exchange;
use super::pacing::{is_unlimited, limit_of};
use crate::brigade::MAX_PIECE;
use crate::http::files::{CachedFile, wants_whole};
use crate::http::route::{Route, RulesMet};
use crate::http1::Asked;
use crate::rt::{Buffer, read_at_once};

/// A response with all of a small file over HTTP/1, read but for its head.
pub(super) struct SmallFile {
    exchange: Exchange,
    cached: Arc<CachedFile>,
    buffer: Buffer,
    /// Where in the buffer the response begins, and where its content does.
    begin: usize,
    content: usize,
    end: usize,
}

/// What a response with all of a small file is in a version of HTTP.
pub(super) trait ReadWhole: Sized {
    /// Reads a file that a route's request is answered with; beside its head, the rules that it met.
    ///
    /// # Errors
    /// Returns the exchange if the file is to be sent the ordinary way: it is large, or not in the page cache; or its
    /// response is limited, filtered or changed, or only a part of the file.
    #[allow(
        clippy::result_large_err,
        reason = "it is taken apart at once, and a box would cost an allocation"
    )]
    fn read(
        exchange: Exchange,
        route: &Route,
        request: (&request::Parts, RulesMet),
        cached: &Arc<CachedFile>,
    ) -> Result<Self, Exchange>;
}

/// Over HTTP/2 there is none: a stream sends what its window takes.
impl ReadWhole for Infallible {
    fn read(
        exchange: Exchange,
        _: &Route,
        _: (&request::Parts, RulesMet),
        _: &Arc<CachedFile>,
    ) -> Result<Self, Exchange> {
        Err(exchange)
    }
}

impl ReadWhole for SmallFile {
    fn read(
        exchange: Exchange,
        route: &Route,
        (head, met): (&request::Parts, RulesMet),
        cached: &Arc<CachedFile>,
    ) -> Result<Self, Exchange> {
        let content = cached.lines().most();
        // At most MAX_PIECE, so it is a usize.
        let size = cached.size().min(MAX_PIECE) as usize;
        let is_plain = content + size < MAX_PIECE as usize
            && route.rules().is_empty()
            && route.fields.is_empty()
            && wants_whole(head);
        if !is_plain {
            return Err(exchange);
        }
        // Nothing of the head decides without rules.
        let mut unread = Response::new(()).into_parts().0;
        let chosen = limit_of(route, met.down, &mut unread, &exchange);
        if !is_unlimited(route, &chosen.limit, &exchange) {
            return Err(exchange);
        }
        let end = content + size;
        let mut buffer = Buffer::take(end);
        if !read_at_once(cached.file(), &mut buffer.space(end)[content..]) {
            return Err(exchange);
        }
        let [clients, _] = exchange.budgets();
        for clients in [route.clients(), clients] {
            clients.pass_unlimited(size as u64);
        }
        exchange.publish(StatusCode::OK, Some(size as u64), Some(chosen), true);
        Ok(Self { exchange, cached: Arc::clone(cached), buffer, begin: content, content, end })
    }
}

impl SmallFile {
    /// Writes the head, and counts the content as passed on.
    pub(super) fn begin(&mut self, asked: &Asked, date: &[u8; 29]) {
        let room = self.buffer.space(self.content);
        self.begin = self.cached.lines().write_ok(asked.version, asked.keeps, date, room);
        let connection = self.exchange.connection();
        connection.pass_at_once(self.exchange.transfer(), (self.end - self.content) as u64);
        self.exchange.account.ended = true;
    }

    /// The whole response.
    pub(super) fn bytes(&mut self) -> &[u8] {
        &self.buffer.space(self.end)[self.begin..]
    }

    /// What is left when `sent` bytes of it went to the socket. Ends the exchange, which is concluded when the rest has gone
    /// too.
    pub(super) fn into_rest(self, sent: usize) -> Bytes {
        self.buffer.freeze_or_copy(self.begin + sent..self.end)
    }

    /// Concludes the exchange: all of it went to the socket.
    pub(super) fn conclude(self) {
        self.exchange.conclude();
    }
}
