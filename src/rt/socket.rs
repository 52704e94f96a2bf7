//! A connected stream socket, TCP or Unix, with the traits of hyper and of `futures`.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::io::{AsyncRead, AsyncWrite};

use super::buffers::poll_read_behind;
use super::peer_addr::PeerAddr;
use super::reactor::{Direction, Polled};
use super::slices::send;
use super::{pacing, send_file};

thread_local! {
    /// The buffer of one read of hyper's, one per thread.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 32 * 1024].into_boxed_slice());
}

/// A connected socket. Non-blocking; errors are the system's own.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    /// While [`poll_sent`](Self::poll_sent) waits: the same socket, polled for an empty send buffer.
    sending: Option<Arc<Polled<OwnedFd>>>,
}

#[derive(Debug)]
enum Stream {
    Tcp(Arc<Polled<TcpStream>>),
    Unix(Arc<Polled<UnixStream>>),
}

impl Socket {
    /// A connected, non-blocking socket.
    pub(super) fn tcp(stream: Arc<Polled<TcpStream>>) -> Self {
        // Paced chunks must not wait for each other's acknowledgement. Fails only on a dead socket, whose next read or
        // write reports it.
        let _ = stream.get_ref().set_nodelay(true);
        Self { stream: Stream::Tcp(stream), sending: None }
    }

    /// A connected, non-blocking socket.
    pub(super) fn unix(stream: Arc<Polled<UnixStream>>) -> Self {
        Self { stream: Stream::Unix(stream), sending: None }
    }

