//! The text of a run: figures for each URL, and a line of bars.

use std::fmt::Write;
use std::time::Duration;

use sluicegate::limit::Rate;
use sluicegate::probe::chunks::{grouped, pause};
use sluicegate::probe::compare::Comparison;
use sluicegate::probe::pace::End;
use sluicegate::probe::report::{Goal, Measures, Outcome, Report, Summary, TargetTraces, error};
use sluicegate::probe::sparkline::parts;

use crate::cli::table::{Table, size};

/// The column of figures.
const INDENT: usize = 15;

/// Connections with a line each; of more, the slowest, the median and the fastest have one.
const MAX_LINES: usize = 10;

/// The report, in lines of at most `columns` if words allow it.
pub(super) fn text(outcome: &Outcome, report: &Report, goal: &Goal, columns: usize) -> String {
    let mut text = String::new();
    for (probed, summary) in outcome.probed.iter().zip(&report.summaries) {
        one_url(&mut text, outcome, probed, summary, goal, columns);
        text.push('\n');
    }
    if let Some(comparison) = &report.comparison {
        compared(&mut text, comparison, report, columns);
        text.push('\n');
    }
    if outcome.interrupted {
        wrapped(&mut text, "The run was cut short: this is what came until then.", "", columns);
    }
    if let (Some(misses), Some(tolerance)) = (&report.misses, goal.tolerance)
        && misses.is_empty()
        && outcome.failures().is_empty()
    {
        wrapped(&mut text, &format!("Within the tolerance of {tolerance} %."), "", columns);
    }
    let source = "As read off the wire: what kernels and proxies buffered on the way is in it.";
    wrapped(&mut text, source, "", columns);
    text
}

fn one_url(
    text: &mut String,
    outcome: &Outcome,
    probed: &TargetTraces,
    summary: &Summary,
    goal: &Goal,
    columns: usize,
) {
    let count = probed.connections.len();
    // Writing to a string does not fail.
    let _ = match count {
        1 => writeln!(text, "{}", probed.target),
        _ => writeln!(text, "{}, {count} connections", probed.target),
    };
    let together = &summary.together;
    let mut line = |label: &str, value: String| entry(text, label, &value, columns);
    if count > 1 {
        let rates: Vec<f64> = summary.connections.iter().filter_map(|measures| measures.rate).collect();
        let low = rates.iter().copied().reduce(f64::min);
        let high = rates.iter().copied().reduce(f64::max);
        if let (Some(low), Some(high)) = (low, high) {
            let mut told = format!("{} to {} B/s", grouped(low as u64), grouped(high.round() as u64));
            if let Some(wished) = goal.rate.filter(|_| !goal.shared) {
                let [low, high] = [low, high].map(|rate| error(rate, wished));
                let _ = write!(told, ", {low:+.2} % to {high:+.2} % from {}", per_second(wished));
            }
            line("rate of each", told);
        }
    }
    let label = if count > 1 { "of all" } else { "rate" };
    let wished = goal.rate.filter(|_| goal.shared || count == 1);
    line(label, rate(together, wished));
    line("came", came(together, probed));
    if count == 1 {
        if let Some(chunks) = &together.chunks {
            line("chunks", format!("{chunks} ({} of {} alike)", chunks.regular, chunks.between()));
        } else {
            line("chunks", "none recognised".to_owned());
        }
    }
    if let Some(seconds) = together.seconds {
        line("any second", format!("best {}, worst {}", size(seconds.best), size(seconds.worst)));
    }
    if let Some(gap) = together.gap.filter(|gap| !gap.lasting.is_zero()) {
        line("longest gap", format!("{}, from {:.1} s on", pause(gap.lasting), gap.at.as_secs_f64()));
    }
    if let Some(first) = together.first_byte {
        line("first byte", format!("after {}", short(first)));
    }
    if let Some(jain) = summary.jain {
        line("fairness", format!("{jain:.4} (Jain: 1 is even, {:.4} is all to one)", 1.0 / count as f64));
    }
    bars(text, outcome, probed, summary, columns);
    if count > 1 {
        text.push_str(&connections(summary, goal));
    }
}

fn rate(measures: &Measures, wished: Option<Rate>) -> String {
    let Some(rate) = measures.rate else {
        return "too short to tell; --repeat asks again when a response has ended".to_owned();
    };
    let mut told = format!("{} B/s ({}/s)", grouped(rate.round() as u64), size(rate.round() as u64));
    if let Some(wished) = wished {
        let _ = write!(told, ", {} {}", beside(rate, wished), per_second(wished));
    }
    told
}

fn came(measures: &Measures, probed: &TargetTraces) -> String {
    let responses: u64 = probed.connections.iter().map(|seen| seen.responses).sum();
    let dials: u64 = probed.connections.iter().map(|seen| seen.dials).sum();
    let mut told = format!("{} bytes in {:.3} s", grouped(measures.bytes), measures.lasted.as_secs_f64());
    let count = probed.connections.len() as u64;
    if responses > 0 {
        let plural = if responses == 1 { "" } else { "s" };
        let _ = write!(told, ", {} whole response{plural}", grouped(responses));
    }
    if dials > count {
        let _ = write!(told, " on {} connections", grouped(dials));
    }
    told
}

