//! The client's end of a TLS connection to a backend.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::client::TlsStream;

use super::socket::Tried;
use crate::rt::Socket;
use crate::sync::Mutex;

/// A connection to a backend whose handshake is done. One task may read while another writes.
///
/// rustls encrypts into a buffer of its own, of 64 KiB at most: what was written has left only after a flush.
pub struct ClientSocket(Arc<Mutex<Session>>);

struct Session(TlsStream<Socket>);

impl ClientSocket {
    pub(super) fn new(stream: TlsStream<Socket>) -> Self {
        Self(Arc::new(Mutex::new(Session(stream))))
    }

    /// A second handle to the connection, for another task. The connection is closed when both are dropped.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Reads what is available into `buf`; 0 if the peer announced its end.
    ///
    /// # Errors
    /// The socket's; `UnexpectedEof` if the peer closed without announcing it (`close_notify`): bytes may be missing.
    pub fn poll_read_slice(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().0).poll_read(cx, buf)
    }

    /// Encrypts bytes of `bufs` and sends what the socket takes of them; returns how many were encrypted.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().0).poll_write_vectored(cx, bufs)
    }

    /// Sends what is encrypted.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().0).poll_flush(cx)
    }

    /// Announces the end of our bytes (`close_notify`) and shuts down the sending half.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().0).poll_close(cx)
    }

    /// Whether the peer is connected, and nothing is unread or unsent.
    pub fn is_quiet(&self) -> bool {
        let session = self.0.lock();
        let (socket, tls) = session.0.get_ref();
        tls.wants_read() && !tls.wants_write() && socket.is_quiet()
    }
}

/// Announces the end, if the kernel takes that at once: many servers log a close without it as an error.
impl Drop for Session {
    fn drop(&mut self) {
        let (socket, tls) = self.0.get_mut();
        if !tls.wants_write() {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut Tried(socket));
        }
    }
}

impl fmt::Debug for ClientSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientSocket").field(self.0.lock().0.get_ref().0).finish()
    }
}
