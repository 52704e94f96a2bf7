//! URLs of servers that are connected to: `http://HOST[:PORT][/PATH][?QUERY]`, and the same with `https`.

use std::fmt;

use http::uri::{Authority, PathAndQuery};

use super::{AuthorityError, AuthorityParts};

/// A URL of scheme `http` or `https` (RFC 9110, section 4.2) without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpUrl {
    is_tls: bool,
    authority: Authority,
    /// `None` if the URL ends with its authority; else begins with `/` or `?`.
    path: Option<String>,
}

/// Why a text is not an [`HttpUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    /// There is no `://`.
    NoScheme,
    /// It has another scheme than `http` and `https`.
    Scheme,
    /// Host and port are wrong.
    Authority(AuthorityError),
    /// Path or query have a character that cannot be in them.
    Path,
}

impl UrlError {
    /// What is wrong, for a message: a clause about the URL without a full stop.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoScheme => "http:// or https:// is missing",
            Self::Scheme => "it begins with neither http:// nor https://",
            Self::Authority(AuthorityError::User) => "it has a user or password in it",
            Self::Authority(AuthorityError::NoHost) => "its host is missing",
            Self::Authority(AuthorityError::BadHost) => "its host has a character that no host has",
            Self::Authority(AuthorityError::BadPort) => "its port is not a number from 1 to 65535",
            Self::Path => "its path has a character that must be percent-encoded",
        }
    }
}

impl HttpUrl {
    /// Reads `text`. The scheme's case does not matter; a fragment is left out, as no server is sent one.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        let is_tls = scheme.eq_ignore_ascii_case("https");
        if !is_tls && !scheme.eq_ignore_ascii_case("http") {
            return Err(UrlError::Scheme);
        }
        let rest = rest.split_once('#').map_or(rest, |(before, _fragment)| before);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        AuthorityParts::numbered(authority).map_err(UrlError::Authority)?;
        let authority =
            Authority::try_from(authority).map_err(|_| UrlError::Authority(AuthorityError::BadHost))?;
        if !path.is_empty() && PathAndQuery::try_from(path).is_err() {
            return Err(UrlError::Path);
        }
        Ok(Self { is_tls, authority, path: Some(path.to_owned()).filter(|path| !path.is_empty()) })
    }

    /// `http://` and this authority.
    pub(crate) fn of_authority(authority: Authority) -> Self {
        Self { is_tls: false, authority, path: None }
    }

    /// Whether the scheme is `https`.
    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Host and port as they were written.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host name or address, without brackets.
    pub(crate) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The TCP port, if one is written.
    pub(crate) fn port(&self) -> Option<u16> {
        self.authority.port_u16()
    }

    /// The TCP port: 80 or 443 if none is written.
    pub(crate) fn port_or_default(&self) -> u16 {
        self.port().unwrap_or(if self.is_tls { 443 } else { 80 })
    }

    /// Path and query as they were written: begins with `/` or `?`. `None` if the URL ends with its authority.
    pub(crate) fn path_and_query(&self) -> Option<&str> {
        self.path.as_deref()
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_printed_back() {
        for (text, is_tls, host, port, path) in [
            ("http://b", false, "b", 80, None),
            ("http://127.0.0.1:9000/", false, "127.0.0.1", 9000, Some("/")),
            ("https://[::1]/a?b", true, "::1", 443, Some("/a?b")),
            ("https://[::1]:1?b/c", true, "::1", 1, Some("?b/c")),
        ] {
            let url = HttpUrl::parse(text).unwrap();
            let found = (url.is_tls(), url.host(), url.port_or_default(), url.path_and_query());
            assert_eq!(found, (is_tls, host, port, path), "{text}");
            assert_eq!(url.to_string(), text);
            assert_eq!(
                HttpUrl::parse(&text.replace("http", "HTTP")),
                Ok(url.clone()),
                "the scheme's case is free"
            );
            assert_eq!(HttpUrl::parse(&format!("{text}#a/b")), Ok(url), "a fragment is left out");
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        for (text, expected) in [
            ("", UrlError::NoScheme),
            ("127.0.0.1:9000", UrlError::NoScheme),
            ("ftp://h", UrlError::Scheme),
            ("http://", UrlError::Authority(AuthorityError::NoHost)),
            ("http:///x", UrlError::Authority(AuthorityError::NoHost)),
            ("http://a b", UrlError::Authority(AuthorityError::BadHost)),
            ("http://u@h/", UrlError::Authority(AuthorityError::User)),
            ("http://h:/", UrlError::Authority(AuthorityError::BadPort)),
            ("http://h/a b", UrlError::Path),
            ("http://h/\r\nX: y", UrlError::Path),
        ] {
            assert_eq!(HttpUrl::parse(text), Err(expected), "{text:?}");
        }
    }
}
