//! Metric families of the server's counters, read on each scrape.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::families::Families;
use crate::clock::{Clock, Instant};
use crate::http::server::Handle;
use crate::proxy_protocol::{HeaderCounts, HeaderReason};
use crate::rt;
use crate::rt::Reason;
use crate::sink::HeldAs;
use crate::telemetry::{RouteCounts, Telemetry};
use crate::tracing::Tracer;

/// The label of answers that belong to no route. No route has this path: paths begin with a slash.
const NO_ROUTE: &str = "none";

pub(super) struct ServerMetrics {
    server: Handle,
    began: Instant,
}

impl ServerMetrics {
    pub(super) fn new(server: Handle) -> Self {
        Self { server, began: rt::clock().now() }
    }

    /// Families without labels, and what is held.
    fn totals(&self, to: &mut Families<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        to.fact("build_info", "Which Sluicegate this is; always 1.", version)?;
        let up = (rt::clock().now() - self.began).as_secs_f64();
        to.gauge("uptime", "Time since the server was set up.", Some(Unit::Seconds), up)?;
        let (server, egress, telemetry) = (&self.server, self.server.egress(), self.server.telemetry());
        let bytes = || Some(Unit::Bytes);
        for (name, help, unit, value) in [
            ("tasks", "Tasks that have not ended, of all connections and streams.", None, rt::tasks() as u64),
            ("timers", "Wake-ups that are set.", None, rt::clock().sleepers() as u64),
            (
                "read_buffers",
                "Memory of the buffers with pieces of files and of backends' content on their way to sockets.",
                bytes(),
                rt::read_buffers() as u64,
            ),
            (
                "connections",
                "Connections being served, those refused excepted.",
                None,
                server.connections() as u64,
            ),
            ("egress_buffered", "Bytes held for sockets that refused them.", bytes(), egress.buffered()),
            (
                "egress_buffer_high_water",
                "The most bytes held for one socket at a time.",
                bytes(),
                egress.high_water(),
            ),
            (
                "shedding",
                "1 while new requests are turned away because too much is held for clients, else 0.",
                None,
                server.is_shedding().into(),
            ),
        ] {
            to.gauge(name, help, unit, value)?;
        }
        let accepted = telemetry.connections_accepted();
        for (name, help, unit, value) in [
            ("connections_accepted", "Connections taken and served.", None, accepted),
            (
                "connections_refused",
                "Connections told to come again or closed unheard, for want of room.",
                None,
                telemetry.connections_refused(),
            ),
            (
                "access_log_dropped_lines",
                "Lines of the access log dropped because they were not written fast enough.",
                None,
                telemetry.access_lines_dropped(),
            ),
            (
                "http2_streams_stalled",
                "Streams reset because their client took nothing for too long; their connections lived on.",
                None,
                telemetry.stalled_streams(),
            ),
            (
                "egress",
                "Bytes that clients' sockets took, heads and framing included.",
                bytes(),
                egress.bytes_written(),
            ),
            ("ingress", "Bytes that came from clients' sockets.", bytes(), egress.bytes_read()),
            (
                "egress_dropped",
                "Bytes meant for readers that were given up before they took them.",
                bytes(),
                egress.bytes_dropped(),
            ),
            (
                "egress_overflow_closes",
                "Connections closed because their buffer stayed full.",
                None,
                egress.overflow_closes(),
            ),
            (
                "egress_stall_closes",
                "Connections closed because their reader took nothing, or too little, for too long.",
                None,
                egress.stall_closes(),
            ),
            ("egress_would_block", "How often a socket refused bytes.", None, egress.would_block()),
        ] {
            to.counter(name, help, unit, value)?;
        }
        for (name, help, waited) in [
            (
                "egress_token_wait",
                "Time connections spent waiting for tokens of their own rate.",
                egress.token_wait(),
            ),
            (
                "egress_reader_wait",
                "Time connections spent with bytes that their readers did not take.",
                egress.reader_wait(),
            ),
        ] {
            to.counter(name, help, Some(Unit::Seconds), waited.as_secs_f64())?;
        }
        let held = egress.held();
        to.gauges(
            "held",
            "Bytes in memory for readers and of requests by where they are: what [sink] total bounds.",
            bytes(),
            HeldAs::ALL.into_iter().map(|what| ([("what", what.name())], held.of(what))),
        )
    }

