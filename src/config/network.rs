//! Networks: the peers whose word about the client is believed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::error::shorten;

/// An address, or all addresses that share its first bits (CIDR, RFC 4632 and RFC 4291 section 2.3).
///
/// ```
/// use sluicegate::config::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse().unwrap()));
/// assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()), "IPv4 in IPv6 clothes");
/// assert!(!network.contains("11.0.0.1".parse().unwrap()));
/// # Ok::<(), sluicegate::config::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Bits behind the prefix are zero.
    addr: IpAddr,
    /// At most 32 for IPv4, 128 for IPv6.
    prefix: u8,
}

impl Network {
    /// The network of this one address.
    pub fn of(addr: IpAddr) -> Self {
        let addr = addr.to_canonical();
        Self { addr, prefix: bits(addr) }
    }

    /// Whether `addr` belongs to it. An IPv4 address in IPv6 clothes is taken as IPv4.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        addr.is_ipv4() == self.addr.is_ipv4() && masked(addr, self.prefix) == self.addr
    }
}

fn bits(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

/// `addr` with zeros behind its first `prefix` bits.
fn masked(addr: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.addr) {
            write!(f, "{}", self.addr)
        } else {
            write!(f, "{}/{}", self.addr, self.prefix)
        }
    }
}

/// Why a text is not an address or network. Says what was wrong and what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    text: String,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    NotAnAddress,
    Prefix(u8),
    /// Bits are set behind the prefix; this is the network without them.
    BitsBehind(Network),
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        parse(text).map_err(|fault| NetworkError { text: shorten(text), fault })
    }
}

fn parse(text: &str) -> Result<Network, Fault> {
    let Some((addr, prefix)) = text.split_once('/') else {
        return text.parse().map(Network::of).map_err(|_| Fault::NotAnAddress);
    };
    let addr: IpAddr = addr.parse().map_err(|_| Fault::NotAnAddress)?;
    let most = bits(addr);
    let is_plain = !prefix.is_empty() && prefix.chars().all(|c| c.is_ascii_digit());
    let prefix =
        prefix.parse().ok().filter(|prefix| is_plain && *prefix <= most).ok_or(Fault::Prefix(most))?;
    let network = Network { addr: masked(addr, prefix), prefix };
    if network.addr == addr { Ok(network) } else { Err(Fault::BitsBehind(network)) }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an address or network: ", self.text)?;
        match &self.fault {
            Fault::NotAnAddress => f.write_str("write 127.0.0.1, ::1, 10.0.0.0/8 or fd00::/8"),
            Fault::Prefix(most) => write!(f, "after the slash goes a number of bits from 0 to {most}"),
            Fault::BitsBehind(network) => {
                write!(f, "it has bits set behind its prefix; write {network} if all of that is meant")
            }
        }
    }
}

impl std::error::Error for NetworkError {}

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
            ("10.0.0.0/", "from 0 to 32"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("10.0.0.0/+8", "from 0 to 32"),
            ("fd00::/129", "from 0 to 128"),
            ("10.1.2.3/8", "write 10.0.0.0/8"),
            ("fd12::1/8", "write fd00::/8"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
