//! HTTP/2 on one connection: accepts its streams and has each served by a task of its own.
//!
//! Framing, HPACK, flow control and the bounds on a peer's frames are the `h2` crate's. What it refuses by itself
//! does not come here, so it has no line in the access log and is not counted: a malformed head (among these a
//! `:path` with `"`, `<`, `>` or a byte that is not ASCII) is a `PROTOCOL_ERROR` of its stream, a head above
//! [`MAX_HEAD`] is answered 431, and a stream above [`MAX_STREAMS`] is a `REFUSED_STREAM`. An error of the whole
//! connection is logged when it ends.

pub(super) mod held;
mod io;
mod patience;
mod sending;
mod stream;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::h2::server::{Builder, Connection as Framing, Handshake};

use super::MAX_HEAD;
use super::connection::Connection;
use super::driver::Serving;
use crate::rt;
use crate::sink::{Sink, Wire};

use held::Piece;
use io::Io;

/// Concurrent requests on one connection; each may hold a response's buffers.
pub(super) const MAX_STREAMS: u32 = 100;

/// Bytes of one stream that wait in the framing for the socket.
const MAX_STREAM_BUFFER: usize = 64 * 1024;

/// Bytes of requests' content that a client may send on one connection before they are asked for.
pub(super) const UPLOAD_WINDOW: u32 = 512 * 1024;

/// The same of one request: one that nobody reads leaves the others of its connection their window. One upload alone has
/// this much in a round trip, 2.6 MB/s over 50 ms.
const STREAM_WINDOW: u32 = UPLOAD_WINDOW / 4;

/// The same where uploads are limited when the connection begins, and many of them are slow.
const PACED_WINDOW: u32 = 64 * 1024;

/// A connection that is served.
pub(super) struct Http2<W: Wire> {
    state: State<W>,
    is_draining: bool,
    has_accepted: bool,
    connection: Arc<Connection>,
}

enum State<W: Wire> {
    /// The settings are sent and the preface is read.
    Greeting(Handshake<Io<W>, Piece>),
    Serving(Framing<Io<W>, Piece>),
}

impl<W: Wire> Http2<W> {
    pub(super) fn new(sink: Sink<W>, connection: Arc<Connection>) -> Self {
        let mut builder = Builder::new();
        builder
            .max_concurrent_streams(connection.server.max_streams())
            .max_send_buffer_size(MAX_STREAM_BUFFER)
            .initial_window_size(if connection.server.paces_uploads() { PACED_WINDOW } else { STREAM_WINDOW })
            .initial_connection_window_size(UPLOAD_WINDOW)
            .max_local_error_reset_streams(Some(MAX_STREAMS as usize))
            .max_header_list_size(MAX_HEAD as u32);
        Self {
            state: State::Greeting(builder.handshake(Io::new(sink, Arc::clone(&connection)))),
            is_draining: false,
            has_accepted: false,
            connection,
        }
    }

    /// Has the client send no further requests once the server drains. Where connections come all the same, each may send its
    /// first.
    fn go_away_if_draining(&mut self) {
        let may_ask = !self.has_accepted && self.connection.server.accepts_while_draining();
        if let State::Serving(framing) = &mut self.state
            && self.is_draining
            && !may_ask
        {
            framing.graceful_shutdown();
        }
    }
}

impl<W: Wire> Serving for Http2<W> {
    fn poll_serving(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Greeting(handshake) => {
                    let framing = ready!(Pin::new(handshake).poll(cx)).map_err(std::io::Error::other)?;
                    this.state = State::Serving(framing);
                    this.go_away_if_draining();
                }
                State::Serving(framing) => {
                    let Some(accepted) = ready!(framing.poll_accept(cx)) else { return Poll::Ready(Ok(())) };
                    let (request, respond) = accepted.map_err(std::io::Error::other)?;
                    rt::spawn(stream::serve(Arc::clone(&this.connection), request, respond));
                    this.has_accepted = true;
                    this.go_away_if_draining();
                }
            }
        }
    }

    fn drain(self: Pin<&mut Self>) {
        let this = self.get_mut();
        this.is_draining = true;
        this.go_away_if_draining();
    }
}
