//! Where a request goes: the upstream's URL, and how a path is mapped onto it.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use percent_encoding::percent_decode_str;

/// An upstream's URL, `http://host[:port][/path]`.
///
/// ```
/// use sluicegate::http::proxy::Upstream;
///
/// let upstream: Upstream = "http://127.0.0.1:9000".parse()?;
/// assert_eq!((upstream.host(), upstream.port()), ("127.0.0.1", 9000));
/// assert!("https://example.com".parse::<Upstream>().is_err());
/// # Ok::<(), sluicegate::http::proxy::UpstreamError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    authority: Authority,
    /// What takes the place of the route's prefix. `None`: the URL ends with the authority, and paths
    /// stay as they are. Invariant: begins with `/`.
    base: Option<String>,
}

impl Upstream {
    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The TCP port; 80 if the URL names none.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(80)
    }

    /// Host and port as the URL has them.
    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The URI to ask the upstream for when a client asks for `uri`, of which `rest` is the path behind
    /// the route's prefix, without the slash between them.
    ///
    /// nginx's rule for `proxy_pass`: where the upstream's URL has a path, and be it `/`, the prefix is
    /// replaced by it; else the path passes whole. The query passes, and nothing is decoded or encoded
    /// anew. Unlike nginx, which pastes letter for letter, one slash always stands between path and rest:
    /// `/api/x` is `/base/x` also where the URL ends in `/base`.
    ///
    /// A path that climbs (`..` in whatever spelling) is refused: what it means differs from server
    /// to server, and it could leave the base or the route.
    pub(super) fn map(&self, rest: &str, uri: &Uri) -> Result<Uri, Unmappable> {
        let path = uri.path();
        if !path.starts_with('/') {
            return Err(Unmappable::NoPath);
        }
        if climbs(path) {
            return Err(Unmappable::Climbs);
        }
        let mut mapped = match &self.base {
            None => path.to_owned(),
            Some(base) if rest.is_empty() => base.clone(),
            Some(base) => format!("{}/{rest}", base.strip_suffix('/').unwrap_or(base)),
        };
        if let Some(query) = uri.query() {
            mapped.push('?');
            mapped.push_str(query);
        }
        let path = PathAndQuery::try_from(mapped).map_err(|_| Unmappable::NoPath)?;
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| Unmappable::NoPath)
    }
}

/// Why a request has no place at the upstream. The client's fault: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmappable {
    /// The target is not a path: `*`, or an authority.
    NoPath,
    /// The path has a `..` segment.
    Climbs,
}

/// Whether a segment is `..`, also when dots or slashes are percent-encoded or slashes lean back.
fn climbs(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b"..")
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let behind_scheme = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => return Err(UpstreamError::Tls),
            _ => return Err(UpstreamError::NoScheme),
        };
        if behind_scheme.contains(['?', '#']) {
            return Err(UpstreamError::Query);
        }
        let (authority, base) = match behind_scheme.find('/') {
            Some(at) => (&behind_scheme[..at], Some(&behind_scheme[at..])),
            None => (behind_scheme, None),
        };
        if authority.contains('@') {
            return Err(UpstreamError::UserInfo);
        }
        let unreadable = || UpstreamError::Unreadable;
        let parsed: Authority = authority.parse().map_err(|_| unreadable())?;
        // `host:` and a port that is no u16 parse as an authority.
        let port = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        if parsed.host().is_empty() || port.is_some() && parsed.port_u16().is_none_or(|port| port == 0) {
            return Err(unreadable());
        }
        if let Some(base) = base {
            PathAndQuery::try_from(base).map_err(|_| unreadable())?;
            if climbs(base) {
                return Err(unreadable());
            }
        }
        Ok(Self { authority: parsed, base: base.map(str::to_owned) })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base.as_deref().unwrap_or_default())
    }
}

/// Why a text is no upstream's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamError {
    /// It does not begin with `http://`.
    NoScheme,
    /// It begins with `https://`.
    Tls,
    /// It has a user name.
    UserInfo,
    /// It has a query or a fragment.
    Query,
    /// Host, port or path cannot be read.
    Unreadable,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme => "an upstream is written http://host:port or http://host:port/path",
            Self::Tls => "upstreams are spoken to over http:// only; put a TLS proxy between for https",
            Self::UserInfo => "an upstream's URL has no user name or password",
            Self::Query => "an upstream's URL has no query and no fragment",
            Self::Unreadable => "the host, port or path is not a valid one; write http://host:port/path",
        })
    }
}

