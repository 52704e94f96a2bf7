//! The rules of a route's pace, and which of them hold.

use std::time::SystemTime;

use serde::Serialize;

use super::limit_report::SourceReport;
use crate::http::route::PaceRule;
use crate::live_limits::LimitSource;

/// A rule that takes the place of a route's own rate and burst.
#[derive(Serialize)]
pub(super) struct RuleReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    when: String,
    rates: Vec<String>,
    burst: u64,
    /// Whether it is the time for it.
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceReport>,
}

/// Rules, in order, with their `sources` as far as they are known; and when another of them begins or ends to hold.
pub(super) fn of(
    rules: &[PaceRule],
    sources: &[LimitSource],
    now: SystemTime,
) -> (Vec<RuleReport>, Option<String>) {
    let report = |(nth, rule): (usize, &PaceRule)| RuleReport {
        name: rule.name.clone(),
        when: rule.when.to_string(),
        rates: rule.rates.texts(),
        burst: rule.burst,
        holds: rule.when.is_time(now),
        source: sources.get(nth).map(SourceReport::from),
    };
    let timed = rules.iter().filter_map(|rule| rule.when.during.as_ref());
    let next = timed.filter_map(|during| during.next_change(now)).min();
    let next = next.map(|at| humantime::format_rfc3339_seconds(at).to_string());
    (rules.iter().enumerate().map(report).collect(), next)
}
