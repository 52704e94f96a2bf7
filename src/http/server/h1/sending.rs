//! Sends a response.

use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_lite::io::AsyncWrite;
use http::{HeaderMap, Response, StatusCode};

use super::ending::MAX_DISCARDED;
use super::{Http1, State};
use crate::body::{BodyError, Piece};
use crate::brigade::MAX_PIECE;
use crate::http::server::Stage;
use crate::http::server::date::with_date;
use crate::http::server::response::ResponseBody;
use crate::http::server::small_file::SmallFile;
use crate::http1::{Asked, Outgoing, ReasonPhrase, write_answer};
use crate::sink::{Sink, Wire};

/// Typical bytes of a field in a head.
const USUAL_FIELD: usize = 48;

/// The last chunk, without trailers.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The least that is sent of a file without being read. Less is read and written as fast.
const MIN_FILE: u64 = 512;

/// Why gathering of content stopped.
enum Gathered {
    /// The output is full.
    Full,
    /// The body is pending.
    Waiting,
    /// The sink is pending with bytes of a file.
    Refused,
    /// The content has ended.
    Whole,
    /// It broke off.
    Failed(BodyError),
}

impl<W: Wire + Send + 'static> Http1<W> {
    /// Queues the head and starts sending.
    pub(super) fn answer(&mut self, response: Response<ResponseBody>) {
        let (head, body) = response.into_parts();
        let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
        if !switches {
            self.handover = None;
        }
        let mut asked = self.asked;
        asked.keeps &= !(self.is_last() || switches && self.handover.is_none());
        let is_empty = body.is_empty();
        let reason = head.extensions.get::<ReasonPhrase>().map(ReasonPhrase::as_bytes);
        let mut bytes = Vec::with_capacity(96 + head.headers.len() * USUAL_FIELD);
        let (outgoing, keeps) =
            with_date(|date| write_answer(&head, &asked, is_empty, reason, date, &mut bytes));
        self.keeps_alive = keeps;
        self.output.push(bytes.into());
        self.state = State::Sending(Box::new(body), outgoing);
    }

    /// Whether no response can follow the one that begins now.
    fn is_last(&mut self) -> bool {
        self.connection.server.has_reached(Stage::Draining)
            || self.is_desynced
            || (self.input.has_ended() && self.input.is_empty())
            || self.upload.as_mut().is_some_and(|upload| {
                upload.expects() || upload.is_longer_than(MAX_DISCARDED) && upload.feed().is_abandoned()
            })
    }

    /// Sends a small file in one write. What the sink does not take at once is queued.
    pub(super) fn answer_small(&mut self, cx: &mut Context<'_>, mut small: SmallFile) -> io::Result<()> {
        self.handover = None;
        let asked = Asked { keeps: self.asked.keeps && !self.is_last(), ..self.asked };
        self.keeps_alive = asked.keeps;
        with_date(|date| small.begin(&asked, date));
        let mut sent = 0;
        if let Some(sink) = &mut self.sink
            && self.output.is_empty()
        {
            sink.set_pacing_rate(None);
            if let Poll::Ready(taken) = Pin::new(&mut *sink).poll_write(cx, small.bytes()) {
                sent = taken?;
            }
            if sent == small.bytes().len() && poll_flush(cx, sink)?.is_ready() {
                small.conclude();
                self.finish_response();
                return Ok(());
            }
        }
        let rest = small.into_rest(sent);
        if !rest.is_empty() {
            self.output.push(rest);
        }
        self.state = State::Flushing;
        Ok(())
    }

    /// Has the processor fetch what sending a piece uses, side by side: all of it has left the cache since the last piece.
    fn prefetch(&self) {
        let State::Sending(body, _) = &self.state else { return };
        self.connection.prefetch();
        body.prefetch();
        if let Some(sink) = &self.sink {
            sink.prefetch();
        }
        self.input.prefetch();
        black_box((self.upload.is_some(), self.output.is_empty(), self.keeps_alive));
    }

    /// One step, as in `poll_answering`.
    pub(super) fn poll_sending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.prefetch();
        let gathered = match self.gather(cx)? {
            Gathered::Whole => {
                // Drops the body: its figures are reported when these bytes are flushed.
                self.state = State::Flushing;
                return Poll::Ready(Ok(()));
            }
            Gathered::Failed(error) => {
                if let State::Sending(_body, _) = std::mem::replace(&mut self.state, State::Done) {
                    self.state = State::Failing { error, _body };
                }
                return Poll::Ready(Ok(()));
            }
            gathered => gathered,
        };
        if let Some(sink) = &mut self.sink
            && !matches!(gathered, Gathered::Refused)
            && self.output.poll_write(cx, sink)?.is_ready()
        {
            match gathered {
                Gathered::Waiting => {
                    let _ = poll_flush(cx, sink)?;
                    self.output.release();
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
        if self.poll_upload(cx, false)? {
            return Poll::Ready(Ok(()));
        }
        self.check_client(cx)?;
        Poll::Pending
    }

    /// Moves pieces of the body to `output` while that has room. What is due of a file goes straight to the sink, if
    /// nothing is before it and no framing around it.
    fn gather(&mut self, cx: &mut Context<'_>) -> io::Result<Gathered> {
        let (State::Sending(body, outgoing), Some(sink)) = (&mut self.state, &mut self.sink) else {
            return Ok(Gathered::Whole);
        };
        sink.set_pacing_rate(body.pacing_rate());
        let mut sends_files = !matches!(outgoing, Outgoing::Chunked(_)) && sink.sends_files();
        let mut sent = 0;
        while self.output.has_room() && sent < MAX_PIECE {
            if matches!(outgoing, Outgoing::Nothing | Outgoing::Length(0)) {
                return Ok(Gathered::Whole);
            }
            let is_behind = !self.output.is_empty();
            let min_file =
                if sends_files && (!is_behind || self.output.is_refused()) { MIN_FILE } else { u64::MAX };
            let piece = match body.poll_piece(cx, min_file) {
                Poll::Pending => return Ok(Gathered::Waiting),
                Poll::Ready(Some(Err(error))) => return Ok(Gathered::Failed(error)),
                Poll::Ready(piece) => piece.and_then(Result::ok),
            };
            let (mut is_last, mut trailers) = (false, None);
            match piece {
                Some(Piece::Data(data)) => {
                    is_last = body.is_end_stream();
                    match outgoing {
                        _ if data.is_empty() => {}
                        Outgoing::Length(left) => {
                            let len = usize::try_from(*left).map_or(data.len(), |left| left.min(data.len()));
                            *left -= len as u64;
                            self.output.push(data.slice(..len));
                        }
                        Outgoing::Chunked(_) => self.output.push_chunk(data),
                        Outgoing::UntilClose | Outgoing::Nothing => self.output.push(data),
                    }
                }
                // What is before it waits for the sink: nothing is gained by reading it now.
                Some(Piece::File(_)) if is_behind => return Ok(Gathered::Full),
                Some(Piece::File(slice)) => {
                    let left = if let Outgoing::Length(left) = outgoing { *left } else { u64::MAX };
                    let len = usize::try_from(slice.len().min(left)).unwrap_or(usize::MAX);
                    match sink.poll_send_file(cx, slice.file(), slice.offset(), len)? {
                        Poll::Pending => return Ok(Gathered::Refused),
                        Poll::Ready(0) => sends_files = false,
                        Poll::Ready(taken) => {
                            let taken = taken as u64;
                            body.sent_of_file(taken);
                            if let Outgoing::Length(left) = outgoing {
                                *left -= taken;
                            }
                            sent += taken;
                            is_last = body.is_end_stream();
                        }
                    }
                }
                Some(Piece::Trailers(fields)) => (is_last, trailers) = (true, Some(fields)),
                None => is_last = true,
            }
            if is_last {
                self.output_end(trailers.as_deref())?;
                return Ok(Gathered::Whole);
            }
        }
        Ok(Gathered::Full)
    }

    /// Queues the end of the content.
    ///
    /// # Errors
    /// It is shorter than `Content-Length`; the connection is aborted, so that it does not look complete.
    fn output_end(&mut self, trailers: Option<&HeaderMap>) -> io::Result<()> {
        let State::Sending(_, outgoing) = &self.state else { return Ok(()) };
        match outgoing {
            Outgoing::Chunked(Some(chunks)) => self.output.push(chunks.end(trailers)),
            Outgoing::Chunked(None) => self.output.push(Bytes::from_static(LAST_CHUNK)),
            Outgoing::Length(1..) => {
                self.connection.sink.abort();
                return Err(io::Error::other("the response is shorter than its Content-Length"));
            }
            Outgoing::Length(0) | Outgoing::Nothing | Outgoing::UntilClose => {}
        }
        Ok(())
    }

    pub(super) fn poll_flushing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(sink) = &mut self.sink else { return Poll::Ready(Ok(())) };
        let mut sent = self.output.poll_write(cx, sink)?;
        if sent.is_ready() {
            sent = poll_flush(cx, sink)?;
        }
        if sent.is_pending() {
            self.check_client(cx)?;
            return Poll::Pending;
        }
        self.finish_response();
        Poll::Ready(Ok(()))
    }

    /// Sends what came before a failure, then fails: the connection is reset.
    pub(super) fn poll_failing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(sink) = &mut self.sink else { return Poll::Ready(Ok(())) };
        let mut sent = self.output.poll_write(cx, sink)?;
        if sent.is_ready() {
            sent = transposed(sink.poll_sent(cx))?;
        }
        if sent.is_pending() {
            if self.poll_upload(cx, false)? {
                return Poll::Ready(Ok(()));
            }
            self.check_client(cx)?;
            return Poll::Pending;
        }
        self.connection.sink.abort();
        match std::mem::replace(&mut self.state, State::Done) {
            State::Failing { error, .. } => Poll::Ready(Err(io::Error::other(error))),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// Flushes the sink.
pub(super) fn poll_flush<W: Wire>(cx: &mut Context<'_>, sink: &mut Sink<W>) -> io::Result<Poll<()>> {
    transposed(Pin::new(sink).poll_flush(cx))
}

fn transposed(polled: Poll<io::Result<()>>) -> io::Result<Poll<()>> {
    match polled {
        Poll::Pending => Ok(Poll::Pending),
        Poll::Ready(done) => done.map(Poll::Ready),
    }
}
