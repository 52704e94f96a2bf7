//! Where a backend is: a URL or a Unix socket; and the `Host` that is sent to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::uri::Authority;
use percent_encoding::percent_decode_str;

use crate::address::{AuthorityError, AuthorityParts, HttpUrl, MAX_UNIX_PATH_LEN, UrlError};
use crate::excerpt::excerpt;

/// Characters of a text that is refused, in the message that refuses it.
const SHOWN: usize = 60;

/// Where a backend is: `http://HOST[:PORT][/PATH]`, `https://HOST[:PORT][/PATH]` or `unix:SOCKET[:/PATH]`.
///
/// `http://b` and `http://b/` differ: a path, even `/`, replaces the route's own; without one, the request's path is
/// passed on whole. nginx's `proxy_pass` has the same rule, and the same way to write a path behind a socket.
///
/// ```
/// use sluicegate::http::proxy::UpstreamUrl;
///
/// let url: UpstreamUrl = "http://127.0.0.1:9000/base".parse()?;
/// assert_eq!((url.host(), url.port(), url.base()), ("127.0.0.1", 9000, Some("/base")));
/// let url: UpstreamUrl = "unix:/run/app.sock".parse()?;
/// assert_eq!((url.socket().and_then(|path| path.to_str()), url.host()), (Some("/run/app.sock"), "localhost"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Invariant: without a query, and no segment of the path is `..`.
    Url(HttpUrl),
    /// Invariant: the socket's path can be connected to, and the base is as the path of a URL.
    Unix { socket: PathBuf, base: Option<String>, authority: Authority },
}

impl UpstreamUrl {
    /// The host name or address, without brackets; `localhost` of a Unix socket.
    pub fn host(&self) -> &str {
        match &self.0 {
            Place::Url(url) => url.host(),
            Place::Unix { authority, .. } => authority.host(),
        }
    }

    /// The TCP port; 80 or 443 if the URL names none.
    pub fn port(&self) -> u16 {
        match &self.0 {
            Place::Url(url) => url.port_or_default(),
            Place::Unix { .. } => 80,
        }
    }

    /// The path of the Unix socket, if it is one.
    pub fn socket(&self) -> Option<&Path> {
        match &self.0 {
            Place::Url(_) => None,
            Place::Unix { socket, .. } => Some(socket),
        }
    }

    /// Whether it is connected to over TLS.
    pub fn is_tls(&self) -> bool {
        matches!(&self.0, Place::Url(url) if url.is_tls())
    }

    /// A placeholder for a URL that could not be read, in a configuration that is refused.
    pub(crate) fn unknown() -> Self {
        Self(Place::Url(HttpUrl::of_authority(Authority::from_static("unknown.invalid"))))
    }

    /// Host and port as they were written; `localhost` of a Unix socket, as in nginx.
    pub fn authority(&self) -> &Authority {
        match &self.0 {
            Place::Url(url) => url.authority(),
            Place::Unix { authority, .. } => authority,
        }
    }

    /// The path, which replaces the route's; `None` if there is none.
    pub fn base(&self) -> Option<&str> {
        match &self.0 {
            Place::Url(url) => url.path_and_query(),
            Place::Unix { base, .. } => base.as_deref(),
        }
    }

    /// Joins the path of a relative Unix socket to `folder`; others stay as they are.
    #[must_use]
    pub(crate) fn relative_to(self, folder: &Path) -> Self {
        match self.0 {
            Place::Unix { socket, base, authority } => {
                Self(Place::Unix { socket: folder.join(socket), base, authority })
            }
            url => Self(url),
        }
    }

