//! Listening sockets.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use futures_lite::{Stream, stream};
use rustix::net::SocketFlags;

use super::Socket;
use super::reactor::{Direction, Polled};
use super::tcp_port;
use super::unix_path::UnixPath;
use crate::clock::{Clock, Sleep};

/// A listening socket, TCP or Unix.
///
/// ```
/// use futures_lite::{AsyncWriteExt, StreamExt};
/// use sluicegate::rt::{self, Listener};
///
/// let listener = Listener::bind_tcp("127.0.0.1:0".parse()?)?;
/// let _client = std::net::TcpStream::connect(listener.local_addr().ok_or("no TCP")?)?;
/// rt::block_on(async {
///     let mut incoming = std::pin::pin!(listener.incoming());
///     let mut connection = incoming.next().await.ok_or("it ended")??;
///     connection.write_all(b"hello").await?;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Listener(Arc<Bound>);

/// What a listener shares with [`Listeners`](super::Listeners).
#[derive(Debug)]
pub(super) struct Bound {
    kind: Kind,
    /// The name under which a service manager handed it on, which keeps it too.
    kept_as: Option<String>,
    /// Another process listens on it in our place.
    is_passed_on: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    Tcp(Arc<Polled<TcpListener>>, SocketAddr),
    Unix(Arc<Polled<UnixListener>>, UnixPath),
}

impl Bound {
    fn new(kind: Kind, kept_as: Option<String>) -> Self {
        Self { kind, kept_as, is_passed_on: AtomicBool::new(false) }
    }

    /// The name under which the service manager handed it on; `None` if it is our own.
    pub(super) fn kept_as(&self) -> Option<&str> {
        self.kept_as.as_deref()
    }

    /// Notes that another process listens on it from now on: its queue and its path are that one's.
    pub(super) fn pass_on(&self) {
        self.is_passed_on.store(true, Ordering::SeqCst);
        if let Kind::Unix(_, path) = &self.kind {
            path.leave();
        }
    }

    /// Notes that the program before this one has left its path to this one.
    pub(super) fn take_over(&self) {
        let Kind::Unix(_, path) = &self.kind else { return };
        if self.kept_as.is_none() {
            path.take_over();
            // Another process may have it already, and may have got it at this moment.
            if self.is_passed_on() {
                path.leave();
            }
        }
    }

    fn is_passed_on(&self) -> bool {
        self.is_passed_on.load(Ordering::SeqCst)
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Tcp(listener, _) => listener.get_ref().as_fd(),
            Kind::Unix(listener, _) => listener.get_ref().as_fd(),
        }
    }
}

impl Listener {
    /// Listens on a TCP address. Port 0 lets the system choose; see [`local_addr`](Self::local_addr).
    ///
    /// An IPv6 address takes IPv6 clients only, so that `0.0.0.0` and `[::]` can be bound side by side. Blocks: waits at most 2 s for
    /// an address whose listener is [handed over](Self::handed_over), and 0.5 s for one in use, in case its process is just
    /// ending.
    ///
    /// # Errors
    /// The system's: the address is in use or not of this machine, or the port is reserved.
    pub fn bind_tcp(addr: SocketAddr) -> io::Result<Self> {
        let listener = patiently(|| tcp_port::bind(addr))?;
        let bound = listener.local_addr()?;
        Self::tcp(listener, bound, None)
    }

    /// Listens on a Unix socket, which is removed when the listener is dropped, unless another process has
    /// taken the path meanwhile. Its permission bits are those that the process's umask leaves.
    ///
    /// Replaces a socket file left by a killed process, and one whose listener is [handed over](Self::handed_over). Waits
    /// 0.5 s for one in use.
    ///
    /// # Errors
    /// The system's; `AddrInUse` if another process listens there, `AlreadyExists` if the path is not a socket.
    pub fn bind_unix(path: &Path) -> io::Result<Self> {
        Self::bind_unix_as(path, None)
    }

    /// Like [`bind_unix`](Self::bind_unix), with the permission bits `mode` if given. No client can connect before they are
    /// set.
    ///
    /// # Errors
    /// Those of `bind_unix`.
    pub fn bind_unix_as(path: &Path, mode: Option<u32>) -> io::Result<Self> {
        let (listener, path) = patiently(|| UnixPath::bind(path, mode))?;
        Self::unix(listener, path, None)
    }

    /// A TCP socket that listens already. `kept_as`: the name under which a service manager keeps it.
    pub(super) fn from_tcp(listener: TcpListener, kept_as: Option<String>) -> io::Result<Self> {
        let bound = listener.local_addr()?;
        Self::tcp(listener, bound, kept_as)
    }

    /// A Unix socket that listens already at `path`, which stays at the end until it is
    /// [taken over](Bound::take_over).
    pub(super) fn from_unix(
        listener: UnixListener,
        path: &Path,
        kept_as: Option<String>,
    ) -> io::Result<Self> {
        Self::unix(listener, UnixPath::existing(path), kept_as)
    }

