//! Fields that tell the upstream who the client is: `Forwarded` (RFC 7239), `X-Forwarded-*` and `Via`.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

use http::Version;
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue, VIA};

use crate::http::forwarded::{
    Claims, Hop, Node, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, is_token,
};
use crate::http::source::Client;

/// What a trusted peer says about its client; `None` if the peer is not trusted or contradicts itself.
pub(super) fn claims(fields: &HeaderMap, client: &Client) -> Option<Claims> {
    if client.trusted { Claims::read(fields).ok() } else { None }
}

/// Writes the sender of a request for `host` into its fields, from which untrusted claims were removed.
///
/// `Forwarded` and `X-Forwarded-For`, `-Proto` and `-Host` are rewritten from one set of facts: `claims`, this hop, and
/// for the client's host and scheme what this hop saw unless an earlier hop said them. `Forwarded` has host and scheme
/// in one element only.
pub(super) fn tell(fields: &mut HeaderMap, client: &Client, claims: &Claims, host: Option<&str>) {
    let proto = claims.proto.as_deref().unwrap_or(client.scheme);
    let host = claims.host.as_deref().or(host);
    // A hop that stated them has them; else they are the first one's if claimed, or ours.
    let last = claims.hops.len();
    let is_told = |name| claims.hops.iter().flat_map(|hop| &hop.pairs).any(|(found, _)| found == name);
    let untold = [("host", claims.host.is_some(), host), ("proto", claims.proto.is_some(), Some(proto))];
    let untold = untold.map(|(name, is_claimed, value)| {
        (if is_claimed { 0 } else { last }, name, value.filter(|_| !is_told(name)))
    });
    let push_untold = |to: &mut String, at: usize| {
        for (_, name, value) in untold.iter().filter(|(place, ..)| *place == at) {
            if let Some(value) = value {
                push_pair(to, name, value);
            }
        }
    };

    // Room for one element, as most have it.
    let (mut forwarded, mut addresses) = (String::with_capacity(128), String::with_capacity(16));
    for (at, hop) in claims.hops.iter().enumerate() {
        push_hop(&mut forwarded, hop);
        push_untold(&mut forwarded, at);
        forwarded.push_str(", ");
        let _ = match &hop.node {
            Node::Ip(ip) => write!(addresses, "{ip}, "),
            Node::Hidden(name) => write!(addresses, "{name}, "),
        };
    }
    let own = addresses.len();
    match client.peer.ip() {
        Some(ip) => push_ip(&mut addresses, ip),
        None => addresses.push_str("unknown"),
    }
    push_pair(&mut forwarded, "for", &bracketed(&addresses[own..]));
    if let Some(local) = client.local {
        // Always quoted: a colon is no part of a token.
        forwarded.push_str(";by=\"");
        match local.ip().to_canonical() {
            IpAddr::V4(ip) => push_ip(&mut forwarded, ip.into()),
            IpAddr::V6(_) => _ = write!(forwarded, "[{}]", local.ip()),
        }
        forwarded.push(':');
        push_number(&mut forwarded, local.port());
        forwarded.push('"');
    }
    push_untold(&mut forwarded, last);
    insert(fields, FORWARDED, forwarded);
    insert(fields, X_FORWARDED_FOR, addresses);
    match proto {
        "http" => _ = fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http")),
        "https" => _ = fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https")),
        other => insert(fields, X_FORWARDED_PROTO, other.to_owned()),
    }
    match host {
        Some(host) => insert(fields, X_FORWARDED_HOST, host.to_owned()),
        None => _ = fields.remove(X_FORWARDED_HOST),
    }
}

/// Appends the `Forwarded` element of an earlier hop.
fn push_hop(to: &mut String, hop: &Hop) {
    for (name, value) in &hop.pairs {
        push_pair(to, name, value);
    }
    if hop.pairs.is_empty() {
        match &hop.node {
            Node::Ip(ip) => push_pair(to, "for", &bracketed(&ip.to_string())),
            Node::Hidden(name) => push_pair(to, "for", name),
        }
    }
}

/// Appends an address, that of IPv4 digit by digit: formatting it for each request costs several times as much.
fn push_ip(to: &mut String, ip: IpAddr) {
    let IpAddr::V4(ip) = ip else {
        _ = write!(to, "{ip}");
        return;
    };
    for octet in ip.octets() {
        push_number(to, octet.into());
        to.push('.');
    }
    to.pop();
}

fn push_number(to: &mut String, number: u16) {
    if number > 9 {
        push_number(to, number / 10);
    }
    to.push(char::from(b'0' + (number % 10) as u8));
}

/// An IPv6 address has brackets here.
fn bracketed(node: &str) -> Cow<'_, str> {
    if node.contains(':') { format!("[{node}]").into() } else { node.into() }
}

