//! Connects to an upstream, with the receive buffer sized before the handshake.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Type};

use super::reactor::{Direction, Polled};
use super::{Socket, blocking};

/// The smallest requested segment size: that of Ethernet, which is not larger anyway.
const MIN_SEGMENT: u32 = 1448;

/// The largest segment size that can be requested (`MAX_TCP_WINDOW`).
const MAX_SEGMENT: u32 = 32_767;

/// Where to connect, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// A host name or an address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Bytes of the kernel's receive buffer (`SO_RCVBUF`); `None` leaves it to the kernel, which lets it grow to megabytes.
    /// Set before connecting, because the handshake fixes the window scale.
    pub receive_buffer: Option<usize>,
}

/// Connects to the first address of the host that answers, in the resolver's order.
///
/// Cancel safe: dropping the future closes the connection attempt. Has no timeout of its own.
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

/// Connects to a Unix socket. Never waits.
///
/// # Errors
/// The system's: there is no such socket, or nobody listens on it; `WouldBlock` if its queue of connections is full, of
/// which the kernel gives no notice when that changes.
pub async fn connect_unix(path: &Path) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(Socket::unix(Polled::new(UnixStream::from(OwnedFd::from(socket)))))
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
        // Over loopback a segment can be 64 KiB. A sender waits for a window as large as its segments, and a receiver
        // opens its window only when half of its buffer is free: with a small buffer each would wait for the other, until
        // the sender's probe timer fires after 200 ms or more. Fails only outside the kernel's range; then the peer's
        // segments stay as large as they are.
        let _ =
            socket.set_tcp_mss(u32::try_from(bytes / 4).unwrap_or(u32::MAX).clamp(MIN_SEGMENT, MAX_SEGMENT));
    }
    match socket.connect(&addr.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    let stream = Polled::unknown(TcpStream::from(socket));
    stream.ready(Direction::Write).await?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Ok(Socket::tcp(stream)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::net::TcpListener;

    // With a buffer of 16 KiB and segments of 64 KiB one of thirty streams stalled for half a second or more.
    #[test]
    fn segments_are_at_most_a_quarter_of_a_small_buffer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut usual = 0;
        for (receive_buffer, most) in
            [(None, u32::MAX), (Some(0), MIN_SEGMENT), (Some(16_384), 4096), (Some(10 << 20), MAX_SEGMENT)]
        {
            let to = Connect { host: "127.0.0.1".to_owned(), port, receive_buffer };
            let socket = crate::rt::block_on(connect(&to)).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            // The size announced to the sender.
            let told = SockRef::from(&accepted).tcp_mss().unwrap();
            usual = usual.max(told);
            assert!(told <= most && told <= usual, "{receive_buffer:?}: {told}");
            assert_eq!(told < usual, receive_buffer.is_some(), "{receive_buffer:?}: {told} of {usual}");
            drop(socket);
        }
    }
}
