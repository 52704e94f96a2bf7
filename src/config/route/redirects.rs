//! Redirects that lead from one route of the server to another without an end.

use std::collections::HashMap;

use super::{Route, Source};
use crate::address::ListenAddr;
use crate::config::listen::Listen;
use crate::http::RedirectTarget;
use crate::http::host_pattern::HostMap;

/// How many redirects clients follow (Chromium and Firefox 20).
const MAX_HOPS: usize = 20;

/// Where the server is listening for HTTP.
pub(in crate::config) struct Listeners<'a> {
    pub(in crate::config) listen: &'a [Listen],
    pub(in crate::config) http_redirect: &'a [Listen],
}

impl Listeners<'_> {
    /// Whether clients that are redirected to `target` can come back here, if the host is one of ours.
    fn serve(&self, target: &RedirectTarget) -> bool {
        let Some(url) = target.url() else { return true };
        let is_at = |addr: &ListenAddr| match (addr, url.port()) {
            (ListenAddr::Tcp(addr), Some(port)) => addr.port() == port,
            // Whatever leads to it, from the port of the scheme.
            _ => true,
        };
        let listen = self.listen.iter().filter(|listen| listen.tls.is_some() == url.is_tls());
        let sent_on = self.http_redirect.iter().filter(|_| !url.is_tls());
        listen.chain(sent_on).map(|listen| &listen.address).any(is_at)
    }
}

/// The routes of one host, by their paths.
type Site<'a> = HashMap<&'a str, &'a Route>;

/// The names of the routes of `routes` whose redirects have no end. What is behind another server that leads back here is
/// not known.
pub(super) fn circles(routes: &[Route], listeners: &Listeners<'_>) -> Vec<String> {
    let (mut other, mut by_host) = (Site::new(), HostMap::<Site<'_>>::default());
    for route in routes {
        if route.hosts.is_empty() {
            other.insert(route.path.as_str(), route);
        }
        for host in &route.hosts {
            by_host.entry(host).insert(route.path.as_str(), route);
        }
    }
    let redirects = routes.iter().filter(|route| matches!(route.source, Source::Redirect(_)));
    let endless = redirects.filter(|route| {
        let sites = route.hosts.iter().filter_map(|host| by_host.of(host));
        let mut sites = sites.chain(Some(&other).filter(|_| route.hosts.is_empty()));
        sites.any(|site| {
            let path = route.path.as_str();
            [path.to_owned(), format!("{}/x", path.trim_end_matches('/'))]
                .into_iter()
                .any(|path| is_endless(site, path, &by_host, listeners))
        })
    });
    endless.map(Route::name).collect()
}

/// Whether a client that asks for `path` of `site` is redirected more often than it follows.
fn is_endless<'a>(
    mut site: &'a Site<'a>,
    mut path: String,
    by_host: &'a HostMap<Site<'a>>,
    listeners: &Listeners<'_>,
) -> bool {
    for _ in 0..MAX_HOPS {
        let with_slash = format!("{path}/");
        if site.contains_key(&*with_slash) {
            path = with_slash;
            continue;
        }
        let Some(Route { path: prefix, source: Source::Redirect(redirect), .. }) = find(site, &path) else {
            return false;
        };
        let rest = path[prefix.as_str().len()..].trim_start_matches('/');
        path = redirect.to.path(&path, rest);
        if let Some(url) = redirect.to.url() {
            match by_host.find(url.authority().host()).filter(|_| listeners.serve(&redirect.to)) {
                Some(found) => site = found,
                None => return false,
            }
        }
    }
    true
}

/// The route of the longest path that `path` is below.
fn find<'a>(site: &Site<'a>, path: &str) -> Option<&'a Route> {
    let ends = (1..=path.len()).rev().filter(|end| path.is_char_boundary(*end));
    let mut prefixes =
        ends.filter(|end| path[..*end].ends_with('/') || *end == path.len() || path[*end..].starts_with('/'));
    prefixes.find_map(|end| site.get(&path[..end]).copied())
}

#[cfg(test)]
mod tests {
    use crate::config::Loader;

