//! The address of a connection's peer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The peer of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket; its peer has no name.
    Unix,
}

impl PeerAddr {
    /// The IP address; `None` on a Unix socket. An IPv4-mapped IPv6 address is returned as IPv4.
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

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "{addr}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}
