//! Writes a request to the upstream: its head, and its body as it arrives.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_lite::future;
use http::request;
use http_body::Frame;
use tokio::sync::oneshot::{Receiver, channel};

use super::link::Link;
use super::request_body::TrackedBody;
use crate::http1::{ChunkEncoder, content_length, write_head};
use crate::rt;

/// Pieces of one write: the head, and a piece of the body between its framing.
const PIECES: usize = 4;

/// A request that is being written.
pub(super) struct Upload {
    head: Bytes,
    /// `None`: there is none.
    body: Option<TrackedBody>,
    framing: Framing,
    /// Written before more of the body is polled for.
    pieces: VecDeque<Bytes>,
    /// Whether the whole body is among the pieces or written.
    gathered: bool,
    /// Whether a piece of the body was taken: it cannot be had again.
    consumed: bool,
    written: u64,
    /// Whether what was written is with the kernel.
    sent_off: bool,
}

enum Framing {
    Length(u64),
    ChunkEncoder(ChunkEncoder),
}

/// Why a request was not sent.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The client's body ended early, or is not as long as its `Content-Length`.
    Client,
    /// Writing to the upstream failed.
    Upstream(io::Error),
}

impl Upload {
    /// A request that has not begun. Its head says how the body is framed.
    pub(super) fn new(head: &request::Parts, body: Option<TrackedBody>) -> Self {
        let framing = match body.as_ref().map(|_| content_length(&head.headers)) {
            None => Framing::Length(0),
            Some(Ok(Some(length))) => Framing::Length(length),
            // An invalid length was refused before.
            Some(Ok(None) | Err(_)) => Framing::ChunkEncoder(ChunkEncoder::behind(&head.headers)),
        };
        let head = written(head);
        let gathered = body.is_none();
        let pieces = [head.clone()].into();
        Self { pieces, head, body, framing, gathered, consumed: false, written: 0, sent_off: true }
    }

    /// Whether the whole request was written.
    pub(super) fn is_over(&self) -> bool {
        self.gathered && self.pieces.is_empty() && self.sent_off
    }

    pub(super) fn has_begun(&self) -> bool {
        self.written > 0
    }

    /// Starts over, unless something of the body was taken. Returns whether it does.
    pub(super) fn try_restart(&mut self) -> bool {
        if !self.consumed {
            self.pieces = [self.head.clone()].into();
            self.written = 0;
            self.sent_off = true;
        }
        !self.consumed
    }

    /// Has the request, of which nothing was written, begin with `head`.
    pub(super) fn set_head(&mut self, head: &request::Parts) {
        self.head = written(head);
        if let Some(first) = self.pieces.front_mut().filter(|_| self.written == 0) {
            *first = self.head.clone();
        }
    }

    /// Writes the request, polling for the body as it goes. Ready when all was sent. After a failure before the first
    /// byte the request can be written to another connection.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, to: &mut Link) -> Poll<Result<(), UploadError>> {
        loop {
            // A first piece of the body that is there is written together with the head.
            let pending = self.pieces.len() < 2 && !self.gathered && self.poll_gather(cx)?.is_pending();
            if self.pieces.is_empty() {
                if !pending && !self.gathered {
                    continue;
                }
                if !self.sent_off {
                    ready!(to.poll_send_off(cx)).map_err(UploadError::Upstream)?;
                    self.sent_off = true;
                }
                return if pending { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            let mut slices = [IoSlice::new(&[]); PIECES];
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
            }
            let count = self.pieces.len().min(PIECES);
            let wrote = ready!(to.poll_write_slices(cx, &slices[..count]));
            match wrote {
                Ok(0) => return Poll::Ready(Err(UploadError::Upstream(io::ErrorKind::WriteZero.into()))),
                Ok(len) => self.advance(len),
                Err(error) => return Poll::Ready(Err(UploadError::Upstream(error))),
            }
        }
    }

    /// Adds the next frame of the body to the pieces.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
        let frame = ready!(body.poll_frame(cx));
        self.consumed = true;
        let frame = frame.transpose().map_err(|_| UploadError::Client)?;
        let trailers = match frame.map(Frame::into_data) {
            Some(Ok(data)) if data.is_empty() => return Poll::Ready(Ok(())),
            Some(Ok(data)) => {
                match &mut self.framing {
                    Framing::Length(left) => {
                        *left = left.checked_sub(data.len() as u64).ok_or(UploadError::Client)?;
                        self.pieces.push_back(data);
                    }
                    Framing::ChunkEncoder(_) => {
                        let (before, behind) = ChunkEncoder::around(&data);
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
            Framing::ChunkEncoder(chunks) => {
                self.pieces.push_back(chunks.end(trailers.as_ref()));
                Poll::Ready(Ok(()))
            }
        }
    }

    fn advance(&mut self, mut len: usize) {
        self.written += len as u64;
        self.sent_off = false;
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

fn written(head: &request::Parts) -> Bytes {
    let mut text = BytesMut::with_capacity(1024);
    write_head(head, &mut text);
    text.freeze()
}

/// An upload that continues while the response is read. Dropping it stops the upload.
pub(super) struct Pump(Receiver<()>);

impl Pump {
    /// Sends the rest of the request in a task of its own, since the response may be waiting for its pace.
    pub(super) fn start(mut upload: Upload, mut to: Link) -> Self {
        let (mut over, pump) = channel();
        rt::spawn(async move {
            let sending = async { poll_fn(|cx| upload.poll_send(cx, &mut to)).await.is_ok() };
            let stopped = async {
                over.closed().await;
                false
            };
            if future::or(sending, stopped).await {
                let _ = over.send(());
            }
        });
        Self(pump)
    }

    /// Whether the whole request was sent.
    pub(super) fn finished(mut self) -> bool {
        self.0.try_recv().is_ok()
    }
}
