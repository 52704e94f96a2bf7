//! Live connections, and what limits their transfers.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Response, StatusCode};
use serde::Serialize;

use crate::budget::{Held, HeldBy};
use crate::clock::Instant;
use crate::http::answer;
use crate::http::api::{Problem, json};
use crate::http::budgets::{
    CLASS, CLASS_CLIENT, CLIENT, ROUTE, ROUTE_CLIENT, SERVER, UPLOAD, UPLOAD_CLASS, UPLOAD_CLASS_CLIENT,
    UPLOAD_CLIENT, UPLOAD_ROUTE, UPLOAD_ROUTE_CLIENT, UPLOAD_SERVER,
};
use crate::http::content::Content;
use crate::http::server::{ConnectionReport, Handle, PaceBy, Protocol, TransferReport, UploadReport};
use crate::limit::Rate;
use crate::live_limits::{Name, Part};

/// Transfers after which a page ends.
const MAX_TRANSFERS: usize = 1000;

#[derive(Serialize)]
struct Page {
    connections: Vec<Connection>,
    /// The `after` of the next page.
    next: Option<u64>,
}

#[derive(Serialize)]
struct Connection {
    id: u64,
    peer: String,
    client: String,
    local: String,
    protocol: Option<&'static str>,
    age_ms: u64,
    requests: u64,
    bytes_read: u64,
    bytes_written: u64,
    rate_now: u64,
    buffered: u64,
    #[serde(flatten)]
    held: Holding,
    transfers: Vec<Transfer>,
}

#[derive(Serialize)]
struct Transfer {
    number: u64,
    method: String,
    target: String,
    route: Option<String>,
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    status: Option<u16>,
    tunnel: bool,
    age_ms: u64,
    bytes: u64,
    length: Option<u64>,
    rate_set: Option<u64>,
    /// What set that: the route's limit, a rule, or the backend.
    rate_set_by: Option<&'static str>,
    rate_now: u64,
    rate_mean: u64,
    #[serde(flatten)]
    held: Holding,
    waited_ms: Waited,
    /// The filters beside the route's rate, in order.
    filters: Vec<String>,
    /// The request's content, or what the client sends through the tunnel.
    upload: Option<Upload>,
}

#[derive(Serialize)]
struct Upload {
    bytes: u64,
    length: Option<u64>,
    ended: bool,
    rate_set: Option<u64>,
    rate_now: u64,
    rate_mean: u64,
    #[serde(flatten)]
    held: Holding,
    waited_ms: Waited,
}

/// How long something was held so far, in milliseconds, by the words of `held_by`.
type Waited = BTreeMap<String, u64>;

/// What holds a transfer, and until when.
#[derive(Serialize)]
struct Holding {
    held_by: String,
    /// The address of the limit that is to be changed, if a known one is what holds it.
    limit: Option<String>,
    next_send_ms: Option<u64>,
    next_send_is_estimate: bool,
}

/// A page of connections after `after`.
pub(super) fn page(server: &Handle, after: u64, most: usize) -> Response<Content> {
    // One more shows whether there is a next page.
    let mut reports = server.connections_after(after, most + 1, MAX_TRANSFERS);
    let transfers: usize = reports.iter().map(|report| report.transfers.len()).sum();
    let more = reports.len() > most || transfers >= MAX_TRANSFERS;
    reports.truncate(most);
    let next = reports.last().filter(|_| more).map(|report| report.id);
    let connections = reports.into_iter().map(|report| of(server, report)).collect();
    json(StatusCode::OK, &Page { connections, next })
}

pub(super) fn one(server: &Handle, id: u64) -> Result<Response<Content>, Problem> {
    server.connection(id).map(|report| json(StatusCode::OK, &of(server, report))).ok_or_else(none)
}

pub(super) fn close(server: &Handle, id: u64, by: &str) -> Result<Response<Content>, Problem> {
    if !server.close_connection(id, by) {
        return Err(none());
    }
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

pub(super) fn none() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "No connection has this number now; it may have ended.")
}

fn of(server: &Handle, report: ConnectionReport) -> Connection {
    let is_rate = report.held.as_ref().is_some_and(|held| held.by == HeldBy::ConnectionRate);
    let limit = is_rate.then_some(Name::Connection);
    Connection {
        id: report.id,
        peer: report.peer.to_string(),
        client: report.client.to_string(),
        local: report.local.map_or_else(|| "unix".to_owned(), |addr| addr.to_string()),
        protocol: report.protocol.map(|protocol| match protocol {
            Protocol::Http1 => "http/1",
            Protocol::Http2 => "http/2",
            Protocol::Tcp => "tcp",
        }),
        age_ms: millis(report.age),
        requests: report.requests,
        bytes_read: report.bytes_read,
        bytes_written: report.bytes_written,
        rate_now: report.bytes_per_second,
        buffered: report.buffered,
        held: shown(report.held.as_ref(), limit, report.at),
        transfers: report.transfers.into_iter().map(|transfer| of_transfer(server, transfer)).collect(),
    }
}

