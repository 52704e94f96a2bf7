//! The table of limits: a row for each, and for the times of its schedule, its rules, and its share of a quota.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sluicegate::limit::{Burst, Rate, RateOrOff};

use super::super::CliError;
use super::super::table::{Table, size};
use super::source::{self, Source};
use super::words;

/// The heading of where limits come from.
const SOURCE: &str = "SOURCE";

#[derive(Deserialize)]
struct Limit {
    href: String,
    rate: Option<u64>,
    #[serde(default)]
    rates: Vec<String>,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    schedule: Vec<Time>,
    follows_schedule: Option<bool>,
    next_change: Option<String>,
    burst: u64,
    weight: Option<u16>,
    report_only: bool,
    bytes: Option<u64>,
    waits: Option<u64>,
    #[serde(default)]
    source: BTreeMap<String, Source>,
    quota: Option<u64>,
    over: u64,
}

/// What a limit is at some times of the week.
#[derive(Deserialize)]
struct Time {
    during: String,
    rate: Option<u64>,
    burst: u64,
    weight: Option<u16>,
    holds: bool,
    source: Option<Source>,
}

/// A rule of a route's responses or uploads.
#[derive(Deserialize)]
struct Rule {
    when: String,
    rates: Vec<String>,
    burst: u64,
    holds: bool,
    source: Option<Source>,
}

/// Whether a limit is worth a row: those of uploads that are off at all times, and through which nothing passed, are left out.
pub(super) fn is_used(limit: &Value) -> bool {
    let is_of_uploads = limit["kind"].as_str().is_some_and(|kind| kind.starts_with("upload"));
    let is_timed = ["rules", "schedule"].iter().any(|key| limit.get(key).is_some());
    !is_of_uploads
        || is_timed
        || !limit["rate"].is_null()
        || limit["bytes"].as_u64().is_some_and(|bytes| bytes > 0)
}

pub(super) fn table(limits: Vec<Value>) -> Result<String, CliError> {
    let mut table =
        Table::new(["LIMIT", ">RATE", ">BURST", ">WEIGHT", ">PASSED", ">WAITS", ">OVER", SOURCE, ""]);
    let mut is_known = false;
    for limit in limits {
        let limit: Limit = serde_json::from_value(limit).map_err(|error| {
            CliError::Failed(format!("the admin listener's answer has no valid limit: {error}"))
        })?;
        is_known |= !limit.source.is_empty();
        table.row(limit.row());
        limit.schedule.iter().for_each(|time| table.row(time.row()));
        limit.rules.iter().for_each(|rule| table.row(rule.row()));
        if let Some(rate) = limit.quota.and_then(Rate::or_unlimited) {
            let of = "  its share of the fleet's".to_owned();
            table.row(below([of, rate.to_string(), none(), none()], "quota".to_owned(), true));
        }
    }
    // A server without a configuration (made by a program of its own) has no sources to show.
    Ok(if is_known { table.text() } else { table.text_without(&[SOURCE]) })
}

impl Limit {
    fn row(&self) -> [String; 9] {
        [
            words(&self.href),
            if self.rates.is_empty() { rate(self.rate) } else { self.rates.join(", ") },
            burst(self.burst),
            self.weight.map_or_else(none, |weight| weight.to_string()),
            self.bytes.map_or_else(none, size),
            self.waits.map_or_else(none, |waits| waits.to_string()),
            if self.over == 0 { none() } else { size(self.over) },
            source::of(&self.source),
            match &self.next_change {
                _ if self.report_only => "reports only".to_owned(),
                _ if self.follows_schedule == Some(false) => "set by hand".to_owned(),
                Some(at) => format!("changes {at}"),
                None => String::new(),
            },
        ]
    }
}

impl Time {
    fn row(&self) -> [String; 9] {
        let weight = self.weight.map_or_else(none, |weight| weight.to_string());
        let values = [format!("  during {}", self.during), rate(self.rate), burst(self.burst), weight];
        below(values, shown(self.source.as_ref()), self.holds)
    }
}

impl Rule {
    fn row(&self) -> [String; 9] {
        let values = [format!("  when {}", self.when), self.rates.join(", "), burst(self.burst), none()];
        below(values, shown(self.source.as_ref()), self.holds)
    }
}

/// A row below that of a limit, which counts nothing.
fn below([of, rate, burst, weight]: [String; 4], source: String, holds: bool) -> [String; 9] {
    let state = if holds { String::new() } else { "not now".to_owned() };
    [of, rate, burst, weight, none(), none(), none(), source, state]
}

fn rate(bytes_per_second: Option<u64>) -> String {
    RateOrOff(bytes_per_second.and_then(Rate::or_unlimited)).to_string()
}

fn burst(bytes: u64) -> String {
    if bytes == 0 { none() } else { Burst::new(bytes).to_string() }
}

fn shown(source: Option<&Source>) -> String {
    source.map_or_else(none, ToString::to_string)
}

fn none() -> String {
    "-".to_owned()
}