impl std::error::Error for UpstreamError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(upstream: &str, rest: &str, target: &str) -> Result<String, Unmappable> {
        let upstream: Upstream = upstream.parse().unwrap();
        upstream.map(rest, &target.parse().unwrap()).map(|uri| uri.to_string())
    }

    #[test]
    fn a_path_in_the_url_takes_the_prefixs_place_and_without_one_paths_stay() {
        for (upstream, rest, target, expected) in [
            ("http://b:9000", "", "/", "http://b:9000/"),
            ("http://b:9000", "x", "/api/x?y=1", "http://b:9000/api/x?y=1"),
            ("http://b", "-", "/api/a%2Fb//c/./d%20e", "http://b/api/a%2Fb//c/./d%20e"),
            ("http://b:9000/", "x/y", "/api/x/y", "http://b:9000/x/y"),
            ("http://b:9000/base/", "x", "/api/x?y=/../z", "http://b:9000/base/x?y=/../z"),
            ("http://b:9000/base", "x", "/api/x", "http://b:9000/base/x"),
            ("http://b:9000/base/", "x", "/x", "http://b:9000/base/x"),
            ("http://b:9000/base/", "", "/api/", "http://b:9000/base/"),
            ("http://b:9000/base", "", "/exact?q", "http://b:9000/base?q"),
            ("http://b:9000/base/", "/x", "/api//x", "http://b:9000/base//x"),
            ("http://b:9000/base/", "x%2Fy%7e", "/api/x%2Fy%7e", "http://b:9000/base/x%2Fy%7e"),
            // An absolute target: its authority is not the upstream's.
            ("http://b:9000/base/", "x", "http://other/api/x", "http://b:9000/base/x"),
            ("http://[::1]:9000", "x", "/x", "http://[::1]:9000/x"),
            ("http://b", "", "/?", "http://b/?"),
        ] {
            assert_eq!(mapped(upstream, rest, target), Ok(expected.into()), "{upstream} {target}");
        }
    }

    #[test]
    fn what_climbs_or_is_no_path_is_refused() {
        for target in
            ["/api/../x", "/api/..", "/api/%2e%2E/x", "/api/.%2e/x", "/api/..%2fx", "/api/x%5C..%5cy", "/.."]
        {
            assert_eq!(mapped("http://b", "x", target), Err(Unmappable::Climbs), "{target}");
        }
        assert_eq!(mapped("http://b", "", "*"), Err(Unmappable::NoPath));
        assert!(mapped("http://b", "a..b/...", "/a..b/...").is_ok());
    }

    #[test]
    fn urls_are_read_and_printed_back() {
        for url in ["http://b", "http://b:1", "http://127.0.0.1:9000/", "http://[::1]:9000/base"] {
            assert_eq!(url.parse::<Upstream>().unwrap().to_string(), url);
        }
        let upstream: Upstream = "http://[::1]".parse().unwrap();
        assert_eq!((upstream.host(), upstream.port()), ("::1", 80));
    }

    #[test]
    fn bad_urls_say_what_is_wrong() {
        for (url, error) in [
            ("127.0.0.1:9000", UpstreamError::NoScheme),
            ("ftp://b", UpstreamError::NoScheme),
            ("", UpstreamError::NoScheme),
            ("https://b", UpstreamError::Tls),
            ("http://u:p@b", UpstreamError::UserInfo),
            ("http://b/x?y", UpstreamError::Query),
            ("http://b#f", UpstreamError::Query),
            ("http://", UpstreamError::Unreadable),
            ("http:///x", UpstreamError::Unreadable),
            ("http://b:", UpstreamError::Unreadable),
            ("http://b:0", UpstreamError::Unreadable),
            ("http://b:65536", UpstreamError::Unreadable),
            ("http://b c", UpstreamError::Unreadable),
            ("http://b/../x", UpstreamError::Unreadable),
        ] {
            assert_eq!(url.parse::<Upstream>(), Err(error), "{url}");
        }
    }
}
