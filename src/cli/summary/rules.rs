//! The rules of a route's pace and the schedules of shared limits, and what of them holds at a time.

use std::time::SystemTime;

use sluicegate::config::{Config, LimitOf, LimitPart, LimitSchedule};
use sluicegate::http::route::PaceRule;
use sluicegate::limit::{Burst, RateOrOff, Weight};
use sluicegate::schedule::{During, MomentError, Zone};

/// Changes of a schedule that are looked through for a time that holds.
const MAX_TURNS: usize = 256;

/// The point in time for which rules are described.
pub(in crate::cli) struct Moment {
    at: SystemTime,
    /// The zone by whose clock it is shown.
    zone: Zone,
    /// It is not now.
    is_given: bool,
}

impl Moment {
    /// Now, or the time that was typed.
    pub(in crate::cli) fn new(
        config: &Config,
        typed: Option<&str>,
        now: SystemTime,
    ) -> Result<Self, MomentError> {
        let zone = config.time_zone.clone();
        let at = typed.map_or(Ok(now), |text| zone.moment(text))?;
        Ok(Self { at, zone, is_given: typed.is_some() })
    }

    /// The line about the time itself: if it was typed, or if a rule of `config` has times.
    pub(super) fn shown(&self, config: &Config) -> Option<String> {
        let mut rules = config.routes.iter().flat_map(|route| route.rules.iter().chain(&route.upload_rules));
        let is_asked =
            self.is_given || !config.schedules.is_empty() || rules.any(|rule| rule.when.during.is_some());
        is_asked.then(|| self.zone.show(self.at))
    }
}

/// A line for each of the rules of a route, with its label.
pub(super) fn lines(rules: &[PaceRule], of: &str, moment: &Moment) -> Vec<(String, String)> {
    let lines = rules.iter().enumerate().map(|(nth, rule)| {
        let burst = super::burst(Burst::new(rule.burst));
        let mut text = format!("{}{burst}, when {}", rule.rates, rule.when);
        if let Some(during) = &rule.when.during {
            let (holds, next) = (during.holds_at(moment.at), during.next_change(moment.at));
            text += &state(during, (holds, next), moment);
        }
        (format!("{of} {}", rule.label(nth)), text)
    });
    lines.collect()
}

/// Whether something holds, and when that changes.
fn state(during: &During, (holds, next): (bool, Option<SystemTime>), moment: &Moment) -> String {
    let word = match (holds, moment.is_given) {
        (true, false) => "; holds now",
        (true, true) => "; holds then",
        (false, false) => "; does not hold now",
        (false, true) => "; does not hold then",
    };
    let Some(next) = next else { return word.to_owned() };
    format!("{word}, {} {}", if holds { "until" } else { "from" }, during.zone().show(next))
}

/// A line for each time of the schedules of the limits `of`.
pub(super) fn schedules(config: &Config, of: &LimitOf, moment: &Moment) -> Vec<String> {
    let mut lines = Vec::new();
    for schedule in config.schedules.iter().filter(|schedule| schedule.limit.of == *of) {
        let part = match schedule.limit.part {
            LimitPart::Total => "",
            LimitPart::Client => "client: ",
            LimitPart::UploadTotal => "uploads: ",
            LimitPart::UploadClient => "upload client: ",
        };
        let held = schedule.at(moment.at);
        for (nth, (during, budget)) in schedule.times.iter().enumerate() {
            let burst = super::burst(Burst::new(budget.burst));
            let weight = match budget.weight {
                weight if weight == Weight::default() => String::new(),
                weight => format!(", weight {}", weight.get()),
            };
            let report = if budget.report_only { ", only reported" } else { "" };
            let holds = held.nth == Some(nth);
            // One that another goes before holds once that has ended.
            let next = if holds { held.until } else { next_turn(schedule, nth, moment.at) };
            let state = match schedule.is_by_hand {
                true => "; not followed, since the limit was set by hand and saved".to_owned(),
                false => state(during, (holds, next), moment),
            };
            let rate = RateOrOff(budget.rate);
            lines.push(format!("{part}{rate}{burst}{weight}{report}, during {during}{state}"));
        }
    }
    lines
}

/// When the `nth` time of a schedule holds next; `None` if not within the changes of some weeks.
fn next_turn(schedule: &LimitSchedule, nth: usize, after: SystemTime) -> Option<SystemTime> {
    let mut at = after;
    for _ in 0..MAX_TURNS {
        at = schedule.at(at).until?;
        if schedule.at(at).nth == Some(nth) {
            return Some(at);
        }
    }
    None
}
