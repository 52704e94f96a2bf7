//! The clients of a simulation, as a TOML file describes them: groups that are alike.

mod read;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::address::Network;
use crate::limit::Rate;

pub use super::random::{Pause, SizeOf};

/// The most groups.
pub(crate) const MAX_GROUPS: usize = 64;
/// The most connections at a time, of all groups together.
pub const MAX_WORKERS: usize = 50_000;

/// Synthetic clients: groups of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// In the order of the file; at least one.
    pub groups: Vec<Group>,
}

/// Clients that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many clients there are, each with an address of its own. Default 1.
    pub count: usize,
    /// How many connections each has, with one transfer at a time on each. Default 1.
    pub connections: usize,
    /// How many transfers a connection has before its client goes; `None`: it stays.
    pub requests: Option<usize>,
    /// Where their addresses are from. Default 10.N.0.0/16, where N is the number of the group.
    pub addresses: Network,
    /// The method of requests. Default GET, or PUT with content.
    pub method: Method,
    /// What they ask for.
    pub paths: Vec<Target>,
    /// Fields of their requests.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The certificate that each shows: its name, or its SHA-256.
    pub certificate: Option<String>,
    /// Sizes of responses, all equally likely.
    pub sizes: Vec<SizeOf>,
    /// How fast the content of a response comes to be; `None`: it is there, as of a file.
    pub source_rate: Option<Rate>,
    /// Sizes of the content of requests; empty: they have none.
    pub uploads: Vec<SizeOf>,
    /// When they come.
    pub arrive: Arrival,
    /// The pause of a connection between two transfers. Default none.
    pub think: Pause,
    /// How fast each connection is read. Default 1 Gbit/s.
    pub read_rate: Rate,
    /// How fast each connection sends content. Default 1 Gbit/s.
    pub send_rate: Rate,
    /// Bytes that the kernels hold for a connection. Default 256 KiB.
    pub buffer: u64,
    /// From the wish for a transfer to the request at the server. Default 10 ms.
    pub latency: Duration,
    /// How long a transfer may take before its client gives it up; `None`: any time.
    pub patience: Option<Duration>,
    /// When they begin to come, from the start. Default 0.
    pub from: Duration,
    /// When they ask for nothing more; `None`: at the end.
    pub until: Option<Duration>,
}

/// A path that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The path, with its query if it has one.
    pub path: String,
    /// How often beside the group's others.
    pub weight: usize,
    /// Sizes of its responses; empty: the group's.
    pub sizes: Vec<SizeOf>,
}

/// When clients come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// All at once.
    AtOnce,
    /// One after the other, evenly over this time.
    Ramp(Duration),
    /// So many a second on average, each at a time that does not depend on the others (a Poisson process): each is one of the
    /// group's clients, and goes when it has had its requests.
    PerSecond(f64),
}

impl Group {
    /// How many connections the group has at a time, unless clients arrive by chance.
    pub fn workers(&self) -> usize {
        match self.arrive {
            Arrival::PerSecond(_) => 0,
            Arrival::AtOnce | Arrival::Ramp(_) => self.count.saturating_mul(self.connections),
        }
    }

