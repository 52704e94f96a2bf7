//! The server's end of a TLS connection, below a sink.
//!
//! rustls encrypts into buffers of its own. Here at most [`BATCH`] bytes are encrypted ahead of the socket, and bytes
//! count as written only when the kernel has taken their records, so that a sink sees a slow reader as it does without
//! TLS.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_rustls::rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use super::client_certificate::ClientCertificate;
use super::failure::{Failure, Reason};
use super::pending::{Batch, Received};
use crate::rt::{MAX_PIECES, Socket, first_bytes, poll_read_behind};

/// Bytes that are encrypted at a time: two records of the largest size.
const BATCH: usize = 32 * 1024;

/// The alert `unrecognized_name` (RFC 6066 section 3), fatal, as it is while there are no keys. rustls sends `access_denied`,
/// which browsers take for a refusal of their own certificate.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A socket whose bytes are encrypted. It carries nothing before its handshake.
pub struct TlsSocket {
    socket: Socket,
    /// `None` before the handshake.
    session: Option<Box<ServerConnection>>,
    batch: Batch,
    received: Received,
    /// The end of our bytes was announced, or must not be: after an error.
    ended: bool,
    /// The connection ends in a reset, so the end must not be announced.
    resets: Cell<bool>,
}

/// The socket with the task that waits for it, as rustls reads and writes it.
struct Polled<'a, 'b, 'c>(&'a mut Socket, &'b mut Context<'c>);

impl Read for Polled<'_, '_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.poll_read_slice(self.1, buf) {
            Poll::Ready(read) => read,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Polled<'_, '_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0.poll_write_slices(self.1, bufs) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The socket as rustls writes it when nobody is to be woken: a wake-up that a writer waits for stays the writer's.
pub(super) struct Tried<'a>(pub(super) &'a Socket);

impl Write for Tried<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn or_pending<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl TlsSocket {
    /// Wraps an accepted socket.
    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            session: None,
            batch: Batch::default(),
            received: Received::default(),
            ended: false,
            resets: Cell::new(false),
        }
    }

    /// The socket below.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The version of TLS as nginx and OpenSSL name it, once the handshake is done.
    pub fn version(&self) -> &'static str {
        match self.session.as_ref().and_then(|session| session.protocol_version()) {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "",
        }
    }

    /// The certificate that the client showed, or of a session that resumes, that it showed before.
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        let chain = self.session.as_ref()?.peer_certificates()?;
        ClientCertificate::read(chain.first()?)
    }

    /// Does the handshake. Has no timeout of its own.
    ///
    /// *Cancel safety*: none; drop the socket.
    ///
    /// # Errors
    /// The client left, or both could not agree. It was sent an alert then.
    pub(super) async fn handshake(&mut self, config: Arc<ServerConfig>) -> Result<(), Failure> {
        let session = ServerConnection::new(config).map_err(|error| Failure::of_tls(&error))?;
        self.session = Some(Box::new(session));
        let done = std::future::poll_fn(|cx| self.poll_handshake(cx)).await;
        done.map_err(|error| {
            self.ended = true;
            Failure::of(&error)
        })
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush(cx))?;
            if !self.session()?.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn session(&mut self) -> io::Result<&mut ServerConnection> {
        self.session.as_deref_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Reads records from the socket. Zero bytes: the peer has closed its half.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { socket, session, received, ended, .. } = self;
        let Some(session) = session.as_deref_mut() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let read = ready!(or_pending(session.read_tls(&mut Polled(socket, cx))))?;
        let shakes = session.is_handshaking();
        match session.process_new_packets() {
            // Handshakes have a bound of their own.
            Ok(state) if shakes => received.plain = state.plaintext_bytes_to_read(),
            Ok(state) => {
                received.note(read, state.plaintext_bytes_to_read()).inspect_err(|_| *ended = true)?
            }
            Err(error) => {
                *ended = true;
                // The alert that says why; a peer that does not take it is lost anyway.
                let _ = match Failure::of_tls(&error).reason {
                    Reason::UnknownName => Tried(socket).write(&UNRECOGNIZED_NAME),
                    _ => session.write_tls(&mut Tried(socket)),
                };
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
        Poll::Ready(Ok(read))
    }

    /// Sends what is encrypted. Ready when the kernel has it all.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, session, batch, .. } = self;
        or_pending(flush(session, batch, &mut Polled(socket, cx)))
    }

    /// Reads what is available into `buf`; 0 if the peer announced its end.
    ///
    /// # Errors
    /// The socket's; `UnexpectedEof` if the peer closed without announcing it, so that bytes may be missing.
    pub fn poll_read_slice(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            // Answers to the peer's own messages. Whether they can be sent concerns the next write; a reader that
            // waited for it would wake the writer and be woken by it in turn, without end.
            let _ = flush(&mut self.session, &mut self.batch, &mut Tried(&self.socket));
            match self.session()?.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    let taken = read.as_ref().map_or(0, |read| *read);
                    self.received.plain = self.received.plain.saturating_sub(taken);
                    return Poll::Ready(read);
                }
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Reads what is available, at most `want` bytes; empty if the peer announced its end. While it waits it holds only
    /// what has come of a record.
    pub fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        poll_read_behind(&[], want, |space| self.poll_read_slice(cx, space))
    }

    /// Writes what can be written now; returns bytes whose records the kernel took.
    ///
    /// After `Pending` the next write must begin with the same bytes, since they are encrypted already.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        let mut flushed = self.poll_flush(cx)?;
        if flushed.is_ready() && self.batch.reported == self.batch.len {
            let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
            let pieces = first_bytes(bufs, BATCH, &mut pieces);
            let len = self.session()?.writer().write_vectored(pieces)?;
            self.batch = Batch { len, reported: 0, sent: 0 };
            flushed = self.poll_flush(cx)?;
        }
        let due = self.batch.due(flushed.is_ready()).min(offered);
        if due == 0 && flushed.is_pending() {
            return Poll::Pending;
        }
        self.batch.reported += due;
        Poll::Ready(Ok(due))
    }

    /// Bytes that it holds in memory: encrypted and not sent, or read and not taken.
    pub fn held(&self) -> usize {
        let sends = self.session.as_ref().is_some_and(|session| session.wants_write());
        let unsent = if sends { self.batch.encrypted().saturating_sub(self.batch.sent) } else { 0 };
        unsent + self.received.plain + self.received.partial
    }

    /// Ready when the kernel has sent everything.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // An error is an end too: nothing more will be sent.
        let _ = ready!(self.poll_flush(cx));
        self.socket.poll_sent(cx)
    }

    /// Announces the end of our bytes (`close_notify`) and shuts down the sending half.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.session.is_some() {
            ready!(self.poll_flush(cx))?;
            if !std::mem::replace(&mut self.ended, true) {
                self.session()?.send_close_notify();
            }
            ready!(self.poll_flush(cx))?;
        }
        Poll::Ready(self.socket.shutdown_write())
    }

    /// Turns the close into a reset, without an announced end: what was cut short does not look complete.
    pub fn reset_on_close(&self) {
        self.resets.set(true);
        self.socket.reset_on_close();
    }
}

