//! The text of a simulation: what groups got, how their transfers went, what those waited for, and the limits.

use std::time::Duration;

use sluicegate::duration;
use sluicegate::schedule::Zone;
use sluicegate::simulate::outcome::{GroupOutcome, LimitOutcome, Outcome};

use super::json::{per_second, share};
use crate::cli::table::{Table, size};

/// Characters of a name.
const MAX_NAME: usize = 18;

/// Causes of waits that are shown of one group.
const MAX_CAUSES: usize = 4;

const DASH: &str = "-";

/// The report on the server of `file`, in lines of at most 80 columns if names are short.
pub(super) fn text(outcome: &Outcome, file: &str, zone: &Zone) -> String {
    let (began, lasting) = (zone.show(outcome.began), duration::spell(outcome.lasting));
    let mut text = format!("{file}: {lasting} from {began}, seed {}\n\n", outcome.seed);
    text += &groups(outcome).text();
    text.push('\n');
    text += &transfers(outcome).text();
    text.push('\n');
    text += &waits(outcome).text();
    text.push('\n');
    text += &limits(outcome).text();
    text.push('\n');
    text += &notes(outcome);
    text
}

fn groups(outcome: &Outcome) -> Table<8> {
    let mut table =
        Table::new(["GROUP", ">CLIENTS", ">DONE", ">OPEN", ">LOST", ">MEAN", ">PEAK", ">OF SERVER"]);
    for group in &outcome.groups {
        let transfers = group.transfers;
        let lost = transfers.given_up + transfers.refused + transfers.failed + transfers.cut;
        table.row([
            name(&group.name),
            group.clients.to_string(),
            transfers.done.to_string(),
            transfers.under_way.to_string(),
            lost.to_string(),
            rate(per_second(group.moved(), outcome.lasting)),
            rate(group.peak),
            share(group.bytes, outcome.limits.first()).map_or_else(|| DASH.to_owned(), percent),
        ]);
    }
    table
}

fn transfers(outcome: &Outcome) -> Table<6> {
    let mut table = Table::new(["EACH TRANSFER", ">RATE P1", ">P50", ">P99", ">TIME P50", ">P99"]);
    for group in &outcome.groups {
        let rates = group.rates.map_or([None; 3], |rates| [rates.p1, rates.p50, rates.p99].map(Some));
        let times = group.times.map_or([None; 2], |times| [times.p50, times.p99].map(Some));
        let [p1, p50, p99] = rates.map(|value| value.map_or_else(|| DASH.to_owned(), rate));
        let [half, slow] = times.map(|value| value.map_or_else(|| DASH.to_owned(), time));
        table.row([name(&group.name), p1, p50, p99, half, slow]);
    }
    table
}

fn waits(outcome: &Outcome) -> Table<2> {
    let mut table = Table::new(["HELD BY", "OF THE TIME OF ALL TRANSFERS"]);
    for group in &outcome.groups {
        table.row([name(&group.name), causes(group)]);
    }
    table
}

fn causes(group: &GroupOutcome) -> String {
    let all = group.lasted.as_nanos().max(1);
    let part = |waited: &Duration| u64::try_from(waited.as_nanos() * 1_000_000 / all).unwrap_or(u64::MAX);
    let causes = group.waits.iter().filter(|(_, waited)| part(waited) >= 1_000).take(MAX_CAUSES);
    let words: Vec<String> = causes.map(|(by, waited)| format!("{by} {}", percent(part(waited)))).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn limits(outcome: &Outcome) -> Table<6> {
    let mut table = Table::new(["LIMIT", ">SET", ">MEAN", ">PEAK", ">USED", ">WAITS"]);
    for limit in outcome.limits.iter().filter(|limit| limit.allowed.is_some() || limit.passed() > 0) {
        table.row([
            name(&limit.name),
            set(limit),
            rate(per_second(limit.passed(), outcome.lasting)),
            rate(limit.peak),
            share(limit.passed(), Some(limit)).map_or_else(|| DASH.to_owned(), percent),
            limit.waits.to_string(),
        ]);
    }
    table
}

/// The rate of a limit, or the lowest and the highest that it had.
fn set(limit: &LimitOutcome) -> String {
    match limit.span() {
        None => "off".to_owned(),
        Some((least, most)) if least == most => rate(most),
        Some((least, most)) => format!("{} to {}", size(least), rate(most)),
    }
}

/// What was lost, and what the figures leave out.
fn notes(outcome: &Outcome) -> String {
    let mut text = String::new();
    for group in &outcome.groups {
        let lost = group.transfers;
        let counts = [
            (lost.given_up, "given up"),
            (lost.refused, "refused (429, 503)"),
            (lost.failed, "answered otherwise"),
            (lost.cut, "cut by the server"),
            (lost.turned_away, "clients left out: too many at a time"),
        ];
        let words: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, words)| format!("{count} {words}"))
            .collect();
        if !words.is_empty() {
            text += &format!("{}: {}\n", name(&group.name), words.join(", "));
        }
    }
    text + "MEAN and PEAK, which is of any second, count heads and uploads of groups too.\n\
            Not simulated: TLS and TCP on the wire, lost packets, the processor, the disk,\n\
            HTTP/2, [[tcp]], [quota].\n"
}

fn name(text: &str) -> String {
    match text.char_indices().nth(MAX_NAME) {
        None => text.to_owned(),
        Some(_) => {
            let shortened: String = text.chars().take(MAX_NAME - 1).collect();
            format!("{shortened}…")
        }
    }
}

fn rate(bytes: u64) -> String {
    format!("{}/s", size(bytes))
}

fn percent(millionths: u64) -> String {
    format!("{}.{} %", millionths / 10_000, millionths % 10_000 / 1_000)
}

/// A time with three digits or more: `0.120 s`, `12.5 s`, `5 min 20 s`, `2 h 5 min`.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{}.{:03} s", seconds, time.subsec_millis()),
        10..60 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}
