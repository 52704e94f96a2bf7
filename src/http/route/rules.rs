//! Rules of a route's pace: the first that a response, or an upload, meets sets its rate and burst.
//!
//! Each is matched once, at its head. From then on it is under a limit of the rules that it met, whatever the time: at a
//! boundary of time that limit is set to the rule that holds, as by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method, response};

use super::Route;
use super::when::When;
use crate::clock::Instant;
use crate::limit::{Limit, Rates};
use crate::sync::Mutex;

/// Limits that nobody uses are dropped when there are more than these.
const MAX_LIMITS: usize = 256;

/// A rule of a route's pace.
#[derive(Clone, Debug, PartialEq)]
pub struct PaceRule {
    /// What the access log calls it; without a name, it is its number, from 1.
    pub name: Option<String>,
    /// Which responses or uploads, and when.
    pub when: When,
    /// Their rates.
    pub rates: Rates,
    /// Bytes that leave ahead of the rate at the start of one.
    pub burst: u64,
}

impl PaceRule {
    /// Its name, or its number, which is one more than `nth`.
    pub fn label(&self, nth: usize) -> String {
        self.name.clone().unwrap_or_else(|| (nth + 1).to_string())
    }
}

/// Which rules of a route a response meets, one bit for each, whatever the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::http) struct Met(u64);

/// The rules that a request meets, before its response is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct RulesMet {
    /// Of the route's responses.
    pub(in crate::http) down: Met,
    /// Of its uploads.
    pub(in crate::http) up: Met,
}

/// The rules of a route's responses, or of its uploads.
#[derive(Default)]
pub(super) struct PaceRules {
    rules: Vec<PaceRule>,
    /// Their names or numbers.
    labels: Vec<Arc<str>>,
    /// Shared with the rules that these came in the place of.
    limits: Arc<Mutex<Limits>>,
    /// Which of those that share the limits these are.
    generation: u32,
    /// How often conditions or times were looked at.
    #[cfg(test)]
    looks: std::sync::atomic::AtomicUsize,
}

/// A time on the wall; and, if the rules that hold changed by nothing but the time, that on the clock.
pub(in crate::http) type Moment = (SystemTime, Option<Instant>);

/// The limits of what is under way.
#[derive(Default)]
struct Limits {
    /// By the rules that were met, and their generation.
    of: BTreeMap<(u32, Met), Limit>,
    /// The conditions of rules before these, whatever their times.
    former: Vec<(u32, Vec<When>)>,
}

impl PaceRules {
    /// The most rules.
    pub(super) const MAX: usize = 64;

    /// Generations whose conditions are kept though nothing is under way by them: a head may be on its way.
    const MAX_IDLE: u32 = 4;

    pub(super) fn new(mut rules: Vec<PaceRule>) -> Self {
        rules.truncate(Self::MAX);
        let labels = rules.iter().enumerate().map(|(nth, rule)| rule.label(nth).into()).collect();
        Self { rules, labels, ..Self::default() }
    }

    pub(super) fn all(&self) -> &[PaceRule] {
        &self.rules
    }

