//! Finds the route of a request, and the target that its source is asked for.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};

use super::host;
use super::host_pattern::HostMap;
use super::path::is_unambiguous;
use super::request_path::RequestPath;
use super::route::{Route, Stage, place_pace};
use super::source::Paths;

/// Where a request's target leads.
pub(super) enum Found {
    /// To a route.
    Route(Arc<Route>, Target),
    /// To the prefix of a route but for its trailing slash; the target in normal form.
    MissingSlash(Arc<Route>, Uri),
    /// To one route in its normal form, and to another as some read it. Only for sources that may read it so.
    Ambiguous,
    /// Nowhere: no route has this path.
    Nothing,
    /// Nowhere: no route answers for the host that the request names.
    Misdirected,
    /// Nowhere: the path leads above its root.
    AboveRoot,
    /// Nowhere: the target is no path but `*`, an authority, or too long.
    NoPath,
}

/// What a route's source is asked for.
#[derive(Debug)]
pub(super) struct Target {
    /// If the request's URI is not it: in normal form, or for an upstream as the client spelt it, where that means the
    /// same.
    pub(super) rewritten: Option<Uri>,
    /// The offset in its path at which the rest after the route's prefix begins, without a leading slash.
    pub(super) rest: usize,
}

/// The routes of a server: those of the most specific host, of which the longest prefix wins.
pub(super) struct Routes {
    all: Vec<Arc<Route>>,
    /// Those without hosts.
    other: Site,
    by_host: HostMap<Site>,
}

/// The routes of one host, the longest prefix first.
#[derive(Default)]
struct Site(Vec<Arc<Route>>);

impl Routes {
    /// Sorts `routes`, and numbers them by their names with `number`.
    pub(super) fn new(mut routes: Vec<Route>, number: impl Fn(&str) -> usize) -> Self {
        // Longest first; of equal ones, the first given.
        routes.sort_by_key(|route| std::cmp::Reverse(route.prefix().len()));
        for route in &mut routes {
            route.number = number(route.name());
            place_pace(&mut route.stages, Stage::RoutePace, |stage| matches!(stage, Stage::RoutePace));
        }
        let all: Vec<Arc<Route>> = routes.into_iter().map(Arc::new).collect();
        let (mut other, mut by_host) = (Site::default(), HostMap::<Site>::default());
        for route in &all {
            if route.hosts().is_empty() {
                other.0.push(Arc::clone(route));
            }
            for host in route.hosts() {
                by_host.entry(host).0.push(Arc::clone(route));
            }
        }
        Self { all, other, by_host }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.all.iter()
    }

    /// Finds the route of a request's host and of the normal form of its path, which is that of `uri`. Allocates only if the
    /// path is not in normal form.
    pub(super) fn find(&self, asked: &RequestPath<'_>, uri: &Uri, headers: &HeaderMap) -> Found {
        let given = asked.given();
        if !given.starts_with('/') {
            return Found::NoPath;
        }
        let Some(path) = asked.normal() else { return Found::AboveRoot };
        let Some(site) = self.site(uri, headers) else { return Found::Misdirected };
        let route = match site.below(path) {
            Some((route, true)) => route,
            Some((route, false)) => {
                let missing = |uri| Found::MissingSlash(Arc::clone(route), uri);
                return with_path(uri, path).map_or(Found::NoPath, missing);
            }
            None => return Found::Nothing,
        };
        let paths = route.paths();
        if paths != Paths::Normal && site.is_ambiguous(route, asked) {
            return Found::Ambiguous;
        }
        // Unchanged if nothing was removed, so that encodings that mean something to an upstream stay.
        let passes = paths == Paths::AsGiven && is_unambiguous(given);
        let (path, is_rewritten) = match route.rest(given) {
            Some(_) if passes => (given, false),
            _ => (path, path != given),
        };
        let rest = path.len() - route.rest(path).map_or(0, str::len);
        let rewritten = if is_rewritten { with_path(uri, path) } else { None };
        if is_rewritten && rewritten.is_none() {
            return Found::NoPath;
        }
        Found::Route(Arc::clone(route), Target { rewritten, rest })
    }

    /// The routes of a request's host; `None` if no route answers for the one that it names.
    fn site(&self, uri: &Uri, headers: &HeaderMap) -> Option<&Site> {
        if self.by_host.is_empty() {
            return Some(&self.other);
        }
        match host::asked(uri, headers) {
            // RFC 9110, section 15.5.20: the target is of no origin that this server is configured for.
            Some(host) => {
                self.by_host.find(host).or_else(|| Some(&self.other).filter(|site| !site.0.is_empty()))
            }
            None => Some(&self.other),
        }
    }
}

impl Site {
    /// The route of a normal form, and whether the path is below it; if not, only its trailing slash is missing.
    fn below(&self, path: &str) -> Option<(&Arc<Route>, bool)> {
        self.0.iter().find_map(|route| match route.rest(path) {
            Some(_) => Some((route, true)),
            None => (route.prefix().strip_suffix('/') == Some(path)).then_some((route, false)),
        })
    }

    /// Whether `path`, which belongs to `route`, belongs to another as some read it.
    fn is_ambiguous(&self, route: &Arc<Route>, path: &RequestPath<'_>) -> bool {
        path.others().any(|other| {
            let found = other.and_then(|path| self.below(path));
            !found.is_some_and(|(found, _)| Arc::ptr_eq(found, route))
        })
    }
}

/// Returns `uri` with another path; `None` if it becomes too long.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    if uri.path() == path {
        return Some(uri.clone());
    }
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests;
