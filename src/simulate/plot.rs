//! A plot of a simulation as SVG: the rate of each group over time, and the server's limit as a line.

use std::time::Duration;

use super::outcome::{GroupOutcome, Outcome};
use crate::probe::chunks::pause;
use crate::probe::plot::{Axes, Axis, COLOURS, Canvas, Entry, LEFT, RIGHT, ROW};

const HEIGHT: f64 = 330.0;
const BELOW: f64 = 52.0;

/// The most parts of the time that are drawn.
const MAX_PARTS: usize = 360;

const UNITS: [&str; 5] = ["B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s"];

/// Draws `outcome` as an SVG document. Groups beyond the sixth are drawn as one.
pub fn plot(outcome: &Outcome) -> String {
    let count = usize::try_from(outcome.lasting.as_secs()).unwrap_or(usize::MAX).max(1);
    let each = count.div_ceil(MAX_PARTS);
    let part = Duration::from_secs(each as u64);
    let series = series(&outcome.groups);
    let rates: Vec<(String, Vec<Option<f64>>)> =
        series.into_iter().map(|(name, seconds)| (name, means(&seconds, each))).collect();
    let limit = outcome.limits.first().filter(|limit| limit.allowed.is_some());
    let limit: Option<Vec<Option<f64>>> = limit
        .map(|limit| limit.rates.iter().step_by(each).map(|rate| rate.map(|rate| rate as f64)).collect());

    let top = 20.0 + ROW * (rates.len() + usize::from(limit.is_some())) as f64 + 26.0;
    let values = rates.iter().map(|(_, rates)| rates).chain(&limit).flatten().copied().flatten();
    let most = values.fold(0.0, f64::max);
    let x = Axis::of_seconds(outcome.lasting.as_secs_f64(), LEFT, RIGHT, "seconds since the start");
    let y = Axis::of_bytes(most, top + HEIGHT, top, &UNITS);
    let axes = Axes { x: &x, y: &y };
    let mut canvas =
        Canvas::new(top + HEIGHT + BELOW, "Rates of groups of clients, as sluicegate simulate computed them");
    let entries = rates.iter().enumerate().map(|(n, (name, _))| (format!("line s{n}"), name.as_str()));
    let goal = limit.is_some().then(|| ("goal".to_owned(), "the server's limit"));
    for (row, (class, words)) in entries.chain(goal).enumerate() {
        let entry = Entry { samples: vec![class], words: words.to_owned() };
        canvas.entry(&entry, LEFT, 26.0 + ROW * row as f64);
    }
    canvas.frame(axes, &format!("{}, mean of each {}", y.unit, pause(part)), true);
    for (n, (_, rates)) in rates.iter().enumerate() {
        canvas.rates(&format!("line s{n}"), rates, part, axes);
    }
    if let Some(limit) = limit {
        canvas.rates("goal", &limit, part, axes);
    }
    canvas.text()
}

/// The bytes of each second, of each group that has a colour of its own, and of the others together.
fn series(groups: &[GroupOutcome]) -> Vec<(String, Vec<u64>)> {
    let apart = if groups.len() > COLOURS { COLOURS - 1 } else { groups.len() };
    let mut series: Vec<_> =
        groups[..apart].iter().map(|group| (group.name.clone(), group.seconds.clone())).collect();
    if let Some(first) = groups.get(apart) {
        let sum = |n: usize| groups[apart..].iter().filter_map(|group| group.seconds.get(n)).sum();
        let others = (0..first.seconds.len()).map(sum).collect();
        series.push((format!("{} other groups", groups.len() - apart), others));
    }
    series
}

/// The mean of each `part` of the seconds.
fn means(seconds: &[u64], part: usize) -> Vec<Option<f64>> {
    let mean = |part: &[u64]| Some(part.iter().sum::<u64>() as f64 / part.len() as f64);
    seconds.chunks(part).map(mean).collect()
}
