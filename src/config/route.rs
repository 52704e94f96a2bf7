//! Routes: path, source, pace, limits and filters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::filters::{FilterKind, RATE};
use super::pace::{Pace, RouteLimits};
use crate::events::EventSettings;
use crate::http::files::FilesSource;
use crate::http::proxy::{ProxySource, UpstreamUrl};
use crate::http::route;
use crate::keys::{Keys, PathKind, Place};
use crate::limit::{Burst, Interval, Rate};
use crate::words::{shorten, suggestion};

/// Where a route's content comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A folder.
    Files(FilesSource),
    /// A backend.
    Proxy(ProxySource),
    /// Streams of events.
    Events(Box<EventSettings>),
}

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Requests for this path and everything below it take this route, unless a longer path matches.
    pub path: RoutePath,
    /// Where the content comes from.
    pub source: Source,
    /// Pace of each response.
    pub pace: Pace,
    /// What the responses of the route share.
    pub limits: RouteLimits,
    /// Filters in order, from the source to the client.
    ///
    /// [`FilterKind::RoutePace`] is the place of [`pace`](Self::pace), which is last without it. In a route that was
    /// read it stands exactly once if a response can have a rate: the route sets one, or its backend may.
    pub filters: Vec<RouteFilter>,
}

/// A filter on a route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteFilter {
    /// Name of its table, or of a kind that needs none.
    pub name: String,
    /// Kind and settings.
    pub kind: FilterKind,
}

/// The path of a route: begins with a slash, and matches everything below it.
///
/// `/api` also matches itself, but not `/apix`; `/api/` matches only what is below. The path of a folder ends with a
/// slash, so that relative links in its pages resolve. Only characters that clients never encode are allowed, so
/// that encoded and plain form are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutePath(String);

