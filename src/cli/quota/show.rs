//! Prints responses of a quota server, as tables or JSON.

use serde_json::{Value, json};
use sluicegate::quota::wire::{self, ClientShare, Resource};
use sluicegate::quota::{MICRO, Unit, spell_micros};

use crate::cli::table::Table;

pub(super) fn resources(resources: &[Resource], json: bool) -> String {
    if json {
        return lines(resources.iter().map(|resource| {
            let limit = resource.rate_limit.unwrap_or_default();
            json!({
                "resource": resource.resource_id,
                "unit": unit_name(limit.unit()),
                "limit": limit.per_second,
                "clients": resource.clients,
                "granted": rate(resource.granted_micros),
                "source": source(resource),
            })
        }));
    }
    let rows = resources.iter().map(|resource| {
        let limit = resource.rate_limit.unwrap_or_default();
        let spelt = |micros| spelt(limit.unit(), micros);
        let used = resource.clients.to_string();
        let limit = spelt(limit.per_second.saturating_mul(MICRO));
        let granted = spelt(resource.granted_micros);
        [resource.resource_id.clone(), limit, used, granted, source(resource).to_owned()]
    });
    let headings = ["LIMIT", ">RATE", ">CLIENTS", ">GRANTED", "SOURCE"];
    table(headings, rows.collect(), "there are no limits")
}

/// Where a limit comes from, in the words of `limits list`.
fn source(resource: &Resource) -> &'static str {
    match resource.source() {
        wire::LimitSource::Unspecified => "-",
        wire::LimitSource::Flag => "flag",
        wire::LimitSource::Schedule => "schedule",
        wire::LimitSource::Api => "api",
        wire::LimitSource::Store => "store",
    }
}

pub(super) fn deleted(resource: &str, json: bool) -> String {
    if json {
        return lines([json!({ "resource": resource, "deleted": true })]);
    }
    format!("{resource} has no limit any more\n")
}

pub(super) fn clients(clients: &[wire::Client], json: bool) -> String {
    let left = |client: &wire::Client| {
        let left = client.expires_in.unwrap_or_default();
        left.seconds as f64 + f64::from(left.nanos) / 1e9
    };
    if json {
        return lines(clients.iter().map(|client| {
            let shares: Vec<Value> = client.shares.iter().map(share_json).collect();
            json!({ "client": client.client_id, "expires_in": left(client), "shares": shares })
        }));
    }
    let mut rows = Vec::new();
    for client in clients {
        let expires = format!("{:.1}s", left(client));
        if client.shares.is_empty() {
            rows.push([client.client_id.clone(), expires, "-".into(), "-".into(), "-".into(), "-".into()]);
            continue;
        }
        for share in &client.shares {
            let [resource, rate, target, wants] = share_cells(share);
            rows.push([client.client_id.clone(), expires.clone(), resource, rate, target, wants]);
        }
    }
    let headings = ["CLIENT", ">EXPIRES IN", "LIMIT", ">SHARE", ">FAIR", ">WANTS"];
    table(headings, rows, "there are no clients")
}

/// Changed shares, one line each.
pub(super) fn changes(shares: &[ClientShare], json: bool) -> String {
    let empty = wire::Share::default();
    if json {
        return lines(shares.iter().map(|change| {
            let mut value = share_json(change.share.as_ref().unwrap_or(&empty));
            value["client"] = json!(change.client_id);
            value["gone"] = json!(change.gone);
            value
        }));
    }
    let mut text = String::new();
    for change in shares {
        let [resource, rate, target, wants] = share_cells(change.share.as_ref().unwrap_or(&empty));
        text += &match change.gone {
            true => format!("{}  {resource}  gone\n", change.client_id),
            false => format!("{}  {resource}  {rate}  (fair {target}, wants {wants})\n", change.client_id),
        };
    }
    text
}

fn share_json(share: &wire::Share) -> Value {
    json!({
        "resource": share.resource_id,
        "unit": unit_name(share.unit()),
        "weight": share.weight,
        "wants": share.wants_micros.map(rate),
        "share": rate(share.rate_micros),
        "fair": rate(share.target_micros),
    })
}

/// Columns of a share: resource, share, fair share, demand.
fn share_cells(share: &wire::Share) -> [String; 4] {
    let spelt = |micros| spelt(share.unit(), micros);
    let wants = share.wants_micros.map_or_else(|| "all".to_owned(), spelt);
    [share.resource_id.clone(), spelt(share.rate_micros), spelt(share.target_micros), wants]
}

/// A rate of units per second.
fn rate(micros: u64) -> Value {
    if micros.is_multiple_of(MICRO) { json!(micros / MICRO) } else { json!(micros as f64 / MICRO as f64) }
}

fn spelt(unit: wire::Unit, micros: u64) -> String {
    spell_micros(unit.try_into().unwrap_or(Unit::Bytes), micros)
}

fn unit_name(unit: wire::Unit) -> &'static str {
    match unit {
        wire::Unit::Requests => "requests",
        wire::Unit::Bytes => "bytes",
        wire::Unit::Unspecified => "unknown",
    }
}

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    values.into_iter().map(|value| format!("{value}\n")).collect()
}

/// The table of `rows`, or `none` if there are none.
fn table<const N: usize>(headings: [&str; N], rows: Vec<[String; N]>, none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let mut table = Table::new(headings);
    rows.into_iter().for_each(|row| table.row(row));
    table.text()
}
