//! What follows a response: the rest of the request's content, the next request, or the close of the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_lite::io::AsyncWrite;

use super::upload::Next;
use super::{CONTENT_PIECE, Http1, State};
use crate::http::server::lingering::Lingering;
use crate::sink::Wire;

/// The most unread content that is discarded to keep a connection alive.
pub(super) const MAX_DISCARDED: usize = 64 * 1024;

/// What was discarded of a request.
#[derive(Clone, Copy, Default)]
pub(super) struct Skipped {
    content: usize,
    /// Content and framing.
    bytes: usize,
}

impl Skipped {
    /// Allows as much framing as content: tiny chunks are mostly framing.
    fn is_too_much(self) -> bool {
        self.content > MAX_DISCARDED || self.bytes > 2 * MAX_DISCARDED
    }
}

impl<W: Wire + Send + 'static> Http1<W> {
    /// Discards the rest of a request's content, so that the next request can be read.
    pub(super) fn poll_skipping(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let (State::Skipping(skipped), Some(upload)) = (&mut self.state, &mut self.upload) else {
                self.begin_head();
                return Poll::Ready(Ok(()));
            };
            let had = self.input.len();
            let next = upload.next(self.input.content());
            skipped.content += match &next {
                Ok(Next::Frame(frame, _)) => frame.data_ref().map_or(0, Bytes::len),
                _ => 0,
            };
            skipped.bytes += had - self.input.len();
            match next {
                Ok(Next::End | Next::Frame(_, true)) => {
                    self.upload = None;
                    self.begin_head();
                    return Poll::Ready(Ok(()));
                }
                _ if skipped.is_too_much() || self.is_draining => break,
                Ok(Next::Frame(_, false)) => {}
                Ok(Next::More) if !self.input.has_ended() => {
                    let Some(sink) = &mut self.sink else { return Poll::Ready(Ok(())) };
                    return self.input.poll_more(cx, sink, CONTENT_PIECE).map_ok(drop);
                }
                Ok(Next::More) | Err(_) => break,
            }
        }
        self.state = State::Closing;
        Poll::Ready(Ok(()))
    }

    /// Whether the connection ends when it is idle, since the server drains. While another process has the listeners it
    /// may stay: its client cannot know yet that it takes no request. One whose requests are refused now had better come
    /// to the other process.
    pub(super) fn takes_no_request(&self) -> bool {
        let server = &self.connection.server;
        let is_closed = || server.is_closed(self.connection.exchanges.last_route());
        self.is_draining && (!server.has_successor() || is_closed())
    }

    /// Starts reading the next request, part of which may have been read ahead.
    pub(super) fn begin_head(&mut self) {
        self.state = State::Head;
        if self.input.is_empty() {
            self.connection.sink.await_bytes();
        } else {
            self.connection.sink.note_bytes();
        }
    }

    pub(super) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(sink) = &mut self.sink else { return Poll::Ready(Ok(())) };
        ready!(Pin::new(sink).poll_close(cx))?;
        let lingers = (self.is_desynced || self.upload.is_some() || !self.input.is_empty())
            && !self.input.has_ended()
            && !self.connection.sink.is_aborted();
        self.upload = None;
        self.state = if lingers {
            State::Lingering(Box::new(Lingering::new(&self.connection.server.clock)))
        } else {
            State::Done
        };
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_lingering(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (State::Lingering(lingering), Some(sink)) = (&mut self.state, &mut self.sink) else {
            return Poll::Ready(Ok(()));
        };
        self.input.clear();
        ready!(lingering.poll(cx, sink));
        self.state = State::Done;
        Poll::Ready(Ok(()))
    }
}
