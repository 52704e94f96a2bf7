//! `host [":" port]`, as in `Host`, `:authority` and URLs (RFC 9110, section 7.2; RFC 3986, section 3.2).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::SHOWN;
use crate::excerpt::excerpt;

/// A host and the port written behind it, borrowed from the text they were read from.
///
/// The host is an IPv6 address in brackets, or else a registered name or IPv4 address. Both host and port can be
/// empty, as those RFCs allow; [`numbered`](Self::numbered) is for where they cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AuthorityParts<'a> {
    host: &'a str,
    /// Invariant: ASCII digits of a number up to 65535, or empty.
    port: Option<&'a str>,
}

/// Why a text is not a host with or without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthorityError {
    /// There is an `@`: a user or password stands before the host.
    User,
    /// The host is missing.
    NoHost,
    /// The host has a character that no host has, or its brackets hold no IPv6 address.
    BadHost,
    /// The port is not a number from 1 to 65535.
    BadPort,
}

impl<'a> AuthorityParts<'a> {
    /// Reads `text`, in which host and port can be empty.
    ///
    /// # Errors
    /// [`BadHost`](AuthorityError::BadHost), [`BadPort`](AuthorityError::BadPort) or [`User`](AuthorityError::User).
    pub(crate) fn parse(text: &'a str) -> Result<Self, AuthorityError> {
        if text.contains('@') {
            return Err(AuthorityError::User);
        }
        let (host, port) = match text.rsplit_once(':') {
            // The colons within brackets are an IPv6 address's own.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let is_host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
            None => is_name(host),
        };
        if !is_host {
            return Err(AuthorityError::BadHost);
        }
        let is_port = |port: &str| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
        };
        if port.is_some_and(|port| !is_port(port)) {
            return Err(AuthorityError::BadPort);
        }
        Ok(Self { host, port })
    }

    /// Reads `text`, which must have a host; the port is from 1 to 65535 or not there at all.
    pub(crate) fn numbered(text: &'a str) -> Result<(Self, Option<u16>), AuthorityError> {
        let parsed = Self::parse(text)?;
        if parsed.host.is_empty() {
            return Err(AuthorityError::NoHost);
        }
        let port = parsed.port.map(|port| port.parse().ok().filter(|port| *port > 0));
        match port {
            Some(None) => Err(AuthorityError::BadPort),
            port => Ok((parsed, port.flatten())),
        }
    }

    /// The host as written: an IPv6 address has its brackets.
    pub(crate) fn host(&self) -> &'a str {
        self.host
    }

    /// The host without brackets.
    pub(crate) fn bare_host(&self) -> &'a str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(self.host)
    }

    /// The port as written; `None` if it is empty or missing.
    pub(crate) fn port(&self) -> Option<&'a str> {
        self.port.filter(|port| !port.is_empty())
    }
}

/// A host with a port: `db:5432`, `127.0.0.1:22`, `[::1]:22`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

