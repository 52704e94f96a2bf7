//! Bytes in the kernel's send buffers that peers have not acknowledged.
//!
//! The ioctl for one socket (SIOCOUTQ) needs unsafe code; the kernel's table of connections has the figure for all. Reading
//! it takes about a millisecond for a thousand connections: only for occasional use.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Unacknowledged bytes of connections to `peers`; `None` if the kernel's table cannot be read.
pub fn unsent(peers: &HashSet<SocketAddr>) -> Option<u64> {
    if peers.is_empty() {
        return Some(0);
    }
    let mut sum = 0;
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        match std::fs::read_to_string(table) {
            Ok(text) => sum += held(&text, peers),
            // A kernel without IPv6 has no table of it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    Some(sum)
}

fn held(table: &str, peers: &HashSet<SocketAddr>) -> u64 {
    let rows = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(2);
        let (remote, _state, queues) = (address(columns.next()?)?, columns.next()?, columns.next()?);
        let (sending, _) = queues.split_once(':')?;
        let bytes = u64::from_str_radix(sending, 16).ok()?;
        peers.contains(&remote).then_some(bytes)
    });
    rows.sum()
}

/// Parses an address of the kernel's table: 32-bit words in native byte order, and the port.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..][..4].copy_from_slice(&word(at * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn unread_bytes_are_counted() {
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(listen) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut server, peer) = listener.accept().unwrap();
            let peers = HashSet::from([peer]);
            assert_eq!(unsent(&peers), Some(0), "{listen}");
            server.set_nonblocking(true).unwrap();
            let mut written = 0;
            loop {
                match server.write(&[0; 65_536]) {
                    Ok(n) => written += n as u64,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
            let held = unsent(&peers).unwrap();
            assert!(held > 0 && held <= written, "{listen}: {held} of {written}");
            drop(client);
        }
        assert_eq!(unsent(&HashSet::new()), Some(0));
    }
}
