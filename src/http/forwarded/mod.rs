//! Reads `Forwarded` (RFC 7239) and `X-Forwarded-For`, `-Proto` and `-Host` of trusted proxies into one set of claims.
//!
//! The client's address and the fields sent to a backend are both made from these claims, so they cannot differ.

mod element;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use crate::address::Network;

use element::element;
pub(super) use element::is_token;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Hops kept of each kind of field, the nearest ones: any client can write those before, and they must not grow a
/// request.
const MAX_HOPS: usize = 64;

/// Trusted peers: our own proxies in front of this server, whose `Forwarded` and `X-Forwarded-*` are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedPeers(Arc<[Network]>);

impl TrustedPeers {
    /// The networks they are in.
    pub fn networks(&self) -> &[Network] {
        &self.0
    }

    /// Whether a peer with this address is trusted.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }
}

impl FromIterator<Network> for TrustedPeers {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Ip(IpAddr),
    /// `unknown`, or a name that begins with `_` (RFC 7239, section 6.3).
    Hidden(String),
}

/// One hop of a request, as its proxy described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// The peer of the proxy.
    pub(super) node: Node,
    /// Its parameters in `Forwarded`, in order; names in lower case, values unquoted.
    pub(super) pairs: Vec<(String, String)>,
}

/// The claims, the client's own hop first. Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) hops: Vec<Hop>,
    pub(super) proto: Option<String>,
    pub(super) host: Option<String>,
}

/// `Forwarded` and `X-Forwarded-*` contradict each other. One of them may be forged by the client and passed by a
/// proxy that writes only the other; which one is not known, so neither is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contradiction;

impl Claims {
    /// Reads the claims in `fields`. A malformed `Forwarded` is ignored.
    ///
    /// If both kinds are present, one list of hops must be the end of the other, and scheme and host must agree where
    /// both state them.
    ///
    /// # Errors
    /// They are not.
    pub(super) fn read(fields: &HeaderMap) -> Result<Self, Contradiction> {
        let old = Self::of_x_fields(fields);
        if !fields.contains_key(FORWARDED) {
            return Ok(old);
        }
        let new = Self::of_forwarded(fields).unwrap_or_default();
        let nodes = |claims: &Self| claims.hops.iter().map(|hop| hop.node.clone()).collect::<Vec<_>>();
        let (said, also) = (nodes(&new), nodes(&old));
        if !said.ends_with(&also) && !also.ends_with(&said) {
            return Err(Contradiction);
        }
        let proto = merge(new.proto, old.proto)?;
        let host = merge(new.host, old.host)?;
        // The longer list has more hops; of hops in both, `Forwarded` says more.
        let before = also.len().saturating_sub(said.len());
        let hops = old.hops.into_iter().take(before).chain(new.hops).collect();
        Ok(Self { hops, proto, host })
    }

    fn of_x_fields(fields: &HeaderMap) -> Self {
        let hop = |text| Hop { node: Node::read(text), pairs: Vec::new() };
        let first =
            |name| members_from_last(fields, name).last().filter(|text| is_plain(text)).map(str::to_owned);
        let mut hops: Vec<Hop> =
            members_from_last(fields, &X_FORWARDED_FOR).take(MAX_HOPS).map(hop).collect();
        hops.reverse();
        Self { hops, proto: first(&X_FORWARDED_PROTO), host: first(&X_FORWARDED_HOST) }
    }

    fn of_forwarded(fields: &HeaderMap) -> Option<Self> {
        let mut hops = Vec::new();
        for line in fields.get_all(FORWARDED) {
            let mut text = line.to_str().ok()?;
            while !text.is_empty() {
                let pairs;
                (pairs, text) = element(text)?;
                if !pairs.is_empty() {
                    let node = pairs.iter().find(|(name, _)| name == "for");
                    let node = node.map_or_else(Node::unknown, |(_, value)| Node::read(value));
                    hops.push(Hop { node, pairs });
                    if hops.len() >= 2 * MAX_HOPS {
                        hops.drain(..MAX_HOPS);
                    }
                }
            }
        }
        hops.drain(..hops.len().saturating_sub(MAX_HOPS));
        let first = |name: &str| {
            let mut pairs = hops.iter().flat_map(|hop| &hop.pairs);
            pairs.find(|(found, _)| found == name).map(|(_, value)| value.clone())
        };
        Some(Self { proto: first("proto"), host: first("host"), hops })
    }

    /// The client's address for a trusted `peer`: the last hop that is no trusted proxy, or the trusted proxy that
    /// does not name its peer.
    pub(super) fn client(&self, peer: IpAddr, trusted: &TrustedPeers) -> IpAddr {
        last_untrusted(peer, self.hops.iter().rev().map(|hop| hop.node.ip()), trusted)
    }
}

