//! `probe --json`: one document of whole numbers, with their units in their names.
//!
//! Described in `docs/probe.md`. Fields may be added; existing ones keep their names and meanings while `schema` is
//! 1. Unknown values are `null`.

use std::time::Duration;

use serde::Serialize;
use sluicegate::probe::compare::Comparison;
use sluicegate::probe::report::{ConnectionTrace, Goal, Measures, Outcome, Report, Summary, error};
use sluicegate::probe::timeline::Timeline;

#[derive(Serialize)]
struct Document {
    schema: u32,
    version: &'static str,
    measured: &'static str,
    asked_ms: u64,
    lasted_ms: u64,
    interrupted: bool,
    goal: Wished,
    urls: Vec<Url>,
    comparison: Option<Compared>,
    failures: Vec<Failed>,
    met: Option<bool>,
    misses: Vec<String>,
}

#[derive(Serialize)]
struct Wished {
    rate_bytes_per_second: Option<u64>,
    shared: bool,
    tolerance_millionths: Option<u64>,
}

#[derive(Serialize)]
struct Url {
    url: String,
    jain_millionths: Option<u64>,
    together: Figures,
    connections: Vec<One>,
}

#[derive(Serialize)]
struct One {
    #[serde(flatten)]
    figures: Figures,
    responses: u64,
    dials: u64,
    whole: bool,
    failure: Option<String>,
    resolution_ms: u64,
    series: Vec<(u64, u64)>,
}

#[derive(Serialize)]
struct Figures {
    bytes: u64,
    lasted_ms: u64,
    rate_bytes_per_second: Option<u64>,
    error_millionths: Option<i64>,
    first_byte_us: Option<u64>,
    best_second_bytes: Option<u64>,
    worst_second_bytes: Option<u64>,
    longest_gap_ms: Option<u64>,
    longest_gap_at_ms: Option<u64>,
    chunks: Option<Recognised>,
}

#[derive(Serialize)]
struct Recognised {
    count: usize,
    regular: usize,
    size_bytes: u64,
    size_low_bytes: u64,
    size_high_bytes: u64,
    interval_us: u64,
    interval_low_us: u64,
    interval_high_us: u64,
}

#[derive(Serialize)]
struct Compared {
    agree: bool,
    largest_lead_bytes: u64,
    largest_lead_at_ms: u64,
    chunk_bytes: u64,
    allowed_bytes: u64,
    shift_us: i64,
    over_ms: u64,
    lengths_bytes: Option<(u64, u64)>,
}

#[derive(Serialize)]
struct Failed {
    failure: String,
    connections: usize,
}

/// The document, ended by a line feed.
pub(super) fn document(outcome: &Outcome, report: &Report, goal: &Goal, asked: Duration) -> String {
    let urls = outcome
        .probed
        .iter()
        .zip(&report.summaries)
        .map(|(probed, summary)| url(probed.target.to_string(), &probed.connections, summary, goal));
    let failures = outcome.failures().into_iter();
    let document = Document {
        schema: 1,
        version: env!("CARGO_PKG_VERSION"),
        measured: "bytes of content at the reader's end of the wire",
        asked_ms: millis(asked),
        lasted_ms: millis(outcome.lasted),
        interrupted: outcome.interrupted,
        goal: Wished {
            rate_bytes_per_second: goal.rate.map(|rate| rate.bytes_per_second()),
            shared: goal.shared,
            tolerance_millionths: goal.tolerance.map(|percent| (percent * 1e4).round() as u64),
        },
        urls: urls.collect(),
        comparison: report.comparison.as_ref().map(compared),
        failures: failures.map(|(failure, connections)| Failed { failure, connections }).collect(),
        met: report.misses.as_ref().map(|misses| misses.is_empty() && outcome.failures().is_empty()),
        misses: report.misses.clone().unwrap_or_default(),
    };
    // Texts and numbers always serialize.
    let mut text = serde_json::to_string(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn url(url: String, seen: &[ConnectionTrace], summary: &Summary, goal: &Goal) -> Url {
    let each = seen.iter().zip(&summary.connections).map(|(seen, measures)| One {
        figures: figures(measures, goal, !goal.shared),
        responses: seen.responses,
        dials: seen.dials,
        whole: seen.end == sluicegate::probe::pace::End::Whole,
        failure: seen.failure.clone(),
        resolution_ms: millis(seen.timeline.grain()),
        series: series(&seen.timeline),
    });
    Url {
        url,
        jain_millionths: summary.jain.map(|jain| (jain * 1e6).round() as u64),
        connections: each.collect(),
        together: figures(&summary.together, goal, goal.shared || seen.len() == 1),
    }
}

fn figures(measures: &Measures, goal: &Goal, is_wished: bool) -> Figures {
    let error = measures.rate.zip(goal.rate.filter(|_| is_wished)).map(|(rate, wished)| error(rate, wished));
    Figures {
        bytes: measures.bytes,
        lasted_ms: millis(measures.lasted),
        rate_bytes_per_second: measures.rate.map(|rate| rate.round() as u64),
        error_millionths: error.map(|percent| (percent * 1e4).round() as i64),
        first_byte_us: measures.first_byte.map(micros),
        best_second_bytes: measures.seconds.map(|seconds| seconds.best),
        worst_second_bytes: measures.seconds.map(|seconds| seconds.worst),
        longest_gap_ms: measures.gap.map(|gap| millis(gap.lasting)),
        longest_gap_at_ms: measures.gap.map(|gap| millis(gap.at)),
        chunks: measures.chunks.as_ref().map(|chunks| Recognised {
            count: chunks.all.len(),
            regular: chunks.regular,
            size_bytes: chunks.size.median,
            size_low_bytes: chunks.size.low,
            size_high_bytes: chunks.size.high,
            interval_us: micros(chunks.usual),
            interval_low_us: micros(chunks.interval.low),
            interval_high_us: micros(chunks.interval.high),
        }),
    }
}

fn compared(comparison: &Comparison) -> Compared {
    Compared {
        agree: comparison.agree(),
        largest_lead_bytes: comparison.lead,
        largest_lead_at_ms: millis(comparison.at),
        chunk_bytes: comparison.chunk,
        allowed_bytes: comparison.allowed,
        shift_us: comparison.shift / 1000,
        over_ms: millis(comparison.over),
        lengths_bytes: comparison.lengths,
    }
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
