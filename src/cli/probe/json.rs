//! `probe --json`: one document of whole numbers, with their units in their names.
//!
//! Described in `docs/probe.md`. Fields may be added; existing ones keep their names and meanings while `schema` is
//! 1. Unknown values are `null`.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use sluicegate::probe::compare::Comparison;
use sluicegate::probe::pace::End;
use sluicegate::probe::report::{ConnectionTrace, Goal, Measures, Outcome, Report, Summary, error};
use sluicegate::probe::timeline::Timeline;

/// The document, whose series are written as they are.
#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    head: Value,
    urls: Vec<Url>,
}

#[derive(Serialize)]
struct Url {
    #[serde(flatten)]
    head: Value,
    connections: Vec<Connection>,
}

#[derive(Serialize)]
struct Connection {
    #[serde(flatten)]
    head: Value,
    series: Vec<(u64, u64)>,
}

/// The document, ended by a line feed.
pub(super) fn document(outcome: &Outcome, report: &Report, goal: &Goal, asked: Duration) -> String {
    let urls = outcome.probed.iter().zip(&report.summaries);
    let urls =
        urls.map(|(probed, summary)| url(probed.target.to_string(), &probed.connections, summary, goal));
    let failures = outcome.failures();
    let failed =
        |(failure, connections): &(String, usize)| json!({ "failure": failure, "connections": connections });
    let head = json!({
        "schema": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "measured": "bytes of content at the reader's end of the wire",
        "asked_ms": millis(asked),
        "lasted_ms": millis(outcome.lasted),
        "interrupted": outcome.interrupted,
        "goal": {
            "rate_bytes_per_second": goal.rate.map(|rate| rate.bytes_per_second()),
            "shared": goal.shared,
            "tolerance_millionths": goal.tolerance.map(|percent| (percent * 1e4).round() as u64),
        },
        "comparison": report.comparison.as_ref().map(compared),
        "failures": failures.iter().map(failed).collect::<Vec<_>>(),
        "met": report.misses.as_ref().map(|misses| misses.is_empty() && failures.is_empty()),
        "misses": report.misses.clone().unwrap_or_default(),
    });
    // Texts and numbers always serialize.
    let text = serde_json::to_string(&Document { head, urls: urls.collect() }).unwrap_or_default();
    text + "\n"
}

fn url(url: String, seen: &[ConnectionTrace], summary: &Summary, goal: &Goal) -> Url {
    let each = seen.iter().zip(&summary.connections).map(|(seen, measures)| {
        let mut head = figures(measures, goal, !goal.shared);
        head["responses"] = seen.responses.into();
        head["dials"] = seen.dials.into();
        head["whole"] = (seen.end == End::Whole).into();
        head["failure"] = seen.failure.clone().into();
        head["resolution_ms"] = millis(seen.timeline.grain()).into();
        Connection { head, series: series(&seen.timeline) }
    });
    let head = json!({
        "url": url,
        "jain_millionths": summary.jain.map(|jain| (jain * 1e6).round() as u64),
        "together": figures(&summary.together, goal, goal.shared || seen.len() == 1),
    });
    Url { head, connections: each.collect() }
}

fn figures(measures: &Measures, goal: &Goal, is_wished: bool) -> Value {
    let error = measures.rate.zip(goal.rate.filter(|_| is_wished)).map(|(rate, wished)| error(rate, wished));
    json!({
        "bytes": measures.bytes,
        "lasted_ms": millis(measures.lasted),
        "rate_bytes_per_second": measures.rate.map(|rate| rate.round() as u64),
        "error_millionths": error.map(|percent| (percent * 1e4).round() as i64),
        "first_byte_us": measures.first_byte.map(micros),
        "best_second_bytes": measures.seconds.map(|seconds| seconds.best),
        "worst_second_bytes": measures.seconds.map(|seconds| seconds.worst),
        "longest_gap_ms": measures.gap.map(|gap| millis(gap.lasting)),
        "longest_gap_at_ms": measures.gap.map(|gap| millis(gap.at)),
        "chunks": measures.chunks.as_ref().map(|chunks| json!({
            "count": chunks.all.len(),
            "regular": chunks.regular,
            "size_bytes": chunks.size.median,
            "size_low_bytes": chunks.size.low,
            "size_high_bytes": chunks.size.high,
            "interval_us": micros(chunks.usual),
            "interval_low_us": micros(chunks.interval.low),
            "interval_high_us": micros(chunks.interval.high),
        })),
    })
}

fn compared(comparison: &Comparison) -> Value {
    json!({
        "agree": comparison.agree(),
        "largest_lead_bytes": comparison.lead,
        "largest_lead_at_ms": millis(comparison.at),
        "chunk_bytes": comparison.chunk,
        "allowed_bytes": comparison.allowed,
        "shift_us": comparison.shift / 1000,
        "over_ms": millis(comparison.over),
        "lengths_bytes": comparison.lengths,
    })
}

/// Pairs of milliseconds since the start of the run and the sum of bytes.
fn series(timeline: &Timeline) -> Vec<(u64, u64)> {
    let mut series: Vec<(u64, u64)> = Vec::with_capacity(timeline.arrivals().len());
    for (at, bytes) in timeline.steps() {
        match series.last_mut() {
            Some(last) if last.0 == millis(at) => last.1 = bytes,
            _ => series.push((millis(at), bytes)),
        }
    }
    series
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