/// The address of the client that a trusted `peer` asks for; the peer's if it names none.
///
/// Anything further left was written by that client itself or by an untrusted hop.
///
/// # Errors
/// The fields contradict each other.
pub(super) fn client_of(
    peer: IpAddr,
    fields: &HeaderMap,
    trusted: &TrustedPeers,
) -> Result<IpAddr, Contradiction> {
    if fields.contains_key(FORWARDED) {
        return Ok(Claims::read(fields)?.client(peer, trusted));
    }
    // The common case allocates nothing.
    Ok(last_untrusted(peer, members_from_last(fields, &X_FORWARDED_FOR).map(ip_of), trusted))
}

fn last_untrusted(
    peer: IpAddr,
    mut hops: impl Iterator<Item = Option<IpAddr>>,
    trusted: &TrustedPeers,
) -> IpAddr {
    let mut client = peer;
    while trusted.contains(client) {
        let Some(Some(ip)) = hops.next() else { break };
        client = ip;
    }
    client
}

impl Node {
    fn unknown() -> Self {
        Self::Hidden("unknown".to_owned())
    }

    /// A text that is not an address is hidden or unknown.
    fn read(text: &str) -> Self {
        let is_name = |text: &str| {
            text.starts_with('_')
                && text[1..].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        match ip_of(text) {
            Some(ip) => Self::Ip(ip),
            None if text.len() > 1 && is_name(text) => Self::Hidden(text.to_owned()),
            None => Self::unknown(),
        }
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Hidden(_) => None,
        }
    }
}

/// An address, with brackets or without, and also with a port, which may be a name (RFC 7239, section 6).
fn ip_of(text: &str) -> Option<IpAddr> {
    let whole = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse().ok().map(|addr: SocketAddr| addr.ip());
    let bracketed = || {
        let (ip, behind) = text.strip_prefix('[')?.split_once(']')?;
        let is_port = behind.is_empty() || behind.starts_with(":_");
        ip.parse().ok().filter(|_| is_port).map(IpAddr::V6)
    };
    let named_port = || text.split_once(":_")?.0.parse().ok();
    whole().or_else(with_port).or_else(bracketed).or_else(named_port).map(|ip| ip.to_canonical())
}

/// Merges two claims about one thing; `Err` if they differ.
fn merge(one: Option<String>, other: Option<String>) -> Result<Option<String>, Contradiction> {
    match (one, other) {
        (Some(one), Some(other)) if !one.eq_ignore_ascii_case(&other) => Err(Contradiction),
        (one, other) => Ok(one.or(other)),
    }
}

/// The members of a list of plain values in all lines of a field, last first. One that is not text is `?`.
fn members_from_last<'a>(
    fields: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let lines = fields.get_all(name).into_iter().rev();
    let members = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    members.map(|text| std::str::from_utf8(text).unwrap_or("?").trim()).filter(|text| !text.is_empty())
}

