//! Listening sockets.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use async_std::net::TcpListener;
use async_std::os::unix::net::UnixListener;
use futures_lite::{Stream, stream};
use socket2::{Domain, Protocol, Type};

use super::Socket;

/// Connections the kernel completes ahead of us. Above it, clients of a full server wait in their
/// connect instead of getting an answer; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listening socket, TCP or Unix.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens on a TCP address. Port 0 lets the system choose; see [`local_addr`](Self::local_addr).
    ///
    /// An IPv6 address takes IPv6 clients only, so that `0.0.0.0` and `[::]` can stand side by side.
    ///
    /// # Errors
    /// The system's: the address is in use, is not ours, or the port is reserved.
    pub fn bind_tcp(addr: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            Domain::for_address(addr),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        // A restart must not wait for connections of the last run to leave TIME_WAIT.
        socket.set_reuse_address(true)?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        let listener = std::net::TcpListener::from(socket);
        let bound = listener.local_addr()?;
        Ok(Self { kind: Kind::Tcp(TcpListener::from(listener), bound) })
    }

    /// Listens on a Unix socket, which is removed when the listener is dropped.
    ///
    /// A socket file that nobody listens on any more, left by a killed process, is replaced.
    ///
    /// # Errors
    /// The system's; `AddrInUse` if somebody listens there or the path is a file of another kind.
    pub fn bind_unix(path: &Path) -> io::Result<Self> {
        let listener = match std::os::unix::net::UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
                std::fs::remove_file(path)?;
                std::os::unix::net::UnixListener::bind(path)?
            }
            result => result?,
        };
        listener.set_nonblocking(true)?;
        Ok(Self { kind: Kind::Unix(UnixListener::from(listener), path.to_owned()) })
    }

    /// The TCP address with its real port; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(_, addr) => Some(*addr),
            Kind::Unix(..) => None,
        }
    }

    /// The next connection. Cancel safe: a connection is returned or still queued.
    ///
    /// # Errors
    /// The system's. Those of one connection (it was reset before we took it) may be passed over; out
    /// of descriptors or memory, wait before trying again.
    pub async fn accept(&self) -> io::Result<Socket> {
        match &self.kind {
            Kind::Tcp(listener, _) => listener.accept().await.map(|(stream, _)| Socket::tcp(stream)),
            Kind::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Socket::unix(stream)),
        }
    }

    /// One connection after the other; never ends. Errors are those of [`accept`](Self::accept), and the
    /// stream goes on after them.
    pub fn incoming(&self) -> impl Stream<Item = io::Result<Socket>> + Send + '_ {
        stream::unfold(self, |listener| async move { Some((listener.accept().await, listener)) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Kind::Unix(_, path) = &self.kind {
            // Somebody may have removed it already; there is nothing else to do about it.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether `path` is a socket that refuses connections because its process has gone.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    is_socket
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_live_one_or_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let live = Listener::bind_unix(&path).unwrap();
        assert_eq!(Listener::bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(live);
        assert!(!path.exists(), "removed with its listener");
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(Listener::bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"a file");
    }

    #[test]
    fn port_zero_tells_the_real_port_and_both_families_share_it() {
        let four = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = four.local_addr().unwrap().port();
        assert_ne!(port, 0);
        assert_eq!(
            Listener::bind_tcp(([127, 0, 0, 1], port).into()).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
