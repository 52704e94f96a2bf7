//! Backends of routes, and which of them are left out.

use http::{Response, StatusCode};
use serde::Serialize;

use crate::http::api::json;
use crate::http::content::Content;
use crate::http::proxy::{Proxy, UpstreamStatus};
use crate::http::server::Handle;

#[derive(Serialize)]
struct List {
    upstreams: Vec<Upstream>,
}

#[derive(Serialize)]
struct Upstream {
    route: String,
    upstream: String,
    up: bool,
    out_for_ms: Option<u64>,
    active: u64,
    idle_connections: usize,
    requests: u64,
    connect_failures: u64,
    retries: u64,
    last_error: Option<String>,
}

impl Upstream {
    fn of(route: &str, status: UpstreamStatus) -> Self {
        Self {
            route: route.to_owned(),
            upstream: status.name.to_string(),
            up: !status.is_out,
            out_for_ms: status.out_for.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            active: status.active,
            idle_connections: status.idle,
            requests: status.requests,
            connect_failures: status.failed_connects,
            retries: status.retries,
            last_error: status.last_error,
        }
    }
}

/// All of them, in the order of the routes' paths and of each route's settings.
pub(super) fn list(server: &Handle) -> Response<Content> {
    let mut upstreams = Vec::new();
    for route in server.routes() {
        if let Some(proxy) = route.source::<Proxy>() {
            upstreams.extend(proxy.upstreams().map(|status| Upstream::of(route.name(), status)));
        }
    }
    json(StatusCode::OK, &List { upstreams })
}
