//! Writes headers.

use std::net::{IpAddr, SocketAddr};

use proxy_header::{ProxiedAddress, ProxyHeader};

/// The version of a header that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

spelt!(ProxyVersion, "a version of the PROXY protocol", [("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)]);

/// The header for a client at `source` that connected to `destination`. If one is not known, as on Unix sockets, the header
/// names no address.
pub fn header(version: ProxyVersion, source: Option<SocketAddr>, destination: Option<SocketAddr>) -> Vec<u8> {
    let header = match (source, destination) {
        (Some(source), Some(destination)) => {
            let (source, destination) = of_one_family(source, destination);
            ProxyHeader::with_address(ProxiedAddress::stream(source, destination))
        }
        _ => ProxyHeader::with_local(),
    };
    let mut bytes = Vec::with_capacity(56);
    let written = match version {
        ProxyVersion::V1 => header.encode_v1(&mut bytes),
        ProxyVersion::V2 => header.encode_v2(&mut bytes),
    };
    debug_assert!(written.is_ok(), "both are of one family, and there are no extensions");
    bytes
}

/// Both as IPv4, or if one is not, both as IPv6: a header has one family. A client that a proxy announces may be of another
/// than our own socket.
fn of_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = [source, destination].map(|addr| SocketAddr::new(addr.ip().to_canonical(), addr.port()));
    if plain[0].is_ipv4() == plain[1].is_ipv4() {
        return (plain[0], plain[1]);
    }
    let mapped = plain.map(|addr| match addr.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => addr,
    });
    (mapped[0], mapped[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_both_ends_in_one_family() {
        let of = |version, source: &str, destination: &str| {
            header(version, source.parse().ok(), destination.parse().ok())
        };
        for (source, destination, line) in [
            ("192.0.2.1:5", "192.0.2.9:443", "PROXY TCP4 192.0.2.1 192.0.2.9 5 443\r\n"),
            ("[::ffff:192.0.2.1]:5", "192.0.2.9:443", "PROXY TCP4 192.0.2.1 192.0.2.9 5 443\r\n"),
            ("[2001:db8::1]:65535", "[::1]:1", "PROXY TCP6 2001:db8::1 ::1 65535 1\r\n"),
            ("[2001:db8::1]:5", "192.0.2.9:443", "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.9 5 443\r\n"),
            ("unix", "192.0.2.9:443", "PROXY UNKNOWN\r\n"),
            ("192.0.2.1:5", "unix", "PROXY UNKNOWN\r\n"),
        ] {
            let sent = of(ProxyVersion::V1, source, destination);
            assert_eq!(std::str::from_utf8(&sent), Ok(line));
        }
        let signature = b"\r\n\r\n\0\r\nQUIT\n";
        let v4 = [&signature[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 9, 0, 5, 1, 187]].concat();
        assert_eq!(of(ProxyVersion::V2, "192.0.2.1:5", "192.0.2.9:443"), v4);
        assert_eq!(of(ProxyVersion::V2, "[2001:db8::1]:5", "[::1]:443").len(), 52);
        assert_eq!(of(ProxyVersion::V2, "unix", "unix"), [&signature[..], &[0x20, 0, 0, 0]].concat());
    }
}
