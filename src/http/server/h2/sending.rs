//! The content of one response on its way to a stream of HTTP/2.
//!
//! The body is asked only while the stream's window is open, for about as much as that takes, and for one byte when it
//! has shut: of a stream that never had any, neither the source is read nor a coder made. Window that was reserved for a body that waits is given
//! back, so that a paced stream does not keep it from its neighbours.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use ::h2::{Reason, SendStream};
use bytes::Bytes;
use http_body::Frame;

use super::held::{CROWDED_CHUNK, Piece, StreamCharge, StreamHeld};
use super::io::Giving;
use super::patience::Patience;
use crate::http::server::connection::Connection;
use crate::http::server::response::ResponseBody;
use crate::http::server::spread::StreamPace;

/// The most of the window that a stream reserves at a time: a frame of the size that clients begin with
/// (RFC 9113, section 6.5.2). A neighbour's next frame comes in between.
const FRAME: usize = 16 * 1024;

/// The least that a body is asked for: to read a few bytes costs what reading these does.
const MIN_CHUNK: u64 = 4096;

/// How a stream ended.
pub(super) enum End {
    /// All was handed to the framing.
    Sent,
    /// The client reset it, or its connection ended.
    Gone,
    /// Its content broke off, and it was reset.
    Failed,
    /// Its client took nothing for too long, and it was reset.
    GivenUp,
}

/// Sends a response's content and trailers. Resolves when the framing has all of it, or the stream was reset.
pub(super) struct Sending {
    stream: SendStream<Piece>,
    body: ResponseBody,
    held: Arc<StreamHeld>,
    /// Its part of the kernel's pace of the connection.
    pace: StreamPace,
    patience: Patience,
    /// What came out of the body and is not in the framing yet.
    chunk: Bytes,
    /// For all of the chunk, which stays in memory as long as any part of it.
    charge: Option<StreamCharge>,
    /// The window that was open when this was looked at last, before the body was asked.
    room: usize,
    /// Some content was handed to the framing. Before that a stream without window does not touch its source.
    has_begun: bool,
    /// `None` once the content broke off.
    giving: Option<Giving>,
}

impl Sending {
    pub(super) fn new(
        stream: SendStream<Piece>,
        mut body: ResponseBody,
        connection: &Arc<Connection>,
    ) -> Self {
        let patience = Patience::new(connection);
        body.watched_by(patience.watch());
        let held = StreamHeld::new(&connection.sink);
        let pace = StreamPace::new(connection, body.pacing_rate());
        Self {
            stream,
            body,
            held,
            pace,
            patience,
            chunk: Bytes::new(),
            charge: None,
            room: 0,
            has_begun: false,
            giving: Some(Giving::new(connection)),
        }
    }

    /// Goes on until something is waited for. `Pending` has this task woken by a reset too.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let step = if self.giving.is_none() {
                self.poll_failing(cx)
            } else if self.chunk.is_empty() {
                self.poll_chunk(cx)
            } else {
                self.poll_piece(cx)
            };
            if let Some(end) = ready!(step) {
                return Poll::Ready(end);
            }
        }
    }

    /// Waits for window, then asks the body for a chunk.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let is_crowded = self.held.is_crowded();
        if is_crowded && self.held.poll_empty(cx).is_pending() {
            self.patience.begin();
            return self.poll_gone(cx);
        }
        if self.room == 0 {
            match self.poll_room(cx, FRAME) {
                Poll::Ready(Some(room)) => self.room = room,
                Poll::Ready(None) => return Poll::Ready(Some(End::Gone)),
                // An end or a failure needs no window: once the client has been sent all, one byte ahead finds
                // it out.
                Poll::Pending if self.has_begun && self.held.poll_empty(cx).is_ready() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        let most = match self.room {
            0 => 1,
            _ if is_crowded => CROWDED_CHUNK,
            room => (room as u64).max(MIN_CHUNK),
        };
        let Poll::Ready(frame) = self.body.poll_chunk(cx, most) else {
            if self.room > 0 {
                // The client has taken all there is.
                self.patience.end();
                self.stream.reserve_capacity(0);
            }
            return self.poll_gone(cx);
        };
        self.room = 0;
        self.pace.set(self.body.pacing_rate());
        Poll::Ready(match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(bytes))) => {
                self.charge = (!bytes.is_empty()).then(|| self.held.charge(bytes.len() as u64));
                self.chunk = bytes;
                None
            }
            Some(Ok(Err(frame))) => frame.into_trailers().ok().map(|fields| self.send_trailers(fields)),
            Some(Err(_)) => {
                // Behind all that the framing has of this stream: when it is gone, so is the rest.
                self.giving = None;
                self.send(Piece::new(Bytes::new(), Some(self.held.charge(1))), false)
            }
            None => self.send(Piece::end(), true),
        })
    }

    /// Waits for window, then hands a piece of the chunk to the framing.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let Some(room) = ready!(self.poll_room(cx, FRAME)) else {
            return Poll::Ready(Some(End::Gone));
        };
        let len = room.min(self.chunk.len());
        let bytes = self.chunk.split_to(len);
        let (charge, is_last) = if self.chunk.is_empty() {
            // An empty part of a buffer would keep all of it.
            self.chunk = Bytes::new();
            (self.charge.take(), self.body.is_end_stream())
        } else {
            (None, false)
        };
        let end = self.send(Piece::new(bytes, charge), is_last);
        self.has_begun = true;
        self.body.sent(len as u64);
        self.patience.took(len as u64);
        Poll::Ready(end)
    }

    /// Waits until all that came before the failure is written, which a reset would discard; then resets.
    fn poll_failing(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if self.held.poll_empty(cx).is_pending() {
            self.patience.begin();
            return self.poll_gone(cx);
        }
        self.stream.send_reset(Reason::INTERNAL_ERROR);
        Poll::Ready(Some(End::Failed))
    }

    /// Reserves up to `want` bytes of the windows of stream and connection, and waits for the first. `None` if the
    /// stream is over.
    fn poll_room(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<Option<usize>> {
        self.stream.reserve_capacity(want);
        let room = self.stream.capacity();
        if room > 0 {
            return Poll::Ready(Some(room));
        }
        match self.stream.poll_capacity(cx) {
            Poll::Ready(room) => Poll::Ready(room.and_then(Result::ok)),
            Poll::Pending => {
                self.patience.begin();
                Poll::Pending
            }
        }
    }

    /// Has this task woken by a reset.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        self.stream.poll_reset(cx).map(|_| Some(End::Gone))
    }

    fn send(&mut self, piece: Piece, is_last: bool) -> Option<End> {
        if self.stream.send_data(piece, is_last).is_err() {
            return Some(End::Gone);
        }
        is_last.then(|| {
            self.body.end();
            End::Sent
        })
    }

    fn send_trailers(&mut self, fields: http::HeaderMap) -> End {
        if let Err(error) = self.stream.send_trailers(fields) {
            log::debug!(error:%; "trailers cannot be sent over HTTP/2");
            self.stream.send_reset(Reason::INTERNAL_ERROR);
            return End::Failed;
        }
        self.body.end();
        End::Sent
    }
}

impl Future for Sending {
    type Output = End;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let this = self.get_mut();
        // Reserving wakes whoever waits for this stream. In place of this task, which runs, nobody does.
        if this.stream.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready() {
            return Poll::Ready(End::Gone);
        }
        if let Poll::Ready(end) = this.poll_send(cx) {
            return Poll::Ready(end);
        }
        ready!(this.patience.poll_end(cx));
        this.stream.send_reset(Reason::CANCEL);
        Poll::Ready(End::GivenUp)
    }
}
