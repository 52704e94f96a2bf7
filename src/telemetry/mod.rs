//! What the HTTP server counts: connections as they come, responses as they end, their content also before.
//!
//! Plain atomics, updated once for each connection and each response, and read on request. Knows no exposition format
//! (that is `admin`) and no socket; [sinks](crate::sink::SinkCounts) count the bytes of sockets.

mod histogram;
mod recent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::sync::RwLock;

pub use histogram::Durations;
pub use recent::Recent;

/// The sums of one server.
#[derive(Debug, Default)]
pub struct Telemetry {
    accepted: AtomicU64,
    refused: AtomicU64,
    stalled_streams: AtomicU64,
    access_lines_dropped: AtomicU64,
    /// Indexed by number. Never shrinks: a removed route keeps its counts.
    routes: RwLock<Vec<Arc<RouteCounts>>>,
    unrouted: Arc<RouteCounts>,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// All of it went to the socket, or over HTTP/2 to the framing.
    Complete,
    /// Not all of its content did.
    Aborted,
    /// The client left before the response had a head.
    Abandoned,
}

impl Outcome {
    /// The name in the access log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A response that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// The route's [number](Telemetry::route); `None` if no route answered.
    pub(crate) route: Option<usize>,
    /// `None` if the client left before.
    pub(crate) status: Option<StatusCode>,
    /// Bytes of content passed on, without framing.
    pub(crate) bytes: u64,
    /// Of these, how many were counted while it was under way.
    pub(crate) counted: u64,
    /// From the request's head to the last byte or the abort.
    pub(crate) lasted: Duration,
    pub(crate) outcome: Outcome,
}

impl Telemetry {
    /// The number of the route at `path`. Stable: a route that replaces it has the same.
    pub(crate) fn route(&self, path: &str) -> usize {
        let mut routes = self.routes.write();
        let known = routes.iter().position(|route| route.path() == Some(path));
        known.unwrap_or_else(|| {
            let path = Some(path.to_owned());
            routes.push(Arc::new(RouteCounts { path, ..RouteCounts::default() }));
            routes.len() - 1
        })
    }

    /// The path of the route with this number; `-` if there is none.
    pub(crate) fn path(&self, route: usize) -> String {
        let routes = self.routes.read();
        routes.get(route).and_then(|route| route.path()).unwrap_or("-").to_owned()
    }

