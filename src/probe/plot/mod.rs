//! A plot of a run as SVG: above, all bytes that had come by each instant; below, the rate in equal parts of time.
//!
//! Pure, and without scripts. It has a style for light and one for dark. Few connections have a line each; many
//! are the band that all of them lie in, with their mean, so that a hundred are as legible as one.

mod axis;
mod lines;
mod style;

use std::time::Duration;

use svg::Document;
use svg::node::Text as Words;
use svg::node::element::{Element, Line, Path, Rectangle, Style, Text};

use self::axis::Axis;
use self::style::{COLOURS, STYLE};
use super::chunks::grouped;
use super::pace::End;
use super::report::{Goal, Outcome, Report, Summary};
use super::sparkline::{Parts, parts};
use crate::excerpt::excerpt;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 936.0;
/// The height of a line of the legend.
const ROW: f64 = 22.0;
const UPPER: f64 = 330.0;
const LOWER: f64 = 120.0;
/// Between the two: the name of the lower one's unit.
const BETWEEN: f64 = 40.0;
const BELOW: f64 = 52.0;

/// The shortest part of the time whose rate is shown: an interval of ours, and of Apache's.
const PART: Duration = Duration::from_millis(200);

/// Parts of the time that the lower plot has at most.
const MOST_PARTS: usize = 150;

/// Characters of a URL in the legend.
const MOST_URL: usize = 66;

/// What is drawn of the connections to one URL.
enum Drawing {
    /// A line for each, in its own colour.
    Apart,
    /// A line for each, in the URL's colour.
    Alike,
    /// The band, and the mean.
    Band,
}

/// The plot of a run, a whole SVG document.
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

    let rates: Vec<(Parts, usize)> = outcome
        .probed
        .iter()
        .zip(&report.summaries)
        .map(|(probed, summary)| {
            let whole = probed.connections.iter().all(|seen| seen.end == End::Whole);
            let until = if whole { summary.timeline.last().unwrap_or_default() } else { until };
            let parts = parts(&summary.timeline, until, whole, MOST_PARTS, PART);
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

    let x = Axis::of_seconds(until.as_secs_f64(), LEFT, RIGHT);
    let bytes = Axis::of_bytes(most, top + UPPER, top, &["B", "KiB", "MiB", "GiB", "TiB"]);
    let rate =
        Axis::of_bytes(fastest, lower_top + LOWER, lower_top, &["B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s"]);

    let mut drawn = Document::new()
        .set("viewBox", format!("0 0 {WIDTH} {height}"))
        .set("width", WIDTH)
        .set("height", height)
        .set("role", "img")
        .add(titled("title", "Bytes over time, as sluicegate probe saw them"))
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("class", "paper").set("width", WIDTH).set("height", height));
    drawn = legend.into_iter().enumerate().fold(drawn, |drawn, (row, entry)| entry.draw(drawn, row));
    let of = if report.summaries.iter().any(|summary| summary.connections.len() > 1) {
        " of a connection"
    } else {
        ""
    };
    drawn = frame(drawn, &x, &bytes, top, UPPER, &format!("{} so far{of}", bytes.unit), false);
    let per = pause_words(&rates);
    drawn = frame(drawn, &x, &rate, lower_top, LOWER, &format!("{}{of}, {per}", rate.unit), true);
    for (n, probed) in outcome.probed.iter().enumerate() {
        let timelines: Vec<_> = probed.connections.iter().map(|seen| &seen.timeline).collect();
        if matches!(drawing(outcome, n), Drawing::Band) {
            let (band, mean) = lines::band(&timelines, until, &x, &bytes);
            drawn = drawn.add(Path::new().set("class", format!("band s{n}")).set("d", band));
            drawn = drawn.add(Path::new().set("class", format!("line s{n}")).set("d", mean));
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
            let path = lines::steps(&seen.timeline, end, &x, &bytes);
            drawn = drawn.add(Path::new().set("class", class).set("d", path));
        }
    }
    for (n, (parts, streams)) in rates.iter().enumerate() {
        let path = lines::rates(parts, *streams, &x, &rate);
        drawn = drawn.add(Path::new().set("class", format!("line s{n}")).set("d", path));
    }
    if let Some(wished) = wished {
        drawn = goals(drawn, outcome, wished, until, (&x, &bytes, &rate));
    }
    format!("{drawn}\n")
}