/// Whether a scheme or host can be passed on: visible ASCII without characters that would end a value.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\,;".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn trusted() -> TrustedPeers {
        ["10.0.0.0/8".parse().unwrap()].into_iter().collect()
    }

    const PEER: &str = "10.0.0.1";

    fn client(lines: &[(&'static str, &'static str)]) -> Result<String, Contradiction> {
        client_of(PEER.parse().unwrap(), &fields(lines), &trusted()).map(|ip| ip.to_string())
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_not_a_proxy_of_ours_in_either_spelling() {
        for (x_forwarded_for, forwarded, expected) in [
            ("", "", PEER),
            ("203.0.113.9", "for=203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:4711", "for=\"203.0.113.9:4711\"", "203.0.113.9"),
            ("198.51.100.7, 203.0.113.9", "for=198.51.100.7, for=203.0.113.9", "203.0.113.9"),
            (
                "198.51.100.7,203.0.113.9 , 10.0.0.2",
                "for=198.51.100.7,For=203.0.113.9 , for=10.0.0.2",
                "203.0.113.9",
            ),
            ("203.0.113.9, nonsense", "for=203.0.113.9, for=unknown", PEER),
            ("203.0.113.9, nonsense, 10.0.0.2", "for=203.0.113.9, for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("10.0.0.3, 10.0.0.2", "for=10.0.0.3, for=10.0.0.2", "10.0.0.3"),
            ("[2001:db8::1]:443", "for=\"[2001:db8::1]:443\"", "2001:db8::1"),
            ("2001:db8::1", "for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("[2001:db8::1]", "for=[2001:db8::1]", "2001:db8::1"),
            ("::ffff:203.0.113.9", "for=\"[::ffff:203.0.113.9]\"", "203.0.113.9"),
            ("203.0.113.9:_port", "FOR=\"203.0.113.9:_port\";proto=https", "203.0.113.9"),
            ("", "by=203.0.113.9;proto=https", PEER),
            ("", "for=\"198.51.100.7, for=203.0.113.9\"", PEER),
            ("", "host=\"a, for=198.51.100.7\";for=\"20\\3.0.113.9\"", "203.0.113.9"),
        ] {
            let old = [("x-forwarded-for", x_forwarded_for)];
            let new = [("forwarded", forwarded)];
            for lines in [&old[..], &new[..]].into_iter().filter(|lines| !lines[0].1.is_empty()) {
                assert_eq!(client(lines).as_deref(), Ok(expected), "{lines:?}");
            }
        }
        let two = [("forwarded", "for=198.51.100.7"), ("forwarded", "for=203.0.113.9")];
        assert_eq!(client(&two).as_deref(), Ok("203.0.113.9"), "lines are one list");
    }

    #[test]
    fn a_malformed_field_has_no_client() {
        for bad in [
            "for",
            "for=",
            "=1.2.3.4",
            "for=1.2.3.4;for=5.6.7.8",
            "for=\"1.2.3.4",
            "for=1.2.3.4 for=5.6.7.8",
            "for =1.2.3.4",
            "for=1.2.3.4\\",
            "for=\"1.2.3.4\"x",
            "1.2.3.4",
            "for=1.2.3.4, for=\"\\",
        ] {
            assert_eq!(Claims::read(&fields(&[("forwarded", bad)])), Ok(Claims::default()), "{bad}");
            // What the other kind of field says stands.
            let both = [("forwarded", bad), ("x-forwarded-for", "203.0.113.9")];
            assert_eq!(client(&both).as_deref(), Ok("203.0.113.9"), "{bad}");
        }
        for empty in [",", " , ;", ";;,"] {
            assert_eq!(Claims::read(&fields(&[("forwarded", empty)])), Ok(Claims::default()), "{empty}");
        }
    }

    #[test]
    fn two_stories_are_believed_if_they_are_one() {
        for (x_forwarded_for, forwarded, expected) in [
            ("203.0.113.9", "for=203.0.113.9", Ok("203.0.113.9")),
            ("198.51.100.7, 203.0.113.9", "for=203.0.113.9", Ok("203.0.113.9")),
            ("203.0.113.9", "for=198.51.100.7, for=\"203.0.113.9:80\"", Ok("203.0.113.9")),
            // The nearest proxy writes both, the one before it only the old one.
            ("203.0.113.9, 10.0.0.2", "for=10.0.0.2", Ok("203.0.113.9")),
            ("203.0.113.9, 10.0.0.2", "for=198.51.100.7, for=10.0.0.2", Err(Contradiction)),
            ("203.0.113.9", "for=198.51.100.7", Err(Contradiction)),
            ("203.0.113.9", "for=203.0.113.9, for=198.51.100.7", Err(Contradiction)),
            ("203.0.113.9", "for=unknown", Err(Contradiction)),
            ("203.0.113.9, 10.0.0.2", "for=203.0.113.9", Err(Contradiction)),
        ] {
            let found = client(&[("x-forwarded-for", x_forwarded_for), ("forwarded", forwarded)]);
            assert_eq!(found.as_deref().map_err(|error| *error), expected, "{x_forwarded_for}; {forwarded}");
        }
        for (proto, host, is_one) in
            [("https", "a", true), ("HTTPS", "A", true), ("http", "a", false), ("https", "b", false)]
        {
            let lines = fields(&[
                ("forwarded", "for=203.0.113.9;proto=https;host=a"),
                ("x-forwarded-proto", proto),
                ("x-forwarded-host", host),
            ]);
            assert_eq!(Claims::read(&lines).is_ok(), is_one, "{proto} {host}");
        }
    }

    #[test]
    fn of_hops_without_number_the_nearest_are_kept() {
        let many = |hop: &str| format!("{}, 203.0.113.9", vec![hop; 1000].join(","));
        for (name, hop) in [("x-forwarded-for", "1"), ("forwarded", "for=_a")] {
            let fields = [(name.parse().unwrap(), many(hop).replace(", 203", ", for=203").parse().unwrap())];
            let claims = Claims::read(&fields.into_iter().collect()).unwrap();
            assert_eq!(claims.hops.len(), MAX_HOPS, "{name}");
        }
    }

    #[test]
    fn the_facts_are_the_same_from_either_kind_of_field() {
        let old = fields(&[
            ("x-forwarded-for", "203.0.113.9, 10.0.0.2"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "shop.example"),
        ]);
        let new = fields(&[(
            "forwarded",
            "for=203.0.113.9;proto=https;host=shop.example, for=10.0.0.2;proto=http",
        )]);
        let [old, new] = [old, new].map(|fields| Claims::read(&fields).unwrap());
        let nodes = |claims: &Claims| claims.hops.iter().map(|hop| hop.node.clone()).collect::<Vec<_>>();
        assert_eq!(nodes(&old), nodes(&new));
        assert_eq!((&old.proto, &old.host), (&Some("https".to_owned()), &Some("shop.example".to_owned())));
        assert_eq!((old.proto, old.host), (new.proto, new.host));
    }
}
