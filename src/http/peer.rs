//! Who is on the other end of a connection, whether it is believed, and for whom it asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;

use crate::config::Network;

pub use crate::rt::PeerAddr;

/// The peers whose word about their own clients is believed: proxies of ours in front of this server.
#[derive(Clone, Debug, Default)]
pub struct TrustedPeers(Arc<[Network]>);

impl TrustedPeers {
    /// Whether a peer with this address is believed.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }
}

impl FromIterator<Network> for TrustedPeers {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// The address of the client a request is from: the peer's, or behind proxies that are believed the last
/// one in `X-Forwarded-For` that none of them has. `None` for a client of a Unix socket.
///
/// What stands further left was written by that client itself, or by somebody who is not believed.
pub(super) fn client_ip(peer: &PeerAddr, fields: &HeaderMap, trusted: &TrustedPeers) -> Option<IpAddr> {
    let mut client = peer.ip()?;
    let mut hops = None;
    while trusted.contains(client) {
        // Looked for only where the peer is believed, which it mostly is not.
        let hops = hops.get_or_insert_with(|| {
            let lines = fields.get_all("x-forwarded-for").into_iter().rev();
            lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        });
        let hop = hops.next().and_then(|hop| std::str::from_utf8(hop).ok());
        let Some(ip) = hop.and_then(hop_ip) else { break };
        client = ip;
    }
    Some(client)
}

/// An address, also with a port, as some proxies write it.
fn hop_ip(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse().ok().map(|addr: SocketAddr| addr.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_hop_that_is_not_a_proxy_of_ours() {
        let trusted: TrustedPeers = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
        for (peer, lines, expected) in [
            ("192.0.2.1:1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.0.0.1:1", &[], "10.0.0.1"),
            ("10.0.0.1:1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1:1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1:1", &["198.51.100.7, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1:1", &["198.51.100.7, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1:1", &["198.51.100.7", "203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1:1", &["203.0.113.9, nonsense"], "10.0.0.1"),
            ("10.0.0.1:1", &["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1:1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1:1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1:1", &["2001:db8::1"], "2001:db8::1"),
        ] {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append("x-forwarded-for", line.parse().unwrap());
            }
            let ip = client_ip(&PeerAddr::Tcp(peer.parse().unwrap()), &fields, &trusted);
            assert_eq!(ip, Some(expected.parse().unwrap()), "{peer} {lines:?}");
        }
    }
}
