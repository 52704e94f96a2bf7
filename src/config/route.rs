//! A route: a path, where its content comes from, at which pace, and through which filters.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::filters::{FilterKind, RATE};
use super::limits::{BURST_NEEDS_RATE, RouteLimits};
use crate::events::EventSettings;
use crate::filter::EndOfStream;
use crate::http::files::FilesSource;
use crate::http::proxy::ProxySource;
use crate::limit::{Burst, Rate};
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
    /// At which pace each response leaves.
    pub pace: Pace,
    /// What the responses of the route share.
    pub limits: RouteLimits,
    /// The filters in their order, from the source to the client.
    ///
    /// [`FilterKind::RoutePace`] is among them, exactly once, if a response here can have a rate: the
    /// route has one, or its backends may set one.
    pub filters: Vec<RouteFilter>,
}

/// A filter on a route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteFilter {
    /// The name it was asked for by: that of its table, or of a kind that needs none.
    pub name: String,
    /// What it is.
    pub kind: FilterKind,
}

/// How fast a response leaves. The default is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// `None` is unlimited.
    pub rate: Option<Rate>,
    /// What leaves ahead of the pace, once.
    pub burst: Burst,
    /// What becomes of the last bytes.
    pub end_of_stream: EndOfStream,
}

impl Pace {
    /// Puts together what was given of a pace. `can_have_rate` is whether there can be one, if not by `rate` then
    /// by a backend.
    ///
    /// # Errors
    /// `burst` or `end_of_stream` was given and would do nothing, because there can be no rate.
    pub fn given(
        rate: Option<Rate>,
        burst: Option<Burst>,
        end_of_stream: Option<EndOfStream>,
        can_have_rate: bool,
    ) -> Result<Self, Vec<RouteFault>> {
        let rules = [
            ("burst", burst.is_some(), BURST_NEEDS_RATE),
            ("end_of_stream", end_of_stream.is_some(), "without a rate nothing is paced; set a rate too"),
        ];
        let idle = rules.into_iter().filter(|(_, is_given, _)| *is_given && !can_have_rate);
        let faults: Vec<_> =
            idle.map(|(key, _, text)| RouteFault { key, index: None, text: text.to_owned() }).collect();
        let pace =
            Self { rate, burst: burst.unwrap_or_default(), end_of_stream: end_of_stream.unwrap_or_default() };
        if faults.is_empty() { Ok(pace) } else { Err(faults) }
    }
}

/// The path of a route: begins with a slash, and stands for everything below it.
///
/// `/api` stands for itself too, but not for `/apix`; `/api/` only for what is below. Folders of files
/// have a slash at the end, so that the links in their pages lead where they should.
/// Only characters that no client would encode are allowed, so that encoded and plain form are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutePath(String);

