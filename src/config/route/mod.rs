//! Routes: path, source, pace, limits and filters.

mod filters;
mod path;
mod redirects;
mod rules;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use super::filters::FilterKind;
use super::pace::{Pace, RouteLimits};
use crate::http::error_pages::{self, ErrorPagesSource};
use crate::http::field_changes::{FieldChanges, Side};
use crate::http::route::PaceRule;
use crate::http::{ClassName, HostPattern, MaxBody};
use crate::keys::{Keys, LIMIT_EXAMPLE, Place};
use std::time::Duration;

use crate::limit::{Budget, Burst, Rate, Rates};
use crate::schedule::Zone;
use crate::words::shorten;
pub use filters::RouteFilter;
pub use path::{RoutePath, RoutePathError};
pub(super) use redirects::Listeners;
use rules::Matter;
pub(super) use rules::during;
pub use source::Source;

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Hosts that it answers for; without any, those that no route names.
    pub hosts: Vec<HostPattern>,
    /// Requests for this path and everything below it take this route, unless a longer path matches.
    pub path: RoutePath,
    /// Where the content comes from.
    pub source: Source,
    /// Files that are sent with errors of files and of the proxy, by status.
    pub error_pages: ErrorPagesSource,
    /// Changes of the fields of responses.
    pub headers: FieldChanges,
    /// Pace of each response.
    pub pace: Pace,
    /// Rules that take the place of its rate and burst: the first that a response meets.
    pub rules: Vec<PaceRule>,
    /// What the responses of the route share, and its uploads.
    pub limits: RouteLimits,
    /// Rules that take the place of the rate and burst of `upload`: the first that the content of a request meets.
    pub upload_rules: Vec<PaceRule>,
    /// Pace of the content of each request; its weight is not used.
    pub upload: Budget,
    /// Its rates, by the bytes that have been read; the last is that of `upload`.
    pub upload_rates: Rates,
    /// The most content of a request; `None` leaves it to the server.
    pub max_body: Option<MaxBody>,
    /// Filters in order, from the source to the client.
    ///
    /// [`FilterKind::RoutePace`] is the place of [`pace`](Self::pace), which is last without it. In a route that was
    /// read it stands exactly once if a response can have a rate: the route sets one, or its backend may.
    pub filters: Vec<RouteFilter>,
    /// If set, the kernel spreads each chunk of a response over its interval. Default false.
    pub smooth: bool,
}

impl Route {
    /// A route to `source`, unlimited and without filters.
    pub fn new(path: RoutePath, source: Source) -> Self {
        let (pace, limits) = (Pace::default(), RouteLimits::default());
        let (upload, max_body) = (Budget::default(), None);
        Self {
            hosts: Vec::new(),
            path,
            source,
            error_pages: ErrorPagesSource::default(),
            headers: FieldChanges::default(),
            pace,
            rules: Vec::new(),
            upload_rules: Vec::new(),
            limits,
            upload,
            upload_rates: Rates::default(),
            max_body,
            filters: Vec::new(),
            smooth: false,
        }
    }

    /// Reads a `[[route]]`. `named` are the filters that have tables, `above` are the hosts and paths of
    /// the routes above.
    pub(super) fn read(
        keys: Keys<'_>,
        named: &BTreeMap<String, FilterKind>,
        above: &mut Above,
    ) -> Option<Self> {
        keys.require("path");
        let path: Option<RoutePath> = keys.parse("path");
        let hosts: Vec<(Place, HostPattern)> = keys.list("host").unwrap_or_default();
        let are_hosts_bad = keys.failed(&["host"]);
        let name = path.as_ref().map(|path| name_of(hosts.first().map(|(_, host)| host), path));
        let keys = match &name {
            Some(name) => keys.named(format!("[[route]] {:?}", shorten(name))),
            None => keys,
        };
        let are_there_none = hosts.is_empty() && keys.has("host");
        if let Some(path) = path.as_ref().filter(|_| !are_hosts_bad && !are_there_none) {
            above.note(&keys, &hosts, path);
        }
        if are_there_none && !are_hosts_bad {
            keys.fault(
                "host",
                "no host is in it; leave it out, and the route answers for all that no other names",
            );
        }
        if keys.has("proxy") {
            // Until virtual hosts came, the key was that of the Host for a backend.
            for (at, host) in hosts.iter().filter(|(_, host)| ["client", "upstream"].contains(&host.as_str()))
            {
                let text = format!(
                    "names the hosts of requests; for the Host of the backend write upstream_host = \"{host}\""
                );
                keys.fault_at(at.clone(), "host", text);
            }
        }
        let hosts: Vec<HostPattern> = hosts.into_iter().map(|(_, host)| host).collect();
        let limits_table = keys.table("limits", " such as { total = { rate = \"20m\" } }");
        let response = limits_table.table("response", " such as { rate = 60, weight = 2 }");
        let pace = read_pace(&keys, &response);
        let smooth = keys.switch("smooth").unwrap_or_default();
        let rules = rules::read(&keys, Matter::Responses, above);
        let upload_rules = rules::read(&keys, Matter::Uploads, above);
        let limits = RouteLimits::read(&limits_table).of_response(&response, &keys);
        let (upload, upload_rates) = keys.table("upload", LIMIT_EXAMPLE).budget_of_each();
        let max_body = keys.amount("max_body", str::parse::<MaxBody>);
        let headers = keys.table("headers", " such as { set = { X-A = \"b\" } }");
        let headers = FieldChanges::read(&headers, Side::Response);
        let error_pages = match keys.has("files") || keys.has("proxy") || !keys.has("error_pages") {
            true => error_pages::read(&keys),
            false => {
                error_pages::read(&keys.without_effect("does nothing without files or proxy; leave it out"))
            }
        };
        let names = keys.list("filters").unwrap_or_default();
        let source = Source::read(&keys);
        if let (Some(Source::Redirect(_)), Some(name)) = (&source, &name) {
            above.redirects.push((name.clone(), keys.place("redirect")));
        }
        if matches!(source, Some(Source::Files(_)))
            && let Some(path) = path.as_ref().filter(|path| !path.as_str().ends_with('/'))
        {
            let good = format!("{}/", shorten(path.as_str()));
            keys.fault("path", format!("a folder's path ends with a slash; write {good:?}"));
        }
        if matches!(source, Some(Source::Files(_))) {
            for (table, key) in [(&keys, "upload"), (&keys, "upload_pace"), (&limits_table, "upload")] {
                if table.has(key) {
                    table.fault(
                        key,
                        "does nothing with files: the content of such requests is not read; leave it out",
                    );
                }
            }
        }
        let is_rate_bad = keys.failed(&["rate"]) || response.failed(&["rate"]);
        let has_rate = pace.is_limit() || is_rate_bad || keys.has("pace");
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
        Some(Self {
            hosts,
            path: path?,
            source: source?,
            error_pages,
            headers,
            pace,
            rules,
            upload_rules,
            limits,
            upload,
            upload_rates,
            max_body,
            filters,
            smooth,
        })
        .filter(|_| !is_rate_bad)
    }

