//! Telling the upstream who asks: `Forwarded` (RFC 7239), `X-Forwarded-*` and `Via`.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use http::Version;
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue, VIA};

use crate::http::peer::PeerAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who sends a request, and over which connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// The other end of the connection.
    pub peer: PeerAddr,
    /// Our end of it; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Whether the peer is a proxy that may speak for others: what it says in `Forwarded` and
    /// `X-Forwarded-*` is kept and added to. Any other peer's is thrown away.
    pub trusted: bool,
}

/// Writes who sent the request, for the host `host`, into its fields.
pub(super) fn tell(fields: &mut HeaderMap, client: &Client, host: Option<&str>) {
    if !client.trusted {
        forget(fields);
    }
    append(fields, FORWARDED, &element(client, host));
    let address = client.peer.ip().map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
    append(fields, X_FORWARDED_FOR, &address);
    // A trusted proxy has said what its own client used; that is what counts.
    if !fields.contains_key(X_FORWARDED_PROTO) {
        insert(fields, X_FORWARDED_PROTO, client.scheme);
    }
    if let Some(host) = host
        && !fields.contains_key(X_FORWARDED_HOST)
    {
        insert(fields, X_FORWARDED_HOST, host);
    }
}

/// Adds this hop to `Via`; `version` is that of the message that was received (RFC 9110 §7.6.3).
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

/// Removes all by which a client can claim to be somebody else.
fn forget(fields: &mut HeaderMap) {
    let claims: Vec<HeaderName> = fields
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name == FORWARDED.as_str() || name == "x-real-ip" || name.starts_with("x-forwarded-")
        })
        .cloned()
        .collect();
    for name in claims {
        fields.remove(name);
    }
}

/// One element of `Forwarded`.
fn element(client: &Client, host: Option<&str>) -> String {
    let mut element = match client.peer.ip() {
        Some(IpAddr::V4(ip)) => format!("for={ip}"),
        Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
        None => "for=unknown".to_owned(),
    };
    if let Some(local) = client.local {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        // Writing to a string does not fail.
        let _ = write!(element, ";by=\"{local}\"");
    }
    if let Some(host) = host {
        let _ = write!(element, ";host={}", quoted(host));
    }
    let _ = write!(element, ";proto={}", client.scheme);
    element
}

/// A token as it is, anything else as a quoted string (RFC 9110 §5.6).
fn quoted(text: &str) -> String {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_token) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Puts `element` behind the members the field has, all in one line.
fn append(fields: &mut HeaderMap, name: HeaderName, element: &str) {
    let mut line = Vec::new();
    for value in fields.get_all(&name) {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(element.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&line) {
        fields.insert(name, value);
    }
}

fn insert(fields: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        fields.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, trusted: bool) -> Client {
        let peer = peer.parse().map_or(PeerAddr::Unix, PeerAddr::Tcp);
        Client { peer, local: "[2001:db8::9]:443".parse().ok(), scheme: "https", trusted }
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
        tell(&mut fields, &client("192.0.2.1:5000", false), Some("example.com"));
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

    #[test]
    fn a_trusted_proxy_is_added_to() {
        let mut fields = spoofed();
        tell(&mut fields, &client("[2001:db8::1]:5000", true), Some("example.com:8080"));
        assert_eq!(
            lines(&fields),
            [
                "forwarded: for=1.1.1.1, for=2.2.2.2, for=\"[2001:db8::1]\";by=\"[2001:db8::9]:443\";\
                 host=\"example.com:8080\";proto=https",
                "x-forwarded-for: 1.1.1.1, 2.2.2.2, 2001:db8::1",
                "x-forwarded-host: old.example",
                "x-forwarded-port: 70",
                "x-forwarded-proto: gopher",
                "x-real-ip: 1.1.1.1",
            ]
        );
    }

    #[test]
    fn a_client_without_address_or_host_is_unknown_and_mapped_addresses_are_plain() {
        let mut fields = HeaderMap::new();
        let mut from = client("a unix socket", false);
        from.local = None;
        tell(&mut fields, &from, None);
        assert_eq!(
            lines(&fields),
            ["forwarded: for=unknown;proto=https", "x-forwarded-for: unknown", "x-forwarded-proto: https"]
        );
        assert!(element(&client("[::ffff:192.0.2.1]:1", false), None).starts_with("for=192.0.2.1;"));
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
            assert_eq!(quoted(host), expected);
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
}
