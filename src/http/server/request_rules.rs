//! What every request must keep to, whatever its source and its version.

use std::net::Ipv6Addr;

use http::header::{EXPECT, HOST};
use http::uri::Authority;
use http::{Method, Request, StatusCode, Version};

use crate::http1::{check_framing_fields, expects_continue};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Breach {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
}

const fn bad(text: &'static str) -> Breach {
    Breach { status: StatusCode::BAD_REQUEST, text }
}

/// Checks a request's head.
///
/// # Errors
/// A field about framing or the connection cannot be read; the request names no host, several, or none that
/// can be one; or it expects what is not offered.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Breach> {
    let fields = request.headers();
    check_framing_fields(fields)
        .map_err(|_| bad("A field about the request's framing or its connection cannot be read."))?;
    check_host(request)?;
    if request.version() != Version::HTTP_10 && fields.contains_key(EXPECT) && !expects_continue(fields) {
        let text = "The request expects something else than 100-continue.";
        return Err(Breach { status: StatusCode::EXPECTATION_FAILED, text });
    }
    Ok(())
}

/// RFC 9112, section 3.2, and RFC 9113, section 8.3.1.
fn check_host<B>(request: &Request<B>) -> Result<(), Breach> {
    const NO_HOST: Breach = bad("The request names no host.");
    const BAD_HOST: Breach = bad("The host that the request names is none.");
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("The request has more than one Host."));
    }
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(BAD_HOST);
    }
    // Of a target that is an address, the authority is the host, and no place for a password
    // (RFC 9110, sections 4.2.1 and 4.2.4).
    let authority = request.uri().authority();
    if authority.is_some_and(|told| told.host().is_empty() || !is_host(told.as_str().as_bytes())) {
        return Err(BAD_HOST);
    }
    if request.version() < Version::HTTP_2 {
        // HTTP/1.0 knew one host for each address.
        let may_lack = request.version() < Version::HTTP_11;
        return if host.is_some() || may_lack { Ok(()) } else { Err(NO_HOST) };
    }
    match (authority, host) {
        (None, None) => Err(NO_HOST),
        (None, Some(_)) | (Some(_), None) => Ok(()),
        (Some(authority), Some(host)) => {
            let default = request
                .uri()
                .scheme_str()
                .map_or("80", |scheme| if scheme == "https" { "443" } else { "80" });
            let is_same = host.to_str().is_ok_and(|host| is_same_host(authority, host, default));
            let is_connect = request.method() == Method::CONNECT;
            if is_same || is_connect { Ok(()) } else { Err(bad("Host is not the request's :authority.")) }
        }
    }
}

/// Whether two names are of one host and port; `default` is the port of none.
fn is_same_host(authority: &Authority, host: &str, default: &str) -> bool {
    let (one, other) = (split_port(authority.as_str()), split_port(host));
    let port = |port: Option<&str>| port.filter(|port| !port.is_empty()).unwrap_or(default).to_owned();
    one.0.eq_ignore_ascii_case(other.0) && port(one.1) == port(other.1)
}

/// A host and the port behind it.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        // Within an IPv6 address there are colons too.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// Whether this is `host [ ":" port ]`, or nothing (RFC 9110, section 7.2; RFC 3986, section 3.2.2).
fn is_host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let (host, port) = split_port(text);
    let is_port = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
    });
    let is_name = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
        None => is_name(host),
    };
    is_port && is_name
}

