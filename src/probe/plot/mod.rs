//! A plot of a run as SVG: bytes over time above, the rate in bins of equal length below.
//!
//! Pure. The document has no scripts, and a light and a dark style. Few connections have a line each; many are drawn
//! as the band that contains them, with their mean, so that a hundred are as legible as one.
//!
//! A [`Canvas`] draws timelines of any origin.

mod axis;
mod canvas;
mod lines;

use std::time::Duration;

pub use self::axis::Axis;
pub use self::canvas::{Axes, BYTES, COLOURS, Canvas, Entry, LEFT, RIGHT, ROW};
use super::chunks::grouped;
use super::pace::End;
use super::report::{Goal, Outcome, Report, Summary};
use super::sparkline::{Bins, parts};
use crate::excerpt::excerpt;

const UPPER: f64 = 330.0;
const LOWER: f64 = 120.0;
/// Between the two, for the lower one's unit.
const BETWEEN: f64 = 40.0;
const BELOW: f64 = 52.0;

/// The shortest bin of rates: one interval of ours, and of Apache's.
const PART: Duration = Duration::from_millis(200);

/// Most bins of the lower plot.
const MAX_PARTS: usize = 150;

/// Characters of a URL in the legend.
const MAX_URL: usize = 66;

/// How the connections to one URL are drawn.
enum Drawing {
    /// One line each, in its own colour.
    Apart,
    /// One line each, in the URL's colour.
    Alike,
    /// A band and its mean.
    Band,
}

/// Draws a run as an SVG document.
pub fn plot(outcome: &Outcome, report: &Report, goal: &Goal) -> String {
    let legend = legend(outcome, report, goal);
    let top = 20.0 + ROW * legend.len() as f64 + 26.0;
    let lower_top = top + UPPER + BETWEEN;
    let height = lower_top + LOWER + BELOW;
    let until = outcome.probed.iter().flat_map(|probed| &probed.connections).map(|seen| match seen.end {
        End::At(end) => end,
        End::Whole => seen.timeline.last().unwrap_or_default(),
    });
    let until = until.max().unwrap_or_default().max(Duration::from_millis(10));

    let rates: Vec<(Bins, usize)> = outcome
        .probed
        .iter()
        .zip(&report.summaries)
        .map(|(probed, summary)| {
            let whole = probed.connections.iter().all(|seen| seen.end == End::Whole);
            let until = if whole { summary.timeline.last().unwrap_or_default() } else { until };
            let parts = parts(&summary.timeline, until, whole, MAX_PARTS, PART);
            (parts, probed.connections.len())
        })
        .collect();
    let fastest = rates
        .iter()
        .map(|(parts, streams)| parts.most() as f64 / parts.part.as_secs_f64() / (*streams).max(1) as f64);
    let wished = wished(outcome, goal);
    let fastest = fastest.chain(wished).fold(0.0, f64::max);
    let most = outcome.probed.iter().flat_map(|probed| &probed.connections).map(|seen| seen.timeline.total());
    let most = most.max().unwrap_or(0) as f64;

    let x = Axis::of_seconds(until.as_secs_f64(), LEFT, RIGHT, "seconds since the request");
    let y = Axis::of_bytes(most, top + UPPER, top, &BYTES);
    let bytes = Axes { x: &x, y: &y };
    let y =
        Axis::of_bytes(fastest, lower_top + LOWER, lower_top, &["B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s"]);
    let rate = Axes { x: &x, y: &y };

    let mut canvas = Canvas::new(height, "Bytes over time, as sluicegate probe saw them");
    for (row, entry) in legend.iter().enumerate() {
        canvas.entry(entry, LEFT, 26.0 + ROW * row as f64);
    }
    let of = if report.summaries.iter().any(|summary| summary.connections.len() > 1) {
        " of a connection"
    } else {
        ""
    };
    canvas.frame(bytes, &format!("{} so far{of}", bytes.y.unit), false);
    canvas.frame(rate, &format!("{}{of}, {}", rate.y.unit, pause_words(&rates)), true);
    for (n, probed) in outcome.probed.iter().enumerate() {
        let timelines: Vec<_> = probed.connections.iter().map(|seen| &seen.timeline).collect();
        if matches!(drawing(outcome, n), Drawing::Band) {
            let (band, mean) = lines::band(&timelines, until, &x, bytes.y);
            canvas.path(&format!("band s{n}"), band);
            canvas.path(&format!("line s{n}"), mean);
            continue;
        }
        for (place, seen) in probed.connections.iter().enumerate() {
            let end = match seen.end {
                End::At(end) => Some(end),
                End::Whole => None,
            };
            let class = match drawing(outcome, n) {
                Drawing::Apart if timelines.len() > 1 => format!("line thin s{}", place % COLOURS),
                Drawing::Apart => "line s0".to_owned(),
                _ if timelines.len() > 1 => format!("line thin s{n}"),
                _ => format!("line s{n}"),
            };
            canvas.steps(&class, &seen.timeline, end, bytes);
        }
    }
    for (n, (parts, streams)) in rates.iter().enumerate() {
        canvas.path(&format!("line s{n}"), lines::rates(parts, *streams, rate.x, rate.y));
    }
    if let Some(wished) = wished {
        // In the upper plot from the first byte on.
        let level = rate.y.place(wished);
        canvas.straight("goal", (LEFT, level), (RIGHT, level));
        let all = outcome.probed.iter().flat_map(|probed| &probed.connections);
        if let Some(first) = all.filter_map(|seen| seen.timeline.first()).min() {
            canvas.pace(wished, first, until, bytes);
        }
    }
    canvas.text()
}

