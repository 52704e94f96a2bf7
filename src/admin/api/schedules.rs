//! The schedule of a shared limit, and what of it holds.

use serde::Serialize;

use super::limit_report::SourceReport;
use crate::http::LimitHeld;
use crate::http::server::Handle;
use crate::limit::{Budget, Rate};
use crate::live_limits::{LimitSource, Name};

/// What a limit is at times of the week.
#[derive(Default, Serialize)]
pub(super) struct ScheduleReport {
    /// In order; the first whose time it is holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    schedule: Vec<TimeReport>,
    /// Whether the limit follows it: not if it was set by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    follows_schedule: Option<bool>,
    /// When the limit, or a rule of its route, changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_change: Option<String>,
}

/// What a limit is at some times.
#[derive(Serialize)]
struct TimeReport {
    during: String,
    rate: Option<u64>,
    burst: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u16>,
    report_only: bool,
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceReport>,
}

/// The schedule of the limit `name`, with the `sources` of its times as far as they are known; and which of the times the limit is
/// set to.
pub(super) fn of(
    server: &Handle,
    name: &Name,
    sources: &[[LimitSource; 4]],
) -> (ScheduleReport, Option<usize>) {
    let known = name.shared().and_then(|name| server.schedule_of(&name));
    let Some(known) = known else { return (ScheduleReport::default(), None) };
    let (held, follows) = (known.schedule.at(server.calendar()), !known.is_by_hand);
    let holds = held.nth.filter(|_| follows);
    let time = |(nth, (during, budget)): (usize, (_, &Budget))| TimeReport {
        during: format!("{during}"),
        rate: budget.rate.map(Rate::bytes_per_second),
        burst: budget.burst,
        weight: name.is_weighted().then_some(budget.weight.get()),
        report_only: budget.report_only,
        holds: holds == Some(nth),
        source: sources.get(nth).and_then(said).map(SourceReport::from),
    };
    let next = held.until.filter(|_| follows);
    let report = ScheduleReport {
        schedule: known.schedule.times.iter().enumerate().map(time).collect(),
        follows_schedule: Some(follows),
        next_change: next.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
    };
    (report, holds)
}

/// The first of the values that a time says.
fn said(values: &[LimitSource; 4]) -> Option<&LimitSource> {
    values.iter().find(|source| **source != LimitSource::Default)
}

/// What the schedule of the limit `name` makes of it now, also if that was set by hand; `None` if it has none.
pub(super) fn of_calendar(server: &Handle, name: &Name) -> Option<LimitHeld> {
    Some(server.schedule_of(&name.shared()?)?.schedule.at(server.calendar()))
}

/// Which time of its schedule the limit `name` is set to.
pub(super) fn held(server: &Handle, name: &Name) -> Option<usize> {
    let known = server.schedule_of(&name.shared()?).filter(|known| !known.is_by_hand)?;
    known.schedule.at(server.calendar()).nth
}

/// Notes that somebody sets the limit `name` by hand, and that it follows its schedule no more; or that it follows it again.
pub(super) fn set_by_hand(server: &Handle, name: &Name, is_by_hand: bool) {
    if let Some(name) = name.shared() {
        server.set_by_hand(&name, is_by_hand);
    }
}