    /// The address of a client. Of IPv6, each has a /64 of its own if the network has room for that.
    pub(super) fn address(&self, client: usize) -> IpAddr {
        let nth = client as u128 % self.addresses.size();
        match self.addresses.first() {
            IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() + nth as u32)),
            IpAddr::V6(first) => {
                let shift = if self.addresses.size() >> 64 > nth { 64 } else { 0 };
                IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() + (nth << shift)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Draft;

    /// The clients that `text` describes.
    fn spec(text: &str) -> Spec {
        Spec::read(&Draft::from_toml(text, "clients.toml", "")).unwrap()
    }

    #[test]
    fn a_group_needs_a_path_and_a_size_and_all_else_has_a_default() {
        let read = spec(
            "[[clients]]\npath = '/a'\nsize = '1m'\n[[clients]]\nname = 'b'\npath = ['/c', '/d']\nsize = 'endless'",
        );
        let [first, second] = &read.groups[..] else { panic!("{read:?}") };
        assert_eq!((first.name.as_str(), second.name.as_str()), ("clients 1", "b"));
        assert_eq!((first.count, first.workers(), first.method.as_str()), (1, 1, "GET"));
        assert_eq!(
            (&first.sizes[..], &second.sizes[..]),
            (&[SizeOf::Fixed(1 << 20)][..], &[SizeOf::Endless][..])
        );
        assert_eq!(second.paths.iter().map(|target| target.path.as_str()).collect::<Vec<_>>(), ["/c", "/d"]);
        assert_eq!(first.read_rate.bytes_per_second(), 125_000_000);
        assert_eq!(
            [first.address(0), first.address(300)].map(|ip| ip.to_string()),
            ["10.1.0.0", "10.1.1.44"]
        );
        assert_eq!(second.address(0).to_string(), "10.2.0.0");
    }

    #[test]
    fn all_keys_are_read() {
        let text = "
            [[clients]]
            name = 'all'
            count = 3
            connections = 2
            requests = 5
            addresses = '2001:db8::/48'
            method = 'POST'
            path = [{ path = '/a?x', weight = 3 }, { path = '/b', size = ['1k', { from = '2k', to = '3k' }] }]
            headers = { x-api-key = 'k' }
            certificate = 'alice'
            size = { median = '1m', spread = 2.5 }
            source_rate = '4m'
            upload = '64k'
            arrive = { ramp = '10s' }
            think = { mean = '2s' }
            read_rate = '1m'
            send_rate = '2m'
            buffer = '64k'
            latency = '50ms'
            patience = '1m'
            from = '5s'
            until = '10m'
        ";
        let rate = |mib: u64| Rate::new(mib << 20).unwrap();
        let target = |path: &str, weight, sizes| Target { path: path.to_owned(), weight, sizes };
        let expected = Group {
            name: "all".to_owned(),
            count: 3,
            connections: 2,
            requests: Some(5),
            addresses: "2001:db8::/48".parse().unwrap(),
            method: Method::POST,
            paths: vec![
                target("/a?x", 3, vec![]),
                target("/b", 1, vec![SizeOf::Fixed(1024), SizeOf::Between(2048, 3072)]),
            ],
            fields: vec![(HeaderName::from_static("x-api-key"), HeaderValue::from_static("k"))],
            certificate: Some("alice".to_owned()),
            sizes: vec![SizeOf::LogNormal { median: 1 << 20, spread: 2.5 }],
            source_rate: Some(rate(4)),
            uploads: vec![SizeOf::Fixed(65_536)],
            arrive: Arrival::Ramp(Duration::from_secs(10)),
            think: Pause::Exponential(Duration::from_secs(2)),
            read_rate: rate(1),
            send_rate: rate(2),
            buffer: 65_536,
            latency: Duration::from_millis(50),
            patience: Some(Duration::from_secs(60)),
            from: Duration::from_secs(5),
            until: Some(Duration::from_secs(600)),
        };
        let read = spec(text);
        assert_eq!(read.groups, [expected]);
        assert_eq!(read.groups[0].address(1).to_string(), "2001:db8:0:1::");
        assert_eq!(
            spec("[[clients]]\npath = '/'\nsize = '1k'\narrive = { per_second = 0.5 }").groups[0].arrive,
            Arrival::PerSecond(0.5)
        );
    }

    #[test]
    fn faults_have_a_place_and_a_hint() {
        let faults = |text: &str| Spec::read(&Draft::from_toml(text, "c.toml", "")).unwrap_err().to_string();
        let of = |line: &str| faults(&format!("[[clients]]\npath = '/'\nsize = '1k'\n{line}"));
        for (line, expected) in [
            ("pat = 1", "c.toml:4:1: unknown key \"pat\" in [[clients]]; did you mean \"path\"?"),
            ("think = 5", "c.toml:4:9: think in [[clients]]: invalid type"),
            ("count = 0", "c.toml:4:9: count in [[clients]]: 0 is not a number from 1"),
            ("arrive = 'late'", "write \"at_once\", { ramp = \"1m\" } or { per_second = 2 }"),
            ("arrive = { per_second = 0 }", "a number above 0"),
            ("arrive = {}", "it says neither ramp nor per_second"),
            ("arrive = { ramp = '1m', per_second = 2 }", "leave one out"),
            ("headers = { 'a b' = 'c' }", "\"a b\" is not the name of a field"),
            ("headers = { Host = 'x' , content-length = '1' }", "content-length"),
            ("from = '2m'\nuntil = '1m'", "until in [[clients]]: it is not after from"),
            ("method = 'HEAD'\nupload = '1k'", "upload"),
            ("upload = 'endless'", "a request has a length"),
            ("certificate = ''", "it is empty"),
            ("latency = '0s'", "latency"),
            (
                "addresses = '10.0.0.0/31'\ncount = 3",
                "addresses in [[clients]]: it has 2 addresses for 3 clients",
            ),
            ("count = 50001", "50000"),
        ] {
            let told = of(line);
            assert!(told.contains(expected), "{line}: {told}");
        }
        for (text, expected) in [
            ("", "no clients: write [[clients]] with a path and a size"),
            ("[[clients]]\npath = 'a'\nsize = '1k'", "c.toml:2:8: path in [[clients]]: \"a\" is not a path"),
            ("[[clients]]\nsize = '1k'", "\"path\" is missing in [[clients]]"),
            ("[[clients]]\npath = '/'", "\"size\" is missing in [[clients]]"),
            ("[[clients]]\npath = '/'\nsize = { from = '2k', to = '1k' }", "it is below from"),
            ("[[clients]]\npath = '/'\nsize = { median = '2k', spread = 1 }", "spread"),
            ("[[clients]]\npath = '/'\nsize = '1'", "c.toml:3:8: size in [[clients]]: \"1\""),
            (
                "[[clients]]\nname = 'a'\npath = '/'\nsize = '1k'\n[[clients]]\nname = 'a'\npath = '/'\nsize = '1k'",
                "c.toml:6:8: name in [[clients]]: \"a\" is the name of another group",
            ),
            ("[clients]\npath = '/'", "clients: invalid type"),
        ] {
            let told = faults(text);
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
