//! Networks: ranges of addresses that share a prefix.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::SHOWN;
use crate::excerpt::excerpt;

/// An address, or all addresses that share its first bits (CIDR, RFC 4632 and RFC 4291 section 2.3).
///
/// ```
/// use sluicegate::address::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse().unwrap()));
/// assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()), "IPv4-mapped IPv6");
/// assert!(!network.contains("11.0.0.1".parse().unwrap()));
/// # Ok::<(), sluicegate::address::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(
    /// Invariant: bits after the prefix are zero.
    IpNet,
);

impl Network {
    /// The network of `addr` alone. An IPv4-mapped IPv6 address is taken as IPv4.
    pub fn of(addr: IpAddr) -> Self {
        Self(IpNet::from(addr.to_canonical()))
    }

    /// Its first address.
    pub fn first(&self) -> IpAddr {
        self.0.network()
    }

    /// How many addresses it has, at most 2¹²⁸ − 1.
    pub fn size(&self) -> u128 {
        let bits = self.0.max_prefix_len() - self.0.prefix_len();
        1_u128.checked_shl(bits.into()).unwrap_or(u128::MAX)
    }

    /// Whether `addr` is in it. An IPv4-mapped IPv6 address is taken as IPv4.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.0.contains(&addr.to_canonical())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}

text_error! {
    /// Why a text is not an address or network. Says what was wrong and what to write.
    NetworkError
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        parse(text).map_err(|why| {
            NetworkError(format!("{:?} is not an address or network: {why}", excerpt(text, SHOWN)))
        })
    }
}

fn parse(text: &str) -> Result<Network, String> {
    let no_address = |_| "write 127.0.0.1, ::1, 10.0.0.0/8 or fd00::/8".to_owned();
    let Some((addr, _)) = text.split_once('/') else {
        return text.parse().map(Network::of).map_err(no_address);
    };
    let addr: IpAddr = addr.parse().map_err(no_address)?;
    let most = if addr.is_ipv4() { 32 } else { 128 };
    let network: IpNet = text.parse().map_err(|_| format!("the prefix length must be from 0 to {most}"))?;
    match Network(network.trunc()) {
        whole if whole.0 == network => Ok(whole),
        whole => Err(format!("bits after the prefix are set; write {whole} for the whole network")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn membership_is_decided_by_the_bits_of_the_prefix() {
        for (text, inside, outside) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::1", "::1", "::2"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ] {
            let network = network(text);
            assert!(network.contains(inside.parse().unwrap()), "{inside} in {text}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside} not in {text}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn bad_networks_say_what_to_write() {
        for (text, expected) in [
            ("", "write 127.0.0.1"),
            ("localhost", "write 127.0.0.1"),
            ("10/8", "write 127.0.0.1"),
            ("10.0.0.0/", "must be from 0 to 32"),
            ("10.0.0.0/33", "must be from 0 to 32"),
            ("10.0.0.0/+8", "must be from 0 to 32"),
            ("fd00::/129", "must be from 0 to 128"),
            ("10.1.2.3/8", "write 10.0.0.0/8"),
            ("fd12::1/8", "write fd00::/8"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
