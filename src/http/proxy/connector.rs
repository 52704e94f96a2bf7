//! Connections to the upstream, as the pool makes them.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::future;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

use crate::clock::{Clock, Sleep};
use crate::config::ProxySource;
use crate::limit::Buffers;
use crate::limit::Rate;
use crate::rt::{self, Connect, Socket};

/// The most one bounded read takes.
const SCRATCH_LEN: usize = 16 * 1024;

thread_local! {
    /// What a bounded read reads into, one for each thread: a connection that waits holds none.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_LEN].into_boxed_slice());
}

/// Connects to a route's upstream, within its timeout and with its receive buffer.
#[derive(Clone)]
pub(super) struct Connector {
    to: Arc<Connect>,
    timeout: Duration,
    piece: Option<usize>,
    clock: Arc<dyn Clock>,
}

impl Connector {
    /// A connector to the upstream of `source`, for responses that leave at `pace`.
    pub(super) fn new(source: &ProxySource, pace: Option<Rate>, clock: Arc<dyn Clock>) -> Self {
        let buffers = Buffers::before(pace);
        let to = Connect {
            host: source.upstream.host().to_owned(),
            port: source.upstream.port(),
            receive_buffer: buffers.receive,
        };
        Self { to: Arc::new(to), timeout: source.connect_timeout, piece: buffers.piece, clock }
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Link;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The URI is always the upstream's: a pool belongs to one route.
    fn call(&mut self, _uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let connecting = async {
                let socket = rt::connect(&connector.to).await?;
                Ok(Link { socket, piece: connector.piece, traffic: Traffic::default() })
            };
            let late = async {
                Sleep::lasting(Arc::clone(&connector.clock), connector.timeout).await;
                Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))
            };
            future::or(connecting, late).await
        })
    }
}

/// What a connection has seen. Clones share it; the pool puts one into its errors.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic(Arc<AtomicU8>);

/// Something was read on the connection.
const ANSWERED_ONCE: u8 = 1;
/// Something was written since anything was read.
const UNANSWERED: u8 = 2;

impl Traffic {
    /// Whether the connection had answered an earlier request, and gave no byte in answer to this
    /// one: the upstream had closed it, or was about to.
    pub(super) fn is_stale(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ANSWERED_ONCE | UNANSWERED
    }

    fn wrote(&self) {
        self.0.fetch_or(UNANSWERED, Ordering::Relaxed);
    }

    fn read(&self) {
        self.0.store(ANSWERED_ONCE, Ordering::Relaxed);
    }
}

/// A connection to the upstream.
pub(super) struct Link {
    socket: Socket,
    /// The most bytes taken at a time.
    piece: Option<usize>,
    traffic: Traffic,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.traffic.clone())
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let bound = self.piece.unwrap_or(usize::MAX);
        let read = if bound >= buf.remaining() {
            ready!(self.socket.poll_read_into(cx, &mut buf))?
        } else {
            // hyper's cursor cannot be shortened.
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let len = bound.min(scratch.len());
                let read = ready!(self.socket.poll_read_slice(cx, &mut scratch[..len]))?;
                buf.put_slice(&scratch[..read]);
                Poll::Ready(io::Result::Ok(read))
            });
            ready!(read)?
        };
        if read > 0 {
            self.traffic.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.traffic.wrote();
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.traffic.wrote();
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_used_connection_that_answers_nothing_is_stale() {
        let traffic = Traffic::default();
        assert!(!traffic.is_stale());
        traffic.wrote();
        assert!(!traffic.is_stale(), "the first request on it");
        traffic.read();
        assert!(!traffic.is_stale());
        traffic.wrote();
        assert!(traffic.is_stale());
        traffic.read();
        assert!(!traffic.is_stale(), "the answer began");
    }
}
