//! A connection with or without TLS, for hyper.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;
use hyper::rt::ReadBufCursor;

use crate::rt::Socket;

thread_local! {
    /// The buffer of one read, one per thread: hyper's cursor can be filled only by copying.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 16 * 1024].into_boxed_slice());
}

/// Reads by `read` into hyper's buffer; returns the number of bytes.
pub(crate) fn read_into(
    buf: &mut ReadBufCursor<'_>,
    read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let len = buf.remaining().min(scratch.len());
        let read = ready!(read(&mut scratch[..len]))?;
        buf.put_slice(&scratch[..read]);
        Poll::Ready(Ok(read))
    })
}

/// A connected stream.
#[derive(Debug)]
pub enum Stream<S = Socket> {
    /// Without TLS.
    Plain(S),
    /// With TLS.
    Tls(Box<TlsStream<S>>),
}

impl<S> Stream<S> {
    pub(super) fn tls(stream: TlsStream<S>) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl Stream {
    /// Reads what is available into `buf`. With TLS a close without `close_notify` is an `UnexpectedEof`: the stream may have
    /// been truncated in transit.
    pub fn poll_read_slice(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => socket.poll_read_slice(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<S: hyper::rt::Read + AsyncRead + AsyncWrite + Unpin> hyper::rt::Read for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => hyper::rt::Read::poll_read(Pin::new(socket), cx, buf),
            Self::Tls(stream) => {
                let read = ready!(read_into(&mut buf, |buf| Pin::new(stream).poll_read(cx, buf)));
                match read {
                    // A close without close_notify: HTTP/2 marks its own end.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                    read => Poll::Ready(read.map(drop)),
                }
            }
        }
    }
}

impl<S: hyper::rt::Write + AsyncRead + AsyncWrite + Unpin> hyper::rt::Write for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => hyper::rt::Write::poll_write(Pin::new(socket), cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => hyper::rt::Write::poll_flush(Pin::new(socket), cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => hyper::rt::Write::poll_shutdown(Pin::new(socket), cx),
            Self::Tls(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}
