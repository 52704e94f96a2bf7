//! The URL that is probed: `http://` or `https://`, host, port, path and query.
//!
//! Pure.

use std::fmt;
use std::str::FromStr;

use crate::address::{AuthorityError, HttpUrl, UrlError};
use crate::excerpt::excerpt;

/// Characters of a bad URL that a message shows.
const SHOWN: usize = 60;

/// A URL to probe.
///
/// ```
/// use sluicegate::probe::target::Target;
///
/// let target: Target = "https://[::1]/a?b#c".parse()?;
/// assert_eq!((target.host(), target.port(), target.is_tls()), ("::1", 443, true));
/// assert_eq!((target.authority(), target.path()), ("[::1]", "/a?b"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: HttpUrl,
    /// Begins with `/`.
    path: String,
}

impl Target {
    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        self.url.host()
    }

    /// The TCP port; 80 or 443 if the URL names none.
    pub fn port(&self) -> u16 {
        self.url.port_or_default()
    }

    /// Whether the connection is TLS.
    pub fn is_tls(&self) -> bool {
        self.url.is_tls()
    }

    /// Host and port as they were written: the value of `Host`.
    pub fn authority(&self) -> &str {
        self.url.authority().as_str()
    }

    /// Path and query: the target of the request.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}{}", if self.is_tls() { "s" } else { "" }, self.authority(), self.path)
    }
}

caused_error! {
    /// Why a text is no URL to probe. Says what to write.
    TargetError {
        /// Whether it has a user or a password, which go into a header.
        has_credentials: credentials,
        /// Whether it begins with neither `http://` nor `https://`.
        is_scheme: scheme,
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// Reads a URL. The error says what is wrong with it and what to write.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let url = HttpUrl::parse(text).map_err(|error| {
            let (make, why): (fn(String) -> TargetError, _) = match error {
                UrlError::Authority(AuthorityError::User) => (
                    TargetError::credentials,
                    "it has a user or password in it; send them with --header 'Authorization: …'",
                ),
                UrlError::NoScheme | UrlError::Scheme => (TargetError::scheme, error.text()),
                error => (TargetError::other, error.text()),
            };
            make(format!(
                "{:?} is not a URL to probe: {why}; write http://127.0.0.1:8080/file",
                excerpt(text, SHOWN)
            ))
        })?;
        let path = match url.path_and_query() {
            None => "/".to_owned(),
            Some(query) if query.starts_with('?') => format!("/{query}"),
            Some(path) => path.to_owned(),
        };
        Ok(Self { url, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_host_port_and_request_target() {
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
    fn a_url_that_cannot_be_probed_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "http:// or https:// is missing"),
            ("127.0.0.1:8080/", "http:// or https:// is missing"),
            ("ftp://h/", "neither http:// nor https://"),
            ("http://", "is not a URL to probe"),
            ("http://:80/", "is not a URL to probe"),
            ("http://h:0/", "port"),
            ("http://h:/", "port"),
            ("http://h:65536/", "port"),
            ("http://u:p@h/", "user or password"),
            ("http://h/a b", "is not a URL to probe"),
            ("http://h/\r\nX: y", "is not a URL to probe"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert_eq!(error.has_credentials(), why.contains("user"), "{text:?}");
            assert_eq!(error.is_scheme(), why.contains("http"), "{text:?}");
            let error = error.to_string();
            assert!(error.contains(why) && error.contains("write http://"), "{text:?}: {error}");
        }
    }
}
