//! The rows of transfers, routes, classes and event streams.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::state::{Row, StreamRow, TransferRow, UploadRow};
use crate::admin::api::binding;
use crate::budget::{ClientKey, Held, HeldBy};
use crate::http::budgets::UPLOAD;
use crate::http::server::{ConnectionReport, Glance, Handle, TransferReport};
use crate::limit::Rate;
use crate::live_limits::Name;
use crate::telemetry::Durations;

/// The word for what holds nothing.
const NOTHING: &str = "nothing";

fn word(held: Option<&Held>) -> &str {
    held.map_or(NOTHING, |held| held.by.as_str())
}

/// The word for what holds an upload.
fn upload_word(held: Option<&Held>) -> &str {
    if held.is_some_and(|held| held.by == HeldBy::Pace) { UPLOAD } else { word(held) }
}

/// What holds a transfer: before its answer, what holds its upload.
pub(super) fn held_word(seen: &Glance) -> &str {
    match &seen.upload_held {
        Some(held) => upload_word(held.as_ref()),
        None => word(seen.held.as_ref()),
    }
}

/// The client of a transfer, or of a stream of raw TCP.
pub(super) fn client(seen: &Glance) -> Cow<'_, ClientKey> {
    let of_connection = || seen.connection()?.client.ip().map(ClientKey::address);
    seen.client().map_or_else(|| Cow::Owned(of_connection().unwrap_or(ClientKey::Local)), Cow::Borrowed)
}

/// The port of a stream of raw TCP.
pub(super) fn port_of(server: &Handle, report: &ConnectionReport) -> Option<String> {
    let ports = server.ports();
    ports
        .iter()
        .find(|port| Some(port.addr().port()) == report.local.map(|addr| addr.port()))
        .map(|port| port.name().to_owned())
}

/// A transfer's row, with its key.
pub(super) fn transfer(server: &Handle, seen: &Glance) -> Option<(String, TransferRow)> {
    let key = format!("{}.{}", seen.id.0, seen.id.1);
    if let Some(report) = seen.report(server) {
        return Some((key, of_transfer(server, report, seen.id.0)));
    }
    let route = port_of(server, seen.connection()?);
    let row = TransferRow {
        connection: seen.id.0,
        client: client(seen).to_string(),
        class: None,
        method: "TCP".to_owned(),
        target: route.clone().unwrap_or_default(),
        route,
        status: None,
        length: None,
        bytes: seen.bytes,
        rate_set: None,
        held_by: word(seen.held.as_ref()).to_owned(),
        limit: None,
        upload: None,
    };
    Some((key, row))
}

fn of_transfer(server: &Handle, report: TransferReport, connection: u64) -> TransferRow {
    let limit = |held: Option<&Held>, is_upload| {
        binding(server, &report, held, is_upload).map(|name: Name| name.to_string())
    };
    let of_response = limit(report.held.as_ref(), false);
    let upload = report.upload.as_ref().map(|upload| UploadRow {
        length: upload.length,
        bytes: upload.bytes,
        rate_set: upload.pace.map(Rate::bytes_per_second),
        held_by: upload_word(upload.held.as_ref()).to_owned(),
        limit: limit(upload.held.as_ref(), true),
    });
    TransferRow {
        connection,
        client: report.client.to_string(),
        class: report.class.map(|class| class.to_string()),
        method: report.method.to_string(),
        status: report.status.map(|status| status.as_u16()),
        length: report.length,
        bytes: report.bytes,
        rate_set: report.pace.map(Rate::bytes_per_second),
        held_by: word(report.held.as_ref()).to_owned(),
        limit: of_response,
        upload,
        route: report.route,
        target: report.target,
    }
}

/// Adds what passed the shared limits of routes and classes, and those without a transfer; at most `most` of each.
pub(super) fn add_totals(
    server: &Handle,
    routes: &mut BTreeMap<String, Row>,
    classes: &mut BTreeMap<String, Row>,
    most: usize,
) {
    for route in crate::admin::routes(server).iter().take(most) {
        let row = routes.entry(route.name().to_owned()).or_default();
        row.bytes = route.clients().parent().passed().bytes;
        row.bytes_up = route.upload_clients().parent().passed().bytes;
    }
    for port in server.ports().iter().take(most) {
        let row = routes.entry(port.name().to_owned()).or_default();
        row.bytes = port.service().clients().parent().passed().bytes;
        row.bytes_up = port.service().upload_clients().parent().passed().bytes;
    }
    for class in server.budgets().classes().iter().take(most) {
        let row = classes.entry(class.name().to_owned()).or_default();
        row.bytes = class.clients().parent().passed().bytes;
        row.bytes_up = class.uploads().parent().passed().bytes;
    }
}

/// The event streams of at most `most` routes.
pub(super) fn streams(server: &Handle, most: usize) -> BTreeMap<String, StreamRow> {
    let row = |hub: &crate::events::Hub| {
        let (gauges, counts) = (hub.own_gauges().0, hub.counts());
        StreamRow {
            streams: gauges.streams,
            subscribers: gauges.subscribers,
            suspended: gauges.suspended,
            away: gauges.away,
            queued: gauges.queued,
            saturation: (gauges.saturation * 1000.0) as u64,
            published: counts.published(),
            delivered: counts.delivered(),
            dropped: counts.dropped(),
            expired: counts.expired(),
            p99_us: p99(counts.written()),
        }
    };
    let routes = crate::admin::routes(server);
    routes.iter().filter_map(|route| Some((route.name().to_owned(), row(route.hub()?)))).take(most).collect()
}

/// The bound in microseconds that 99 of 100 durations are below.
fn p99(durations: &Durations) -> Option<u64> {
    let buckets = durations.buckets();
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    let mut so_far = 0;
    let (bound, _) = buckets.iter().find(|(_, count)| {
        so_far += count;
        all > 0 && so_far * 100 >= all * 99
    })?;
    bound.is_finite().then(|| (bound * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ninety_nine_of_a_hundred_are_below_the_bound() {
        let durations = Durations::fine();
        assert_eq!(p99(&durations), None);
        (0..99).for_each(|_| durations.observe(Duration::from_micros(300)));
        durations.observe(Duration::from_secs(1));
        assert_eq!(p99(&durations), Some(500));
        (0..2).for_each(|_| durations.observe(Duration::from_secs(1)));
        assert_eq!(p99(&durations), Some(1_000_000));
    }
}