    /// Its path, behind its first host if it has some: its name in limits, metrics and messages.
    pub fn name(&self) -> String {
        name_of(self.hosts.first(), &self.path)
    }

    /// Whether its [name](Self::name) is `name`.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let host = self.hosts.first().map_or("", HostPattern::as_str);
        name.strip_prefix(host) == Some(self.path.as_str())
    }

    /// The fastest of its rates and those of its rules; `None` if one is unlimited.
    pub(super) fn fastest_pace(&self) -> Option<Rate> {
        let mut of_rules = self.rules.iter().map(|rule| rule.rates.fastest());
        of_rules.try_fold(self.pace.rate.fastest()?, |most, rate| Some(most.max(rate?)))
    }

    /// The fastest that a response can leave, if there is a limit. What a backend sets is not known here.
    pub(super) fn fastest(&self) -> Option<(Rate, Duration)> {
        let filters = self.filters.iter().filter_map(|filter| match &filter.kind {
            FilterKind::Rate(own) => own.limit(),
            _ => None,
        });
        let own = self.pace.limit().and_then(|(_, time)| Some((self.fastest_pace()?, time)));
        filters.chain(own).min()
    }
}

/// The hosts and paths of the routes that were read.
#[derive(Default)]
pub(super) struct Above {
    /// The time zone of rules that name none.
    pub(super) zone: Zone,
    /// The names of the classes of clients.
    pub(super) classes: Vec<ClassName>,
    /// Whether some of them could not be read.
    pub(super) are_classes_bad: bool,
    taken: BTreeSet<(Option<HostPattern>, RoutePath)>,
    /// The names of those that redirect, and where they say where to.
    redirects: Vec<(String, Place)>,
}

impl Above {
    /// Refuses redirects of `routes` that lead on in a circle.
    pub(super) fn check_redirects(&self, keys: &Keys<'_>, routes: &[Route], listeners: &Listeners<'_>) {
        for name in redirects::circles(routes, listeners) {
            let Some((_, at)) = self.redirects.iter().find(|(known, _)| *known == name) else { continue };
            let text = format!(
                "redirect in [[route]] {:?} leads back to routes of this server that redirect, without an end; \
                 give another host or path",
                shorten(&name)
            );
            keys.table_fault(at.clone(), text);
        }
    }

    /// Notes a route; one of the same host and path as another is a fault.
    fn note(&mut self, keys: &Keys<'_>, hosts: &[(Place, HostPattern)], path: &RoutePath) {
        let text =
            |of: &str| format!("a [[route]] for {:?} stands above already; leave one out", shorten(of));
        if hosts.is_empty() && !self.taken.insert((None, path.clone())) {
            keys.table_fault_at("path", text(path.as_str()));
        }
        let mut own = BTreeSet::new();
        for (at, host) in hosts {
            if !own.insert(host) {
                keys.fault_at(at.clone(), "host", format!("{host} stands here twice; leave one out"));
            } else if !self.taken.insert((Some(host.clone()), path.clone())) {
                keys.table_fault(at.clone(), text(&name_of(Some(host), path)));
            }
        }
    }
}

/// The name of a route whose first host is `host`.
fn name_of(host: Option<&HostPattern>, path: &RoutePath) -> String {
    format!("{}{path}", host.map_or("", HostPattern::as_str))
}

/// Reads a route's pace, whose rate and burst may stand in `limits.response` instead.
fn read_pace(keys: &Keys<'_>, response: &Keys<'_>) -> Pace {
    for key in ["rate", "burst"] {
        if keys.has(key) && response.has(key) {
            response.fault(key, format!("the route's own {key} says it already; leave one out"));
        }
    }
    let (rate, of_response) = (keys.rates("rate"), response.rates("rate"));
    let own = Pace::read(keys, rate.or(of_response).unwrap_or_default());
    let burst = response.amount("burst", str::parse::<Burst>);
    Pace { burst: burst.unwrap_or(own.burst), ..own }
}

#[cfg(test)]
mod tests;
