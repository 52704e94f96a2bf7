//! The reverse of `target`: rewrites URLs of the upstream in response fields to paths of the route.

use http::header::{CONTENT_LOCATION, Entry, HeaderMap, HeaderName, HeaderValue, LOCATION, REFRESH};
use http::uri::Authority;

use super::url::{HostPolicy, UpstreamUrl, climbs};

/// What makes an origin the upstream's own.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    /// The upstream that answered.
    pub(super) upstream: &'a UpstreamUrl,
    pub(super) host: &'a HostPolicy,
}

/// Rewrites the upstream's own origin in `Location`, `Content-Location` and `Refresh` to the route at `route`, like
/// nginx's `proxy_redirect default`. Other values stay as they are.
///
/// The result is a path without an origin, which the client resolves against the URL it requested.
pub(super) fn map_back(fields: &mut HeaderMap, own: Own<'_>, route: &str) {
    for name in [LOCATION, CONTENT_LOCATION] {
        map_each(fields, &name, |value| mapped(value, own, route));
    }
    map_each(fields, &REFRESH, |value| {
        let at = value.windows(4).position(|word| word.eq_ignore_ascii_case(b"url="))? + 4;
        let at = at + value[at..].iter().take_while(|byte| matches!(byte, b'"' | b'\'')).count();
        Some([&value[..at], &mapped(&value[at..], own, route)?].concat())
    });
}

fn map_each(fields: &mut HeaderMap, name: &HeaderName, map: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    // `try_entry` reserves space even for a field that is absent.
    if fields.contains_key(name)
        && let Ok(Entry::Occupied(mut entry)) = fields.try_entry(name)
    {
        for value in entry.iter_mut() {
            if let Some(mapped) = map(value.as_bytes()).and_then(|value| HeaderValue::from_bytes(&value).ok())
            {
                *value = mapped;
            }
        }
    }
}

/// The route's path for `reference`; `None` if that is not a URL of the upstream below its base.
fn mapped(reference: &[u8], own: Own<'_>, route: &str) -> Option<Vec<u8>> {
    let scheme_of_it: &[u8] = if own.upstream.is_tls() { b"https:" } else { b"http:" };
    // Browsers remove tabs before they parse a URL: leave such a value alone.
    if reference.contains(&b'\t') {
        return None;
    }
    let rest = match reference.get(..scheme_of_it.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(scheme_of_it) => &reference[scheme_of_it.len()..],
        _ => reference,
    };
    let rest = rest.strip_prefix(b"//")?;
    let authority_end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_end);
    if !is_own(&Authority::try_from(authority).ok()?, own) {
        return None;
    }
    let path_end = rest.iter().position(|byte| b"?#".contains(byte)).unwrap_or(rest.len());
    let (path, behind) = rest.split_at(path_end);
    let path = if path.is_empty() { b"/" } else { path };
    let (prefix, path) = match own.upstream.base() {
        None => ("", path),
        Some(base) => {
            let below = path.strip_prefix(base.strip_suffix('/').unwrap_or(base).as_bytes())?;
            let is_below = below.is_empty() || below.starts_with(b"/");
            if !is_below || std::str::from_utf8(path).is_ok_and(climbs) {
                return None;
            }
            (route.strip_suffix('/').unwrap_or(route), below)
        }
    };
    let mut mapped = [prefix.as_bytes(), path].concat();
    if mapped.is_empty() {
        mapped.push(b'/');
    }
    // Two slashes would begin an authority, and browsers read a backslash as a slash.
    if matches!(mapped.get(1), Some(b'/' | b'\\')) {
        mapped.splice(..0, *b"/.");
    }
    mapped.extend_from_slice(behind);
    Some(mapped)
}

/// Whether `authority` is the upstream's own: that of its URL, or the `Host` it is sent.
fn is_own(authority: &Authority, upstream: Own<'_>) -> bool {
    let Own { upstream, host } = upstream;
    let literal = match host {
        HostPolicy::Literal(name) => Some(name),
        HostPolicy::Upstream | HostPolicy::Client => None,
    };
    let port = |of: &Authority| of.port_u16().unwrap_or(if upstream.is_tls() { 443 } else { 80 });
    let is_same =
        |own: &Authority| own.host().eq_ignore_ascii_case(authority.host()) && port(own) == port(authority);
    // With a user name or an empty port it is not one that this server would produce.
    let plain = !authority.as_str().contains('@') && !authority.as_str().ends_with(':');
    plain && (is_same(upstream.authority()) || literal.is_some_and(is_same))
}

#[cfg(test)]
mod tests {
    use super::super::ProxySource;
    use super::*;

    fn mapped(reference: &[u8], source: &ProxySource, route: &str) -> Option<Vec<u8>> {
        super::mapped(reference, Own { upstream: &source.upstream, host: &source.host }, route)
    }

    fn back(upstream: &str, route: &str, reference: &str) -> Option<String> {
        let source = ProxySource::new(upstream.parse().unwrap());
        mapped(reference.as_bytes(), &source, route).map(|own| String::from_utf8(own).unwrap())
    }

