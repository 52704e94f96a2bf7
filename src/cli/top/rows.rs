//! The rows of each view, and their order.

use std::cmp::Ordering;

use super::columns::{Sort, View};
use super::kind::{Kind, most};
use super::live::{Group, Limit, Live, Streams, Transfer};
use super::paces::Paces;
use crate::cli::limits::{of_class_named, of_one_client, of_route_at, words};
use crate::cli::table::size;

/// One line.
#[derive(Debug)]
pub(super) struct Row {
    /// Names it among all rows of all views.
    pub(super) key: String,
    /// A text for each of the view's columns.
    pub(super) cells: Vec<String>,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) now: u64,
    /// The rate that is set.
    pub(super) set: Option<u64>,
    sent: u64,
    held: String,
}

impl Row {
    fn order(&self, other: &Self, by: Sort) -> Ordering {
        match by {
            Sort::Now => other.now.cmp(&self.now),
            Sort::Set => other.set.cmp(&self.set),
            Sort::Sent => other.sent.cmp(&self.sent),
            Sort::Held => self.held.cmp(&other.held),
            Sort::Name => Ordering::Equal,
        }
        .then_with(|| self.name.cmp(&other.name))
        .then_with(|| self.key.cmp(&other.key))
    }
}

/// The rows of a view, in order.
pub(super) fn of(
    live: &Live,
    (paces, now): (&Paces, u64),
    view: View,
    (sort, is_reversed): (Sort, bool),
    only: Option<&str>,
) -> Vec<Row> {
    let pace = |key: &str| paces.of(key, now);
    let mut rows: Vec<Row> = match view {
        View::Transfers => {
            let shown = live.transfers.iter().filter(|(_, row)| only.is_none_or(|only| is_below(row, only)));
            shown.map(|(id, row)| transfer(id, row, pace(&transfer_key(id)))).collect()
        }
        View::Clients => {
            groups("client", &live.clients, &pace, |name, row| client_rate(live, name, row.class.as_deref()))
        }
        View::Routes => {
            groups("route", &live.routes, &pace, |name, _| of_all(live, &of_route_at(name, "total")))
        }
        View::Classes => {
            groups("class", &live.classes, &pace, |name, _| of_all(live, &of_class_named(name, "total")))
        }
        View::Limits => {
            let used = live.limits.iter().filter(|(_, limit)| is_used(limit));
            used.map(|(href, of)| limit(href, of, pace(&limit_key(href)))).collect()
        }
        View::Streams => live.streams.iter().map(|(route, of)| streams(route, of)).collect(),
    };
    rows.sort_by(|one, other| one.order(other, sort));
    if is_reversed {
        rows.reverse();
    }
    rows
}

/// Counters of all rows, for their paces.
pub(super) fn counters(live: &Live) -> Vec<(String, u64, Kind)> {
    let server = &live.server;
    let mut all = vec![
        ("server".to_owned(), server.bytes, Kind::of(most(&server.held_by))),
        ("in".to_owned(), server.bytes_up, Kind::Nothing),
        ("rest".to_owned(), live.rest.bytes + live.rest.bytes_up, Kind::Nothing),
    ];
    for (word, groups) in [("client", &live.clients), ("route", &live.routes), ("class", &live.classes)] {
        all.extend(
            groups
                .iter()
                .map(|(name, row)| (format!("{word} {name}"), row.bytes, Kind::of(most(&row.held_by)))),
        );
    }
    all.extend(live.transfers.iter().map(|(id, row)| (transfer_key(id), row.moved(), Kind::of(row.held()))));
    let limits =
        live.limits.iter().filter_map(|(href, limit)| Some((limit_key(href), limit.bytes?, Kind::Pace)));
    all.extend(limits);
    all
}

pub(super) fn transfer_key(id: &str) -> String {
    format!("transfer {id}")
}

fn limit_key(href: &str) -> String {
    format!("limit {href}")
}

/// Whether a transfer is one of the client, route or class whose row has this key.
fn is_below(row: &Transfer, key: &str) -> bool {
    match key.split_once(' ') {
        Some(("client", name)) => row.client == name,
        Some(("route", name)) => row.route.as_deref() == Some(name),
        Some(("class", name)) => row.class.as_deref() == Some(name),
        _ => true,
    }
}

fn rate(rate: Option<u64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{}/s", size(rate)))
}

/// The rate in force of the limit at this address.
pub(super) fn of_all(live: &Live, href: &str) -> Option<u64> {
    live.limits.get(href)?.in_force()
}