    fn tcp(listener: TcpListener, bound: SocketAddr, kept_as: Option<String>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::of(Kind::Tcp(Polled::new(listener), bound), kept_as))
    }

    fn unix(listener: UnixListener, path: UnixPath, kept_as: Option<String>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::of(Kind::Unix(Polled::new(listener), path), kept_as))
    }

    fn of(kind: Kind, kept_as: Option<String>) -> Self {
        Self(Arc::new(Bound::new(kind, kept_as)))
    }

    pub(super) fn bound(&self) -> &Arc<Bound> {
        &self.0
    }

    /// Whether connections that nobody has accepted stay queued when this listener is closed: others have the socket too.
    pub(super) fn is_shared(&self) -> bool {
        self.0.kept_as.is_some() || self.0.is_passed_on()
    }

    /// The TCP address with its actual port; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0.kind {
            Kind::Tcp(_, addr) => Some(*addr),
            Kind::Unix(..) => None,
        }
    }

    /// Accepts the next connection. Cancel safe: a connection is returned or stays queued.
    ///
    /// # Errors
    /// The system's. Errors of one connection (it was reset before it was accepted) can be skipped; when descriptors
    /// or memory are short, wait before trying again.
    pub async fn accept(&self) -> io::Result<Socket> {
        // Also one that the reactor has not told of: a server that ends accepts all that are queued.
        match &self.0.kind {
            Kind::Tcp(listener, _) => listener.suppose_ready(Direction::Read),
            Kind::Unix(listener, _) => listener.suppose_ready(Direction::Read),
        }
        poll_fn(|cx| match &self.0.kind {
            Kind::Tcp(listener, _) => {
                let accepted =
                    ready!(listener.poll_with(cx, Direction::Read, |listener| accepted(listener)))?.0;
                Poll::Ready(Ok(Socket::tcp(Polled::new(accepted.into()))))
            }
            Kind::Unix(listener, _) => {
                let accepted =
                    ready!(listener.poll_with(cx, Direction::Read, |listener| accepted(listener)))?.0;
                Poll::Ready(Ok(Socket::unix(Polled::new(accepted.into()))))
            }
        })
        .await
    }

    /// Lets another process of the same user listen here, and waits until it does, while this listener continues.
    /// Close it then: the other one waits for that. A socket that a service manager keeps is its to hand on: then this
    /// never ends.
    ///
    /// Cancel safe, but the permission stays.
    pub async fn handed_over(&self, clock: &Arc<dyn Clock>) {
        if self.0.is_passed_on() {
            return;
        }
        if self.0.kept_as.is_some() {
            return std::future::pending().await;
        }
        match &self.0.kind {
            Kind::Tcp(listener, _) => tcp_port::hand_over(listener.get_ref()),
            Kind::Unix(_, path) => path.hand_over(),
        }
        while !self.has_successor() {
            Sleep::lasting(Arc::clone(clock), tcp_port::LOOK).await;
        }
    }

    fn has_successor(&self) -> bool {
        match &self.0.kind {
            Kind::Tcp(_, addr) => tcp_port::listeners(*addr).is_some_and(|listeners| listeners > 1),
            Kind::Unix(_, path) => !path.is_ours(),
        }
    }

    /// Its name in the log.
    pub(super) fn name(&self) -> String {
        match &self.0.kind {
            Kind::Tcp(_, addr) => addr.to_string(),
            Kind::Unix(_, path) => path.as_path().display().to_string(),
        }
    }

    /// The connections, without end. Errors are those of [`accept`](Self::accept), and the stream continues after
    /// them.
    pub fn incoming(&self) -> impl Stream<Item = io::Result<Socket>> + Send + '_ {
        stream::unfold(self, |listener| async move { Some((listener.accept().await, listener)) })
    }
}

/// The next connection, non-blocking.
fn accepted(listener: impl AsFd) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::accept_with(listener, flags)?)
}

/// Retries for a while if the address is in use: a process that was told to end a moment ago needs that moment to
/// release it.
fn patiently<T>(bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
    const MAX_TRIES: usize = 50;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 1..MAX_TRIES {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => std::thread::sleep(PAUSE),
            result => return result,
        }
    }
    bind()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_about_to_be_free_is_waited_for() {
        let first = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = first.local_addr().unwrap();
        let ending = std::thread::spawn(move || drop(first));
        assert_eq!(Listener::bind_tcp(addr).unwrap().local_addr(), Some(addr));
        ending.join().unwrap();
    }

    // Over loopback it is queued when `connect` returns, and the worker that waits for it is told at the same time.
    #[test]
    fn a_queued_connection_is_accepted_though_no_event_has_told_of_it() {
        use futures_lite::future::poll_once;

        crate::rt::block_on(async {
            let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
            assert!(poll_once(listener.accept()).await.is_none());
            for _ in 0..1000 {
                let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let accepted = poll_once(listener.accept()).await.unwrap().unwrap();
                assert_eq!(accepted.peer().unwrap().addr(), client.local_addr().ok());
                assert!(poll_once(listener.accept()).await.is_none());
            }
        });
    }

    #[test]
    fn port_zero_yields_the_real_port_and_both_families_share_it() {
        let four = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = four.local_addr().unwrap().port();
        assert_ne!(port, 0);
        assert_eq!(
            Listener::bind_tcp(([127, 0, 0, 1], port).into()).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
