//! The canvas of plots: style, text and lines, legends, and the frame of a plot.

use std::time::Duration;

use svg::node::Text as Words;
use svg::node::element::{Element, Line, Path, Rectangle, Style, Text};
use svg::{Document, Node};

use super::axis::Axis;
use super::lines;
use crate::probe::timeline::Timeline;

const WIDTH: f64 = 960.0;
/// The left edge of plots.
pub const LEFT: f64 = 70.0;
/// The right edge of plots.
pub const RIGHT: f64 = 936.0;
/// The height of a line of a legend.
pub const ROW: f64 = 22.0;

/// Units of bytes, in multiples of 1024.
pub const BYTES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// Number of series with a colour of their own.
pub const COLOURS: usize = 6;

/// Light and dark colours, as rules on classes instead of variables: viewers without media queries show the light ones.
const STYLE: &str = "
text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.tick, .unit { font-size: 12px; fill: #57606a }
.paper { fill: #ffffff }
.grid { stroke: #d8dee4; stroke-width: 1 }
.axis { stroke: #8c959f; stroke-width: 1 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
.thin { stroke-width: 1.3; stroke-opacity: .75 }
.broad { stroke-width: 7; stroke-opacity: .5 }
.band { stroke: none; fill-opacity: .22 }
.goal { fill: none; stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 6 4 }
.s0 { stroke: #0969da } .s1 { stroke: #d1570a } .s2 { stroke: #1a7f5a }
.s3 { stroke: #bf3989 } .s4 { stroke: #8250df } .s5 { stroke: #8a6d00 }
.band.s0 { fill: #0969da; stroke: none } .band.s1 { fill: #d1570a; stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.tick, .unit { fill: #9da7b3 }
.paper { fill: #0d1117 }
.grid { stroke: #262c36 }
.axis { stroke: #6e7681 }
.goal { stroke: #9da7b3 }
.s0 { stroke: #58a6ff } .s1 { stroke: #ff9b50 } .s2 { stroke: #4ac99b }
.s3 { stroke: #f778ba } .s4 { stroke: #b392f0 } .s5 { stroke: #d9b92e }
.band.s0 { fill: #58a6ff; stroke: none } .band.s1 { fill: #ff9b50; stroke: none }
}
";

/// A line of a legend: samples and text.
#[derive(Debug)]
pub struct Entry {
    /// CSS classes of the samples.
    pub samples: Vec<String>,
    /// The text.
    pub words: String,
}

/// A plot's axes, which also place it on the canvas.
#[derive(Debug, Clone, Copy)]
pub struct Axes<'a> {
    /// Of time.
    pub x: &'a Axis,
    /// Of bytes, or of rates.
    pub y: &'a Axis,
}

/// An SVG document in progress.
#[derive(Debug)]
pub struct Canvas {
    drawn: Document,
}

impl Canvas {
    /// Creates an empty canvas. `title` names it for screen readers.
    pub fn new(height: f64, title: &str) -> Self {
        let mut name = Element::new("title");
        name.append(Words::new(title));
        let drawn = Document::new()
            .set("viewBox", format!("0 0 {WIDTH} {height}"))
            .set("width", WIDTH)
            .set("height", height)
            .set("role", "img")
            .add(name)
            .add(Style::new(STYLE))
            .add(Rectangle::new().set("class", "paper").set("width", WIDTH).set("height", height));
        Self { drawn }
    }

    /// Draws an SVG path.
    pub fn path(&mut self, class: &str, path: String) {
        self.drawn.append(Path::new().set("class", class).set("d", path));
    }

    /// Draws a line.
    pub fn straight(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let line = Line::new().set("class", class);
        let line = line.set("x1", tenths(x1)).set("y1", tenths(y1));
        self.drawn.append(line.set("x2", tenths(x2)).set("y2", tenths(y2)));
    }

    /// Writes `words` at a place, which is their `anchor`: start, middle or end.
    pub fn words(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, words: &str) {
        let text = Text::new(words).set("x", tenths(x)).set("y", tenths(y)).set("text-anchor", anchor);
        self.drawn.append(if class.is_empty() { text } else { text.set("class", class) });
    }

    /// Draws a line of a legend from `left` on, centred vertically at `middle`.
    pub fn entry(&mut self, entry: &Entry, left: f64, middle: f64) {
        let mut at = left;
        let lines = entry.samples.iter().filter(|class| !class.starts_with("band")).count().max(1);
        let width = (60.0 / lines as f64).clamp(10.0, 28.0);
        for class in &entry.samples {
            if class.starts_with("band") {
                let sample = Rectangle::new().set("class", class.as_str()).set("x", at);
                self.drawn.append(sample.set("y", middle - 6.0).set("width", width).set("height", 12));
                continue;
            }
            self.straight(class, (at, middle), (at + width - 3.0, middle));
            at += width;
        }
        self.words("", (at + 8.0, middle + 4.5), "start", &entry.words);
    }

    /// Draws grid, axes and ticks of one plot, with its unit above, and if it `has_time`, the time below.
    pub fn frame(&mut self, axes: Axes<'_>, unit: &str, has_time: bool) {
        let Axes { x, y } = axes;
        let (left, right, top, bottom) = (x.zero, x.end, y.end, y.zero);
        self.words("unit", (left - 58.0, top - 10.0), "start", unit);
        for (value, label) in &y.ticks {
            let place = y.place(*value);
            self.straight("grid", (left, place), (right, place));
            self.words("tick", (left - 8.0, place + 4.0), "end", label);
        }
        for (value, label) in &x.ticks {
            let place = x.place(*value);
            self.straight("grid", (place, top), (place, bottom));
            if has_time {
                self.words("tick", (place, bottom + 18.0), "middle", label);
            }
        }
        if has_time {
            self.words("unit", ((left + right) / 2.0, bottom + 38.0), "middle", x.unit);
        }
        self.straight("axis", (left, bottom), (right, bottom));
    }

    /// Draws a timeline, up to its last byte or to `until`.
    pub fn steps(&mut self, class: &str, timeline: &Timeline, until: Option<Duration>, axes: Axes<'_>) {
        self.path(class, lines::steps(timeline, until, axes.x, axes.y));
    }

    /// Draws a pace in bytes per second from `first` on, up to `until` or the edge of the plot.
    pub fn pace(&mut self, pace: f64, first: Duration, until: Duration, Axes { x, y }: Axes<'_>) {
        let lasting = until.saturating_sub(first).as_secs_f64().min(y.most / pace);
        let begin = (x.place(first.as_secs_f64()), y.place(0.0));
        let end = (x.place(first.as_secs_f64() + lasting), y.place(pace * lasting));
        self.straight("goal", begin, end);
    }

    /// Draws rates in bytes per second, each over the same `part` of the time, as steps. There is no line where there is no rate.
    pub fn rates(&mut self, class: &str, rates: &[Option<f64>], part: Duration, axes: Axes<'_>) {
        self.path(class, lines::steps_of_rates(rates, part, axes.x, axes.y));
    }

    /// The finished document.
    pub fn text(&self) -> String {
        format!("{}\n", self.drawn)
    }
}

fn tenths(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}
