//! The rules of a route's pace, and which of them hold at a time.

use std::time::SystemTime;

use sluicegate::config::{Config, Route};
use sluicegate::limit::Burst;
use sluicegate::schedule::Zone;

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
    pub(in crate::cli) fn new(config: &Config, typed: Option<&str>, now: SystemTime) -> Result<Self, String> {
        let zone = config.time_zone.clone();
        let at = typed.map_or(Ok(now), |text| zone.moment(text))?;
        Ok(Self { at, zone, is_given: typed.is_some() })
    }

    /// The line about the time itself: if it was typed, or if a rule of `config` has times.
    pub(super) fn shown(&self, config: &Config) -> Option<String> {
        let is_timed = |route: &Route| route.rules.iter().any(|rule| rule.when.during.is_some());
        let is_asked = self.is_given || config.routes.iter().any(is_timed);
        is_asked.then(|| self.zone.show(self.at))
    }
}

/// A line for each rule of a route, with its label.
pub(super) fn lines(route: &Route, moment: &Moment) -> Vec<(String, String)> {
    let lines = route.rules.iter().enumerate().map(|(nth, rule)| {
        let burst = super::burst(Burst::new(rule.burst));
        let mut text = format!("{}{burst}, when {}", rule.rates, rule.when);
        if let Some(during) = &rule.when.during {
            let (holds, next) = (during.holds_at(moment.at), during.next_change(moment.at));
            text += match (holds, moment.is_given) {
                (true, false) => "; holds now",
                (true, true) => "; holds then",
                (false, false) => "; does not hold now",
                (false, true) => "; does not hold then",
            };
            if let Some(next) = next {
                let word = if holds { "until" } else { "from" };
                text += &format!(", {word} {}", during.zone().show(next));
            }
        }
        (format!("rule {}", rule.label(nth)), text)
    });
    lines.collect()
}