/// Sends what is encrypted.
///
/// # Errors
/// That of `to`; `WouldBlock` if it did not take all.
fn flush(
    session: &mut Option<Box<ServerConnection>>,
    batch: &mut Batch,
    to: &mut dyn Write,
) -> io::Result<()> {
    let session = session.as_deref_mut().ok_or(io::ErrorKind::NotConnected)?;
    while session.wants_write() {
        match session.write_tls(to)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            sent => batch.sent += sent,
        }
    }
    Ok(())
}

/// A connection that is closed without a shutdown, as an idle one, announces its end if the kernel takes it.
impl Drop for TlsSocket {
    fn drop(&mut self) {
        let Some(session) = self.session.as_deref_mut() else { return };
        if self.ended || self.resets.get() || session.is_handshaking() || session.wants_write() {
            return;
        }
        session.send_close_notify();
        let _ = session.write_tls(&mut Tried(&self.socket));
    }
}

impl std::fmt::Debug for TlsSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSocket").field("socket", &self.socket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use testkit::certificates::Certificates;

    use super::*;
    use crate::rt::{self, Connect, Listener};
    use crate::tls::loaded::{Alpn, Loaded};
    use crate::tls::{ClientTls, Identity, Stream, UnknownName};
    use crate::wake_count::WakeCount;

    /// A server's and a client's end of a connection whose handshake is done. The client reads nothing by itself.
    fn connected() -> (TlsSocket, Stream) {
        let made = Certificates::make();
        let (server, stream) =
            shaken(&made, &ClientTls::for_http1(Some(&made.at("ca.pem"))).unwrap(), Alpn::Http);
        (server, stream.unwrap())
    }

    /// A server's end, and how the handshake went at the client's.
    fn shaken(made: &Certificates, client: &ClientTls, alpn: Alpn) -> (TlsSocket, std::io::Result<Stream>) {
        let identity = Identity { certificate: made.at("server.pem"), key: made.at("server.key") };
        let loaded = Loaded::read(&[identity], None, UnknownName::Default).unwrap();
        rt::block_on(async {
            let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
            let port = listener.local_addr().unwrap().port();
            let to = Connect { host: "127.0.0.1".to_owned(), port, receive_buffer: Some(4096) };
            let socket = rt::connect(&to).await.unwrap();
            let accepted = listener.accept().await.unwrap();
            accepted.set_send_buffer(4096);
            let mut server = TlsSocket::new(accepted);
            let config = Arc::clone(loaded.config(alpn));
            let shaking = async { server.handshake(config).await.is_ok() };
            let (_, stream) = futures_lite::future::zip(shaking, client.connect("127.0.0.1", socket)).await;
            (server, stream)
        })
    }

    #[test]
    fn a_client_of_a_protocol_without_a_name_offers_none() {
        let made = Certificates::make();
        let authority = made.at("ca.pem");
        let named = ClientTls::for_http1(Some(&authority)).unwrap();
        let unnamed = ClientTls::for_unnamed(Some(&authority)).unwrap();
        // Refuses whoever offers other names than its own.
        assert!(shaken(&made, &named, Alpn::Http2).1.is_err());
        assert!(shaken(&made, &unnamed, Alpn::Http2).1.is_ok());
    }

    #[test]
    fn a_read_of_a_full_socket_leaves_the_wake_up_to_the_writer() {
        let (mut server, _client) = connected();
        let (writer, reader) = (WakeCount::default(), WakeCount::default());
        let (writes, reads) = (writer.waker(), reader.waker());
        let (mut writing, mut reading) = (Context::from_waker(&writes), Context::from_waker(&reads));
        let content = [7; 64 * 1024];
        while server.poll_write(&mut writing, &[IoSlice::new(&content)]).is_ready() {}
        for _ in 0..3 {
            assert!(server.poll_read_slice(&mut reading, &mut [0; 16]).is_pending());
            assert!(server.poll_write(&mut writing, &[IoSlice::new(&content)]).is_pending());
        }
        assert_eq!((writer.get(), reader.get()), (0, 0));
        let most = Batch { len: BATCH, ..Batch::default() }.encrypted();
        assert!((1..=most).contains(&server.held()), "{} bytes are held", server.held());
    }
}
