//! A connected stream socket, TCP or Unix, as hyper reads and writes it.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::Async;
use async_std::net::TcpStream;
use async_std::os::unix::net::UnixStream;
use bytes::Bytes;
use futures_lite::io::{AsyncRead, AsyncWrite};

use super::buffers::Buffer;

thread_local! {
    /// What one read takes at most, one for each thread of the executor.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 32 * 1024].into_boxed_slice());
}

/// A connected socket. Non-blocking; errors are the system's own.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    /// While [`poll_sent`](Self::poll_sent) waits: the same socket, watched for having sent everything.
    sending: Option<Async<OwnedFd>>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket; its other end has no name.
    Unix,
}

impl PeerAddr {
    /// The IP address; `None` on a Unix socket. An IPv4 address in IPv6 clothes is given as IPv4.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(addr) => Some(addr.ip().to_canonical()),
            Self::Unix => None,
        }
    }

    /// Address and port; `None` on a Unix socket.
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(SocketAddr::new(addr.ip().to_canonical(), addr.port())),
            Self::Unix => None,
        }
    }
}

impl Socket {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        // Paced chunks must not wait for one another's acknowledgement. A socket that refuses the
        // option is dead already, and its next read or write says so.
        let _ = stream.set_nodelay(true);
        Self { stream: Stream::Tcp(stream), sending: None }
    }

    pub(super) fn unix(stream: UnixStream) -> Self {
        Self { stream: Stream::Unix(stream), sending: None }
    }

    /// The address on the other side.
    ///
    /// # Errors
    /// The peer has gone already.
    pub fn peer(&self) -> io::Result<PeerAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().map(PeerAddr::Tcp),
            Stream::Unix(_) => Ok(PeerAddr::Unix),
        }
    }

    /// Bounds the kernel's buffer for bytes on their way out (`SO_SNDBUF`), those included that the reader
    /// has not acknowledged: so much may leave in one round trip. The kernel doubles the figure for its
    /// bookkeeping, and has a least and a most of its own.
    pub fn set_send_buffer(&self, bytes: usize) {
        // Refused only on a socket that is dead already.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(self.as_fd(), bytes);
    }

    /// Bounds what waits in the kernel because the reader's window is shut (`TCP_NOTSENT_LOWAT`): with
    /// so many unsent bytes the socket takes no more. The write that reaches the bound may go beyond it,
    /// by less than 64 KiB. What is on its way to the reader does not count, so no speed is lost. A Unix
    /// socket sends nothing ahead of its reader but what `SO_SNDBUF` lets it.
    pub fn set_unsent(&self, bytes: usize) {
        if let Stream::Tcp(stream) = &self.stream {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            // Refused only on a socket that is dead already.
            let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(bytes);
        }
    }

    /// Bounds the kernel's buffer for bytes that came and were not read yet (`SO_RCVBUF`), so that a sender
    /// that is not read is pushed back on soon.
    pub fn set_receive_buffer(&self, bytes: usize) {
        // Refused only on a socket that is dead already.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(self.as_fd(), bytes);
    }

    /// Has the kernel find out, after `idle` without a byte, whether the peer is still there. Without, a
    /// peer that vanished is noticed only by writing to it.
    pub fn keep_alive(&self, idle: Duration) {
        let probes = socket2::TcpKeepalive::new().with_time(idle);
        if let Stream::Tcp(stream) = &self.stream {
            // Refused only on a socket that is dead already.
            let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&probes);
        }
    }

    /// Our own address; `None` on a Unix socket, or if it is unknown.
    pub fn local(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// Makes the coming close a reset: the peer gets an error, never a clean end of stream, and
    /// nothing lingers in the kernel. A Unix socket has no reset; it is closed as it is.
    pub fn reset_on_close(&self) {
        if let Stream::Tcp(stream) = &self.stream {
            // Refused only on a socket that is dead already.
            let _ = rustix::net::sockopt::set_socket_linger(stream.as_fd(), Some(Duration::ZERO));
        }
    }

    /// Ready when the kernel has sent what it took, to the last byte. A Unix socket's bytes are with the
    /// peer as soon as they are taken; so it is said to be of a socket that cannot be watched.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Stream::Tcp(stream) = &self.stream else { return Poll::Ready(()) };
        if self.sending.is_none() {
            // With this the socket counts as writable only when nothing unsent is left.
            let watched = socket2::SockRef::from(stream).set_tcp_notsent_lowat(1);
            let twin = watched.and_then(|()| stream.as_fd().try_clone_to_owned()).and_then(Async::new);
            let Ok(twin) = twin else { return Poll::Ready(()) };
            self.sending = Some(twin);
        }
        if let Some(twin) = &self.sending {
            // An error is an end too: nothing more will be sent.
            let _ = ready!(twin.poll_writable(cx));
        }
        self.sending = None;
        Poll::Ready(())
    }

    /// The descriptor's number, for log lines.
    pub fn raw_fd(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }

    /// Reads what is there into hyper's buffer and says how many bytes that was; none at the end of
    /// the stream.
    pub fn poll_read_into(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<usize>> {
        // hyper's cursor can be advanced only by unsafe code or by copying; the copy is from a buffer
        // that stays in the processor's cache.
        SCRATCH.with_borrow_mut(|scratch| {
            let len = buf.remaining().min(scratch.len());
            let n = ready!(self.poll_read_slice(cx, &mut scratch[..len]))?;
            buf.put_slice(&scratch[..n]);
            Poll::Ready(Ok(n))
        })
    }

    /// Reads what is there, at most `want` bytes (and at most 64 KiB), into a buffer of the process's pool; no
    /// bytes at the end of the stream. A socket that is waited for holds no buffer.
    pub fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        let mut buffer = Buffer::take(want);
        let read = ready!(self.poll_read_slice(cx, buffer.space(want)))?;
        Poll::Ready(Ok(buffer.freeze_or_copy(read)))
    }

    /// Whether the peer is there and has said nothing that was not read yet.
    pub fn is_quiet(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        let looked = recv(self.as_fd(), &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        looked.is_err_and(|error| error == rustix::io::Errno::AGAIN)
    }

    /// Whether the connection is over in both directions: it was reset, or each side has closed its half.
    pub fn is_gone(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut watched = [PollFd::new(self, PollFlags::empty())];
        let looked = poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        looked.is_ok() && watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// The same connection once more: one task writes while another reads. It is closed when both are
    /// dropped.
    pub fn twin(&self) -> Self {
        let stream = match &self.stream {
            Stream::Tcp(stream) => Stream::Tcp(stream.clone()),
            Stream::Unix(stream) => Stream::Unix(stream.clone()),
        };
        Self { stream, sending: None }
    }

    /// Reads what is there into `buf`, as [`AsyncRead`] does.
    pub fn poll_read_slice(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    pub(super) fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream),
            Stream::Unix(stream) => Pin::new(stream),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_into(cx, &mut buf).map_ok(drop)
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writer().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write_vectored(cx, bufs)
    }

    // Without this hyper copies every body into its flat buffer.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shutdown_write() {
            // The peer was faster: that is the end wished for.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "{addr}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}
