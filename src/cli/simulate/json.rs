//! `simulate --json`: one document of whole numbers, with their units in their names.
//!
//! Described in `docs/simulate.md`. Fields may be added; existing ones keep their names and meanings while `schema` is 1. Unknown
//! values are `null`.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sluicegate::simulate::outcome::{GroupOutcome, LimitOutcome, Outcome, Quantiles};

/// The document, ended by a line feed.
pub(super) fn document(outcome: &Outcome) -> String {
    let began = outcome.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let document = json!({
        "schema": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "began_ms": millis(began),
        "seconds": outcome.lasting.as_secs(),
        "seed": outcome.seed,
        "groups": outcome.groups.iter().map(|group| self::group(group, outcome)).collect::<Vec<_>>(),
        "limits": outcome.limits.iter().map(limit).collect::<Vec<_>>(),
    });
    format!("{document}\n")
}

fn group(group: &GroupOutcome, outcome: &Outcome) -> Value {
    let transfers = group.transfers;
    let bytes = |quantiles: &Quantiles<u64>| quantiles_of(quantiles, |value| value);
    let waits: serde_json::Map<_, _> =
        group.waits.iter().map(|(by, lasted)| (by.clone(), millis(*lasted).into())).collect();
    json!({
        "name": group.name,
        "clients": group.clients,
        "done": transfers.done,
        "under_way": transfers.under_way,
        "given_up": transfers.given_up,
        "refused": transfers.refused,
        "failed": transfers.failed,
        "cut": transfers.cut,
        "left_out": transfers.turned_away,
        "bytes": group.bytes,
        "bytes_up": group.bytes_up,
        "bytes_per_second": per_second(group.moved(), outcome.lasting),
        "peak_bytes_per_second": group.peak,
        "share_of_server_millionths": share(group.bytes, outcome.limits.first()),
        "transfer_bytes_per_second": group.rates.as_ref().map(bytes),
        "transfer_ms": group.times.as_ref().map(|times| quantiles_of(times, millis)),
        "client_bytes": group.spread.as_ref().map(bytes),
        "lasted_ms": millis(group.lasted),
        "waited_ms": waits,
        "series_bytes": group.seconds,
    })
}

fn limit(limit: &LimitOutcome) -> Value {
    json!({
        "name": limit.name,
        "bytes": limit.passed(),
        "allowed_bytes": limit.allowed,
        "peak_bytes_per_second": limit.peak,
        "waits": limit.waits,
        "series_bytes": limit.seconds,
        "series_rate_bytes_per_second": limit.rates,
    })
}

fn quantiles_of<T: Copy>(quantiles: &Quantiles<T>, value: impl Fn(T) -> u64) -> Value {
    let Quantiles { least, p1, p50, p99, most } = *quantiles;
    json!({
        "least": value(least),
        "p1": value(p1),
        "p50": value(p50),
        "p99": value(p99),
        "most": value(most),
    })
}

/// The part of what a limit allowed, in millionths; `None` if it has no rate.
pub(super) fn share(bytes: u64, limit: Option<&LimitOutcome>) -> Option<u64> {
    let allowed = limit?.allowed.filter(|allowed| *allowed > 0)?;
    u64::try_from(u128::from(bytes) * 1_000_000 / u128::from(allowed)).ok()
}

pub(super) fn per_second(bytes: u64, lasting: Duration) -> u64 {
    bytes / lasting.as_secs().max(1)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