    /// When another of them begins or ends to hold; `None` if none ever does.
    pub(super) fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        let timed = self.rules.iter().filter_map(|rule| rule.when.during.as_ref());
        timed.filter_map(|during| during.next_change(now)).min()
    }

    /// Which of them a request of a client in `class` meets, for a path in normal form and a query.
    fn asked(&self, method: &Method, target: (&str, Option<&str>), class: Option<&str>) -> Met {
        if self.rules.is_empty() {
            return Met::default();
        }
        self.met(|rule| rule.when.asks(method, target, class))
    }

    /// Which of those that it `asked` for the content of a request with `fields` meets.
    fn sent(&self, asked: Met, fields: &HeaderMap) -> Met {
        if asked == Met::default() {
            return asked;
        }
        // No request has a status.
        let sent = self.met(|rule| rule.when.status.is_empty() && rule.when.sends(fields));
        Met(asked.0 & sent.0)
    }

    fn met(&self, fits: impl Fn(&PaceRule) -> bool) -> Met {
        self.note_look();
        let bits = self.rules.iter().enumerate().filter(|(_, rule)| fits(rule)).map(|(nth, _)| 1 << nth);
        Met(bits.fold(0, |all, bit: u64| all | bit))
    }

    fn note_look(&self) {
        #[cfg(test)]
        self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn of(&self, met: Met) -> impl Iterator<Item = &PaceRule> {
        self.rules.iter().enumerate().filter(move |(nth, _)| met.0 & 1 << nth != 0).map(|(_, rule)| rule)
    }

    /// Without those behind the first that always holds.
    fn reachable(&self, met: Met) -> Met {
        let is_last = |nth: &usize| met.0 & 1 << nth != 0 && self.rules[*nth].when.during.is_none();
        match (0..self.rules.len()).find(is_last) {
            Some(last) => Met(met.0 & u64::MAX >> (63 - last)),
            None => met,
        }
    }

    /// The limit of what met `met`, and which of them can ever hold for it; `None` if it is `own`.
    pub(super) fn limit(&self, met: Met, own: &Limit, now: impl FnOnce() -> Moment) -> Option<(Limit, Met)> {
        if met == Met::default() {
            return None;
        }
        let met = self.reachable(met);
        let mut limits = self.limits.lock();
        if let Some(limit) = limits.of.get(&(self.generation, met)) {
            return Some((limit.clone(), met));
        }
        if limits.of.len() >= MAX_LIMITS {
            limits.of.retain(|_, limit| limit.is_shared());
        }
        let limit = Limit::unlimited();
        self.set(&limit, met, own, now());
        limits.of.insert((self.generation, met), limit.clone());
        Some((limit, met))
    }

    /// The name or number of the one that holds at `now` for what met `met`.
    pub(super) fn held(&self, met: Met, now: SystemTime) -> Option<Arc<str>> {
        self.note_look();
        let mut all = self.rules.iter().enumerate();
        let (nth, _) = all.find(|(nth, rule)| met.0 & 1 << nth != 0 && rule.when.is_time(now))?;
        self.labels.get(nth).cloned()
    }

    /// Sets the limits of all that is under way to what holds at `now`, or to `own`.
    pub(super) fn apply(&self, own: &Limit, now: Moment) {
        let limits = self.limits.lock();
        for ((generation, met), limit) in &limits.of {
            let met = match limits.former.iter().find(|(former, _)| former == generation) {
                Some((_, whens)) => self.carried(whens, *met),
                None => *met,
            };
            self.set(limit, met, own, now);
        }
    }

    /// What is met of these by what met `met` of rules with the conditions `whens`. The facts are not known any more: a condition
    /// that was not there is not met, whatever it is.
    fn carried(&self, whens: &[When], met: Met) -> Met {
        self.met(|rule| {
            let bare = rule.when.without_time();
            let was_met = |(nth, when): (usize, &When)| met.0 & 1 << nth != 0 && *when == bare;
            bare.is_empty() || whens.iter().enumerate().any(was_met)
        })
    }

    /// Sets `limit` to the rule of `met` that holds, or to `own`.
    fn set(&self, limit: &Limit, met: Met, own: &Limit, (now, at): Moment) {
        self.note_look();
        let (rates, burst) = match self.of(met).find(|rule| rule.when.is_time(now)) {
            Some(rule) => (rule.rates.clone(), rule.burst),
            None => (own.rates(), own.burst()),
        };
        match at {
            Some(at) => limit.set_all_at(rates, burst, own.is_report_only(), at),
            None => limit.set_all(rates, burst, own.is_report_only()),
        }
    }

    /// Has all that is under way by `old` go on under these rules, as far as they have the conditions that it met.
    pub(super) fn adopt(&mut self, old: &Self) {
        self.limits = Arc::clone(&old.limits);
        self.generation = old.generation;
        let whens = |rules: &Self| rules.rules.iter().map(|rule| rule.when.clone()).collect::<Vec<_>>();
        if whens(self) == whens(old) {
            return;
        }
        self.generation += 1;
        let mut limits = self.limits.lock();
        limits.of.retain(|_, limit| limit.is_shared());
        let bare = old.rules.iter().map(|rule| rule.when.without_time()).collect();
        limits.former.push((old.generation, bare));
        let Limits { of, former } = &mut *limits;
        former.retain(|(generation, _)| {
            self.generation - generation <= Self::MAX_IDLE || of.keys().any(|(used, _)| used == generation)
        });
    }
}

impl Route {
    /// Sets the rules of its pace: the first that a response meets takes the place of the route's rate and burst. Only the first 64
    /// count. Default: none.
    ///
    /// Rules with times follow the server's calendar while it runs: transfers under way move to what holds then, within an interval.
    #[must_use]
    pub fn pace_rules(mut self, rules: Vec<PaceRule>) -> Self {
        self.rules = PaceRules::new(rules);
        self
    }

    /// The rules of its pace, in order.
    pub fn rules(&self) -> &[PaceRule] {
        self.rules.all()
    }

    /// When another of its rules begins or ends to hold; `None` if none ever does.
    pub fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        let of_uploads = self.uploads.rules.next_change(now);
        [self.rules.next_change(now), of_uploads].into_iter().flatten().min()
    }

    /// Which rules a request of a client in `class` meets, for a path in normal form and a query, those of responses as far as it
    /// says. `fields` are those of the request.
    pub(in crate::http) fn rules_asked(
        &self,
        (method, fields): (&Method, &HeaderMap),
        target: (&str, Option<&str>),
        class: Option<&str>,
    ) -> RulesMet {
        let uploads = &self.uploads.rules;
        RulesMet {
            down: self.rules.asked(method, target, class),
            up: uploads.sent(uploads.asked(method, target, class), fields),
        }
    }

    /// The limit of a response to a request that met `asked`, and what the response met; `None` if it is the route's own.
    pub(in crate::http) fn rule_limit(
        &self,
        asked: Met,
        head: &response::Parts,
        now: impl FnOnce() -> Moment,
    ) -> Option<(Limit, Met)> {
        if asked == Met::default() {
            return None;
        }
        let answered = self.rules.met(|rule| rule.when.answers(head));
        self.rules.limit(Met(asked.0 & answered.0), self.limit(), now)
    }

    /// The name or number of the rule that holds at `now` for a response that met `met`.
    pub(in crate::http) fn rule_held(&self, met: Met, now: SystemTime) -> Option<Arc<str>> {
        self.rules.held(met, now)
    }

    /// How often conditions or times of its rules were looked at.
    #[cfg(test)]
    pub(in crate::http) fn rule_looks(&self) -> usize {
        let looks = |rules: &PaceRules| rules.looks.load(std::sync::atomic::Ordering::Relaxed);
        looks(&self.rules) + looks(&self.uploads.rules)
    }

    /// Sets the limits of all that is under way under its rules to what holds at `now`. Call it when the time or one of the route's
    /// own limits has changed.
    pub(in crate::http) fn apply_rules(&self, now: Moment) {
        self.rules.apply(self.limit(), now);
        self.uploads.rules.apply(self.upload_limit(), now);
    }
}

#[cfg(test)]
mod tests;
