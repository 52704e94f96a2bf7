//! Connections that change protocols, passed on after the 101 response (RFC 9110, section 7.8).

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};

use futures_lite::io::{AsyncRead, AsyncWrite};
use http::Request;
use hyper::rt::{Read, ReadBuf, Write};

use crate::sync::Mutex;

/// The client's connection once it has changed protocols. Completes when the 101 response has been sent; fails if
/// there is no such response.
#[derive(Clone)]
pub struct Upgrade {
    kind: Kind,
    /// Counts bytes read from the connection.
    read: Option<Arc<AtomicU64>>,
}

#[derive(Clone)]
enum Kind {
    Ours(Arc<Mutex<Slot>>),
    Hyper(hyper::upgrade::OnUpgrade),
}

#[derive(Default)]
struct Slot {
    stream: Option<Upgraded>,
    /// The stream was passed on, or none will come.
    is_over: bool,
    waiting: Option<Waker>,
}

/// Passes a connection to its [`Upgrade`], which fails if this is dropped before.
pub(crate) struct Handover(Arc<Mutex<Slot>>);

impl Upgrade {
    /// Takes the upgrade out of `request`, where a server of this crate or hyper's has put it.
    pub fn of<B>(request: &mut Request<B>) -> Self {
        match request.extensions_mut().remove::<Self>() {
            Some(upgrade) => upgrade,
            None => Self { kind: Kind::Hyper(hyper::upgrade::on(request)), read: None },
        }
    }

    /// An upgrade and its other half, which completes it.
    pub(crate) fn new() -> (Self, Handover) {
        let slot = Arc::new(Mutex::default());
        (Self { kind: Kind::Ours(Arc::clone(&slot)), read: None }, Handover(slot))
    }

    /// Adds the number of bytes read from the connection to `read`.
    pub(crate) fn counting(self, read: Arc<AtomicU64>) -> Self {
        Self { read: Some(read), ..self }
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Upgraded>> {
        match &mut self.kind {
            Kind::Hyper(upgrade) => Pin::new(upgrade).poll(cx).map(|upgraded| match upgraded {
                Ok(stream) => Ok(Upgraded::new(OfHyper(stream))),
                Err(error) => Err(io::Error::other(error)),
            }),
            Kind::Ours(slot) => {
                let mut slot = slot.lock();
                match slot.stream.take() {
                    Some(stream) => Poll::Ready(Ok(stream)),
                    None if slot.is_over => {
                        Poll::Ready(Err(io::Error::other("the connection did not change protocols")))
                    }
                    None => {
                        slot.waiting = Some(cx.waker().clone());
                        Poll::Pending
                    }
                }
            }
        }
    }
}

impl Future for Upgrade {
    type Output = io::Result<Upgraded>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Upgraded>> {
        let this = self.get_mut();
        this.poll_stream(cx).map_ok(|stream| Upgraded { read: this.read.take(), ..stream })
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").finish_non_exhaustive()
    }
}

impl Handover {
    /// Passes the connection on.
    pub(crate) fn complete(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        self.end(Some(Upgraded::new(stream)));
    }

    fn end(&self, stream: Option<Upgraded>) {
        let mut slot = self.0.lock();
        slot.stream = stream.or(slot.stream.take());
        slot.is_over = true;
        let waiting = slot.waiting.take();
        drop(slot);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// A connection that changed protocols, from the first byte after the request's head.
pub struct Upgraded {
    stream: Box<dyn Stream>,
    read: Option<Arc<AtomicU64>>,
}

impl Upgraded {
    fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), read: None }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut *self.stream).poll_read(cx, buf))?;
        if let Some(read) = &self.read {
            read.fetch_add(len as u64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_close(cx)
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").finish_non_exhaustive()
    }
}

/// hyper's connection with the `futures` traits.
struct OfHyper(hyper::upgrade::Upgraded);

impl AsyncRead for OfHyper {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, buf.unfilled()))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl AsyncWrite for OfHyper {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use futures_lite::io::Cursor;

    #[test]
    fn a_connection_is_handed_over_once_or_there_is_none() {
        let (mut upgrade, handover) = Upgrade::new();
        assert!(block_on(poll_once(&mut upgrade)).is_none());
        handover.complete(Cursor::new(Vec::new()));
        let mut twin = upgrade.clone();
        assert!(block_on(&mut upgrade).is_ok());
        assert!(block_on(&mut twin).is_err(), "it is another's");
        let (mut upgrade, handover) = Upgrade::new();
        drop(handover);
        assert!(block_on(&mut upgrade).is_err());
        assert!(block_on(Upgrade::of(&mut Request::new(()))).is_err(), "hyper knows of none either");
    }
}