/// A registered name or an IPv4 address.
fn is_name(host: &str) -> bool {
    let mut bytes = host.bytes();
    while let Some(byte) = bytes.next() {
        let is_one = match byte {
            b'%' => {
                let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
                is_hex(bytes.next()) && is_hex(bytes.next())
            }
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !is_one {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::FRAMING_FIELDS;
    use http::header::{HeaderName, HeaderValue};

    fn told(version: Version, uri: &str, lines: &[(&str, &[u8])]) -> u16 {
        let mut request = Request::builder().version(version).uri(uri).body(()).unwrap();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        }
        check(&request).map_or_else(|breach| breach.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "a",
            "a.example:80",
            "a:",
            "",
            "127.0.0.1:8080",
            "[::1]",
            "[2001:db8::1]:443",
            "x_y",
            "a%20b",
            "A-b~!",
        ] {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
        for host in [
            "a b/\"", "a/", "a b", "u@a", "a:b", "a:65536", "a:-1", "::1", "[::1", "::1]", "[::1]x", "[a]",
            "[::1]:x", "a%2", "a%zz", "a?b", "a#", "a\\", "<a>", "\u{e4}", "a,b:c", "a\tb",
        ] {
            assert!(!is_host(host.as_bytes()), "{host:?}");
        }
        assert!(!is_host(b"\xff"));
    }

    #[test]
    fn a_request_names_one_host() {
        use Version as V;
        for (version, uri, hosts, status) in [
            (V::HTTP_11, "/", &["t"][..], 200),
            (V::HTTP_11, "/", &[""], 200),
            (V::HTTP_11, "/", &[], 400),
            (V::HTTP_11, "/", &["t", "t"], 400),
            (V::HTTP_11, "/", &["a b/\""], 400),
            (V::HTTP_11, "http://h/", &[], 400),
            // The target counts (RFC 9112, section 3.2.2).
            (V::HTTP_11, "http://h/", &["t"], 200),
            (V::HTTP_11, "http://u@h/", &["t"], 400),
            (V::HTTP_11, "http://u:p@h/", &["t"], 400),
            (V::HTTP_11, "http://:80/", &["t"], 400),
            (V::HTTP_11, "http://a:99999/", &["t"], 400),
            (V::HTTP_11, "http://[::1]:80/", &["t"], 200),
            (V::HTTP_10, "http://u@h/", &[], 400),
            (V::HTTP_10, "/", &[], 200),
            (V::HTTP_10, "/", &["t"], 200),
            (V::HTTP_10, "/", &["t", "u"], 400),
            (V::HTTP_10, "/", &["a b"], 400),
            (V::HTTP_2, "http://t/", &[], 200),
            (V::HTTP_2, "/", &["t"], 200),
            (V::HTTP_2, "/", &[], 400),
            (V::HTTP_2, "http://t/", &["T"], 200),
            (V::HTTP_2, "http://t/", &["t:80"], 200),
            (V::HTTP_2, "http://t:8080/", &["t:8080"], 200),
            (V::HTTP_2, "https://t/", &["t:443"], 200),
            (V::HTTP_2, "http://[::1]/", &["[::1]:80"], 200),
            (V::HTTP_2, "http://t/", &["u"], 400),
            (V::HTTP_2, "http://t/", &["t:81"], 400),
            (V::HTTP_2, "http://t/", &["t", "t"], 400),
            (V::HTTP_2, "http://u@t/", &[], 400),
        ] {
            let lines: Vec<_> = hosts.iter().map(|host| ("host", host.as_bytes())).collect();
            assert_eq!(told(version, uri, &lines), status, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn framing_that_cannot_be_read_is_refused_and_other_fields_may_be_anything() {
        for name in FRAMING_FIELDS {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                let lines: &[(&str, &[u8])] = &[("host", b"t"), (name.as_str(), b"x-hop, \xff")];
                assert_eq!(told(version, "/", lines), 400, "{name}");
            }
        }
        assert_eq!(
            told(Version::HTTP_11, "/", &[("host", b"t"), ("x", b"\xff"), ("connection", b"close")]),
            200
        );
    }

    #[test]
    fn nothing_but_100_continue_may_be_expected() {
        for (lines, status) in [
            (&[&b"100-continue"[..]][..], 200),
            (&[b"100-Continue", b"100-continue"], 200),
            (&[b"100-continue, 100-continue"], 200),
            (&[b"100-continue", b"a=b"], 417),
            (&[b"200-ok"], 417),
            (&[b"100-continue;q=1"], 417),
            (&[b"\xff"], 417),
            (&[b""], 417),
        ] {
            let lines: Vec<_> =
                lines.iter().map(|line| ("expect", *line)).chain([("host", &b"t"[..])]).collect();
            assert_eq!(told(Version::HTTP_11, "/", &lines), status, "{lines:?}");
            assert_eq!(told(Version::HTTP_2, "http://t/", &lines), status, "{lines:?}");
            // A client of HTTP/1.0 cannot mean it (RFC 9110, section 10.1.1).
            assert_eq!(told(Version::HTTP_10, "/", &lines), 200);
        }
    }
}
