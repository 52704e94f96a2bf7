//! The representation of a limit.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rules::{self, RuleReport};
use super::schedules::{self, ScheduleReport};
use crate::http::route::Route;
use crate::http::server::Handle;
use crate::limit::Rate;
use crate::live_limits::{LimitBook, LimitSource, Live, Name, Part, Sources};

#[derive(Serialize)]
pub(in crate::admin) struct LimitReport {
    href: String,
    /// What it limits, by the names of `held_by`.
    kind: &'static str,
    route: Option<String>,
    /// Of a class of clients: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    client: Option<String>,
    /// For a client: whether this limit is its own.
    own: Option<bool>,
    rate: Option<u64>,
    /// If several hold one after another, each as in a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<Vec<String>>,
    /// Of responses or uploads of a route that has some: its rules, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleReport>,
    #[serde(flatten)]
    schedule: ScheduleReport,
    burst: u64,
    weight: Option<u16>,
    report_only: bool,
    /// Where each value comes from; nothing of a server that was not made from a configuration.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    source: BTreeMap<&'static str, SourceReport>,
    /// Of the server: its share of a quota, if that holds in the place of its rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<u64>,
    bytes: Option<u64>,
    waits: Option<u64>,
    over: u64,
}

/// Where a value comes from.
#[derive(Serialize)]
pub(super) struct SourceReport {
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flag: Option<String>,
}

impl From<&LimitSource> for SourceReport {
    fn from(source: &LimitSource) -> Self {
        let at = source.line();
        Self {
            from: source.word(),
            file: at.map(|at| at.file.to_string()),
            line: at.map(|at| at.line),
            flag: source.flag().map(str::to_owned),
        }
    }
}

impl LimitReport {
    pub(super) fn of(server: &Handle, live: &Live, name: &Name, book: Option<&LimitBook>) -> Self {
        let known = book.map(|book| book.sources(name));
        let times = known.as_ref().map_or(&[][..], |known| &known.schedule);
        let (schedule, holds) = schedules::of(server, name, times);
        let (passed, over) = live.passed();
        let budget = live.budget();
        Self {
            href: name.to_string(),
            kind: name.kind(),
            route: if let Name::Route(path, _) = name { Some(path.clone()) } else { None },
            class: if let Name::Class(name, _) = name { Some(name.clone()) } else { None },
            client: if let Name::Own(key) | Name::UploadOwn(key) = name {
                Some(key.to_string())
            } else {
                None
            },
            own: live.is_own(),
            rate: budget.rate.map(Rate::bytes_per_second),
            rates: live.rates().map(|rates| rates.texts()),
            rules: Vec::new(),
            schedule,
            burst: budget.burst,
            weight: name.is_weighted().then_some(budget.weight.get()),
            report_only: budget.report_only,
            source: known.map(|known| sources(known, name, holds)).unwrap_or_default(),
            quota: live.quota().map(Rate::bytes_per_second),
            bytes: passed.map(|passed| passed.bytes),
            waits: passed.map(|passed| passed.waits),
            over,
        }
    }

    /// That of a route: with its rules, and which of them hold.
    pub(super) fn of_route(server: &Handle, route: &Route, part: Part, book: Option<&LimitBook>) -> Self {
        let name = Name::Route(route.name().to_owned(), part);
        let mut report = Self::of(server, &Live::of_route(route, part), &name, book);
        let rules = match part {
            Part::Response => route.rules(),
            Part::Upload => route.upload_rules(),
            _ => return report,
        };
        let sources = book.map(|book| book.sources(&name).rules).unwrap_or_default();
        (report.rules, report.schedule.next_change) = rules::of(rules, &sources, server.calendar());
        report
    }

    /// The address of the limit.
    #[cfg(feature = "events")]
    pub(in crate::admin) fn href(&self) -> &str {
        &self.href
    }

    /// That of the limit of this name, if there is one.
    pub(in crate::admin) fn find(server: &Handle, name: &Name) -> Option<Self> {
        let book = LimitBook::of(server);
        let Name::Route(path, part) = name else {
            return Some(Self::of(server, &Live::find(server, name)?, name, book.as_ref()));
        };
        let route = server.routes().into_iter().find(|route| route.name() == path)?;
        Some(Self::of_route(server, &route, *part, book.as_ref()))
    }
}

/// Where the values come from: what the time of the schedule that `holds` says is not the limit's own.
fn sources(mut sources: Sources, name: &Name, holds: Option<usize>) -> BTreeMap<&'static str, SourceReport> {
    sources.follow(holds);
    let weight = name.is_weighted().then_some(("weight", &sources.weight));
    let all = [("rate", &sources.rate), ("burst", &sources.burst), ("report_only", &sources.report_only)];
    all.into_iter().chain(weight).map(|(value, source)| (value, source.into())).collect()
}
