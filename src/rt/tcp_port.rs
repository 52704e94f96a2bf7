//! Listening on a TCP port, and taking it over from a process that drains.
//!
//! While a listener is in service no other process can bind its address. A draining process sets `SO_REUSEPORT`; only then
//! can its successor, of the same user, bind beside it. The old process looks for the successor in the kernel's table and
//! closes its listener; the successor waits for that, so that from then on all connections are its own.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::unsent::address;

/// Backlog: connections that the kernel completes before they are accepted. Above it, clients wait in connect(2). Capped at
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How often a successor checks whether the leaving process has gone, and the pause between checks: two seconds in
/// all. The leaving process checks every [`LOOK`].
const MAX_LOOKS: usize = 400;
const PAUSE: Duration = Duration::from_millis(5);

/// How often a leaving process looks for its successor.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Listens on `addr`; waits for a draining listener of that address to close.
pub(super) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let in_use = match listen(addr, false) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        result => return result,
    };
    let Ok(listener) = listen(addr, true) else { return Err(in_use) };
    // State that the kernel keeps of earlier successors may have allowed binding beside a listener that stays.
    let mut looks = 0;
    while listeners(addr) != Some(1) {
        if looks == MAX_LOOKS {
            return Err(in_use);
        }
        looks += 1;
        std::thread::sleep(PAUSE);
    }
    SockRef::from(&listener).set_reuse_port(false)?;
    Ok(listener)
}

/// Lets a successor bind beside `listener`. If that fails the successor waits for its end.
pub(super) fn hand_over(listener: &impl std::os::fd::AsFd) {
    let _ = SockRef::from(listener).set_reuse_port(true);
}

/// Number of sockets that listen on `addr` or on a wildcard address for it; `None` if the table cannot be read.
pub(super) fn listeners(addr: SocketAddr) -> Option<usize> {
    let table = if addr.is_ipv4() { "/proc/self/net/tcp" } else { "/proc/self/net/tcp6" };
    File::open(table).ok().map(|table| count(BufReader::new(table), addr))
}

fn count(table: impl BufRead, addr: SocketAddr) -> usize {
    /// `TCP_LISTEN` in the table's third column.
    const LISTENS: &str = "0A";
    let rows = table.lines().map_while(Result::ok).skip(1).map_while(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (local, state) = (columns.next().and_then(address)?, columns.nth(1)?);
        // Listeners come before all connections, which may be many.
        (state == LISTENS).then_some(local)
    });
    let any = |addr: SocketAddr| addr.ip().to_canonical().is_unspecified() || addr.ip().is_unspecified();
    let ip = addr.ip().to_canonical();
    rows.filter(|local| local.port() == addr.port() && (local.ip() == ip || any(*local) || any(addr))).count()
}

fn listen(addr: SocketAddr, beside: bool) -> io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
    // A restart must not wait for connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(beside)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(listener: &TcpListener) -> SocketAddr {
        listener.local_addr().unwrap()
    }

    #[test]
    fn an_address_has_one_listener_until_that_one_leaves() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let first = bind(any.parse().unwrap()).unwrap();
            let addr = local(&first);
            assert_eq!(listeners(addr), Some(1));
            assert_eq!(bind(addr).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            hand_over(&first);
            let leaving = std::thread::spawn(move || {
                while listeners(addr) != Some(2) {
                    std::thread::yield_now();
                }
                drop(first);
            });
            let second = bind(addr).unwrap();
            leaving.join().unwrap();
            assert_eq!((local(&second), listeners(addr)), (addr, Some(1)));
            // Also now that the kernel has seen them share it.
            assert_eq!(bind(addr).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn the_table_is_read_up_to_the_first_connection() {
        let table = "  sl  local_address rem_address   st\n\
            0: 0100007F:1F90 00000000:0000 0A 0\n\
            1: 00000000:1F90 00000000:0000 0A 0\n\
            2: 0100007F:1F91 00000000:0000 0A 0\n\
            3: 0100007F:1F90 0100007F:9999 01 0\n\
            4: 0100007F:1F90 00000000:0000 0A 0\n";
        for (addr, expected) in [
            ("127.0.0.1:8080", 2),
            ("127.0.0.2:8080", 1),
            ("0.0.0.0:8080", 2),
            ("127.0.0.1:8081", 1),
            ("127.0.0.1:1", 0),
        ] {
            assert_eq!(count(table.as_bytes(), addr.parse().unwrap()), expected, "{addr}");
        }
    }
}