/// Appends a pair to an element: a token as it is and anything else as a quoted string (RFC 9110 §5.6).
fn push_pair(to: &mut String, name: &str, value: &str) {
    if !to.is_empty() && !to.ends_with(' ') {
        to.push(';');
    }
    to.push_str(name);
    to.push('=');
    if !value.is_empty() && value.bytes().all(is_token) {
        to.push_str(value);
        return;
    }
    to.push('"');
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '"']) {
        to.extend([&rest[..at], "\\", &rest[at..=at]]);
        rest = &rest[at + 1..];
    }
    to.push_str(rest);
    to.push('"');
}

/// Adds this hop to `Via`; `version` is that of the received message (RFC 9110 §7.6.3).
pub(super) fn via(fields: &mut HeaderMap, version: Version) {
    fields.append(
        VIA,
        HeaderValue::from_static(match version {
            Version::HTTP_09 | Version::HTTP_10 => "1.0 sluicegate",
            Version::HTTP_2 => "2.0 sluicegate",
            Version::HTTP_3 => "3.0 sluicegate",
            _ => "1.1 sluicegate",
        }),
    );
}

fn insert(fields: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        fields.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::peer::PeerAddr;
    use crate::http1::strip_request;
    use proptest::prelude::*;

    fn client(peer: &str, trusted: bool) -> Client {
        let peer = peer.parse().map_or(PeerAddr::Unix, PeerAddr::Tcp);
        Client { local: "[2001:db8::9]:443".parse().ok(), trusted, ..Client::new(peer, "https") }
    }

    /// As a request's head is treated on its way to a backend.
    fn told(fields: &mut HeaderMap, client: &Client, host: Option<&str>) {
        let claims = claims(fields, client);
        strip_request(fields, claims.is_some());
        tell(fields, client, &claims.unwrap_or_default(), host);
    }

    fn spoofed() -> HeaderMap {
        let lines = [
            ("forwarded", "for=1.1.1.1"),
            ("forwarded", "for=2.2.2.2"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "old.example"),
            ("x-forwarded-port", "70"),
            ("x-real-ip", "1.1.1.1"),
        ];
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// The fields in order of their names, as `name: value` lines.
    fn lines(fields: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn strangers_cannot_speak_for_others() {
        let mut fields = spoofed();
        told(&mut fields, &client("192.0.2.1:5000", false), Some("example.com"));
        assert_eq!(
            lines(&fields),
            [
                "forwarded: for=192.0.2.1;by=\"[2001:db8::9]:443\";host=example.com;proto=https",
                "x-forwarded-for: 192.0.2.1",
                "x-forwarded-host: example.com",
                "x-forwarded-proto: https",
            ]
        );
    }

    /// What `Forwarded`, `X-Forwarded-For`, `-Host` and `-Proto` are for a backend, behind a trusted proxy at
    /// 192.0.2.1 that sent `lines`.
    fn behind_proxy(lines: &[(&'static str, &'static str)]) -> [String; 4] {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, value.parse().unwrap());
        }
        told(&mut fields, &client("192.0.2.1:5000", true), Some("shop.example:8080"));
        ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"].map(|name| {
            assert!(fields.get_all(name).iter().count() <= 1);
            fields.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
        })
    }

    #[test]
    fn either_kind_of_field_of_a_trusted_proxy_is_forwarded_in_both() {
        let by = "by=\"[2001:db8::9]:443\"";
        let own_host = "host=\"shop.example:8080\"";
        for (lines, forwarded, x_for, host, proto) in [
            (
                &[("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "http")][..],
                format!("for=198.51.100.7;proto=http, for=192.0.2.1;{by};{own_host}"),
                "198.51.100.7, 192.0.2.1",
                "shop.example:8080",
                "http",
            ),
            (
                &[("forwarded", "for=198.51.100.7;proto=http")],
                format!("for=198.51.100.7;proto=http, for=192.0.2.1;{by};{own_host}"),
                "198.51.100.7, 192.0.2.1",
                "shop.example:8080",
                "http",
            ),
            (
                &[
                    ("forwarded", "For=\"[2001:db8::7]:80\";HOST=a.example;secret=\"x y\", for=_b"),
                    ("forwarded", "for=10.0.0.1"),
                ],
                format!(
                    "for=\"[2001:db8::7]:80\";host=a.example;secret=\"x y\", for=_b, for=10.0.0.1, \
                     for=192.0.2.1;{by};proto=https"
                ),
                "2001:db8::7, _b, 10.0.0.1, 192.0.2.1",
                "a.example",
                "https",
            ),
            (
                &[
                    ("x-forwarded-for", "2001:db8::7:1, junk"),
                    ("x-forwarded-host", "a.example, b"),
                    ("x-forwarded-proto", "wss,http"),
                ],
                format!("for=\"[2001:db8::7:1]\";host=a.example;proto=wss, for=unknown, for=192.0.2.1;{by}"),
                "2001:db8::7:1, unknown, 192.0.2.1",
                "a.example",
                "wss",
            ),
            (
                &[("x-forwarded-for", "198.51.100.7, 10.0.0.1"), ("forwarded", "for=10.0.0.1;host=a")],
                format!("for=198.51.100.7, for=10.0.0.1;host=a, for=192.0.2.1;{by};proto=https"),
                "198.51.100.7, 10.0.0.1, 192.0.2.1",
                "a",
                "https",
            ),
            // It names no client, only the scheme and host of its request.
            (
                &[("x-forwarded-proto", "http"), ("x-forwarded-host", "a")],
                format!("for=192.0.2.1;{by};host=a;proto=http"),
                "192.0.2.1",
                "a",
                "http",
            ),
            (
                &[],
                format!("for=192.0.2.1;{by};{own_host};proto=https"),
                "192.0.2.1",
                "shop.example:8080",
                "https",
            ),
            // The fields contradict each other: neither is forwarded.
            (
                &[
                    ("x-forwarded-for", "198.51.100.7"),
                    ("x-forwarded-proto", "http"),
                    ("forwarded", "for=203.0.113.9"),
                ],
                format!("for=192.0.2.1;{by};{own_host};proto=https"),
                "192.0.2.1",
                "shop.example:8080",
                "https",
            ),
            // A malformed field is ignored.
            (
                &[("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=\"1.1.1.1, for=2.2.2.2")],
                format!("for=198.51.100.7, for=192.0.2.1;{by};{own_host};proto=https"),
                "198.51.100.7, 192.0.2.1",
                "shop.example:8080",
                "https",
            ),
        ] {
            let expected = [forwarded, x_for.to_owned(), host.to_owned(), proto.to_owned()];
            assert_eq!(behind_proxy(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn other_fields_of_a_trusted_proxy_pass_unless_it_contradicts_itself() {
        for (contradicts, port) in [(false, Some("70")), (true, None)] {
            let mut fields = spoofed();
            fields.remove("forwarded");
            if contradicts {
                fields.insert("forwarded", "for=203.0.113.9".parse().unwrap());
            }
            told(&mut fields, &client("192.0.2.1:5000", true), None);
            let text = |name: &str| fields.get(name).map(|value| value.to_str().unwrap());
            assert_eq!((text("x-forwarded-port"), text("x-real-ip")), (port, port.map(|_| "1.1.1.1")));
        }
    }

    #[test]
    fn a_client_without_address_or_host_is_unknown_and_mapped_addresses_are_plain() {
        let mut fields = HeaderMap::new();
        let mut from = client("a unix socket", false);
        from.local = None;
        told(&mut fields, &from, None);
        assert_eq!(
            lines(&fields),
            ["forwarded: for=unknown;proto=https", "x-forwarded-for: unknown", "x-forwarded-proto: https"]
        );
        let mut fields = HeaderMap::new();
        told(&mut fields, &client("[::ffff:192.0.2.1]:1", false), None);
        assert_eq!(fields["x-forwarded-for"], "192.0.2.1");
        assert!(fields["forwarded"].as_bytes().starts_with(b"for=192.0.2.1;"));
    }

    #[test]
    fn a_host_cannot_break_out_of_its_quotes() {
        for (host, expected) in [
            ("example.com", "example.com"),
            ("a:1", "\"a:1\""),
            ("a\";for=x", "\"a\\\";for=x\""),
            ("a\\", "\"a\\\\\""),
            ("", "\"\""),
        ] {
            let mut told = String::new();
            push_pair(&mut told, "host", host);
            assert_eq!(told, format!("host={expected}"));
        }
    }

    #[test]
    fn via_names_the_version_that_was_received_and_keeps_earlier_hops() {
        let mut fields = HeaderMap::new();
        via(&mut fields, Version::HTTP_10);
        via(&mut fields, Version::HTTP_11);
        via(&mut fields, Version::HTTP_2);
        assert_eq!(lines(&fields), ["via: 1.0 sluicegate", "via: 1.1 sluicegate", "via: 2.0 sluicegate"]);
    }

    proptest! {
        // What comes from outside is read without a panic, and the next hop reads what this one wrote.
        #[test]
        fn written_fields_are_read_again(
            forwarded in "([fF]or=|by=|proto=|host=|[;, =\"\\\\]|\\[::1\\]|1\\.1\\.1\\.1|_a|:80|h|\u{e4}){0,12}",
            x_for in "(1\\.1\\.1\\.1|::1|,|[ x]|\u{e4}){0,6}",
            proto in "(https?|,| |\"|;){0,3}",
        ) {
            let mut fields = HeaderMap::new();
            for (name, text) in [("forwarded", forwarded), ("x-forwarded-for", x_for), ("x-forwarded-proto", proto)] {
                fields.insert(name, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            }
            let from = client("192.0.2.1:5000", true);
            let before = claims(&fields, &from);
            told(&mut fields, &from, Some("h"));
            let after = claims(&fields, &from).expect("one story");
            let nodes = |claims: Claims| claims.hops.into_iter().map(|hop| hop.node).collect::<Vec<_>>();
            let mut expected = nodes(before.unwrap_or_default());
            expected.push(Node::Ip("192.0.2.1".parse().unwrap()));
            prop_assert_eq!(nodes(after), expected);
        }
    }
}