/// The expected rate of one connection, in bytes per second.
fn wished(outcome: &Outcome, goal: &Goal) -> Option<f64> {
    let each = outcome.probed.first().map_or(1, |probed| probed.connections.len()).max(1);
    let share = if goal.shared { each as f64 } else { 1.0 };
    goal.rate.map(|rate| rate.bytes_per_second() as f64 / share)
}

fn drawing(outcome: &Outcome, n: usize) -> Drawing {
    let (urls, connections) = (outcome.probed.len(), outcome.probed[n].connections.len());
    match (urls, connections) {
        (1, ..=COLOURS) => Drawing::Apart,
        (_, ..=2) => Drawing::Alike,
        _ => Drawing::Band,
    }
}

fn legend(outcome: &Outcome, report: &Report, goal: &Goal) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (n, (probed, summary)) in outcome.probed.iter().zip(&report.summaries).enumerate() {
        let count = probed.connections.len();
        let samples = match drawing(outcome, n) {
            Drawing::Apart => (0..count).map(|place| format!("line s{}", place % COLOURS)).collect(),
            Drawing::Alike => vec![format!("line s{n}")],
            Drawing::Band => vec![format!("band s{n}"), format!("line s{n}")],
        };
        let mut words = excerpt(&probed.target.to_string(), MAX_URL);
        words.push_str(&figures(summary));
        if matches!(drawing(outcome, n), Drawing::Band) {
            words.push_str(", least to most, mean");
        }
        entries.push(Entry { samples, words });
    }
    if let Some(rate) = goal.rate {
        let of = if goal.shared { " together" } else { "" };
        let words = format!("wished for: {} B/s{of}", grouped(rate.bytes_per_second()));
        entries.push(Entry { samples: vec!["goal".to_owned()], words });
    }
    entries
}

/// The figures beside the URL in the legend.
fn figures(summary: &Summary) -> String {
    let count = summary.connections.len();
    let mut words = if count > 1 { format!(" × {count}") } else { String::new() };
    if let Some(rate) = summary.together.rate {
        words.push_str(&format!(", {} B/s", grouped(rate.round() as u64)));
    }
    if let Some(chunks) = summary.connections.first().and_then(|measures| measures.chunks.as_ref()) {
        words.push_str(&format!(", {chunks}"));
    }
    words
}

fn pause_words(rates: &[(Bins, usize)]) -> String {
    let mut parts: Vec<Duration> = rates.iter().map(|(parts, _)| parts.part).collect();
    parts.dedup();
    let parts: Vec<String> = parts.into_iter().map(super::chunks::pause).collect();
    format!("in each {}", parts.join(" and "))
}
