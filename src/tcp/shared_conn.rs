//! A connection shared by the two directions of a stream, and the guard that resets it if the stream fails.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::io::{AsyncRead, AsyncWrite};

use super::record::Record;
use super::send_body::Destination;
use crate::rt::Socket;
use crate::sink::{Sink, SinkState, Wire};
use crate::sync::Mutex;

/// A handle to a connection; clones are the same connection, which is closed with the last of them. Both directions
/// run in one task, so the lock is never contended.
pub(super) struct SharedConn<T>(Arc<Mutex<T>>);

impl<T> SharedConn<T> {
    pub(super) fn new(connection: T) -> Self {
        Self(Arc::new(Mutex::new(connection)))
    }
}

impl<T> Clone for SharedConn<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for SharedConn<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for SharedConn<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_close(cx)
    }
}

impl<W: Wire> Destination for SharedConn<Sink<W>> {
    fn poll_sent(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_sent(cx)
    }
}

/// An upstream whose client broke off is reset at once.
impl Destination for SharedConn<Socket> {
    fn poll_sent(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// Resets connections when dropped before the stream's end, so that a stream cut short does not look complete: the
/// client's unless it was sent everything, the upstream's unless both directions ended.
///
/// Holds the connections, so that they are not closed before.
pub(super) struct ResetGuard<W: Wire> {
    sink: Arc<SinkState>,
    record: Arc<Record>,
    _client: SharedConn<Sink<W>>,
    upstream: Option<SharedConn<Socket>>,
}

impl<W: Wire> ResetGuard<W> {
    pub(super) fn new(sink: Arc<SinkState>, client: &SharedConn<Sink<W>>, record: &Arc<Record>) -> Self {
        Self { sink, record: Arc::clone(record), _client: client.clone(), upstream: None }
    }

    pub(super) fn and(&mut self, upstream: &SharedConn<Socket>) {
        self.upstream = Some(upstream.clone());
    }

    /// Notes that both directions ended: the upstream is not reset.
    pub(super) fn ended(&mut self) {
        self.upstream = None;
    }
}

impl<W: Wire> Drop for ResetGuard<W> {
    fn drop(&mut self) {
        if !self.record.is_complete() {
            self.sink.abort();
        }
        if let Some(upstream) = &self.upstream {
            upstream.0.lock().reset_on_close();
        }
    }
}