    /// The peer's address.
    ///
    /// # Errors
    /// The peer is gone.
    pub fn peer(&self) -> io::Result<PeerAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.get_ref().peer_addr().map(PeerAddr::Tcp),
            Stream::Unix(_) => Ok(PeerAddr::Unix),
        }
    }

    /// Bounds the kernel's send buffer (`SO_SNDBUF`), which includes bytes the reader has not acknowledged: this much can be
    /// sent per round trip. The kernel doubles the value for its bookkeeping, and has its own minimum and maximum.
    pub(crate) fn set_send_buffer(&self, bytes: usize) {
        // Fails only on a dead socket.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(self.as_fd(), bytes);
    }

    /// Bounds unsent bytes in the kernel (`TCP_NOTSENT_LOWAT`): with this many the socket is not writable. The write that
    /// reaches the bound may exceed it by less than 64 KiB. Bytes in flight do not count, so throughput is not reduced. On
    /// a Unix socket only `SO_SNDBUF` applies.
    pub(crate) fn set_unsent(&self, bytes: usize) {
        if let Stream::Tcp(stream) = &self.stream {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            // Fails only on a dead socket.
            let _ = socket2::SockRef::from(stream.get_ref()).set_tcp_notsent_lowat(bytes);
        }
    }

    /// Has the kernel send no faster than `rate` bytes per second; `None`: as fast as it can. Does nothing on a Unix socket.
    pub(crate) fn set_pacing_rate(&self, rate: Option<u64>) {
        if let Stream::Tcp(stream) = &self.stream {
            pacing::set_rate(stream.get_ref(), rate);
        }
    }

    /// Bounds the kernel's receive buffer (`SO_RCVBUF`), so that flow control soon slows a sender that is not read.
    pub(crate) fn set_receive_buffer(&self, bytes: usize) {
        // Fails only on a dead socket.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(self.as_fd(), bytes);
    }

    /// Enables TCP keepalive after `idle` without a byte. Without it a vanished peer is noticed only by writing.
    pub(crate) fn keep_alive(&self, idle: Duration) {
        let probes = socket2::TcpKeepalive::new().with_time(idle);
        if let Stream::Tcp(stream) = &self.stream {
            // Fails only on a dead socket.
            let _ = socket2::SockRef::from(stream.get_ref()).set_tcp_keepalive(&probes);
        }
    }

    /// The local address; `None` on a Unix socket, or if it is unknown.
    pub fn local(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.get_ref().local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// Turns the close into a reset: the peer gets an error instead of an end of stream, and nothing lingers in the kernel.
    /// A Unix socket has no reset and is closed as usual.
    pub(crate) fn reset_on_close(&self) {
        if let Stream::Tcp(stream) = &self.stream {
            // Fails only on a dead socket.
            let _ = rustix::net::sockopt::set_socket_linger(stream.get_ref(), Some(Duration::ZERO));
        }
    }

    /// Ready when the kernel has sent everything in its buffer. Always ready for a Unix socket, whose bytes are with the peer
    /// at once, and for a socket that cannot be polled.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Stream::Tcp(stream) = &self.stream else { return Poll::Ready(()) };
        if self.sending.is_none() {
            // With this the socket is writable only when nothing unsent is left.
            let watched = socket2::SockRef::from(stream.get_ref()).set_tcp_notsent_lowat(1);
            let twin = watched.and_then(|()| stream.get_ref().as_fd().try_clone_to_owned());
            let Ok(twin) = twin else { return Poll::Ready(()) };
            // Nothing is known of it, so the event of the empty buffer is waited for.
            self.sending = Some(Polled::unknown(twin));
        }
        if let Some(twin) = &self.sending {
            // An error is an end too: nothing more will be sent.
            let _ = ready!(twin.poll_ready(cx, Direction::Write));
        }
        self.sending = None;
        Poll::Ready(())
    }

    /// The descriptor's number, for log lines.
    pub(crate) fn raw_fd(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }

    /// Reads what is available, at most `want` bytes (and at most 64 KiB), into a buffer of the process's pool; empty at the
    /// end of the stream. A socket that waits holds no buffer.
    pub(crate) fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        poll_read_behind(&[], want, |space| self.poll_read_slice(cx, space))
    }

    /// Whether the peer is connected and nothing is unread.
    pub(crate) fn is_quiet(&self) -> bool {
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

    /// A second handle to the connection, for another task. The connection is closed when both are dropped.
    pub(crate) fn twin(&self) -> Self {
        let stream = match &self.stream {
            Stream::Tcp(stream) => Stream::Tcp(Arc::clone(stream)),
            Stream::Unix(stream) => Stream::Unix(Arc::clone(stream)),
        };
        Self { stream, sending: None }
    }

    /// Reads what is available into `buf`, as [`AsyncRead`] does.
    pub(crate) fn poll_read_slice(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &self.stream {
            Stream::Tcp(stream) => {
                let read = |mut socket: &TcpStream| socket.read(buf);
                let (read, seen) = ready!(stream.poll_with(cx, Direction::Read, read))?;
                if 0 < read && read < buf.len() {
                    stream.was_emptied(seen);
                }
                Poll::Ready(Ok(read))
            }
            // A short read does not tell that a Unix socket is empty: it ends at descriptors that are passed.
            Stream::Unix(stream) => {
                let read = |mut socket: &UnixStream| socket.read(buf);
                stream.poll_with(cx, Direction::Read, read).map_ok(|(read, _)| read)
            }
        }
    }

    /// Shuts down the sending half; the peer can still be read.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        let ended = match &self.stream {
            Stream::Tcp(stream) => stream.get_ref().shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.get_ref().shutdown(Shutdown::Write),
        };
        match ended {
            // The peer has closed first, which is as good.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            ended => ended,
        }
    }

    /// Writes what the socket takes now of `bufs`.
    pub(crate) fn poll_write_slices(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.stream {
            Stream::Tcp(stream) => {
                let write = |socket: &TcpStream| send(socket, bufs);
                stream.poll_with(cx, Direction::Write, write).map_ok(|(written, _)| written)
            }
            Stream::Unix(stream) => {
                let write = |socket: &UnixStream| send(socket, bufs);
                stream.poll_with(cx, Direction::Write, write).map_ok(|(written, _)| written)
            }
        }
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// The system's; `WouldBlock` if the socket is full. Arranges no wake-up.
    pub(crate) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.noting_full(|| match &self.stream {
            Stream::Tcp(stream) => send(stream.get_ref(), bufs),
            Stream::Unix(stream) => send(stream.get_ref(), bufs),
        })
    }

    /// Has the processor fetch what a write uses.
    pub(crate) fn prefetch(&self) {
        std::hint::black_box(match &self.stream {
            Stream::Tcp(stream) => stream.seen(),
            Stream::Unix(stream) => stream.seen(),
        });
    }

    /// Whether [`try_send_file`](Self::try_send_file) can send anything.
    pub(crate) fn sends_files(&self) -> bool {
        send_file::sends_files()
    }

    /// Sends at most `len` bytes of `file` from `offset` without reading them; returns how many the socket took. Blocks while
    /// the disk is read, if they are not in the page cache. 0: nothing can be sent this way; read and write them.
    ///
    /// # Errors
    /// The system's; `WouldBlock` if the socket is full.
    pub fn try_send_file(&self, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        self.noting_full(|| send_file::send_file(self, file, offset, len))
    }

    /// Returns the result of `write`, and notes if the socket was full.
    fn noting_full(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        let seen = match &self.stream {
            Stream::Tcp(stream) => stream.seen(),
            Stream::Unix(stream) => stream.seen(),
        };
        let written = write();
        if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            match &self.stream {
                Stream::Tcp(stream) => stream.not_ready(Direction::Write, seen),
                Stream::Unix(stream) => stream.not_ready(Direction::Write, seen),
            }
        }
        written
    }

    /// Ready when the socket may take bytes. May be ready without reason: try, and ask again if nothing was taken.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.stream {
            Stream::Tcp(stream) => stream.poll_ready(cx, Direction::Write).map_ok(drop),
            Stream::Unix(stream) => stream.poll_ready(cx, Direction::Write).map_ok(drop),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.get_ref().as_fd(),
            Stream::Unix(stream) => stream.get_ref().as_fd(),
        }
    }
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper's cursor can be advanced only by unsafe code or by copying; the copy is from a buffer that stays in the
        // processor's cache.
        SCRATCH.with_borrow_mut(|scratch| {
            let len = buf.remaining().min(scratch.len());
            let read = ready!(self.poll_read_slice(cx, &mut scratch[..len]))?;
            buf.put_slice(&scratch[..read]);
            Poll::Ready(Ok(()))
        })
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, bufs)
    }

    // Without this hyper copies every body into its flat buffer.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}

/// For code that uses the traits of `futures`.
impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_slice(cx, buf)
    }
}

/// Closing shuts down the sending half; the peer can still be read.
impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}
