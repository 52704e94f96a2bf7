//! Metric families of event streams, by route.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use crate::events::{EventCounts, EventGauges, Hub};
use crate::http::route::Route;
use crate::telemetry::Durations;

/// A route's name and its streams.
type Named<'a> = (&'a str, &'a Hub);

/// Encodes the families of all `routes` with event streams; nothing if there are none.
pub(super) fn write(to: &mut Families<'_>, routes: &[std::sync::Arc<Route>]) -> fmt::Result {
    let hubs: Vec<Named<'_>> =
        routes.iter().filter_map(|route| Some((route.name(), &**route.hub()?))).collect();
    if hubs.is_empty() {
        return Ok(());
    }
    counters(to, &hubs)?;
    let gauges: Vec<(&str, EventGauges)> = hubs.iter().map(|(route, hub)| (*route, hub.gauges())).collect();
    write_gauges(to, &gauges)?;
    type Histogram = fn(&EventCounts) -> &Durations;
    for (name, help, durations) in [
        (
            "events_write_delay",
            "Time from an event's publication to its being handed on for a subscriber.",
            EventCounts::written as Histogram,
        ),
        (
            "events_acknowledgement_delay",
            "Time from there to its acknowledgement: the subscriber's, or without a window the sink's.",
            EventCounts::acknowledged,
        ),
    ] {
        to.histograms(
            name,
            help,
            hubs.iter().map(|(route, hub)| ([("route", *route)], durations(hub.counts()))),
        )?;
    }
    Ok(())
}

fn counters(to: &mut Families<'_>, hubs: &[Named<'_>]) -> fmt::Result {
    type Counter = fn(&EventCounts) -> u64;
    let counters: [(&str, &str, Counter); 13] = [
        ("events_published", "Events taken from publishers.", EventCounts::published),
        ("events_delivered", "Events handed on, once for each subscriber.", EventCounts::delivered),
        (
            "events_dropped",
            "Events that subscribers missed for want of room in the log.",
            EventCounts::dropped,
        ),
        ("events_expired", "Events that subscribers missed because they grew too old.", EventCounts::expired),
        ("events_gaps", "Gaps that subscribers were told of.", EventCounts::gaps),
        ("events_retry_lines", "Times subscribers were told when to come again.", EventCounts::retries),
        ("events_heartbeats", "Heartbeats sent on silent streams.", EventCounts::heartbeats),
        ("events_suspensions", "Subscribers moved to polling by a full queue.", EventCounts::suspensions),
        ("events_resumes", "Subscribers that came back from polling.", EventCounts::resumes),
        ("events_acknowledgements", "Acknowledgements taken.", EventCounts::acks),
        ("events_polls", "Polls answered.", EventCounts::polls),
        ("events_unstored", "Publications refused because their store failed.", EventCounts::unstored),
        ("events_refused", "Subscriptions and polls refused for want of room.", EventCounts::refused),
    ];
    for (name, help, count) in counters {
        let samples = hubs.iter().map(|(route, hub)| ([("route", *route)], count(hub.counts())));
        to.counters(name, help, None, samples)?;
    }
    Ok(())
}

fn write_gauges(to: &mut Families<'_>, of: &[(&str, EventGauges)]) -> fmt::Result {
    type Gauge = fn(&EventGauges) -> f64;
    let gauges: [(&str, &str, Option<Unit>, Gauge); 15] = [
        ("events_streams", "Streams.", None, |of| of.streams as f64),
        ("events_logged", "Events kept for those who resume or poll.", None, |of| of.logged as f64),
        ("events_log_size", "What they take.", Some(Unit::Bytes), |of| of.logged_bytes as f64),
        ("events_subscribers", "Subscribers with a stream.", None, |of| of.subscribers as f64),
        ("events_suspended", "Subscribers that must poll.", None, |of| of.suspended as f64),
        ("events_away", "Subscribers that lost their stream and are remembered.", None, |of| of.away as f64),
        ("events_queue_depth", "Events that wait, summed over subscribers.", None, |of| of.queued as f64),
        ("events_queue_saturation", "The fullest queue; 1 is full.", None, |of| of.saturation),
        ("events_saturated", "Subscribers whose queue is above 80 %.", None, |of| of.saturated as f64),
        ("events_sink_buffered", "Held by us for subscribers' sockets.", Some(Unit::Bytes), |of| {
            of.sink_buffered as f64
        }),
        ("events_unsent", "Held by the kernel for subscribers' sockets.", Some(Unit::Bytes), |of| {
            of.unsent as f64
        }),
        ("events_would_block", "How often sockets of present subscribers refused bytes.", None, |of| {
            of.would_block as f64
        }),
        (
            "events_oldest_unacknowledged",
            "Age of the oldest event handed on and not acknowledged; it grows where a proxy hides a slow reader.",
            Some(Unit::Seconds),
            |of| of.oldest_unacknowledged.as_secs_f64(),
        ),
        ("events_store_ready", "Whether events can be kept: 1, or 0.", None, |of| f64::from(of.store_ready)),
        ("events_suspended_share", "Suspended subscribers among all that are here.", None, |of| {
            of.suspended as f64 / ((of.suspended + of.subscribers) as f64).max(1.0)
        }),
    ];
    for (name, help, unit, gauge) in gauges {
        to.gauges(name, help, unit, of.iter().map(|(route, gauges)| ([("route", *route)], gauge(gauges))))?;
    }
    Ok(())
}
