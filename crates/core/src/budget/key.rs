//! How clients are told apart.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Identifies a client: requests with equal keys share a node.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ClientKey {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address: a household or machine is given a whole /64, so the rest must not evade a limit.
    V6(u64),
    /// The value of a header, such as an API key.
    Header(Arc<str>),
    /// All clients without an address, as on a Unix socket.
    Local,
}

impl ClientKey {
    /// Returns the key of an address. IPv4-mapped IPv6 addresses have the key of the IPv4 address.
    pub fn address(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }

    /// Returns the first address with the same key as `ip`: itself, or the start of its IPv6 /64.
    pub fn network(ip: IpAddr) -> IpAddr {
        match Self::address(ip) {
            Self::V6(prefix) => IpAddr::V6(Ipv6Addr::from_bits(u128::from(prefix) << 64)),
            _ => ip.to_canonical(),
        }
    }

    /// The longest header value that is a key, in bytes.
    pub const MAX_HEADER: usize = 256;

    /// Returns the key of a header's value; `None` if it is empty, not UTF-8, or longer than
    /// [`MAX_HEADER`](Self::MAX_HEADER).
    pub fn header(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        (!text.is_empty() && text.len() <= Self::MAX_HEADER).then(|| Self::Header(text.into()))
    }
}

/// Addresses as usual; headers as a fingerprint, because they may be secrets.
impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::V6(prefix) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*prefix) << 64)),
            Self::Header(text) => {
                let mut hasher = DefaultHasher::new();
                text.hash(&mut hasher);
                write!(f, "key-{:016x}", hasher.finish())
            }
            Self::Local => f.write_str("local"),
        }
    }
}

/// As displayed: secrets stay out of logs this way too.
impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_of_64_bits_are_one_client() {
        let key = |text: &str| ClientKey::address(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_eq!(key("2001:db8::7").to_string(), "2001:db8::/64");
        assert_eq!(key("192.0.2.1").to_string(), "192.0.2.1");
    }

    #[test]
    fn a_network_is_the_first_address_of_its_client() {
        for (ip, first) in [
            ("2001:db8::ffff:1", "2001:db8::"),
            ("2001:db8:0:1::1", "2001:db8:0:1::"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(ClientKey::network(ip.parse().unwrap()), first.parse::<IpAddr>().unwrap(), "{ip}");
        }
    }

    #[test]
    fn headers_are_keys_up_to_their_longest_and_are_not_shown() {
        let longest = "k".repeat(ClientKey::MAX_HEADER);
        assert!(ClientKey::header(longest.as_bytes()).is_some());
        assert!(ClientKey::header(format!("{longest}k").as_bytes()).is_none());
        assert!(ClientKey::header(b"").is_none() && ClientKey::header(b"\xff").is_none());
        let secret = ClientKey::header(b"hunter2").unwrap();
        let shown = format!("{secret} {secret:?}");
        assert!(!shown.contains("hunter2") && shown.contains("key-"), "{shown}");
    }
}
