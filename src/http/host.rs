//! Names of this server in a request's target and Host field, against DNS rebinding.
//!
//! A page in a browser on this machine can have its own name bound to 127.0.0.1, and then read what a server there
//! answers as if it came from the page's own origin. It cannot choose the Host field, which has the page's name.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap};
use http::{Uri, Version};

use crate::address::AuthorityParts;

/// Why a request's names are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostFault {
    /// HTTP/1.1 without Host, or with more than one (RFC 9112 section 3.2); HTTP/2 without any name.
    NotOne,
    /// A name that is not ours.
    Foreign,
}

/// Checks that `is_ours` holds for every name that a request has for its server.
///
/// # Errors
/// It does not, or there is no name where there must be one.
pub(crate) fn check(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), HostFault> {
    let ours = |host: Option<&str>| host.is_some_and(&is_ours).then_some(()).ok_or(HostFault::Foreign);
    // The absolute form of a target names the host too and goes before the field, and is all that HTTP/2 needs.
    if let Some(authority) = uri.authority() {
        ours(Some(authority.as_str()))?;
    }
    let mut fields = headers.get_all(HOST).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => ours(field.to_str().ok()),
        (None, None) if version < Version::HTTP_11 => Ok(()),
        (None, None) if version > Version::HTTP_11 && uri.authority().is_some() => Ok(()),
        _ => Err(HostFault::NotOne),
    }
}

/// The host that a request asks for, without its port: the authority of its target, else its Host (RFC 9112, section
/// 3.2.2). `None` if it names none.
pub(crate) fn asked<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let authority = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(HOST)?.to_str().ok()?,
    };
    AuthorityParts::parse(authority).ok().map(|parts| parts.host()).filter(|host| !host.is_empty())
}

/// The host without its port and without the dot of the root, brackets kept; `None` if `text` is not a host.
fn name(text: &str) -> Option<&str> {
    let host = AuthorityParts::parse(text).ok()?.host();
    Some(host.strip_suffix('.').unwrap_or(host))
}

/// Whether the host, with or without a port, can only be this machine as it calls itself.
pub(crate) fn is_loopback(host: &str) -> bool {
    let Some(name) = name(host) else { return false };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match bare.unwrap_or(name).parse::<IpAddr>() {
        Ok(ip) => ip.is_ipv6() == bare.is_some() && ip.to_canonical().is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

/// Whether the host, with or without a port, is `given`.
pub(crate) fn is_named(host: &str, given: &str) -> bool {
    name(host).is_some_and(|name| name.eq_ignore_ascii_case(given.strip_suffix('.').unwrap_or(given)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_those_that_nobody_else_can_bind() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9180",
            "127.255.0.9:1",
            "[::1]",
            "[::1]:9180",
            "[::ffff:127.0.0.1]:9180",
            "localhost",
            "LocalHost:9180",
            "localhost.:9180",
            "localhost:",
        ] {
            assert!(is_loopback(host), "{host:?}");
        }
        for host in [
            "evil.example",
            "evil.example:9180",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:127.0.0.1",
            "notlocalhost",
            "localhost..",
            "localhost:80x",
            "evil@localhost",
            "localhost@evil.example",
            "0.0.0.0:9180",
            "[::]:9180",
            "10.0.0.1",
            "192.168.0.1:9180",
            "::1",
            "[127.0.0.1]",
            "[localhost]",
            "[::1",
            "[::1]evil.example",
            "2130706433",
            "",
            " ",
        ] {
            assert!(!is_loopback(host), "{host:?}");
        }
    }

    #[test]
    fn a_name_is_a_name_in_any_case_and_at_any_port() {
        for (host, given, same) in [
            ("App.example", "app.example", true),
            ("app.example.:8080", "app.example", true),
            ("app.example", "app.example.", true),
            ("[2001:db8::1]:80", "[2001:db8::1]", true),
            ("app.example.evil", "app.example", false),
            ("evil.app.example", "app.example", false),
            ("app.example:8o", "app.example", false),
            ("app.example@evil", "app.example", false),
            ("", "app.example", false),
        ] {
            assert_eq!(is_named(host, given), same, "{host:?} {given:?}");
        }
    }

    #[test]
    fn all_names_of_a_request_count() {
        for (version, target, hosts, expected) in [
            (Version::HTTP_10, "/", &[][..], Ok(())),
            (Version::HTTP_10, "/", &["evil"], Err(HostFault::Foreign)),
            (Version::HTTP_11, "/", &["ours"], Ok(())),
            (Version::HTTP_11, "/", &[], Err(HostFault::NotOne)),
            (Version::HTTP_11, "/", &["ours", "ours"], Err(HostFault::NotOne)),
            (Version::HTTP_11, "http://ours/", &["ours"], Ok(())),
            (Version::HTTP_11, "http://ours/", &[], Err(HostFault::NotOne)),
            (Version::HTTP_11, "http://evil/", &["ours"], Err(HostFault::Foreign)),
            (Version::HTTP_11, "http://ours/", &["evil"], Err(HostFault::Foreign)),
            (Version::HTTP_2, "http://ours/", &[], Ok(())),
            (Version::HTTP_2, "http://evil/", &[], Err(HostFault::Foreign)),
            (Version::HTTP_2, "http://ours/", &["evil"], Err(HostFault::Foreign)),
            (Version::HTTP_2, "/", &[], Err(HostFault::NotOne)),
        ] {
            let mut headers = HeaderMap::new();
            hosts.iter().for_each(|host| _ = headers.append(HOST, host.parse().unwrap()));
            let found = check(&target.parse().unwrap(), &headers, version, |host| host == "ours");
            assert_eq!(found, expected, "{version:?} {target} {hosts:?}");
        }
    }
}
