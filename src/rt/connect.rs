//! Connecting to an upstream, with its receive buffer sized before the handshake.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use async_std::net::TcpStream;
use async_std::os::unix::net::UnixStream;
use socket2::{Domain, Protocol, Type};

use super::{Socket, blocking};

/// Where to connect, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// A host name or an address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Bytes for the kernel's receive buffer (`SO_RCVBUF`); `None` leaves it to the kernel, which lets
    /// it grow to megabytes. Set before connecting, because the window scale is agreed on then.
    pub receive_buffer: Option<usize>,
}

/// Connects to the first address of the host that answers, in the resolver's order.
///
/// Cancel safe: dropping the future closes what was begun. Has no timeout of its own.
///
/// # Errors
/// The resolver's, or the last address's.
pub async fn connect(to: &Connect) -> io::Result<Socket> {
    let mut last = None;
    for addr in resolve(&to.host, to.port).await? {
        match connect_addr(addr, to.receive_buffer).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
}

/// Connects to a Unix socket. Cancel safe.
///
/// # Errors
/// The system's: there is no such socket, or nobody listens on it.
pub async fn connect_unix(path: &Path) -> io::Result<Socket> {
    UnixStream::connect(path).await.map(Socket::unix)
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    blocking(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
}

async fn connect_addr(addr: SocketAddr, receive_buffer: Option<usize>) -> io::Result<Socket> {
    let socket = socket2::Socket::new(
        Domain::for_address(addr),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    match socket.connect(&addr.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    let stream = async_io::Async::new_nonblocking(std::net::TcpStream::from(socket))?;
    stream.writable().await?;
    let stream = stream.into_inner()?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(Socket::tcp(TcpStream::from(stream))),
    }
}