/// The wished rate of one connection, in bytes per second.
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

/// A line of the legend: a sample, and words.
struct Entry {
    /// Classes of the samples.
    samples: Vec<String>,
    words: String,
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
        let mut words = excerpt(&probed.target.to_string(), MOST_URL);
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

/// What a legend says beside the URL.
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

impl Entry {
    fn draw(self, drawn: Document, row: usize) -> Document {
        let middle = 26.0 + ROW * row as f64;
        let mut drawn = drawn;
        let mut at = LEFT;
        let lines = self.samples.iter().filter(|class| !class.starts_with("band")).count().max(1);
        let width = (60.0 / lines as f64).clamp(10.0, 28.0);
        for class in self.samples {
            if class.starts_with("band") {
                let sample = Rectangle::new().set("class", class).set("x", at).set("y", middle - 6.0);
                drawn = drawn.add(sample.set("width", width).set("height", 12));
                continue;
            }
            drawn = drawn.add(straight(&class, (at, middle), (at + width - 3.0, middle)));
            at += width;
        }
        drawn.add(words("", at + 8.0, middle + 4.5, "start", &self.words))
    }
}

/// Grid, axes, ticks and units of one plot.
fn frame(drawn: Document, x: &Axis, y: &Axis, top: f64, height: f64, unit: &str, is_last: bool) -> Document {
    let bottom = top + height;
    let mut drawn = drawn.add(words("unit", LEFT - 58.0, top - 10.0, "start", unit));
    for (value, label) in &y.ticks {
        let place = y.place(*value);
        drawn = drawn.add(straight("grid", (LEFT, place), (RIGHT, place)));
        drawn = drawn.add(words("tick", LEFT - 8.0, place + 4.0, "end", label));
    }
    for (value, label) in &x.ticks {
        let place = x.place(*value);
        drawn = drawn.add(straight("grid", (place, top), (place, bottom)));
        if is_last {
            drawn = drawn.add(words("tick", place, bottom + 18.0, "middle", label));
        }
    }
    if is_last {
        drawn = drawn.add(words("unit", (LEFT + RIGHT) / 2.0, bottom + 38.0, "middle", x.unit));
    }
    drawn.add(straight("axis", (LEFT, bottom), (RIGHT, bottom)))
}

/// The rate that was wished for: in both plots, above from the first byte on.
fn goals(
    drawn: Document,
    outcome: &Outcome,
    wished: f64,
    until: Duration,
    (x, bytes, rate): (&Axis, &Axis, &Axis),
) -> Document {
    let level = rate.place(wished);
    let drawn = drawn.add(straight("goal", (LEFT, level), (RIGHT, level)));
    let firsts = outcome.probed.iter().flat_map(|probed| &probed.connections);
    let Some(first) = firsts.filter_map(|seen| seen.timeline.first()).min() else { return drawn };
    // To the end of the time, or of the paper.
    let lasting = until.saturating_sub(first).as_secs_f64().min(bytes.most() / wished);
    let begin = (x.place(first.as_secs_f64()), bytes.place(0.0));
    let end = (x.place(first.as_secs_f64() + lasting), bytes.place(wished * lasting));
    drawn.add(straight("goal", begin, end))
}

fn pause_words(rates: &[(Parts, usize)]) -> String {
    let mut parts: Vec<Duration> = rates.iter().map(|(parts, _)| parts.part).collect();
    parts.dedup();
    let parts: Vec<String> = parts.into_iter().map(super::chunks::pause).collect();
    format!("in each {}", parts.join(" and "))
}

fn straight(class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Line {
    let tenths = |place: f64| (place * 10.0).round() / 10.0;
    let line = Line::new().set("class", class);
    line.set("x1", tenths(x1)).set("y1", tenths(y1)).set("x2", tenths(x2)).set("y2", tenths(y2))
}

fn words(class: &str, x: f64, y: f64, anchor: &str, words: &str) -> Text {
    let text = Text::new(words).set("x", (x * 10.0).round() / 10.0).set("y", (y * 10.0).round() / 10.0);
    let text = text.set("text-anchor", anchor);
    if class.is_empty() { text } else { text.set("class", class) }
}

fn titled(name: &str, title: &str) -> Element {
    let mut element = Element::new(name);
    svg::Node::append(&mut element, Words::new(title));
    element
}
