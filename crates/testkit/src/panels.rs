//! Several plots of one size with the same axes, to compare servers.

use std::time::Duration;

use sluicegate::probe::chunks::{Chunks, grouped};
use sluicegate::probe::plot::{Axes, Axis, BYTES, COLOURS, Canvas, Entry, LEFT, RIGHT, ROW};
use sluicegate::probe::timeline::Timeline;

/// A timeline and its name in the legend.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// The arrivals, with the first byte at zero.
    pub timeline: Timeline,
}

/// One of the plots.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The heading.
    pub title: String,
    /// The timelines: the first is drawn broad and pale and the others over it, so that equal ones stay visible.
    pub series: Vec<Series>,
}

/// Plots in a row.
const COLUMNS: usize = 2;
/// Between two plots in a row, for the labels of the second.
const GUTTER: f64 = 70.0;
const HEIGHT: f64 = 220.0;
/// Above the first row: the title, and the sample of the pace.
const HEAD: f64 = 84.0;
/// A plot's own title, and the name of its unit.
const TITLE: f64 = 22.0;
const UNIT: f64 = 24.0;
/// Between two rows, and below the last for the time axis.
const BETWEEN: f64 = 34.0;
const BELOW: f64 = 52.0;

/// Draws `panels`, two in a row, as an SVG document: bytes from zero to `until`, and a line for `pace` bytes per
/// second. Legends name the chunks found in the whole of each timeline.
pub fn beside(title: &str, panels: &[Panel], pace: u64, until: Duration) -> String {
    let until = until.max(Duration::from_millis(10));
    let legend = panels.iter().map(|panel| panel.series.len()).max().unwrap_or(0);
    let above = TITLE + ROW * legend as f64 + UNIT;
    let rows = panels.len().div_ceil(COLUMNS);
    let tops: Vec<f64> =
        (0..rows).map(|row| HEAD + (above + HEIGHT + BETWEEN) * row as f64 + above).collect();
    let bottom = tops.last().map_or(HEAD, |top| top + HEIGHT);
    let shown: Vec<Vec<Timeline>> = panels
        .iter()
        .map(|panel| panel.series.iter().map(|series| series.timeline.until(until)).collect())
        .collect();
    let most = shown.iter().flatten().map(Timeline::total).max().unwrap_or(0) as f64;
    let most = most.max(pace as f64 * until.as_secs_f64());

    let mut canvas = Canvas::new(bottom + BELOW, title);
    canvas.words("title", (LEFT - 58.0, 30.0), "start", title);
    let target = Entry {
        samples: vec!["goal".to_owned()],
        words: format!("{} B/s from the first byte on", grouped(pace)),
    };
    canvas.entry(&target, LEFT - 58.0, 52.0);
    let width = (RIGHT - LEFT - GUTTER * (COLUMNS - 1) as f64) / COLUMNS as f64;
    for (n, (panel, shown)) in panels.iter().zip(&shown).enumerate() {
        let (left, top) = (LEFT + (width + GUTTER) * (n % COLUMNS) as f64, tops[n / COLUMNS]);
        let x = Axis::of_seconds(until.as_secs_f64(), left, left + width, "seconds since the first byte");
        let y = Axis::of_bytes(most, top + HEIGHT, top, &BYTES);
        let axes = Axes { x: &x, y: &y };
        let mut middle = top - above + TITLE;
        canvas.words("title", (left - 58.0, middle - 9.0), "start", &panel.title);
        for (series, class) in panel.series.iter().zip(classes()) {
            let mut words = series.name.clone();
            if let Some(chunks) = Chunks::of(&series.timeline) {
                words.push_str(&format!(": {chunks}"));
            }
            canvas.entry(&Entry { samples: vec![class], words }, left - 58.0, middle + ROW / 2.0 - 3.0);
            middle += ROW;
        }
        canvas.frame(axes, &format!("{} so far", y.unit), n + COLUMNS >= panels.len());
        canvas.pace(pace as f64, Duration::ZERO, until, axes);
        for (timeline, class) in shown.iter().zip(classes()) {
            canvas.steps(&class, timeline, Some(until), axes);
        }
    }
    canvas.text()
}

/// How each series is drawn.
fn classes() -> impl Iterator<Item = String> {
    (0..).map(|n: usize| match n {
        0 => "line broad s0".to_owned(),
        n => format!("line s{}", n % COLOURS),
    })
}
