//! Metric families of limits: what is set, what passed, and what waited.
//!
//! Labelled by kind and route, both bounded by the configuration; never by client.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::families::Families;
use crate::budget::Clients;
use crate::http::budgets::{UPLOAD, UPLOAD_CLIENT, UPLOAD_ROUTE, UPLOAD_ROUTE_CLIENT, UPLOAD_SERVER};
use crate::http::route::Route;
use crate::http::server::Handle;
use crate::limit::{Budget, Limit, Passed, Rate};

/// The label of limits that hold for all routes. No route has this path: paths begin with a slash.
const ALL_ROUTES: &str = "all";

pub(super) struct LimitMetrics(Handle);

/// The samples of one limit. Kinds have the names of the access log's `held_by`.
struct Sample<'a> {
    kind: &'static str,
    route: &'a str,
    budget: Budget,
    /// Counters of shared budgets.
    passed: Option<Passed>,
    over: u64,
}

impl LimitMetrics {
    pub(super) fn new(server: Handle) -> Self {
        Self(server)
    }

    fn samples<'a>(&self, routes: &'a [Arc<Route>]) -> Vec<Sample<'a>> {
        let budgets = self.0.budgets();
        let shared = |kind, route, budget, passed: Passed| {
            let over = passed.over;
            Sample { kind, route, budget, passed: Some(passed), over }
        };
        let alone = |kind, route, limit: &Limit| Sample {
            kind,
            route,
            budget: limit.budget(),
            passed: None,
            over: limit.over(),
        };
        let server = budgets.server();
        let mut samples = vec![
            shared("server", ALL_ROUTES, server.in_force(), server.passed()),
            shared("client", ALL_ROUTES, budgets.clients().budget(), server.passed_below()),
            alone("connection_rate", ALL_ROUTES, budgets.connection()),
        ];
        let mut uploads = |[all, each]: [&'static str; 2], route, clients: &Clients| {
            let total = clients.parent();
            samples.extend([
                shared(all, route, total.in_force(), total.passed()),
                shared(each, route, clients.budget(), total.passed_below()),
            ]);
        };
        uploads([UPLOAD_SERVER, UPLOAD_CLIENT], ALL_ROUTES, budgets.uploads());
        for route in routes {
            uploads([UPLOAD_ROUTE, UPLOAD_ROUTE_CLIENT], route.name(), route.upload_clients());
        }
        for route in routes {
            let (path, total) = (route.name(), route.clients().parent());
            samples.extend([
                shared("route", path, total.budget(), total.passed()),
                shared("route_client", path, route.clients().budget(), total.passed_below()),
                alone("pace", path, route.limit()),
                alone(UPLOAD, path, route.upload_limit()),
            ]);
        }
        samples
    }
}

impl Collector for LimitMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Families(encoder);
        let routes = super::routes(&self.0);
        let samples = self.samples(&routes);
        let labels =
            |sample: &Sample<'_>| [("limit", sample.kind.to_owned()), ("route", sample.route.to_owned())];
        to.gauges(
            "limit_rate",
            "The rate that is set, per second: of each client, each connection, each response. Absent where there is none.",
            Some(Unit::Bytes),
            samples.iter().filter_map(|sample| {
                Some((labels(sample), sample.budget.rate.map(Rate::bytes_per_second)?))
            }),
        )?;
        let passed = |count: fn(&Passed) -> u64| {
            samples.iter().filter_map(move |sample| Some((labels(sample), count(sample.passed.as_ref()?))))
        };
        to.counters(
            "limit_passed",
            "Bytes that passed a shared limit, whether or not it has a rate.",
            Some(Unit::Bytes),
            passed(|passed| passed.bytes),
        )?;
        to.counters(
            "limit_waits",
            "How often a response or an upload had to wait for a shared limit.",
            None,
            passed(|passed| passed.waits),
        )?;
        to.counters(
            "limit_over",
            "Bytes that a limit which only reports would have delayed.",
            Some(Unit::Bytes),
            samples.iter().map(|sample| (labels(sample), sample.over)),
        )
    }
}

impl fmt::Debug for LimitMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitMetrics")
    }
}