    fn proxy_headers(to: &mut Families<'_>, counts: &HeaderCounts) -> fmt::Result {
        let help = "PROXY headers of trusted proxies.";
        to.counter("proxy_headers", help, None, counts.done())?;
        let refused =
            HeaderReason::ALL.iter().map(|reason| ([("reason", reason.as_str())], counts.failed(*reason)));
        let help = "Connections closed because they had no valid PROXY header, by reason.";
        to.counters("proxy_headers_refused", help, None, refused)
    }

    fn responses(to: &mut Families<'_>, telemetry: &Telemetry) -> fmt::Result {
        let routes = telemetry.routes();
        let routes: Vec<(&str, &RouteCounts)> =
            routes.iter().map(|counts| (counts.path().unwrap_or(NO_ROUTE), &**counts)).collect();
        let by_route = |count: fn(&RouteCounts) -> u64| {
            routes.iter().map(move |(route, counts)| ([("route", *route)], count(counts)))
        };
        to.counters(
            "http_responses",
            "Responses by route and class of status, counted when they end.",
            None,
            routes.iter().flat_map(|(route, counts)| {
                counts.by_class().map(move |(class, count)| ([("route", *route), ("code", class)], count))
            }),
        )?;
        to.counters(
            "http_responses_aborted",
            "Responses whose content was not given to its end.",
            None,
            by_route(RouteCounts::aborted),
        )?;
        to.counters(
            "http_requests_abandoned",
            "Requests whose client left before there was an answer.",
            None,
            by_route(RouteCounts::abandoned),
        )?;
        to.counters(
            "http_response_body",
            "Content of responses after content coding, without framing; of those under way, so far.",
            Some(Unit::Bytes),
            by_route(RouteCounts::bytes),
        )?;
        to.counters(
            "http_request_body",
            "Content of requests that was read for a source, without framing; of those under way, so far.",
            Some(Unit::Bytes),
            by_route(RouteCounts::received),
        )?;
        to.histograms(
            "http_request_duration",
            "Time from a request's head to its response's last byte or abort.",
            routes.iter().map(|(route, counts)| ([("route", *route)], counts.durations())),
        )
    }

    fn filters(&self, to: &mut Families<'_>) -> fmt::Result {
        let counts = self.server.counts();
        let streams = counts.iter().map(|(name, counts)| ([("filter", name.as_str())], counts.streams()));
        to.counters("filter_streams", "Streams that a filter of kind count saw begin.", None, streams)?;
        let bytes = counts.iter().map(|(name, counts)| ([("filter", name.as_str())], counts.bytes()));
        to.counters("filter", "Bytes that passed a filter of kind count.", Some(Unit::Bytes), bytes)
    }
}

/// The families of a server that traces events.
fn spans(to: &mut Families<'_>, tracer: &Tracer) -> fmt::Result {
    let counts = tracer.counts();
    for (name, help, value) in [
        ("spans_exported", "Spans that the collector took.", counts.exported),
        ("spans_dropped", "Spans that found no room in the queue.", counts.dropped),
        ("spans_failed", "Spans that were sent and that the collector did not take.", counts.failed),
        ("spans_export_failures", "Batches of spans that it did not take.", counts.failures),
    ] {
        to.counter(name, help, None, value)?;
    }
    to.gauge("spans_queued", "Spans that wait for their export.", None, tracer.queued() as u64)?;
    to.gauge("spans_open", "Deliveries whose acknowledgement is waited for.", None, tracer.open() as u64)
}

impl Collector for ServerMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Families(encoder);
        self.totals(&mut to)?;
        Self::proxy_headers(&mut to, self.server.proxy_headers())?;
        Self::responses(&mut to, self.server.telemetry())?;
        self.filters(&mut to)?;
        super::upstream_metrics::write(&mut to, &self.server.routes())?;
        #[cfg(feature = "events")]
        super::event_metrics::write(&mut to, &self.server.routes())?;
        #[cfg(feature = "tls")]
        if let Some(tls) = self.server.extension::<crate::tls::NamedTls>() {
            super::tls_metrics::write(&mut to, &tls)?;
        }
        match self.server.extension::<Arc<Tracer>>() {
            Some(tracer) => spans(&mut to, &tracer),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ServerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerMetrics")
    }
}