    pub(crate) fn connection_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that is refused, with a response or without.
    pub(crate) fn connection_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an HTTP/2 stream that was reset because its client took nothing.
    pub(crate) fn stream_stalled(&self) {
        self.stalled_streams.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a line that the access log had no room for.
    pub(crate) fn access_line_dropped(&self) {
        self.access_lines_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts content of a response that is under way.
    pub(crate) fn content_passed(&self, route: Option<usize>, bytes: u64) {
        let routes = self.routes.read();
        let route = route.and_then(|at| routes.get(at)).unwrap_or(&self.unrouted);
        route.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts content of a request that its source was given.
    pub(crate) fn content_received(&self, route: Option<usize>, bytes: u64) {
        let routes = self.routes.read();
        let route = route.and_then(|at| routes.get(at)).unwrap_or(&self.unrouted);
        route.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn response_ended(&self, ended: &Ended) {
        let routes = self.routes.read();
        let route = ended.route.and_then(|at| routes.get(at)).unwrap_or(&self.unrouted);
        if let Some(status) = ended.status {
            route.by_class[class(status)].fetch_add(1, Ordering::Relaxed);
        }
        if ended.outcome == Outcome::Aborted {
            route.aborted.fetch_add(1, Ordering::Relaxed);
        }
        if ended.outcome == Outcome::Abandoned {
            route.abandoned.fetch_add(1, Ordering::Relaxed);
        }
        route.bytes.fetch_add(ended.bytes - ended.counted, Ordering::Relaxed);
        route.durations.observe(ended.lasted);
    }

    /// Connections served so far, without refused ones.
    pub fn connections_accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections refused so far, with a response or without, because a limit of connections was reached.
    pub fn connections_refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// HTTP/2 streams that were reset because their client took nothing for too long, while the connection went on.
    pub fn stalled_streams(&self) -> u64 {
        self.stalled_streams.load(Ordering::Relaxed)
    }

    /// Lines that the access log had no room for, because they were not written fast enough.
    pub fn access_lines_dropped(&self) -> u64 {
        self.access_lines_dropped.load(Ordering::Relaxed)
    }

    /// The counts of each route, then those of responses without a route.
    pub fn routes(&self) -> Vec<Arc<RouteCounts>> {
        let routes = self.routes.read();
        routes.iter().chain([&self.unrouted]).map(Arc::clone).collect()
    }
}

/// The counts of one route, or of responses without a route. Responses are counted when they end; their content also
/// before, when counts are read.
#[derive(Debug, Default)]
pub struct RouteCounts {
    path: Option<String>,
    /// By the first digit of the status, less one.
    by_class: [AtomicU64; CLASSES.len()],
    aborted: AtomicU64,
    abandoned: AtomicU64,
    bytes: AtomicU64,
    received: AtomicU64,
    durations: Durations,
}

/// The classes of status codes (RFC 9110 section 15).
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A status's index in [`CLASSES`]. A status unknown to HTTP counts as a server error.
fn class(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1
}

impl RouteCounts {
    /// The route's path; `None` for responses without a route: no route matched, or the server was full.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Responses by the class of their status, `1xx` to `5xx`; those aborted later included.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(&self.by_class).map(|(class, count)| (class, count.load(Ordering::Relaxed)))
    }

    /// Responses whose content was not passed on to its end.
    pub fn aborted(&self) -> u64 {
        self.aborted.load(Ordering::Relaxed)
    }

    /// Requests whose client left before the response had a head.
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Bytes of content passed on, after content coding, without framing.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of requests' content that sources were given, without framing.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How long the requests took, from their heads to the last byte or the abort.
    pub fn durations(&self) -> &Durations {
        &self.durations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(route: Option<usize>, status: Option<u16>, outcome: Outcome) -> Ended {
        Ended {
            route,
            status: status.map(|status| StatusCode::from_u16(status).unwrap()),
            bytes: 10,
            counted: 0,
            lasted: Duration::from_millis(1),
            outcome,
        }
    }

    #[test]
    fn responses_are_counted_where_they_belong() {
        let telemetry = Telemetry::default();
        assert_eq!(["/a/", "/", "/a/"].map(|path| telemetry.route(path)), [0, 1, 0]);
        assert_eq!((telemetry.path(1), telemetry.path(2)), ("/".to_owned(), "-".to_owned()));
        for (route, status, outcome) in [
            (Some(0), Some(200), Outcome::Complete),
            (Some(0), Some(206), Outcome::Aborted),
            (Some(0), None, Outcome::Abandoned),
            (Some(1), Some(304), Outcome::Complete),
            (None, Some(404), Outcome::Complete),
            (Some(2), Some(503), Outcome::Complete),
        ] {
            telemetry.response_ended(&ended(route, status, outcome));
        }
        let seen: Vec<_> = telemetry
            .routes()
            .iter()
            .map(|route| {
                let classes: Vec<u64> = route.by_class().map(|(_, count)| count).collect();
                (route.path().map(str::to_owned), classes, route.aborted(), route.abandoned(), route.bytes())
            })
            .collect();
        assert_eq!(
            seen,
            [
                (Some("/a/".to_owned()), vec![0, 2, 0, 0, 0], 1, 1, 30),
                (Some("/".to_owned()), vec![0, 0, 1, 0, 0], 0, 0, 10),
                (None, vec![0, 0, 0, 1, 1], 0, 0, 20),
            ]
        );
    }

    #[test]
    fn every_status_has_a_class() {
        for (status, name) in
            [(100, "1xx"), (101, "1xx"), (299, "2xx"), (404, "4xx"), (599, "5xx"), (999, "5xx")]
        {
            assert_eq!(CLASSES[class(StatusCode::from_u16(status).unwrap())], name, "{status}");
        }
    }
}
