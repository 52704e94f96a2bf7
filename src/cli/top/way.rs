//! The way of a transfer: what its bytes pass from the source to the socket, and what holds them.

use super::live::{Live, Transfer};
use super::rows::{client_rate, of_all};
use crate::cli::limits::{of_class_named, of_route_at};
use crate::cli::table::size;

/// A stage of the way.
#[derive(Debug, PartialEq)]
pub(super) struct Stage {
    pub(super) word: &'static str,
    pub(super) text: String,
    pub(super) holds: bool,
}

/// The stages of the transfer with this key, the source first; `None` if it has ended.
pub(super) fn of(live: &Live, id: &str) -> Option<Vec<Stage>> {
    let row = live.transfers.get(id)?;
    let mut stages = Vec::new();
    let mut add = |held: &str, word: &'static str, text: String| {
        stages.push(Stage { word, text, holds: held == row.held_by });
    };
    if let Some(upload) = &row.upload {
        let text = format!(
            "{} read{}, held by {}",
            of_length(upload.bytes, upload.length),
            set(upload.rate_set),
            upload.held_by
        );
        add("upload", "upload", text);
    }
    let status = row.status.map_or_else(|| "no answer yet".to_owned(), |status| format!("status {status}"));
    add("source", "source", format!("{}, {status}", row.route.as_deref().unwrap_or("no route")));
    add("pace", "rate", rate(row.rate_set));
    for (held, word, rate_set) in budgets(live, row) {
        add(held, word, rate(rate_set));
    }
    add("connection_rate", "connection", rate(of_all(live, "/v1/limits/connection")));
    add("reader", "socket", format!("{} sent to {}", of_length(row.bytes, row.length), row.client));
    Some(stages)
}

/// The shared limits of its response: the word that it is held by, what it is called, and its rate.
fn budgets(live: &Live, row: &Transfer) -> Vec<(&'static str, &'static str, Option<u64>)> {
    let client = client_rate(live, &row.client, row.class.as_deref());
    let mut budgets = match &row.class {
        Some(class) => {
            let total = of_all(live, &of_class_named(class, "total"));
            vec![("class_client", "client", client), ("class", "class", total)]
        }
        None => vec![("client", "client", client)],
    };
    budgets.push(("server", "server", of_all(live, "/v1/limits/server")));
    if let Some(route) = &row.route {
        budgets.push(("route_client", "on route", of_all(live, &of_route_at(route, "client"))));
        budgets.push(("route", "route", of_all(live, &of_route_at(route, "total"))));
    }
    budgets
}

fn rate(rate: Option<u64>) -> String {
    rate.map_or_else(|| "no rate set".to_owned(), |rate| format!("{}/s", size(rate)))
}

fn set(rate: Option<u64>) -> String {
    rate.map_or_else(String::new, |rate| format!(" at {}/s", size(rate)))
}

fn of_length(bytes: u64, length: Option<u64>) -> String {
    match length {
        Some(length) => format!("{} of {}", size(bytes), size(length)),
        None => size(bytes),
    }
}
