//! SVG paths: the steps of a timeline, the band of many timelines, and rates.

use std::fmt::Write;
use std::time::Duration;

use super::axis::Axis;
use crate::probe::sparkline::Bins;
use crate::probe::timeline::Timeline;

/// Steps closer than this, in the plot's units, are drawn as one.
const FINEST: f64 = 0.5;

/// Points at which a band is drawn.
const PLACES: u32 = 400;

/// The steps of a timeline from its first byte on, to its last or to `until`.
pub(super) fn steps(timeline: &Timeline, until: Option<Duration>, x: &Axis, y: &Axis) -> String {
    let mut path = String::new();
    let mut drawn: Option<(f64, f64)> = None;
    let mut last = (0.0, 0.0);
    for (at, bytes) in timeline.steps() {
        last = (x.place(at.as_secs_f64()), y.place(bytes as f64));
        match drawn {
            None => {
                move_to(&mut path, last.0, y.place(0.0));
                vertical(&mut path, last.1);
            }
            Some((before, _)) if last.0 - before < FINEST => continue,
            Some(_) => {
                horizontal(&mut path, last.0);
                vertical(&mut path, last.1);
            }
        }
        drawn = Some(last);
    }
    // Steps left out at the end, and the time without bytes after them.
    if drawn.is_some_and(|drawn| drawn != last) {
        horizontal(&mut path, last.0);
        vertical(&mut path, last.1);
    }
    if let (Some(until), false) = (until, path.is_empty()) {
        horizontal(&mut path, x.place(until.as_secs_f64()).max(last.0));
    }
    path
}

/// The band between the fewest and the most bytes of any timeline, and the line of their mean.
pub(super) fn band(timelines: &[&Timeline], until: Duration, x: &Axis, y: &Axis) -> (String, String) {
    let mut at_places = vec![Vec::with_capacity(timelines.len()); PLACES as usize + 1];
    for timeline in timelines {
        let mut steps = timeline.steps().peekable();
        let mut had = 0;
        for (place, values) in (0u32..).zip(&mut at_places) {
            let now = until * place / PLACES;
            while let Some((_, bytes)) = steps.next_if(|(at, _)| *at <= now) {
                had = bytes;
            }
            values.push(had);
        }
    }
    let across = |place: u32| x.place((until * place / PLACES).as_secs_f64());
    let (mut upper, mut lower, mut mean) = (String::new(), String::new(), String::new());
    for (place, values) in (0u32..).zip(&at_places) {
        let most = values.iter().copied().max().unwrap_or(0);
        let sum: u128 = values.iter().map(|bytes| u128::from(*bytes)).sum();
        line_to(&mut upper, across(place), y.place(most as f64));
        line_to(&mut mean, across(place), y.place(sum as f64 / values.len().max(1) as f64));
    }
    for place in (0..=PLACES).rev() {
        let values = &at_places[place as usize];
        let least = values.iter().copied().min().unwrap_or(0);
        let _ = write!(lower, "L{:.1} {:.1}", across(place), y.place(least as f64));
    }
    (format!("{upper}{lower}Z"), mean)
}

/// The rate of each bin, as steps.
pub(super) fn rates(parts: &Bins, streams: usize, x: &Axis, y: &Axis) -> String {
    let mut path = String::new();
    for (n, bytes) in (0u32..).zip(&parts.bytes) {
        let rate = *bytes as f64 / parts.part.as_secs_f64() / streams.max(1) as f64;
        let (from, until) = (parts.from + parts.part * n, parts.from + parts.part * (n + 1));
        let height = y.place(rate);
        if n == 0 {
            move_to(&mut path, x.place(from.as_secs_f64()), height);
        } else {
            vertical(&mut path, height);
        }
        horizontal(&mut path, x.place(until.as_secs_f64()));
    }
    path
}

/// Rates that follow one another, each over `part`, as steps.
pub(super) fn steps_of_rates(rates: &[Option<f64>], part: Duration, x: &Axis, y: &Axis) -> String {
    let mut path = String::new();
    let mut is_drawn = false;
    for (n, rate) in (0u32..).zip(rates) {
        if let Some(rate) = rate {
            let height = y.place(*rate);
            match is_drawn {
                true => vertical(&mut path, height),
                false => move_to(&mut path, x.place((part * n).as_secs_f64()), height),
            }
            horizontal(&mut path, x.place((part * (n + 1)).as_secs_f64()));
        }
        is_drawn = rate.is_some();
    }
    path
}

// Writing to a string does not fail.
fn move_to(path: &mut String, x: f64, y: f64) {
    let _ = write!(path, "M{x:.1} {y:.1}");
}

fn line_to(path: &mut String, x: f64, y: f64) {
    let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
}

fn horizontal(path: &mut String, x: f64) {
    let _ = write!(path, "H{x:.1}");
}

fn vertical(path: &mut String, y: f64) {
    let _ = write!(path, "V{y:.1}");
}
