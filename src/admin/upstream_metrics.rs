//! Metric families of backends, by route and URL: as many as are configured.

use std::fmt;
use std::sync::Arc;

use super::families::Families;
use crate::http::proxy::{Proxy, UpstreamStatus};
use crate::http::route::Route;

/// Encodes the families of all `routes` to backends; nothing if there are none.
pub(super) fn write(to: &mut Families<'_>, routes: &[Arc<Route>]) -> fmt::Result {
    let of = |route: &Arc<Route>| {
        let upstreams: Vec<_> =
            route.source::<Proxy>().map(|proxy| proxy.upstreams().collect()).unwrap_or_default();
        upstreams.into_iter().map(|status| (route.name().to_owned(), status)).collect::<Vec<_>>()
    };
    let upstreams: Vec<(String, UpstreamStatus)> = routes.iter().flat_map(of).collect();
    let by = |count: fn(&UpstreamStatus) -> u64| {
        upstreams.iter().map(move |(route, status)| {
            ([("route", route.as_str()), ("upstream", &*status.name)], count(status))
        })
    };
    for (name, help, count) in [
        (
            "upstream_requests",
            "Requests that went to a backend, also those that went on to another one.",
            (|status| status.requests) as fn(&UpstreamStatus) -> u64,
        ),
        (
            "upstream_connect_failures",
            "Connections to a backend that failed before a request could be sent, TLS handshakes included.",
            |status| status.failed_connects,
        ),
        ("upstream_retries", "Requests that went on from a backend to another one.", |status| status.retries),
    ] {
        to.counters(name, help, None, by(count))?;
    }
    for (name, help, value) in [
        (
            "upstream_up",
            "0 while the last connection to a backend has failed, else 1.",
            (|status| (!status.is_out).into()) as fn(&UpstreamStatus) -> u64,
        ),
        ("upstream_active", "Requests to a backend whose response was not read to its end.", |status| {
            status.active
        }),
        ("upstream_idle_connections", "Idle connections to a backend.", |status| status.idle as u64),
    ] {
        to.gauges(name, help, None, by(value))?;
    }
    Ok(())
}
