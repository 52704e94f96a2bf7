//! A request on its way to the upstream: its head, and its body as it comes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use event_listener::Event;
use futures_lite::future;
use futures_lite::io::AsyncWrite;
use http::request;
use http_body::{Body, Frame};

use super::sending::Sending;
use crate::http1::{Chunks, content_length, write_head};
use crate::rt::{self, Socket};

/// The most pieces of one write: the head, and a piece of the body between its framing.
const PIECES: usize = 4;

/// A request that is being written.
pub(super) struct Upload {
    head: Bytes,
    body: Sending,
    framing: Framing,
    /// What is written before more of the body is asked for.
    pieces: VecDeque<Bytes>,
    /// Whether all of the body is among the pieces, or was.
    gathered: bool,
    written: u64,
}

enum Framing {
    /// There are so many bytes left of the length that was told.
    Length(u64),
    Chunks(Chunks),
}

/// Why a request did not go out.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The client's body broke off, or is not as long as it said.
    Client,
    /// The upstream does not take it.
    Upstream(io::Error),
}

impl Upload {
    /// A request that has not begun. The head tells how its body is framed.
    pub(super) fn new(head: &request::Parts, body: Sending) -> Self {
        let mut text = BytesMut::with_capacity(1024);
        write_head(head, &mut text);
        let framing = match content_length(&head.headers) {
            Ok(Some(length)) => Framing::Length(length),
            // A length that is none was refused before.
            Ok(None) | Err(_) => Framing::Chunks(Chunks::behind(&head.headers)),
        };
        let head = text.freeze();
        let gathered = body.is_empty();
        Self { pieces: [head.clone()].into(), head, body, framing, gathered, written: 0 }
    }

    /// Whether all of it has been written.
    pub(super) fn is_over(&self) -> bool {
        self.gathered && self.pieces.is_empty()
    }

    /// Whether any of it has been written.
    pub(super) fn has_begun(&self) -> bool {
        self.written > 0
    }

    /// Begins anew, if the request has no body. Whether it does.
    pub(super) fn begin_again(&mut self) -> bool {
        let can = self.body.is_empty();
        if can {
            self.pieces = [self.head.clone()].into();
            self.written = 0;
        }
        can
    }

    /// Writes it, and asks for the body as it goes. Ready when all has been written. What was not written
    /// yet when it fails can be written to another connection, if it has not begun.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Socket,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            // The first piece of the body goes with the head, if it is there.
            let pending = self.pieces.len() < 2 && !self.gathered && self.poll_gather(cx)?.is_pending();
            if self.pieces.is_empty() {
                match (pending, self.gathered) {
                    (true, _) => return Poll::Pending,
                    (false, true) => return Poll::Ready(Ok(())),
                    (false, false) => continue,
                }
            }
            let mut slices = [IoSlice::new(&[]); PIECES];
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
            }
            let count = self.pieces.len().min(PIECES);
            let wrote = ready!(Pin::new(&mut *to).poll_write_vectored(cx, &slices[..count]));
            match wrote {
                Ok(0) => return Poll::Ready(Err(UploadError::Upstream(io::ErrorKind::WriteZero.into()))),
                Ok(len) => self.advance(len),
                Err(error) => return Poll::Ready(Err(UploadError::Upstream(error))),
            }
        }
    }

    /// Puts the next frame of the body among the pieces.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let frame = frame.transpose().map_err(|_| UploadError::Client)?;
        let trailers = match frame.map(Frame::into_data) {
            Some(Ok(data)) if data.is_empty() => return Poll::Ready(Ok(())),
            Some(Ok(data)) => {
                match &mut self.framing {
                    Framing::Length(left) => {
                        *left = left.checked_sub(data.len() as u64).ok_or(UploadError::Client)?;
                        self.pieces.push_back(data);
                    }
                    Framing::Chunks(_) => {
                        let (before, behind) = Chunks::around(&data);
                        self.pieces.extend([before, data, behind]);
                    }
                }
                return Poll::Ready(Ok(()));
            }
            Some(Err(frame)) => frame.into_trailers().ok(),
            None => None,
        };
        self.gathered = true;
        match &self.framing {
            Framing::Length(0) => Poll::Ready(Ok(())),
            Framing::Length(_) => Poll::Ready(Err(UploadError::Client)),
            Framing::Chunks(chunks) => {
                self.pieces.push_back(chunks.end(trailers.as_ref()));
                Poll::Ready(Ok(()))
            }
        }
    }

    fn advance(&mut self, mut len: usize) {
        self.written += len as u64;
        while let Some(first) = self.pieces.front_mut().filter(|_| len > 0) {
            let part = first.len().min(len);
            first.advance(part);
            len -= part;
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

/// An upload that goes on while the answer comes already. Dropping it stops the upload.
pub(super) struct Pump {
    over: Arc<AtomicBool>,
    stop: Event,
}

impl Pump {
    /// Sends the rest to the upstream, in a task of its own: the answer may be waiting for its pace.
    pub(super) fn start(mut upload: Upload, mut to: Socket) -> Self {
        let pump = Self { over: Arc::default(), stop: Event::new() };
        let (over, stopped) = (Arc::clone(&pump.over), pump.stop.listen());
        rt::spawn(async move {
            let sending = async { poll_fn(|cx| upload.poll_send(cx, &mut to)).await.is_ok() };
            let stopped = async {
                stopped.await;
                false
            };
            if future::or(sending, stopped).await {
                over.store(true, Ordering::Release);
            }
        });
        pump
    }

    /// Whether all has been sent.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.notify(usize::MAX);
    }
}