    /// The lines of the faults of redirects, for routes of a host, a path, and where they lead.
    fn faults(top: &str, routes: &[(&str, &str, &str)]) -> Vec<String> {
        let mut text = format!("{top}\n");
        for (host, path, to) in routes {
            let host = if host.is_empty() { String::new() } else { format!("host=[{host}]") };
            let source = if to.is_empty() { "files='.'".to_owned() } else { format!("redirect='{to}'") };
            text += &format!("[[route]]\n{host}\npath='{path}'\n{source}\n");
        }
        match Loader::new().parse(&text, "f", env!("CARGO_MANIFEST_DIR")) {
            Ok(_) => Vec::new(),
            Err(error) => error.to_string().lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn redirects_that_lead_back_without_an_end_are_refused() {
        let sent_on = |port: u16| {
            format!(
                "listen=[{{address='127.0.0.1:8443',tls='t'}}]\nhttp_redirect='127.0.0.1:{port}'\n[tls.t]\nself_signed=true"
            )
        };
        for (top, routes, expected) in [
            // To itself, by path, by host, by a wildcard, and deeper each time.
            ("", &[("", "/", "/")][..], &["/"][..]),
            ("", &[("", "/a", "/a")], &["/a"]),
            ("", &[("", "/a/", "/a")], &["/a/"]),
            ("", &[("", "/", "/new/")], &["/"]),
            ("", &[("'a.test'", "/", "http://a.test")], &["a.test/"]),
            ("", &[("'a.test'", "/", "http://A.test./x")], &["a.test/"]),
            ("", &[("'*.test'", "/", "http://a.test")], &["*.test/"]),
            ("", &[("'b.test', 'a.test'", "/", "http://a.test:8080")], &["b.test/"]),
            // By way of another.
            ("", &[("", "/a/", "/b/"), ("", "/b/", "/a/"), ("", "/", "")], &["/a/", "/b/"]),
            (
                "",
                &[("'a.test'", "/", "http://b.test"), ("'b.test'", "/", "http://a.test")],
                &["a.test/", "b.test/"],
            ),
            ("", &[("'a.test'", "/", "http://b.test"), ("'b.test'", "/", "/x/")], &["a.test/", "b.test/"]),
            // They end.
            ("", &[("", "/", "https://elsewhere.test")], &[]),
            ("", &[("", "/old/", "/new/"), ("", "/new/", "")], &[]),
            ("", &[("", "/", "/new/"), ("", "/new/", "")], &[]),
            ("", &[("", "/a/", "/b/"), ("", "/b/", "/c/"), ("", "/c/", "")], &[]),
            ("", &[("'a.test'", "/", "http://b.test"), ("'b.test'", "/", "")], &[]),
            ("", &[("'*.test'", "/", "http://a.test"), ("'a.test'", "/", "")], &[]),
            ("", &[("'a.test'", "/", "http://a.test/new/"), ("'a.test'", "/new/", "")], &[]),
            // Another scheme or port is not this server.
            ("", &[("'a.test'", "/", "https://a.test")], &[]),
            ("", &[("'a.test'", "/", "http://a.test:8081")], &[]),
            (
                "listen=[{address='127.0.0.1:8443',tls='t'}]\n[tls.t]\nself_signed=true",
                &[("'a.test'", "/", "https://a.test")],
                &["a.test/"],
            ),
            // By way of `http_redirect`, which answers no route itself.
            (&sent_on(80), &[("'a.test'", "/", "http://a.test")], &["a.test/"]),
            (&sent_on(8081), &[("'a.test'", "/", "http://a.test:8081")], &["a.test/"]),
            (&sent_on(8081), &[("'*.test'", "/a/", "http://b.test:8081/a/")], &["*.test/a/"]),
            (&sent_on(8081), &[("'a.test'", "/", "http://a.test:8082")], &[]),
            (&sent_on(8081), &[("'a.test'", "/", "https://a.test:8081")], &[]),
            (&sent_on(8081), &[("'a.test'", "/", "http://b.test:8081")], &[]),
            (&sent_on(8081), &[("'a.test'", "/", "http://a.test:8081/x/"), ("'a.test'", "/x/", "")], &[]),
            (
                "listen=[{address='127.0.0.1:8443',tls='t'}]\n[tls.t]\nself_signed=true",
                &[("'a.test'", "/", "http://a.test:8081")],
                &[],
            ),
        ] {
            let found = faults(top, routes);
            let lines = top.lines().count().max(1);
            let expected: Vec<String> = expected
                .iter()
                .map(|name| {
                    let of = |(host, path, _): &(&str, &str, &str)| {
                        let host = host.split(',').next().unwrap_or_default().trim_matches('\'');
                        format!("{host}{path}") == *name
                    };
                    let line = lines + 4 * (routes.iter().position(of).unwrap() + 1);
                    format!(
                        "f:{line}:10: redirect in [[route]] {name:?} leads back to routes of this server that redirect, \
                         without an end; give another host or path"
                    )
                })
                .collect();
            assert_eq!(found, expected, "{top} {routes:?}");
        }
    }
}
