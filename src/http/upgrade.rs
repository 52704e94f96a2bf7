//! Connections that change protocols, passed on after the 101 response (RFC 9110, section 7.8).

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_lite::io::{AsyncRead, AsyncWrite};
use http::Request;
use hyper::rt::{Read, ReadBuf, Write};
use tokio::sync::oneshot::{Receiver, Sender, channel};

use crate::sync::Mutex;

/// The client's connection once it has changed protocols. Completes when the 101 response has been sent; fails if
/// there is no such response.
#[derive(Clone)]
pub struct Upgrade(Kind);

#[derive(Clone)]
enum Kind {
    /// Shared, since extensions of requests must be `Clone`; `None` once it completed.
    Ours(Arc<Mutex<Option<Receiver<Upgraded>>>>),
    Hyper(hyper::upgrade::OnUpgrade),
}

/// Passes a connection to its [`Upgrade`], which fails if this is dropped before.
pub(crate) struct Handover(Sender<Upgraded>);

impl Upgrade {
    /// Takes the upgrade out of `request`, where a server of this crate or hyper's has put it.
    pub fn of<B>(request: &mut Request<B>) -> Self {
        match request.extensions_mut().remove::<Self>() {
            Some(upgrade) => upgrade,
            None => Self(Kind::Hyper(hyper::upgrade::on(request))),
        }
    }

    /// An upgrade and its other half, which completes it.
    pub(crate) fn new() -> (Self, Handover) {
        let (sender, receiver) = channel();
        (Self(Kind::Ours(Arc::new(Mutex::new(Some(receiver))))), Handover(sender))
    }
}

impl Future for Upgrade {
    type Output = io::Result<Upgraded>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Upgraded>> {
        match &mut self.0 {
            Kind::Hyper(upgrade) => Pin::new(upgrade).poll(cx).map(|upgraded| match upgraded {
                Ok(stream) => Ok(Upgraded::new(Bytes::new(), OfHyper(stream))),
                Err(error) => Err(io::Error::other(error)),
            }),
            Kind::Ours(shared) => {
                let mut receiver = shared.lock();
                let passed = match &mut *receiver {
                    Some(receiver) => ready!(Pin::new(receiver).poll(cx)).ok(),
                    None => None,
                };
                *receiver = None;
                Poll::Ready(passed.ok_or_else(|| io::Error::other("the connection did not change protocols")))
            }
        }
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").finish_non_exhaustive()
    }
}

impl Handover {
    /// Passes the connection on, with the bytes that were read ahead.
    pub(crate) fn complete(
        self,
        unread: Bytes,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) {
        // Nobody may be interested any more.
        let _ = self.0.send(Upgraded::new(unread, stream));
    }
}

/// A connection that changed protocols, from the first byte after the request's head.
pub struct Upgraded {
    unread: Bytes,
    stream: Box<dyn Stream>,
}

impl Upgraded {
    fn new(unread: Bytes, stream: impl Stream + 'static) -> Self {
        Self { unread, stream: Box::new(stream) }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection of a hyper server.
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
        Write::poll_write(Pin::new(&mut self.0), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_shutdown(Pin::new(&mut self.0), cx)
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.unread.is_empty() {
            let len = buf.len().min(self.unread.len());
            self.unread.copy_to_slice(&mut buf[..len]);
            return Poll::Ready(Ok(len));
        }
        Pin::new(&mut *self.stream).poll_read(cx, buf)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{self, Connect};
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn a_connection_is_handed_over_once_or_there_is_none() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = Connect { host: "127.0.0.1".to_owned(), port, receive_buffer: None };
        let (mut upgrade, handover) = Upgrade::new();
        assert!(block_on(poll_once(&mut upgrade)).is_none());
        handover.complete(Bytes::new(), rt::block_on(rt::connect(&to)).unwrap());
        let mut twin = upgrade.clone();
        assert!(block_on(&mut upgrade).is_ok());
        assert!(block_on(&mut twin).is_err(), "it is another's");
        let (mut upgrade, handover) = Upgrade::new();
        drop(handover);
        assert!(block_on(&mut upgrade).is_err());
        assert!(block_on(Upgrade::of(&mut Request::new(()))).is_err(), "hyper knows of none either");
    }
}