fn of_transfer(server: &Handle, report: TransferReport) -> Transfer {
    let limit = binding(server, &report, report.held.as_ref(), false);
    let upload = report.upload.as_ref().map(|upload| of_upload(server, &report, upload));
    Transfer {
        number: report.number,
        method: report.method.to_string(),
        target: report.target,
        client: report.client.to_string(),
        class: report.class.as_ref().map(|class| class.to_string()),
        status: report.status.map(|status| status.as_u16()),
        tunnel: report.is_tunnel,
        age_ms: millis(report.age),
        bytes: report.bytes,
        length: report.length,
        rate_set: report.pace.map(Rate::bytes_per_second),
        rate_set_by: report.pace_by.map(|by| match by {
            PaceBy::Route => "route",
            PaceBy::Rule => "rule",
            PaceBy::Backend => "backend",
        }),
        rate_now: report.bytes_per_second,
        rate_mean: report.mean_bytes_per_second,
        held: shown(report.held.as_ref(), limit, report.at),
        waited_ms: waited(&report.waited, HeldBy::Pace.as_str()),
        filters: report.filters.iter().map(|name| name.to_string()).collect(),
        route: report.route,
        upload,
    }
}

fn of_upload(server: &Handle, transfer: &TransferReport, report: &UploadReport) -> Upload {
    let limit = binding(server, transfer, report.held.as_ref(), true);
    let mut held = shown(report.held.as_ref(), limit, transfer.at);
    if report.held.as_ref().is_some_and(|held| held.by == HeldBy::Pace) {
        UPLOAD.clone_into(&mut held.held_by);
    }
    Upload {
        bytes: report.bytes,
        length: report.length,
        ended: report.has_ended,
        rate_set: report.pace.map(Rate::bytes_per_second),
        rate_now: report.bytes_per_second,
        rate_mean: report.mean_bytes_per_second,
        held,
        waited_ms: waited(&report.waited, UPLOAD),
    }
}

/// Sums of `all` by word; that of the pace is `pace`. What is less than a millisecond is left out.
fn waited(all: &[(HeldBy, Duration)], pace: &str) -> Waited {
    let mut sums = BTreeMap::<String, Duration>::new();
    for (by, waited) in all {
        let word = if *by == HeldBy::Pace { pace } else { by.as_str() };
        *sums.entry(word.to_owned()).or_default() += *waited;
    }
    let sums = sums.into_iter().map(|(word, waited)| (word, millis(waited)));
    sums.filter(|(_, waited)| *waited > 0).collect()
}

/// The limit that would have to be changed for what is `held`: the response of `transfer`, or its upload.
pub(in crate::admin) fn binding(
    server: &Handle,
    transfer: &TransferReport,
    held: Option<&Held>,
    is_upload: bool,
) -> Option<Name> {
    let (nodes, parts) = match is_upload {
        true => ([UPLOAD_SERVER, UPLOAD_CLIENT, UPLOAD_ROUTE, UPLOAD_ROUTE_CLIENT], Part::OF_UPLOADS),
        false => ([SERVER, CLIENT, ROUTE, ROUTE_CLIENT], Part::OF_RESPONSES),
    };
    let of_class = match is_upload {
        true => [(UPLOAD_CLASS, Part::UploadTotal), (UPLOAD_CLASS_CLIENT, Part::UploadClient)],
        false => [(CLASS, Part::Total), (CLASS_CLIENT, Part::Client)],
    };
    let [pace, total, each] = parts;
    let is_routes = match (is_upload, &transfer.upload) {
        (true, Some(upload)) => upload.pace_is_routes,
        (true, None) => true,
        (false, _) => transfer.pace_is_routes,
    };
    let of_route = |part| transfer.route.clone().map(|path| Name::Route(path, part));
    let node = match &held?.by {
        HeldBy::Pace if is_routes => return of_route(pace),
        HeldBy::ConnectionRate if !is_upload => return Some(Name::Connection),
        HeldBy::Budget(node) => &**node,
        _ => return None,
    };
    if let Some((known, part)) = of_class.into_iter().find(|(known, _)| *known == node) {
        // Its own limit is that of the client's node, wherever it is.
        let own = if known == of_class[1].0 { own_of(server, transfer, is_upload) } else { None };
        return own.or_else(|| Some(Name::Class(transfer.class.as_ref()?.to_string(), part)));
    }
    let [of_server, of_client, of_all, of_each] = nodes.map(|known| known == node);
    if of_server {
        Some(if is_upload { Name::UploadServer } else { Name::Server })
    } else if of_client {
        let of_all = if is_upload { Name::UploadClient } else { Name::Client };
        Some(own_of(server, transfer, is_upload).unwrap_or(of_all))
    } else if of_all {
        of_route(total)
    } else {
        of_each.then(|| of_route(each)).flatten()
    }
}

/// The limit that the client of `transfer` has of its own, if it has one.
fn own_of(server: &Handle, transfer: &TransferReport, is_upload: bool) -> Option<Name> {
    let clients = if is_upload { server.budgets().uploads() } else { server.budgets().clients() };
    clients.lookup(&transfer.client).0?;
    let key = transfer.client.clone();
    Some(if is_upload { Name::UploadOwn(key) } else { Name::Own(key) })
}

fn shown(held: Option<&Held>, limit: Option<Name>, now: Instant) -> Holding {
    // Rounded up to a whole millisecond.
    let wait = held.and_then(|held| held.until).map(|until| until - now + Duration::from_nanos(999_999));
    let next_send_ms = wait.map(millis);
    Holding {
        held_by: held.map_or("nothing", |held| held.by.as_str()).to_owned(),
        limit: limit.map(|name| name.to_string()),
        next_send_ms,
        next_send_is_estimate: next_send_ms.is_some() && held.is_some_and(|held| held.by.is_shared()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
