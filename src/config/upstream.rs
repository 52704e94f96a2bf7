//! The address of a backend, and the host it is told.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, PathAndQuery};
use percent_encoding::percent_decode_str;

use super::error::shorten;

/// The URL of a backend: `http://HOST[:PORT][/PATH]`.
///
/// `http://b` and `http://b/` differ: a path, be it only `/`, takes the place of the route's own; without
/// one, paths pass whole. nginx's `proxy_pass` has the same rule.
///
/// ```
/// use sluicegate::config::UpstreamUrl;
///
/// let url: UpstreamUrl = "http://127.0.0.1:9000/base".parse()?;
/// assert_eq!((url.host(), url.port(), url.base()), ("127.0.0.1", 9000, Some("/base")));
/// assert!("https://example.com".parse::<UpstreamUrl>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    authority: Authority,
    /// Invariant: begins with `/`, and does not climb.
    base: Option<String>,
}

impl UpstreamUrl {
    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The TCP port; 80 if the URL names none.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(80)
    }

    /// What stands for one that could not be read, in a configuration that is not used.
    pub(super) fn unknown() -> Self {
        Self { authority: Authority::from_static("unknown.invalid"), base: None }
    }

    /// Host and port as they were written.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The path, which takes the place of the route's; `None` if the URL ends before it.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base().unwrap_or_default())
    }
}

impl FromStr for UpstreamUrl {
    type Err = String;

    /// Reads a URL; the error says what is wrong with it, and what to write.
    fn from_str(text: &str) -> Result<Self, String> {
        let shown = shorten(text);
        let bad = |why: &str| format!("{shown:?} is not a backend: {why}; write http://127.0.0.1:9000");
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                return Err(bad("TLS to backends is not supported, put a TLS proxy between"));
            }
            Some(_) => return Err(bad("it does not begin with http://")),
            None => return Err(bad("http:// is missing")),
        };
        if rest.contains(['?', '#']) {
            return Err(bad("it has a query or a fragment"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = read_authority(authority).map_err(|fault| {
            bad(match fault {
                AuthorityFault::User => "it has a user or password in it",
                AuthorityFault::NotOne => "its host is not one",
                AuthorityFault::NoHost => "its host is missing",
                AuthorityFault::Port => "its port is not one of 1 to 65535",
            })
        })?;
        if climbs(path) {
            return Err(bad("its path has a `..`"));
        }
        if !path.is_empty() && PathAndQuery::try_from(path).is_err() {
            return Err(bad("its path is not one"));
        }
        Ok(Self { authority, base: Some(path.to_owned()).filter(|path| !path.is_empty()) })
    }
}

/// Why a text is not a host with or without a port.
enum AuthorityFault {
    User,
    NotOne,
    NoHost,
    Port,
}

fn read_authority(text: &str) -> Result<Authority, AuthorityFault> {
    if text.contains('@') {
        return Err(AuthorityFault::User);
    }
    if text.is_empty() {
        return Err(AuthorityFault::NoHost);
    }
    let parsed: Authority = text.parse().map_err(|_| AuthorityFault::NotOne)?;
    if parsed.host().is_empty() {
        return Err(AuthorityFault::NoHost);
    }
    // `http` reads "host:" and ports above 65535 as no port.
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port && parsed.port_u16().is_none_or(|port| port == 0) {
        return Err(AuthorityFault::Port);
    }
    Ok(parsed)
}

/// Whether a segment of a path is `..`, also when dots or slashes are percent-encoded or slashes lean back.
pub(crate) fn climbs(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b"..")
}

/// Which `Host` field a backend sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    /// The backend's own: the host and port of its address. The default, as in nginx and Apache httpd.
    /// The client's is in `Forwarded` and `X-Forwarded-Host`.
    #[default]
    Upstream,
    /// What the client sent.
    Client,
    /// Always this.
    Literal(Authority),
}

impl FromStr for HostPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "upstream" => Ok(Self::Upstream),
            "client" => Ok(Self::Client),
            name => read_authority(name).map(Self::Literal).map_err(|_| {
                format!(
                    "{:?} is not a host; write \"upstream\", \"client\" or a name such as \"www.example.org\"",
                    shorten(name)
                )
            }),
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
            assert_eq!(text.replace("http", "HTTP").parse(), Ok(url), "the scheme's letters may be large");
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
            ("http://b c", "its host is not one"),
            ("http://user:word@b", "it has a user or password"),
            ("http://b:", "its port is not one of"),
            ("http://b:0", "its port is not one of"),
            ("http://b:65536", "its port is not one of"),
            ("http://b/?q", "it has a query"),
            ("http://b#f", "it has a query or a fragment"),
            ("http://b/../x", "its path has a `..`"),
            ("http://b/%2e%2E/x", "its path has a `..`"),
            ("http://b/a b", "its path is not one"),
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
