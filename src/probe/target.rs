//! The URL that is asked: `http://` or `https://`, host, port, path and query.
//!
//! Pure.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::excerpt::excerpt;

/// Characters of a bad URL that a message shows.
const SHOWN: usize = 60;

/// A URL that can be asked.
///
/// ```
/// use sluicegate::probe::target::Target;
///
/// let target: Target = "https://[::1]/a?b#c".parse()?;
/// assert_eq!((target.host(), target.port(), target.is_tls()), ("::1", 443, true));
/// assert_eq!((target.authority(), target.path()), ("[::1]", "/a?b"));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    tls: bool,
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port; 80 or 443 if the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host and port as they were written: the value of `Host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query, as a request has them.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}{}", if self.tls { "s" } else { "" }, self.authority, self.path)
    }
}

impl FromStr for Target {
    type Err = String;

    /// Reads a URL; the error says what is wrong with it, and what to write.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            format!("{:?} cannot be asked: {why}; write http://127.0.0.1:8080/file", excerpt(text, SHOWN))
        };
        if !text.contains("://") {
            return Err(bad("http:// or https:// is missing"));
        }
        let uri: Uri = text.parse().map_err(|error| bad(&format!("{error}")))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("it begins with neither http:// nor https://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("its host is missing"))?.as_str();
        if authority.contains('@') {
            return Err(bad("it has a user or password in it, which --header 'Authorization: …' can say"));
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(bad("its host is missing"));
        }
        // `http` reads "host:" and ports above 65535 as no port.
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let port = match uri.port_u16() {
            Some(port) if port > 0 => port,
            None if !has_port => {
                if tls {
                    443
                } else {
                    80
                }
            }
            _ => return Err(bad("its port is not one of 1 to 65535")),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
        Ok(Self { tls, authority: authority.to_owned(), host: host.to_owned(), port, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_whom_to_ask_for_what() {
        for (text, host, port, path) in [
            ("http://h", "h", 80, "/"),
            ("http://h:81/a/b?c=d", "h", 81, "/a/b?c=d"),
            ("https://h/", "h", 443, "/"),
            ("HTTP://h?q", "h", 80, "/?q"),
            ("http://[::1]:8080/x#part", "::1", 8080, "/x"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.host(), target.port(), target.path()), (host, port, path), "{text}");
        }
        assert_eq!("http://h".parse::<Target>().unwrap().to_string(), "http://h/");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "is missing"),
            ("127.0.0.1:8080/", "http:// or https:// is missing"),
            ("ftp://h/", "neither http:// nor https://"),
            ("http://", "cannot be asked"),
            ("http://:80/", "cannot be asked"),
            ("http://h:0/", "port"),
            ("http://h:/", "port"),
            ("http://h:65536/", "port"),
            ("http://u:p@h/", "user or password"),
            ("http://h/a b", "cannot be asked"),
            ("http://h/\r\nX: y", "cannot be asked"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(why) && error.contains("write http://"), "{text:?}: {error}");
        }
    }
}