impl RoutePath {
    /// Returns `/`, which matches everything.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Returns the path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RoutePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = shorten(text);
        let bad = |why: &str| Err(format!("{shown:?} is not a route's path: {why}"));
        let Some(inner) = text.strip_prefix('/') else {
            return bad(&format!("it does not begin with a slash; write {:?}", format!("/{shown}")));
        };
        if inner.is_empty() {
            return Ok(Self::root());
        }
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c);
        for segment in inner.split('/') {
            if matches!(segment, "" | "." | "..") {
                return bad("it has an empty part, or `.` or `..`; write the path without");
            }
            if let Some(odd) = segment.chars().find(|c| !is_plain(*c)) {
                return bad(&format!("{odd:?} cannot stand in it; use letters, digits and `-._~`"));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl Route {
    /// A route to `source`, unlimited and without filters.
    pub fn new(path: RoutePath, source: Source) -> Self {
        let (pace, limits) = (Pace::default(), RouteLimits::default());
        Self { path, source, pace, limits, filters: Vec::new() }
    }

    /// Reads a `[[route]]`. `named` are the filters that have tables, `paths` those of the routes above.
    pub(super) fn read(
        keys: Keys<'_>,
        named: &BTreeMap<String, FilterKind>,
        paths: &mut BTreeSet<RoutePath>,
    ) -> Option<Self> {
        keys.require("path");
        let path: Option<RoutePath> = keys.parse("path");
        let keys = match &path {
            Some(path) => keys.named(format!("[[route]] {:?}", shorten(path.as_str()))),
            None => keys,
        };
        if let Some(path) = path.as_ref().filter(|path| !paths.insert((*path).clone())) {
            let path = shorten(path.as_str());
            keys.table_fault_at(
                "path",
                format!("a [[route]] for {path:?} stands above already; leave one out"),
            );
        }
        let limits = keys.table("limits", " such as { total = { rate = \"20m\" } }");
        let response = limits.table("response", " such as { rate = 60, weight = 2 }");
        let pace = read_pace(&keys, &response);
        let limits = RouteLimits::read(&limits).of_response(&response, &keys);
        let names = keys.list("filters").unwrap_or_default();
        let source = Source::read(&keys);
        if matches!(source, Some(Source::Files(_)))
            && let Some(path) = path.as_ref().filter(|path| !path.as_str().ends_with('/'))
        {
            let good = format!("{}/", shorten(path.as_str()));
            keys.fault("path", format!("a folder's path ends with a slash; write {good:?}"));
        }
        let is_rate_bad = keys.failed(&["rate"]) || response.failed(&["rate"]);
        let has_rate = pace.rate.is_some() || is_rate_bad;
        let can_have_rate = match &source {
            Some(Source::Proxy(proxy)) => has_rate || proxy.honour_accel,
            Some(_) => has_rate,
            // It could have been one that may set a rate: that it needs one is not said.
            None => true,
        };
        if !can_have_rate {
            Pace::note_unused(&keys);
            Pace::note_unused(&response);
        }
        let filters = filters(&keys, names, named, can_have_rate);
        Some(Self { path: path?, source: source?, pace, limits, filters }).filter(|_| !is_rate_bad)
    }

    /// The fastest that a response can leave, if there is a limit. What a backend sets is not known here.
    pub(super) fn fastest(&self) -> Option<(Rate, Interval)> {
        let filters = self.filters.iter().filter_map(|filter| match &filter.kind {
            FilterKind::Rate(own) => own.limit(),
            _ => None,
        });
        filters.chain(self.pace.limit()).min()
    }
}

impl Source {
    /// Reads where a route's content comes from.
    fn read(keys: &Keys<'_>) -> Option<Self> {
        let given: Vec<&str> = ["files", "proxy", "events"].into_iter().filter(|key| keys.has(key)).collect();
        match given[..] {
            [] => {
                let text = "has no files, proxy or events; say where its content comes from";
                keys.table_fault(None, format!("{} {text}", keys.name()));
            }
            [_] => {}
            [.., "events"] => {
                let text = format!("{} has events and another source; leave one out", keys.name());
                keys.table_fault_at("events", text);
            }
            _ => keys
                .table_fault_at("proxy", format!("{} has both files and proxy; leave one out", keys.name())),
        }
        let root = keys.path("files", PathKind::Folder);
        let upstream = keys.parse("proxy");
        let events = keys.table("events", ", or {}");
        let events = keys.has("events").then(|| EventSettings::read(&events));
        // The keys of another kind of source do nothing.
        let part = |kind: &str| match given[..] {
            [only] if only != kind => {
                keys.without_effect(&format!("does nothing with {only}, only with {kind}; leave it out"))
            }
            _ => keys.clone(),
        };
        let files = FilesSource::read(&part("files"), root.clone().unwrap_or_default());
        let is_upstream_read = upstream.is_some();
        let proxy = ProxySource::read(&part("proxy"), upstream.unwrap_or_else(UpstreamUrl::unknown));
        match given[..] {
            ["files"] => root.map(|_| Self::Files(files)),
            ["proxy"] => is_upstream_read.then_some(Self::Proxy(proxy)),
            ["events"] => events.map(|events| Self::Events(Box::new(events))),
            _ => None,
        }
    }
}

/// Reads a route's pace, whose rate and burst may stand in `limits.response` instead.
fn read_pace(keys: &Keys<'_>, response: &Keys<'_>) -> Pace {
    for key in ["rate", "burst"] {
        if keys.has(key) && response.has(key) {
            response.fault(key, format!("the route's own {key} says it already; leave one out"));
        }
    }
    let own = Pace::read(keys, keys.rate("rate").flatten());
    let (rate, burst) = (response.rate("rate").flatten(), response.amount("burst", str::parse::<Burst>));
    Pace { rate: own.rate.or(rate), burst: burst.unwrap_or(own.burst), ..own }
}

/// The filters `names` in their order. The pace is last, unless it is named elsewhere.
fn filters(
    keys: &Keys<'_>,
    names: Vec<(Place, String)>,
    named: &BTreeMap<String, FilterKind>,
    can_have_rate: bool,
) -> Vec<RouteFilter> {
    let mut filters: Vec<RouteFilter> = Vec::new();
    for (at, name) in names {
        let text = match named.get(&name).cloned().or_else(|| FilterKind::built_in(&name)) {
            Some(FilterKind::RoutePace) if filters.iter().any(RouteFilter::is_route_pace) => {
                "\"rate\" stands here twice; leave one out".to_owned()
            }
            Some(FilterKind::RoutePace) if !can_have_rate => {
                format!("\"rate\" has no rate to keep; set {} too", keys.flag_or("rate", "a rate"))
            }
            Some(kind) => {
                filters.push(RouteFilter { name, kind });
                continue;
            }
            None => {
                let known: Vec<&str> = named.keys().map(String::as_str).chain(FilterKind::BUILT_IN).collect();
                format!("no filter is called {:?}; {}", shorten(&name), suggestion(&name, &known))
            }
        };
        keys.fault_at(at, "filters", text);
    }
    if can_have_rate {
        let pace = RouteFilter { name: RATE.to_owned(), kind: FilterKind::RoutePace };
        route::place_pace(&mut filters, pace, RouteFilter::is_route_pace);
    }
    filters
}

impl RouteFilter {
    fn is_route_pace(&self) -> bool {
        self.kind == FilterKind::RoutePace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Absent, Draft, Reading};

    /// Reads a route with `keys`: its filters' names, or its faults.
    fn read(keys: &str) -> Result<Vec<String>, String> {
        let draft = Draft::from_toml(&format!("[[route]]\n{keys}"), "f", "");
        let reading = Reading::new(&draft, Absent::Unchecked);
        let mut tables = Keys::top(&reading).tables("route");
        let route = Route::read(tables.remove(0), &BTreeMap::new(), &mut BTreeSet::new());
        reading.finish().map_err(|error| error.to_string())?;
        Ok(route.unwrap().filters.into_iter().map(|filter| filter.name).collect())
    }

    const FILES: &str = "path = '/'\nfiles = '.'\n";
    const PROXY: &str = "path = '/api'\nproxy = 'http://127.0.0.1:9000'\n";

    #[test]
    fn rate_is_last_unless_it_is_named_elsewhere() {
        for (source, keys, expected) in [
            (FILES, "rate = 1", &["rate"][..]),
            (FILES, "rate = 1\nfilters = ['gzip', 'count']", &["gzip", "count", "rate"]),
            (FILES, "rate = 1\nfilters = ['rate', 'count']", &["rate", "count"]),
            // No rate, no filter; but a backend may set one.
            (FILES, "", &[]),
            (PROXY, "", &["rate"]),
            (PROXY, "honour_accel = false", &[]),
        ] {
            assert_eq!(read(&format!("{source}{keys}")).unwrap(), expected, "{keys}");
        }
    }

    #[test]
    fn settings_that_would_do_nothing_are_faults() {
        for (source, keys, expected) in [
            (FILES, "burst = 1", "f:4:9: burst in [[route]] \"/\": without a rate"),
            (
                FILES,
                "limits.response.burst = 1",
                "f:4:25: burst in limits.response of [[route]] \"/\": without a rate",
            ),
            (FILES, "end_of_stream = 'paced'", "f:4:17: end_of_stream in [[route]] \"/\": without a rate"),
            (FILES, "filters = ['rate']", "f:4:12: filters in [[route]] \"/\": \"rate\" has no rate"),
            (
                FILES,
                "filters = ['rat']",
                "f:4:12: filters in [[route]] \"/\": no filter is called \"rat\"; did you",
            ),
            (
                FILES,
                "rate = 1\nfilters = ['rate', 'rate']",
                "f:5:20: filters in [[route]] \"/\": \"rate\" stands",
            ),
            (PROXY, "honour_accel = false\nburst = 1", "f:5:9: burst in [[route]] \"/api\": without a rate"),
        ] {
            let error = read(&format!("{source}{keys}")).unwrap_err();
            assert!(error.starts_with(expected) && error.lines().count() == 1, "{keys}: {error}");
        }
    }

    #[test]
    fn paths_begin_with_a_slash_and_are_plain() {
        for good in ["/", "/logs", "/a/b", "/logs/", "/a/b.c/~d/", "/.well-known/"] {
            assert_eq!(good.parse::<RoutePath>().map(|path| path.to_string()), Ok(good.to_owned()));
        }
        for (bad, expected) in [
            ("", "does not begin with a slash; write \"/\""),
            ("logs/", "write \"/logs/\""),
            ("//", "empty part"),
            ("/a//b/", "empty part"),
            ("/a/../b/", "empty part, or `.` or `..`"),
            ("/a b/", "' ' cannot stand in it"),
            ("/a?b/", "'?' cannot stand in it"),
            ("/%41/", "'%' cannot stand in it"),
            ("/é/", "cannot stand in it"),
        ] {
            let error = bad.parse::<RoutePath>().unwrap_err();
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}
