//! Routes: path, source, pace, limits and filters.

mod filters;
mod path;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use super::filters::FilterKind;
use super::pace::{Pace, RouteLimits};
use crate::keys::Keys;
use crate::limit::{Burst, Interval, Rate};
use crate::words::shorten;
pub use filters::RouteFilter;
pub use path::RoutePath;
pub use source::Source;

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
        let filters = filters::read(&keys, names, named, can_have_rate);
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

#[cfg(test)]
mod tests;