caused_error! {
    /// Why a text is no host with a port. Says what to write.
    HostPortError {
        /// Whether the host is missing.
        needs_host: no_host,
        /// Whether the port is missing.
        needs_port: no_port,
        /// Whether it is an IPv6 address without brackets.
        needs_brackets: no_brackets,
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    /// Reads a host and a port. The error says what is wrong and what to write.
    fn from_str(text: &str) -> Result<Self, HostPortError> {
        // Narrower than a registered name: what the resolver can look up.
        let is_looked_up = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        let (make, why): (fn(String) -> HostPortError, _) = match AuthorityParts::numbered(text) {
            Ok((parts, Some(port))) if parts.bare_host().chars().all(is_looked_up) => {
                return Ok(Self { host: parts.bare_host().to_owned(), port });
            }
            Ok((_, None)) => (HostPortError::no_port, "the port is missing"),
            Err(AuthorityError::NoHost) => (HostPortError::no_host, "the host is missing"),
            Err(AuthorityError::BadPort) => {
                (HostPortError::other, "the port is not a number from 1 to 65535")
            }
            Err(AuthorityError::BadHost) if text.starts_with('[') => {
                (HostPortError::other, "no IPv6 address is in the brackets")
            }
            Err(AuthorityError::BadHost) if is_bare_ipv6(text) => {
                (HostPortError::no_brackets, "an IPv6 address is written in brackets")
            }
            Ok(_) | Err(AuthorityError::BadHost | AuthorityError::User) => {
                (HostPortError::other, "the host has a character that no name has")
            }
        };
        let shown = excerpt(text, SHOWN);
        Err(make(format!("{shown:?} is not a host with a port: {why}; write 127.0.0.1:5432 or [::1]:5432")))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Whether this is an IPv6 address without brackets, with or without a port.
fn is_bare_ipv6(text: &str) -> bool {
    let host = text.rsplit_once(':').map_or(text, |(host, _port)| host);
    [text, host].iter().any(|host| host.parse::<Ipv6Addr>().is_ok())
}

/// Whether this can be a registered name or an IPv4 address (RFC 3986, section 3.2.2).
fn is_name(host: &str) -> bool {
    let mut bytes = host.bytes();
    while let Some(byte) = bytes.next() {
        let is_allowed = match byte {
            b'%' => {
                let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
                is_hex(bytes.next()) && is_hex(bytes.next())
            }
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'..=b',' | b';' | b'=' => true,
            byte => byte.is_ascii_alphanumeric(),
        };
        if !is_allowed {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(AuthorityParts::parse(host).is_ok(), "{host:?}");
        }
        for host in [
            "a b/\"", "a/", "a b", "u@a", "a:b", "a:65536", "a:-1", "::1", "[::1", "::1]", "[::1]x", "[a]",
            "[::1]:x", "a%2", "a%zz", "a?b", "a#", "a\\", "<a>", "\u{e4}", "a,b:c", "a\tb",
        ] {
            assert!(AuthorityParts::parse(host).is_err(), "{host:?}");
        }
    }

    #[test]
    fn a_url_has_a_host_and_a_port_that_can_be_connected_to() {
        for (text, expected) in [
            ("h", Ok(("h", None))),
            ("h:1", Ok(("h", Some(1)))),
            ("h:65535", Ok(("h", Some(65535)))),
            ("[::1]", Ok(("::1", None))),
            ("[::1]:80", Ok(("::1", Some(80)))),
            ("", Err(AuthorityError::NoHost)),
            (":80", Err(AuthorityError::NoHost)),
            ("h:", Err(AuthorityError::BadPort)),
            ("h:0", Err(AuthorityError::BadPort)),
            ("h:65536", Err(AuthorityError::BadPort)),
            ("h:+1", Err(AuthorityError::BadPort)),
            ("a b", Err(AuthorityError::BadHost)),
            ("u:p@h", Err(AuthorityError::User)),
        ] {
            let found = AuthorityParts::numbered(text).map(|(host, port)| (host.bare_host(), port));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn a_host_with_a_port_is_read_and_printed_back() {
        for good in ["db:5432", "127.0.0.1:22", "[::1]:22", "a-b.c_d:1"] {
            assert_eq!(good.parse::<HostPort>().map(|host| host.to_string()), Ok(good.to_owned()));
        }
        for (bad, expected) in [
            ("db", "the port is missing"),
            ("db:", "not a number from 1"),
            ("db:0", "not a number from 1"),
            ("db:99999", "not a number from 1"),
            (":22", "the host is missing"),
            ("::1:22", "written in brackets"),
            ("[db]:22", "no IPv6 address"),
            ("http://db:22", "no name has"),
            ("d b:22", "no name has"),
        ] {
            let error = bad.parse::<HostPort>().unwrap_err();
            assert!(error.to_string().contains(expected), "{bad}: {error}");
            let needs = (error.needs_host(), error.needs_port(), error.needs_brackets());
            assert_eq!(needs, (bad == ":22", bad == "db", bad == "::1:22"), "{bad}");
        }
    }
}
