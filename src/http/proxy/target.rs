//! Maps a request's path onto the upstream's URL.

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

use super::failure::Refusal;
use super::url::{UpstreamUrl, climbs};

/// The target is `*` or an authority.
const NO_PATH: Refusal = Refusal::bad_request("The request's target is not a path.");
const CLIMBS: Refusal = Refusal::bad_request("The request's path has a \"..\" segment.");

/// The upstream's URI for a request for `uri`, of which `rest` is the path after the route's prefix, without the slash
/// between them.
///
/// nginx's rule for `proxy_pass`: a path in the upstream's URL, even `/`, replaces the route's prefix; without one the
/// path is passed on whole. The query is passed on, and nothing is decoded or re-encoded. Unlike nginx, which
/// concatenates, there is always one slash between base and rest: `/api/x` becomes `/base/x` also if the URL ends in
/// `/base`.
///
/// A path with a `..` segment in any spelling is refused: servers differ in what it means, and it could leave the base
/// or the route.
pub(super) fn map(upstream: &UpstreamUrl, rest: &str, uri: &Uri) -> Result<Uri, Refusal> {
    let path = uri.path();
    if !path.starts_with('/') {
        return Err(NO_PATH);
    }
    if climbs(path) {
        return Err(CLIMBS);
    }
    let mut mapped = match upstream.base() {
        None => path.to_owned(),
        Some(base) if rest.is_empty() => base.to_owned(),
        Some(base) => format!("{}/{rest}", base.strip_suffix('/').unwrap_or(base)),
    };
    if let Some(query) = uri.query() {
        mapped.push('?');
        mapped.push_str(query);
    }
    let path = PathAndQuery::try_from(mapped).map_err(|_| NO_PATH)?;
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(upstream.authority().clone())
        .path_and_query(path)
        .build()
        .map_err(|_| NO_PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(upstream: &str, rest: &str, target: &str) -> Result<String, Refusal> {
        let upstream: UpstreamUrl = upstream.parse().unwrap();
        map(&upstream, rest, &target.parse().unwrap()).map(|uri| uri.to_string())
    }

    #[test]
    fn a_path_in_the_url_replaces_the_prefix_and_without_one_paths_stay() {
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
    fn a_target_that_climbs_or_is_no_path_is_refused() {
        for target in [
            "/api/../x",
            "/api/..",
            "/api/%2e%2E/x",
            "/api/.%2e/x",
            "/api/..%2fx",
            "/api/x%5C..%5cy",
            "/..",
            "/api/..;/x",
            "/api/x/%2e.%3bv/y",
        ] {
            assert_eq!(mapped("http://b", "x", target), Err(CLIMBS), "{target}");
        }
        assert_eq!(mapped("http://b", "", "*"), Err(NO_PATH));
        assert!(mapped("http://b", "a..b/...", "/a..b/...").is_ok());
    }
}
