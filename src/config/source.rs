//! Where a route's content comes from: a folder or a backend.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use percent_encoding::percent_decode_str;

use super::error::{shorten, shorten_to};

/// Where a route's content comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A folder.
    Files(FilesSource),
    /// A backend.
    Proxy(ProxySource),
}

/// A folder of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesSource {
    /// The folder that stands at the route's path.
    pub root: PathBuf,
    /// The file that answers for a folder: `index.html`.
    pub index: String,
    /// Whether a folder without that file is listed. Default: no, it is 404.
    pub list: bool,
}

impl FilesSource {
    /// The folder `root` with the default index and without listings.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), index: "index.html".to_owned(), list: false }
    }

    /// Whether the root is there, is a folder, and can be read.
    ///
    /// # Errors
    /// The text says which it is not, and what to do.
    pub fn check_root(&self) -> Result<(), String> {
        let root = shorten_to(&self.root.display().to_string(), 300);
        match std::fs::read_dir(&self.root) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("there is no folder {root:?}; create it or correct the path")
                }
                std::io::ErrorKind::NotADirectory => {
                    format!("{root:?} is not a folder; give the folder it is in")
                }
                std::io::ErrorKind::PermissionDenied => {
                    format!("the folder {root:?} may not be read; change its permissions or the user")
                }
                _ => format!("the folder {root:?} cannot be read: {error}"),
            }),
        }
    }

    /// Whether `name` can be the name of an index file.
    ///
    /// # Errors
    /// The text says why not.
    pub fn check_index(name: &str) -> Result<(), String> {
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        if plain {
            Ok(())
        } else {
            Err(format!("{:?} is not a plain file name; write index.html", shorten(name)))
        }
    }
}

/// A backend that speaks HTTP/1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySource {
    /// Where requests go.
    pub upstream: UpstreamUrl,
    /// Which `Host` the backend sees.
    pub host: HostPolicy,
    /// The longest wait for a connection. Default 5 s.
    pub connect_timeout: Duration,
    /// The longest wait for the response's head, after the request was sent. Default 60 s.
    pub response_timeout: Duration,
    /// The longest silence between two pieces of the response's body. Default 60 s.
    pub read_timeout: Duration,
    /// How many unused connections are kept for later requests. Default 64.
    pub idle_connections: usize,
    /// How long an unused connection is kept. Default 4 s: below the 5 s after which Apache httpd and Node
    /// close theirs.
    pub idle_connection_timeout: Duration,
    /// Whether `X-Accel-Limit-Rate` and `X-Accel-Buffering` from the backend count. Default: yes.
    pub honour_accel: bool,
}

impl ProxySource {
    /// The backend `upstream`, everything else by default.
    pub fn new(upstream: UpstreamUrl) -> Self {
        Self {
            upstream,
            host: HostPolicy::Upstream,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            idle_connections: 64,
            idle_connection_timeout: Duration::from_secs(4),
            honour_accel: true,
        }
    }
}

/// The URL of a backend: `http://HOST[:PORT][/PATH]`.
///
/// Kept as it was written, because `http://b` and `http://b/` differ: a path, be it only `/`, takes the
/// place of the route's own; without one, paths pass whole. nginx's `proxy_pass` has the same rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl(String);

impl UpstreamUrl {
    /// The URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UpstreamUrl {
    type Err = String;

    /// Reads a URL; the error says what is wrong with it, and what to write.
    fn from_str(text: &str) -> Result<Self, String> {
        let shown = shorten(text);
        let bad = |why: &str| Err(format!("{shown:?} is not a backend: {why}; write http://127.0.0.1:9000"));
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                return bad("TLS to backends is not supported");
            }
            Some(_) => return bad("it does not begin with http://"),
            None => return bad("http:// is missing"),
        };
        if rest.contains(['?', '#']) {
            return bad("it has a query or a fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return bad("it has a user or password in it");
        }
        let Ok(parsed) = authority.parse::<Authority>() else { return bad("its host is not one") };
        if parsed.host().is_empty() {
            return bad("its host is missing");
        }
        // `http` reads "host:" and ports above 65535 as no port.
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        if has_port && parsed.port_u16().is_none_or(|port| port == 0) {
            return bad("its port is not one of 1 to 65535");
        }
        let decoded: Vec<u8> = percent_decode_str(path).collect();
        if decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b"..") {
            return bad("its path has a `..`");
        }
        if !path.is_empty() && PathAndQuery::try_from(path).is_err() {
            return bad("its path is not one");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Which `Host` field a backend sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    /// The backend's own: the host and port of its address. The default, as in nginx and Apache.
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
            name => match name.parse::<Authority>() {
                Ok(authority) if !name.contains('@') => Ok(Self::Literal(authority)),
                _ => Err(format!(
                    "{:?} is not a host; write \"upstream\", \"client\" or a name such as \"www.example.org\"",
                    shorten(name)
                )),
            },
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
    fn only_the_url_of_a_backend_is_one() {
        for good in [
            "http://b",
            "http://127.0.0.1:9000",
            "http://[::1]:9000/",
            "HTTP://b.example/api/",
            "http://b/a..b",
        ] {
            assert_eq!(good.parse::<UpstreamUrl>().map(|url| url.to_string()), Ok(good.to_owned()));
        }
        for (bad, expected) in [
            ("", "http:// is missing"),
            ("127.0.0.1:9000", "http:// is missing"),
            ("https://b", "TLS to backends is not supported"),
            ("ftp://b", "does not begin with http://"),
            ("http://", "its host is"),
            ("http:///x", "its host is"),
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
        }
    }

    #[test]
    fn a_host_policy_is_one_of_two_words_or_a_host() {
        for text in ["upstream", "client", "www.example.org", "www.example.org:8443"] {
            assert_eq!(text.parse::<HostPolicy>().unwrap().to_string(), text);
        }
        for text in ["", "a b", "user@host", "http://host"] {
            assert!(text.parse::<HostPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_root_must_be_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(FilesSource::new(folder.path()).check_root(), Ok(()));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(FilesSource::new(file).check_root().unwrap_err().contains("is not a folder"));
        assert!(
            FilesSource::new(folder.path().join("none"))
                .check_root()
                .unwrap_err()
                .contains("there is no folder")
        );
        assert!(FilesSource::new("nul\0").check_root().is_err());
    }
}