/// The rate that a client of `class` has, its own or that of each.
pub(super) fn client_rate(live: &Live, name: &str, class: Option<&str>) -> Option<u64> {
    let own = live.limits.get(&of_one_client(name));
    let of_each =
        class.map_or_else(|| "/v1/limits/client".to_owned(), |class| of_class_named(class, "client"));
    own.or_else(|| live.limits.get(&of_each))?.rate
}

fn transfer(id: &str, row: &Transfer, now: u64) -> Row {
    let held = row.held();
    let set = match &row.upload {
        Some(upload) if row.held_by == "source" => upload.rate_set,
        _ => row.rate_set,
    };
    Row {
        key: transfer_key(id),
        cells: vec![rate(Some(now)), rate(set), size(row.moved()), shown(held), row.client.clone()],
        name: format!("{} {}", row.method, row.target),
        kind: Kind::of(held),
        now,
        set,
        sent: row.moved(),
        held: held.to_owned(),
    }
}

fn groups(
    word: &str,
    groups: &std::collections::BTreeMap<String, Group>,
    pace: &impl Fn(&str) -> u64,
    set: impl Fn(&str, &Group) -> Option<u64>,
) -> Vec<Row> {
    let row = |(name, group): (&String, &Group)| {
        let key = format!("{word} {name}");
        let (now, set, held) = (pace(&key), set(name, group), most(&group.held_by));
        Row {
            cells: vec![
                rate(Some(now)),
                rate(set),
                size(group.bytes),
                shown(held),
                group.transfers.to_string(),
            ],
            name: group.class.as_ref().map_or_else(|| name.clone(), |class| format!("{name} ({class})")),
            kind: Kind::of(held),
            now,
            set,
            sent: group.bytes,
            held: held.to_owned(),
            key,
        }
    };
    groups.iter().map(row).collect()
}

/// Whether a limit does or says anything.
fn is_used(limit: &Limit) -> bool {
    let is_set = limit.rate.is_some() || limit.quota.is_some() || limit.burst > 0 || limit.own == Some(true);
    is_set || ["server", "client"].contains(&&*limit.kind)
}

fn limit(href: &str, of: &Limit, now: u64) -> Row {
    let from = of.source.get("rate").map_or("-", |source| &source.from);
    let mark = match of {
        Limit { quota: Some(_), .. } => ", share of a quota",
        Limit { report_only: true, .. } => ", reports only",
        _ => "",
    };
    let set = match &of.rates {
        Some(rates) if of.quota.is_none() => rates.join(", "),
        _ => rate(of.in_force()),
    };
    Row {
        key: limit_key(href),
        cells: vec![
            if of.bytes.is_some() { rate(Some(now)) } else { "-".to_owned() },
            set,
            if of.burst > 0 { size(of.burst) } else { "-".to_owned() },
            of.weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string()),
            of.waits.map_or_else(|| "-".to_owned(), |waits| waits.to_string()),
            from.to_owned(),
        ],
        name: format!("{}{mark}", words(href)),
        kind: Kind::of(&of.kind),
        now,
        set: of.in_force(),
        sent: of.waits.unwrap_or(0),
        held: from.to_owned(),
    }
}

fn streams(route: &str, of: &Streams) -> Row {
    let lost = of.dropped + of.expired;
    Row {
        key: format!("streams {route}"),
        cells: vec![
            of.subscribers.to_string(),
            of.suspended.to_string(),
            of.away.to_string(),
            of.queued.to_string(),
            format!("{}.{} %", of.saturation / 10, of.saturation % 10),
            lost.to_string(),
            of.p99_us.map_or_else(|| "-".to_owned(), bound),
        ],
        name: route.to_owned(),
        kind: if of.suspended > 0 || lost > 0 { Kind::Reader } else { Kind::Nothing },
        now: of.published,
        set: None,
        sent: lost,
        held: String::new(),
    }
}

/// The bound of a time: `< 500 µs`, `< 2.5 ms`.
fn bound(micros: u64) -> String {
    match micros {
        0..1_000 => format!("< {micros} µs"),
        1_000..1_000_000 if micros.is_multiple_of(1_000) => format!("< {} ms", micros / 1_000),
        1_000..1_000_000 => format!("< {:.1} ms", micros as f64 / 1e3),
        _ => format!("< {:.1} s", micros as f64 / 1e6),
    }
}

fn shown(held: &str) -> String {
    if held == "nothing" { "-".to_owned() } else { held.replace('_', " ") }
}
