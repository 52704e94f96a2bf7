//! How clients are told apart.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hmac_sha256::Hash as Sha256;

/// Identifies a client: requests with equal keys share a node.
///
/// ```
/// use sluicegate_core::budget::ClientKey;
///
/// let address = |text: &str| text.parse().map(ClientKey::address);
/// // An IPv6 client has a network of 64 bits to itself.
/// assert_eq!(address("2001:db8::1")?, address("2001:db8::2")?);
/// assert_ne!(address("192.0.2.1")?, address("192.0.2.2")?);
/// // What a header carries is a secret: only its fingerprint is kept.
/// let key = ClientKey::header(b"c2VjcmV0").ok_or("no key")?;
/// assert!(!key.to_string().contains("c2VjcmV0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ClientKey {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address: a household or machine is given a whole /64, so the rest must not evade a limit.
    V6(u64),
    /// The SHA-256 of a header's value, such as an API key: the key itself is a secret, and kept nowhere. Whose header it is, it does
    /// not say: all clients that are told apart in one place are told apart by the same one.
    Header(Arc<[u8; 32]>),
    /// The SHA-256 of a client's certificate, or of the name in it.
    Certificate(Arc<[u8; 32]>),
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
        let counts = !text.is_empty() && text.len() <= Self::MAX_HEADER;
        counts.then(|| Self::Header(Arc::new(Sha256::hash(value))))
    }

    /// Returns the key of a certificate whose SHA-256 is spelt in 64 hex digits, with or without colons between bytes, as
    /// `openssl x509 -fingerprint -sha256` and `sha256sum` do; `None` for any other text.
    pub fn certificate(hex: &str) -> Option<Self> {
        digest(hex).map(Self::Certificate)
    }

    /// Returns the name by which [`named`](Self::named) finds it: as displayed, with all 64 digits of a SHA-256.
    pub fn full_name(&self) -> String {
        let hex = |digest: &[u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Header(digest) => format!("key-{}", hex(digest)),
            Self::Certificate(digest) => format!("cert-{}", hex(digest)),
            Self::V4(_) | Self::V6(_) | Self::Local => self.to_string(),
        }
    }

    /// Returns the key that `text` names without more being known: an address (of IPv6 any in its /64, or that /64), `local`, `key-`
    /// with the 64 hex digits of the SHA-256 of a header's value, or `cert-` with those of a [certificate](Self::certificate).
    pub fn named(text: &str) -> Option<Self> {
        if text == "local" {
            return Some(Self::Local);
        }
        let address = text.strip_suffix("/64").filter(|text| text.contains(':')).unwrap_or(text);
        match address.parse() {
            Ok(ip) => Some(Self::address(ip)),
            Err(_) => match text.strip_prefix("key-") {
                Some(hex) => digest(hex).map(Self::Header),
                None => Self::certificate(text.strip_prefix("cert-")?),
            },
        }
    }
}

/// Reads 64 hex digits, with or without colons between bytes.
fn digest(hex: &str) -> Option<Arc<[u8; 32]>> {
    let mut digest = [0; 32];
    let mut digits = hex.bytes().filter(|byte| *byte != b':').map(|byte| char::from(byte).to_digit(16));
    for byte in &mut digest {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = (high << 4 | low) as u8;
    }
    digits.next().is_none().then(|| Arc::new(digest))
}

/// Addresses as usual; of headers and certificates the first 16 hex digits: a fingerprint.
///
/// The SHA-256 of a header is the same in all servers and after each restart, so that
/// logs can be compared and a limit can be set by it. To make a second value of a given one takes 2^64 tries. It has no key,
/// which would have to be kept and shared for that; so it hides what nobody can guess, and no weak secret.
impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::V6(prefix) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*prefix) << 64)),
            Self::Header(digest) => {
                f.write_str("key-")?;
                write_beginning(f, digest)
            }
            Self::Certificate(digest) => {
                f.write_str("cert-")?;
                write_beginning(f, digest)
            }
            Self::Local => f.write_str("local"),
        }
    }
}

fn write_beginning(f: &mut fmt::Formatter<'_>, digest: &[u8; 32]) -> fmt::Result {
    digest.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
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
        // As `printf %s hunter2 | sha256sum` prints it.
        assert_eq!(shown, "key-f52fbd32b2b3b86f key-f52fbd32b2b3b86f");
    }

    #[test]
    fn the_full_name_of_a_key_leads_back_to_it_and_what_is_shown_does_not() {
        let digest = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
        let keys = [
            (ClientKey::header(b"hunter2").unwrap(), format!("key-{digest}")),
            (ClientKey::certificate(digest).unwrap(), format!("cert-{digest}")),
            (ClientKey::address("192.0.2.1".parse().unwrap()), "192.0.2.1".to_owned()),
            (ClientKey::address("2001:db8::7".parse().unwrap()), "2001:db8::/64".to_owned()),
            (ClientKey::Local, "local".to_owned()),
        ];
        for (key, name) in keys {
            assert_eq!((key.full_name(), ClientKey::named(&name)), (name, Some(key)));
        }
        assert_eq!(ClientKey::named("key-f52fbd32b2b3b86f"), None);
        assert_eq!(ClientKey::named(digest), None);
    }

    #[test]
    fn certificates_are_keys_by_their_whole_digest_and_shown_by_its_beginning() {
        let (lower, upper) = ("ab".repeat(32), ["AB"; 32].join(":"));
        let key = ClientKey::certificate(&lower).unwrap();
        assert_eq!(key, ClientKey::Certificate(Arc::new([0xab; 32])));
        assert_eq!(Some(&key), ClientKey::certificate(&upper).as_ref());
        assert_eq!((key.to_string(), format!("{key:?}")), ("cert-abababababababab".into(), key.to_string()));
        let other = ClientKey::certificate(&format!("{}ac", "ab".repeat(31))).unwrap();
        assert!(other != key && other.to_string() == key.to_string());
        for bad in
            ["", "abababababababab", &lower[1..], &format!("{lower}a"), &"zz".repeat(32), &"é".repeat(32)]
        {
            assert_eq!(ClientKey::certificate(bad), None, "{bad}");
        }
    }
}
