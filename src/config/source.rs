//! Where a route's content comes from: a folder or a backend.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;

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
    /// `http://` with a host and maybe a port, without a path: requests keep theirs.
    pub upstream: Uri,
    /// Which `Host` the backend sees.
    pub host: HostPolicy,
    /// The longest wait for a connection. Default 5 s.
    pub connect_timeout: Duration,
    /// The longest wait for the response's head, after the request was sent. Default 60 s.
    pub response_timeout: Duration,
    /// The longest silence between two pieces of the response's body. Default 60 s.
    pub read_timeout: Duration,
    /// How many unused connections are kept for later requests. Default 32.
    pub idle_connections: usize,
    /// How long an unused connection is kept. Default 30 s.
    pub idle_connection_timeout: Duration,
    /// Whether `X-Accel-Limit-Rate` and `X-Accel-Buffering` from the backend count. Default: yes.
    pub honour_accel: bool,
}

impl ProxySource {
    /// The backend `upstream`, everything else by default.
    pub fn new(upstream: Uri) -> Self {
        Self {
            upstream,
            host: HostPolicy::Upstream,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            idle_connections: 32,
            idle_connection_timeout: Duration::from_secs(30),
            honour_accel: true,
        }
    }

    /// Reads the address of a backend: `http://HOST[:PORT]`.
    ///
    /// # Errors
    /// Another scheme, no host, user information, a path or a query. The text says which, and what to write.
    pub fn parse_upstream(text: &str) -> Result<Uri, String> {
        let shown = shorten(text);
        let bad = |why: &str| Err(format!("{shown:?} is not a backend: {why}; write http://127.0.0.1:9000"));
        let Ok(uri) = text.parse::<Uri>() else { return bad("it is not a URL") };
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return bad("TLS to backends is not supported"),
            Some(_) => return bad("it does not begin with http://"),
            None => return bad("http:// is missing"),
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if uri.host().is_none_or(str::is_empty) {
            return bad("it has no host");
        }
        if authority.contains('@') {
            return bad("it has a user or password in it");
        }
        // `http` takes "host:" and ports above 65535 as having none.
        let after_host = authority.rsplit_once(']').map_or(authority, |(_, port)| port);
        if after_host.contains(':') && uri.port_u16().is_none_or(|port| port == 0) {
            return bad("its port is not one of 1 to 65535");
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || text.contains('#') {
            return bad("it has a path, but requests keep the one they have");
        }
        Ok(uri)
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
    Literal(http::uri::Authority),
}

impl FromStr for HostPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "upstream" => Ok(Self::Upstream),
            "client" => Ok(Self::Client),
            name => match name.parse::<http::uri::Authority>() {
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
    fn only_the_address_of_a_backend_is_one() {
        for good in ["http://127.0.0.1:9000", "http://[::1]:9000/", "HTTP://backend.example"] {
            assert!(ProxySource::parse_upstream(good).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("", "it is not a URL"),
            ("http://", "it is not a URL"),
            ("http:///x", "it is not a URL"),
            ("127.0.0.1:9000", "http:// is missing"),
            ("backend", "http:// is missing"),
            ("https://backend", "TLS to backends is not supported"),
            ("ftp://backend", "does not begin with http://"),
            ("http://user:word@backend", "it has a user or password"),
            ("http://backend:0", "its port is not one of"),
            ("http://backend:99999", "its port is not one of"),
            ("http://backend:", "its port is not one of"),
            ("http://backend/api", "it has a path"),
            ("http://backend/?q", "it has a path"),
            ("http://backend/#f", "it has a path"),
        ] {
            let error = ProxySource::parse_upstream(bad).expect_err(bad);
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