    fn parse_unix(text: &str) -> Result<Self, Fault> {
        let (socket, base) = match text.find(":/") {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        match socket.len() {
            0 => return Err(Fault::Socket("the path of its socket is missing")),
            _ if socket.contains('\0') => {
                return Err(Fault::Socket("the path of its socket has a NUL in it"));
            }
            len if len > MAX_UNIX_PATH_LEN => {
                return Err(Fault::Socket("the path of its socket is longer than 107 bytes"));
            }
            _ => {}
        }
        if let Some(base) = base {
            if base.contains(['?', '#']) {
                return Err(Fault::Query);
            }
            HttpUrl::parse(&format!("http://localhost{base}")).map_err(Fault::Url)?;
            if climbs(base) {
                return Err(Fault::Climbs);
            }
        }
        let (socket, base) = (PathBuf::from(socket), base.map(str::to_owned));
        Ok(Self(Place::Unix { socket, base, authority: Authority::from_static("localhost") }))
    }

    fn parse_url(text: &str) -> Result<Self, Fault> {
        let url = HttpUrl::parse(text).map_err(Fault::Url)?;
        if text.contains(['?', '#']) {
            return Err(Fault::Query);
        }
        if url.path_and_query().is_some_and(climbs) {
            return Err(Fault::Climbs);
        }
        Ok(Self(Place::Url(url)))
    }
}

caused_error! {
    /// Why a text is no backend. Says what to write.
    UpstreamUrlError {
        /// Whether it begins with none of `http://`, `https://` and `unix:`.
        is_scheme: scheme,
        /// Whether it has a user or a password: a header can be set for these.
        has_credentials: credentials,
        /// Whether it has a query or a fragment: the request's query is passed on.
        has_query: query,
        /// Whether its path has a `..`.
        climbs: climbing,
        /// Whether it is a Unix socket that cannot be connected to.
        is_socket: socket,
    }
}

/// What is wrong with a backend, without its text.
enum Fault {
    Url(UrlError),
    Query,
    Climbs,
    /// What is wrong with the path of a socket.
    Socket(&'static str),
}

impl Fault {
    fn of(self, text: &str) -> UpstreamUrlError {
        let (make, why): (fn(String) -> UpstreamUrlError, _) = match self {
            Self::Url(UrlError::NoScheme) => {
                (UpstreamUrlError::scheme, "http://, https:// or unix: is missing")
            }
            Self::Url(UrlError::Scheme) => {
                (UpstreamUrlError::scheme, "it begins with none of http://, https:// and unix:")
            }
            Self::Url(error @ UrlError::Authority(AuthorityError::User)) => {
                (UpstreamUrlError::credentials, error.text())
            }
            Self::Url(error) => (UpstreamUrlError::other, error.text()),
            Self::Query => (UpstreamUrlError::query, "it has a query or a fragment"),
            Self::Climbs => (UpstreamUrlError::climbing, "its path has a `..`"),
            Self::Socket(why) => (UpstreamUrlError::socket, why),
        };
        make(format!("{:?} is not a backend: {why}; write http://127.0.0.1:9000", excerpt(text, SHOWN)))
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Url(url) => url.fmt(f),
            Place::Unix { socket, base: None, .. } => write!(f, "unix:{}", socket.display()),
            Place::Unix { socket, base: Some(base), .. } => write!(f, "unix:{}:{base}", socket.display()),
        }
    }
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    /// Reads a URL. The error says what is wrong with it and what to write.
    fn from_str(text: &str) -> Result<Self, UpstreamUrlError> {
        let read = match text.strip_prefix("unix:") {
            Some(rest) => Self::parse_unix(rest),
            None => Self::parse_url(text),
        };
        read.map_err(|fault| fault.of(text))
    }
}

/// Whether a segment of a path is `..`. Percent-encoded dots and slashes count, so do backslashes as slashes, and so does
/// `..;`, in which servlet containers drop what follows the dots.
pub(crate) fn climbs(path: &str) -> bool {
    let is_up = |segment: &[u8]| matches!(segment, b".." | [b'.', b'.', b';', ..]);
    if !path.contains(['%', '\\']) {
        return path.split('/').any(|segment| is_up(segment.as_bytes()));
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(is_up)
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

text_error! {
    /// Why a text says no `Host` that is sent to a backend. Says what to write.
    HostPolicyError
}

impl FromStr for HostPolicy {
    type Err = HostPolicyError;

    fn from_str(text: &str) -> Result<Self, HostPolicyError> {
        match text {
            "upstream" => Ok(Self::Upstream),
            "client" => Ok(Self::Client),
            name => {
                let host = AuthorityParts::numbered(name)
                    .and_then(|_| name.parse().map_err(|_| AuthorityError::BadHost));
                host.map(Self::Literal).map_err(|_| {
                    HostPolicyError(format!(
                        "{:?} is not a host; write \"upstream\", \"client\" or a name such as \"www.example.org\"",
                        excerpt(name, SHOWN)
                    ))
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
    fn a_socket_may_have_a_path_behind_it_and_is_asked_for_localhost() {
        let longest = format!("unix:/{}", "a".repeat(106));
        for (text, socket, base) in [
            ("unix:/run/app.sock", "/run/app.sock", None),
            ("unix:app.sock", "app.sock", None),
            ("unix:/run/a:b.sock:/", "/run/a:b.sock", Some("/")),
            ("unix:/run/app.sock:/base/", "/run/app.sock", Some("/base/")),
            (&longest, &longest[5..], None),
        ] {
            let url: UpstreamUrl = text.parse().unwrap();
            assert_eq!((url.socket(), url.base()), (Some(Path::new(socket)), base), "{text}");
            assert_eq!((url.authority().as_str(), url.is_tls()), ("localhost", false), "{text}");
            assert_eq!(url.to_string(), text);
        }
        assert!(format!("{longest}a").parse::<UpstreamUrl>().is_err());
        let relative: UpstreamUrl = "unix:app.sock:/x".parse().unwrap();
        assert_eq!(relative.relative_to(Path::new("/etc")).to_string(), "unix:/etc/app.sock:/x");
    }

    #[test]
    fn https_has_a_port_of_its_own() {
        let url: UpstreamUrl = "https://b/x".parse().unwrap();
        assert_eq!((url.is_tls(), url.port(), url.socket()), (true, 443, None));
    }

    #[test]
    fn only_the_url_of_a_backend_is_one() {
        for (bad, expected) in [
            ("", "unix: is missing"),
            ("127.0.0.1:9000", "http://, https:// or unix: is missing"),
            ("unix:", "the path of its socket is missing"),
            ("unix::/base", "the path of its socket is missing"),
            ("unix:a\0", "the path of its socket has a NUL in it"),
            ("unix:/a:/b/../c", "its path has a `..`"),
            ("unix:/a:/b?c", "it has a query"),
            ("unix:/a:/b c", "its path has a character"),
            ("ftp://b", "it begins with none of http://, https:// and unix:"),
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
            let text = error.to_string();
            assert!(text.contains(expected), "{bad}: {text}");
            assert!(text.ends_with("; write http://127.0.0.1:9000"), "{text}");
        }
    }

    #[test]
    fn an_error_tells_the_causes_apart() {
        let causes: [fn(&UpstreamUrlError) -> bool; 5] = [
            UpstreamUrlError::is_scheme,
            UpstreamUrlError::has_credentials,
            UpstreamUrlError::has_query,
            UpstreamUrlError::climbs,
            UpstreamUrlError::is_socket,
        ];
        for (bad, expected) in [
            ("b:9000", Some(0)),
            ("ftp://b", Some(0)),
            ("http://user:word@b", Some(1)),
            ("http://b/?q", Some(2)),
            ("unix:/a:/b?c", Some(2)),
            ("http://b/../x", Some(3)),
            ("unix:/a:/b/../c", Some(3)),
            ("unix:", Some(4)),
            ("unix:a\0", Some(4)),
            ("http://b:0", None),
        ] {
            let error = bad.parse::<UpstreamUrl>().expect_err(bad);
            assert_eq!(causes.iter().position(|is| is(&error)), expected, "{bad}");
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