fn bars(text: &mut String, outcome: &Outcome, probed: &TargetTraces, summary: &Summary, columns: usize) {
    let whole = probed.connections.iter().all(|seen| seen.end == End::Whole);
    let until = if whole { summary.timeline.last().unwrap_or_default() } else { outcome.lasted };
    let width = columns.saturating_sub(6).clamp(10, 120);
    let parts = parts(&summary.timeline, until, whole, width, summary.usual_interval());
    let _ = writeln!(text, "  {}", parts.bars().trim_end());
    let scale = format!("one bar is {}, the tallest {}", pause(parts.part), size(parts.most()));
    wrapped(text, &scale, "  ", columns);
}

/// A line for each connection, or for three of many.
fn connections(summary: &Summary, goal: &Goal) -> String {
    let mut table = Table::new(["", ">B/S", ">OFF", ">BYTES", ">GAP", "CHUNKS"]);
    let mut order: Vec<usize> = (0..summary.connections.len()).collect();
    let mut names: Vec<String> = order.iter().map(|n| format!("  #{}", n + 1)).collect();
    if order.len() > MAX_LINES {
        let overall = |n: &usize| summary.connections[*n].rate.unwrap_or(0.0);
        order.sort_by(|a, b| overall(a).total_cmp(&overall(b)));
        let (slowest, middle, fastest) = (order[0], order[order.len() / 2], order[order.len() - 1]);
        for (n, name) in [(slowest, "slowest"), (middle, "middle"), (fastest, "fastest")] {
            names[n] = format!("  {name}, #{}", n + 1);
        }
        order = vec![slowest, middle, fastest];
    }
    let wished = goal.rate.filter(|_| !goal.shared);
    for n in order {
        let measures = &summary.connections[n];
        let dash = || "-".to_owned();
        let off = measures.rate.zip(wished).map(|(rate, wished)| format!("{:+.2} %", error(rate, wished)));
        table.row([
            names[n].clone(),
            measures.rate.map_or_else(dash, |rate| grouped(rate.round() as u64)),
            off.unwrap_or_else(dash),
            grouped(measures.bytes),
            measures.gap.map_or_else(dash, |gap| pause(gap.lasting)),
            measures.chunks.as_ref().map_or_else(dash, ToString::to_string),
        ]);
    }
    table.text()
}

fn compared(text: &mut String, comparison: &Comparison, report: &Report, columns: usize) {
    text.push_str(if comparison.agree() { "The two agree.\n" } else { "The two do NOT agree.\n" });
    let part = comparison.lead as f64 / comparison.chunk.max(1) as f64;
    let mut line = |label: &str, value: String| entry(text, label, &value, columns);
    let [lead, chunk, allowed] = [comparison.lead, comparison.chunk, comparison.allowed].map(grouped);
    let at = comparison.at.as_secs_f64();
    let lead = format!("{lead} B, {part:.2} of a chunk of {chunk} B, {allowed} B would be allowed");
    line("largest lead", format!("{lead}, {at:.1} s after the first byte"));
    if let Some((one, other)) = comparison.lengths {
        line("lengths", format!("{} and {} bytes", grouped(one), grouped(other)));
    }
    let shift = Duration::from_nanos(comparison.shift.unsigned_abs());
    let which = if comparison.shift < 0 { "earlier" } else { "later" };
    line("time shift", format!("the second has the same bytes {} {which}, in the median", short(shift)));
    let firsts: Vec<_> = report.summaries.iter().filter_map(|summary| summary.together.first_byte).collect();
    if let [one, other] = firsts[..] {
        line("first bytes", format!("after {} and {}", short(one), short(other)));
    }
    line("compared", format!("{:.1} s, each from its own first byte", comparison.over.as_secs_f64()));
}

/// A label and its figure, wrapped below itself.
fn entry(text: &mut String, label: &str, value: &str, columns: usize) {
    let mut used = INDENT;
    let _ = write!(text, "  {label:<width$}", width = INDENT - 2);
    for (n, word) in value.split(", ").enumerate() {
        let len = word.chars().count() + 2;
        if n > 0 {
            text.push(',');
            if used + len > columns {
                let _ = write!(text, "\n{:INDENT$}", "");
                used = INDENT;
            } else {
                text.push(' ');
            }
        }
        text.push_str(word);
        used += len;
    }
    text.push('\n');
}

fn wrapped(text: &mut String, words: &str, indent: &str, columns: usize) {
    let mut used = 0;
    for word in words.split(' ') {
        let len = word.chars().count();
        if used > 0 && used + 1 + len > columns {
            text.push('\n');
            used = 0;
        }
        let before = if used == 0 { indent } else { " " };
        text.push_str(before);
        text.push_str(word);
        used += before.len() + len;
    }
    text.push('\n');
}

/// The deviation of a rate from the expected one.
fn beside(rate: f64, wished: Rate) -> String {
    let error = error(rate, wished);
    match format!("{:.2}", error.abs()).as_str() {
        "0.00" => "exactly".to_owned(),
        off => format!("{off} % {}", if error < 0.0 { "below" } else { "above" }),
    }
}

fn per_second(rate: Rate) -> String {
    format!("{} B/s", grouped(rate.bytes_per_second()))
}

/// Formats a short time: `0.4 ms`, `12 ms`, `1.002 s`.
fn short(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        return format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    }
    pause(time)
}