    #[test]
    fn the_upstreams_own_address_leads_back_to_the_route() {
        for (upstream, route, reference, own) in [
            // Without a path in the URL paths pass whole, both ways.
            ("http://b:9000", "/api/", "http://b:9000/api/x?y=http://b:9000/#z", "/api/x?y=http://b:9000/#z"),
            ("http://b:9000", "/api/", "http://b:9000/login", "/login"),
            ("http://b:9000", "/api/", "http://b:9000", "/"),
            ("http://b:9000", "/api/", "HTTP://B:9000?x", "/?x"),
            ("http://b:9000", "/api/", "//b:9000/x", "/x"),
            ("http://b", "/", "http://b:80/x", "/x"),
            ("http://b:80", "/", "http://b/x", "/x"),
            ("http://[::1]:9000", "/", "http://[::1]:9000/x", "/x"),
            // With one, the route's takes its place.
            ("http://b:9000/two/", "/one/", "http://b:9000/two/x?y", "/one/x?y"),
            ("http://b:9000/two", "/one/", "http://b:9000/two/x", "/one/x"),
            ("http://b:9000/two/", "/one/", "http://b:9000/two", "/one"),
            ("http://b:9000/two", "/one", "http://b:9000/two#f", "/one#f"),
            ("http://b:9000/", "/one/", "http://b:9000/x", "/one/x"),
            ("http://b:9000/", "/one/", "http://b:9000", "/one/"),
            ("http://b:9000/two/", "/", "http://b:9000/two/x", "/x"),
            ("http://b:9000/two", "/", "http://b:9000/two", "/"),
            // What would name another host does not.
            ("http://b:9000", "/", "http://b:9000//evil.example/x", "/.//evil.example/x"),
            ("http://b:9000/", "/", "http://b:9000//evil.example", "/.//evil.example"),
            ("http://b:9000/two/", "/", "http://b:9000/two//evil.example", "/.//evil.example"),
            ("http://b:9000", "/", "http://b:9000/\\evil.example", "/./\\evil.example"),
        ] {
            assert_eq!(back(upstream, route, reference).as_deref(), Some(own), "{upstream} {reference}");
        }
    }

    #[test]
    fn other_addresses_stay() {
        for (upstream, reference) in [
            ("http://b:9000", "/x"),
            ("http://b:9000", "x"),
            ("http://b:9000", ""),
            ("http://b:9000", "http:/x"),
            ("http://b:9000", "http://"),
            ("http://b:9000", "https://b:9000/x"),
            ("http://b:9000", "http://b/x"),
            ("http://b:9000", "http://b:9001/x"),
            ("http://b:9000", "http://b:9000.evil.example/"),
            ("http://b:9000", "http://bb:9000/x"),
            ("http://b", "http://b:/x"),
            ("http://b:9000", "http://user@b:9000/x"),
            ("http://b:9000", "http://b:9000\\@evil.example/"),
            ("http://b:9000", "http://b:9000/\t/evil.example"),
            ("http://b:9000/two/", "http://b:9000/three"),
            ("http://b:9000/two/", "http://b:9000/twofold"),
            ("http://b:9000/two/", "http://b:9000/"),
            ("http://b:9000/two/", "http://b:9000/two/../x"),
            ("http://b:9000/two/", "http://b:9000/two/%2e%2e/x"),
        ] {
            assert_eq!(back(upstream, "/one/", reference), None, "{upstream} {reference:?}");
        }
    }

    #[test]
    fn the_scheme_and_the_port_that_goes_without_saying_are_the_upstreams() {
        for (upstream, reference, own) in [
            ("https://b", "https://b/x", Some("/x")),
            ("https://b", "https://b:443/x", Some("/x")),
            ("https://b", "//b/x", Some("/x")),
            ("https://b", "http://b/x", None),
            ("https://b", "https://b:80/x", None),
            ("http://b", "https://b/x", None),
            ("unix:/run/a.sock:/two", "http://localhost/two/x", Some("/one/x")),
            ("unix:/run/a.sock", "http://localhost:9000/x", None),
        ] {
            assert_eq!(back(upstream, "/one/", reference).as_deref(), own, "{upstream} {reference}");
        }
    }

    #[test]
    fn the_host_that_the_upstream_is_sent_is_its_own() {
        let mut source = ProxySource::new("http://b:9000".parse().unwrap());
        source.host = "shop.example".parse().unwrap();
        for (reference, own) in [
            ("http://shop.example/x", Some("/x")),
            ("http://Shop.Example:80/x", Some("/x")),
            ("http://b:9000/x", Some("/x")),
            ("http://shop.example:9000/x", None),
        ] {
            assert_eq!(mapped(reference.as_bytes(), &source, "/").as_deref(), own.map(str::as_bytes));
        }
        source.host = HostPolicy::Client;
        assert_eq!(mapped(b"http://shop.example/x", &source, "/"), None);
    }

    #[test]
    fn each_line_of_each_field_is_mapped() {
        let source = ProxySource::new("http://b:9000/two/".parse().unwrap());
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("location", &b"http://b:9000/two/x"[..]),
            ("location", b"http://b:9000/two/\xe4"),
            ("content-location", b"http://b:9000/two/y"),
            ("refresh", b"5; URL=http://b:9000/two/z"),
            ("refresh", b"5; url=\"http://b:9000/two/z\""),
            ("refresh", b"5"),
            ("link", b"<http://b:9000/two/x>"),
        ] {
            fields.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        map_back(&mut fields, Own { upstream: &source.upstream, host: &source.host }, "/one/");
        let lines: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(
            lines,
            [
                ("location", &b"/one/x"[..]),
                ("location", b"/one/\xe4"),
                ("content-location", b"/one/y"),
                ("refresh", b"5; URL=/one/z"),
                ("refresh", b"5; url=\"/one/z\""),
                ("refresh", b"5"),
                ("link", b"<http://b:9000/two/x>"),
            ]
        );
    }
}