impl RoutePath {
    /// `/`: everything.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path as it was written.
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

/// The parts of a route, each good in itself, before they are checked against one another.
#[derive(Clone, Debug)]
pub struct RouteDraft {
    /// See [`Route::path`].
    pub path: RoutePath,
    /// See [`Route::source`].
    pub source: Source,
    /// `None` is unlimited, by `off` or because nothing was said.
    pub rate: Option<Rate>,
    /// `None` if nothing was said.
    pub burst: Option<Burst>,
    /// `None` if nothing was said.
    pub end_of_stream: Option<EndOfStream>,
    /// See [`Route::limits`].
    pub limits: RouteLimits,
    /// Names, in their order.
    pub filters: Vec<String>,
}

/// Why the parts of a route do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFault {
    /// The key (or, with `-` for `_`, the flag) that is at fault.
    pub key: &'static str,
    /// Which element, if the key's value is a list.
    pub index: Option<usize>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl RouteDraft {
    /// A draft of a route for everything, unlimited, without filters.
    pub fn new(source: Source) -> Self {
        let path = RoutePath::root();
        let limits = RouteLimits::default();
        Self { path, source, rate: None, burst: None, end_of_stream: None, limits, filters: Vec::new() }
    }

    /// The route. `named` are the filters that were given names; those that need no table are known besides.
    ///
    /// # Errors
    /// A filter that is not known, a setting that would do nothing, a folder's path without a slash at its end.
    pub fn finish(self, named: &BTreeMap<String, FilterKind>) -> Result<Route, Vec<RouteFault>> {
        let backend_may_limit = matches!(&self.source, Source::Proxy(proxy) if proxy.honour_accel);
        let can_have_rate = self.rate.is_some() || backend_may_limit;
        let mut faults = Vec::new();
        let pace = Pace::given(self.rate, self.burst, self.end_of_stream, can_have_rate);
        let pace = pace.map_err(|idle| faults.extend(idle)).unwrap_or_default();
        let mut fault = |key, index, text: String| faults.push(RouteFault { key, index, text });
        if matches!(self.source, Source::Files(_)) && !self.path.as_str().ends_with('/') {
            let good = format!("{}/", shorten(self.path.as_str()));
            fault("path", None, format!("a folder's path ends with a slash; write {good:?}"));
        }

        let mut filters = Vec::new();
        for (index, name) in self.filters.into_iter().enumerate() {
            match named.get(&name).cloned().or_else(|| FilterKind::built_in(&name)) {
                Some(FilterKind::RoutePace) if filters.iter().any(RouteFilter::is_route_pace) => {
                    fault("filters", Some(index), "\"rate\" stands here twice; leave one out".to_owned());
                }
                Some(FilterKind::RoutePace) if !can_have_rate => {
                    fault("filters", Some(index), "\"rate\" has no rate to keep; set a rate too".to_owned());
                }
                Some(kind) => filters.push(RouteFilter { name, kind }),
                None => {
                    let known: Vec<&str> =
                        named.keys().map(String::as_str).chain(FilterKind::BUILT_IN).collect();
                    let text =
                        format!("no filter is called {:?}; {}", shorten(&name), suggestion(&name, &known));
                    fault("filters", Some(index), text);
                }
            }
        }
        if can_have_rate && !filters.iter().any(RouteFilter::is_route_pace) {
            filters.push(RouteFilter { name: RATE.to_owned(), kind: FilterKind::RoutePace });
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Route { path: self.path, source: self.source, pace, limits: self.limits, filters })
    }
}

impl RouteFilter {
    fn is_route_pace(&self) -> bool {
        self.kind == FilterKind::RoutePace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(route: &Route) -> Vec<&str> {
        route.filters.iter().map(|filter| filter.name.as_str()).collect()
    }

    fn finish(draft: RouteDraft) -> Result<Route, Vec<RouteFault>> {
        draft.finish(&BTreeMap::new())
    }

    fn files() -> RouteDraft {
        RouteDraft::new(Source::Files(FilesSource::new(".")))
    }

    fn proxy() -> RouteDraft {
        RouteDraft::new(Source::Proxy(ProxySource::new("http://127.0.0.1:9000".parse().unwrap())))
    }

    #[test]
    fn rate_is_last_unless_it_is_named_elsewhere() {
        let with = |filters: &[&str]| {
            let filters = filters.iter().map(|name| (*name).to_owned()).collect();
            finish(RouteDraft { rate: Rate::or_unlimited(1000), filters, ..files() }).unwrap()
        };
        assert_eq!(names(&with(&[])), ["rate"]);
        assert_eq!(names(&with(&["gzip", "count"])), ["gzip", "count", "rate"]);
        assert_eq!(names(&with(&["rate", "count"])), ["rate", "count"]);
        assert_eq!(names(&finish(files()).unwrap()), [""; 0], "no rate, no filter");
    }

    #[test]
    fn a_backend_that_may_set_a_rate_has_a_place_for_it() {
        assert_eq!(names(&finish(proxy()).unwrap()), ["rate"]);
        let Source::Proxy(source) = proxy().source else { unreachable!() };
        let deaf = Source::Proxy(ProxySource { honour_accel: false, ..source });
        let draft = RouteDraft { burst: Some(Burst::new(1)), ..RouteDraft::new(deaf) };
        assert_eq!(finish(draft).unwrap_err()[0].key, "burst");
    }

    #[test]
    fn settings_that_would_do_nothing_are_faults() {
        let filters = vec!["rate".to_owned(), "rat".to_owned()];
        let end_of_stream = Some(EndOfStream::Paced);
        let faults =
            finish(RouteDraft { burst: Some(Burst::new(1)), end_of_stream, filters, ..files() }).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| (fault.key, fault.index)).collect();
        assert_eq!(
            places,
            [("burst", None), ("end_of_stream", None), ("filters", Some(0)), ("filters", Some(1))]
        );
        assert!(faults[3].text.ends_with("did you mean \"rate\"?"), "{}", faults[3].text);
        let twice = vec!["rate".to_owned(), "rate".to_owned()];
        assert!(finish(RouteDraft { rate: Rate::or_unlimited(1), filters: twice, ..files() }).is_err());
    }

    #[test]
    fn a_folder_has_a_slash_at_its_end_and_a_backend_need_not() {
        let path: RoutePath = "/api".parse().unwrap();
        assert!(finish(RouteDraft { path: path.clone(), ..proxy() }).is_ok());
        let faults = finish(RouteDraft { path, ..files() }).unwrap_err();
        assert_eq!((faults[0].key, faults.len()), ("path", 1));
        assert!(faults[0].text.ends_with("write \"/api/\""), "{}", faults[0].text);
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
