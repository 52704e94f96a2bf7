//! The peer of a connection, and the client that a request comes from.

use std::fmt;
use std::net::IpAddr;

use http::HeaderMap;

use super::forwarded::{self, Contradiction};

pub use super::forwarded::TrustedPeers;
pub use crate::rt::PeerAddr;

/// The client of a request, the same for log, limits and bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddr {
    /// The peer of the connection.
    Peer(PeerAddr),
    /// The client that a trusted proxy, the peer, asks for.
    Named(IpAddr),
}

impl ClientAddr {
    /// Resolves the client of a request from `peer` with these `fields`.
    ///
    /// Only a trusted peer is believed, and only as far as the proxies that it names are trusted too. If its
    /// `Forwarded` and `X-Forwarded-*` contradict each other, neither is believed: the client is the peer, and the
    /// second value is true.
    pub(super) fn resolve(peer: PeerAddr, fields: &HeaderMap, trusted: &TrustedPeers) -> (Self, bool) {
        let Some(ip) = peer.ip().filter(|ip| trusted.contains(*ip)) else { return (Self::Peer(peer), false) };
        match forwarded::client_of(ip, fields, trusted) {
            Ok(client) if client != ip => (Self::Named(client), false),
            Ok(_) => (Self::Peer(peer), false),
            Err(Contradiction) => (Self::Peer(peer), true),
        }
    }

    /// Its address; `None` for a client of a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Peer(peer) => peer.ip(),
            Self::Named(ip) => Some(*ip),
        }
    }
}

/// The peer with its port, or the address that a proxy named.
impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Named(ip) => ip.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_peer_names_a_client() {
        let trusted: TrustedPeers = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
        let named = |text: &str| (text.to_owned(), false);
        for (peer, lines, expected) in [
            ("192.0.2.1:1", &[("x-forwarded-for", "203.0.113.9")][..], named("192.0.2.1:1")),
            ("192.0.2.1:1", &[("forwarded", "for=203.0.113.9")], named("192.0.2.1:1")),
            ("10.0.0.1:1", &[], named("10.0.0.1:1")),
            ("10.0.0.1:1", &[("x-forwarded-for", "10.0.0.1")], named("10.0.0.1:1")),
            ("10.0.0.1:1", &[("x-forwarded-for", "203.0.113.9")], named("203.0.113.9")),
            ("10.0.0.1:1", &[("forwarded", "for=203.0.113.9")], named("203.0.113.9")),
            (
                "10.0.0.1:1",
                &[("forwarded", "for=198.51.100.7"), ("x-forwarded-for", "203.0.113.9")],
                ("10.0.0.1:1".to_owned(), true),
            ),
            ("unix", &[("forwarded", "for=203.0.113.9")], named("unix")),
        ] {
            let fields: HeaderMap =
                lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let peer = peer.parse().map_or(PeerAddr::Unix, PeerAddr::Tcp);
            let (client, contradicts) = ClientAddr::resolve(peer, &fields, &trusted);
            assert_eq!((client.to_string(), contradicts), expected, "{peer} {lines:?}");
        }
    }
}
