//! The URL of a backend, and the `Host` that is sent to it.

use std::fmt;
use std::str::FromStr;

use http::uri::Authority;
use percent_encoding::percent_decode_str;

use crate::address::{AuthorityError, AuthorityParts, HttpUrl, UrlError};
use crate::excerpt::excerpt;

/// Characters of a text that is refused, in the message that refuses it.
const SHOWN: usize = 60;

/// The URL of a backend: `http://HOST[:PORT][/PATH]`.
///
/// `http://b` and `http://b/` differ: a path, even `/`, replaces the route's own; without one, the request's path is
/// passed on whole. nginx's `proxy_pass` has the same rule.
///
/// ```
/// use sluicegate::http::proxy::UpstreamUrl;
///
/// let url: UpstreamUrl = "http://127.0.0.1:9000/base".parse()?;
/// assert_eq!((url.host(), url.port(), url.base()), ("127.0.0.1", 9000, Some("/base")));
/// assert!("https://example.com".parse::<UpstreamUrl>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl(
    /// Invariant: `http`, without a query, and no segment of the path is `..`.
    HttpUrl,
);

impl UpstreamUrl {
    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// The TCP port; 80 if the URL names none.
    pub fn port(&self) -> u16 {
        self.0.port_or_default()
    }

    /// A placeholder for a URL that could not be read, in a configuration that is refused.
    pub(crate) fn unknown() -> Self {
        Self(HttpUrl::of_authority(Authority::from_static("unknown.invalid")))
    }

    /// Host and port as they were written.
    pub fn authority(&self) -> &Authority {
        self.0.authority()
    }

    /// The path, which replaces the route's; `None` if the URL ends with its authority.
    pub fn base(&self) -> Option<&str> {
        self.0.path_and_query()
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for UpstreamUrl {
    type Err = String;

    /// Reads a URL. The error says what is wrong with it and what to write.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            format!("{:?} is not a backend: {why}; write http://127.0.0.1:9000", excerpt(text, SHOWN))
        };
        let url = HttpUrl::parse(text).map_err(|error| {
            bad(match error {
                UrlError::NoScheme => "http:// is missing",
                UrlError::Scheme => "it does not begin with http://",
                error => error.text(),
            })
        })?;
        if url.is_tls() {
            return Err(bad("TLS to backends is not supported, put a TLS proxy between"));
        }
        if text.contains(['?', '#']) {
            return Err(bad("it has a query or a fragment"));
        }
        if url.path_and_query().is_some_and(climbs) {
            return Err(bad("its path has a `..`"));
        }
        Ok(Self(url))
    }
}

/// Whether a segment of a path is `..`. Percent-encoded dots and slashes count, and so do backslashes as slashes.
pub(crate) fn climbs(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b"..")
}

/// Which `Host` is sent to a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    /// The host and port of the backend's URL. The default, as in nginx and Apache httpd.
    /// The client's is in `Forwarded` and `X-Forwarded-Host`.
    #[default]
    Upstream,
    /// The one that the client sent.
    Client,
    /// This one.
    Literal(Authority),
}

impl FromStr for HostPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "upstream" => Ok(Self::Upstream),
            "client" => Ok(Self::Client),
            name => {
                let host = AuthorityParts::numbered(name)
                    .and_then(|_| name.parse().map_err(|_| AuthorityError::BadHost));
                host.map(Self::Literal).map_err(|_| {
                    format!(
                        "{:?} is not a host; write \"upstream\", \"client\" or a name such as \"www.example.org\"",
                        excerpt(name, SHOWN)
                    )
                })
            }
        }
    }
}

impl fmt::Display for HostPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream => f.write_str("upstream"),
            Self::Client => f.write_str("client"),
            Self::Literal(authority) => write!(f, "{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_printed_back() {
        for (text, host, port, base) in [
            ("http://b", "b", 80, None),
            ("http://b:1", "b", 1, None),
            ("http://127.0.0.1:9000", "127.0.0.1", 9000, None),
            ("http://127.0.0.1:9000/", "127.0.0.1", 9000, Some("/")),
            ("http://[::1]", "::1", 80, None),
            ("http://[::1]:9000/base", "::1", 9000, Some("/base")),
            ("http://b.example/api/", "b.example", 80, Some("/api/")),
            ("http://b/a..b", "b", 80, Some("/a..b")),
        ] {
            let url: UpstreamUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.base()), (host, port, base), "{text}");
            assert_eq!(url.to_string(), text);
            assert_eq!(text.replace("http", "HTTP").parse(), Ok(url), "the scheme's case is free");
        }
    }

    #[test]
    fn only_the_url_of_a_backend_is_one() {
        for (bad, expected) in [
            ("", "http:// is missing"),
            ("127.0.0.1:9000", "http:// is missing"),
            ("https://b", "TLS to backends is not supported, put a TLS proxy between"),
            ("ftp://b", "does not begin with http://"),
            ("http://", "its host is missing"),
            ("http:///x", "its host is missing"),
            ("http://:80", "its host is missing"),
            ("http://b c", "its host has a character"),
            ("http://user:word@b", "it has a user or password"),
            ("http://b:", "its port is not a number from"),
            ("http://b:0", "its port is not a number from"),
            ("http://b:65536", "its port is not a number from"),
            ("http://b/?q", "it has a query"),
            ("http://b#f", "it has a query or a fragment"),
            ("http://b/../x", "its path has a `..`"),
            ("http://b/%2e%2E/x", "its path has a `..`"),
            ("http://b/a b", "its path has a character"),
        ] {
            let error = bad.parse::<UpstreamUrl>().expect_err(bad);
            assert!(error.contains(expected), "{bad}: {error}");
            assert!(error.ends_with("; write http://127.0.0.1:9000"), "{error}");
        }
    }

    #[test]
    fn a_host_policy_is_one_of_two_words_or_a_host() {
        for text in ["upstream", "client", "www.example.org", "www.example.org:8443", "[::1]:80"] {
            assert_eq!(text.parse::<HostPolicy>().unwrap().to_string(), text);
        }
        for text in ["", "a b", "user@host", "http://host", "host:", "host:0", "host:65536", ":80"] {
            assert!(text.parse::<HostPolicy>().is_err(), "{text}");
        }
    }
}
