//! Rules of a route's pace: the first that a response meets sets its rate and burst.
//!
//! A response is matched once, at its head. From then on it is under a limit of the rules that it met, whatever the time: at a
//! boundary of time that limit is set to the rule that holds, as by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, response};

use super::Route;
use super::when::When;
use crate::limit::{Limit, Rates};
use crate::sync::Mutex;

/// Limits that nobody uses are dropped when there are more than these.
const MAX_LIMITS: usize = 256;

/// A rule of a route's pace.
#[derive(Clone, Debug, PartialEq)]
pub struct PaceRule {
    /// What the access log calls it; without a name, it is its number, from 1.
    pub name: Option<String>,
    /// Which responses, and when.
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

/// The rules of a route.
#[derive(Default)]
pub(super) struct PaceRules {
    rules: Vec<PaceRule>,
    /// Their names or numbers.
    labels: Vec<Arc<str>>,
    /// The limits of responses, by the rules that they met.
    limits: Arc<Mutex<BTreeMap<Met, Limit>>>,
}

impl PaceRules {
    /// The most rules.
    pub(super) const MAX: usize = 64;

    fn met(&self, fits: impl Fn(&PaceRule) -> bool) -> Met {
        let bits = self.rules.iter().enumerate().filter(|(_, rule)| fits(rule)).map(|(nth, _)| 1 << nth);
        Met(bits.fold(0, |all, bit: u64| all | bit))
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

    /// Sets `limit` to the rule of `met` that holds at `now`, or to `own`.
    fn set(&self, limit: &Limit, met: Met, own: &Limit, now: SystemTime) {
        match self.of(met).find(|rule| rule.when.is_time(now)) {
            Some(rule) => {
                limit.set_rates(rule.rates.clone());
                limit.set_burst(rule.burst);
                limit.set_report_only(own.is_report_only());
            }
            None => limit.set_like(own),
        }
    }

    /// Has all limits of `old` go on under these rules, if they are of the same conditions.
    pub(super) fn adopt(&mut self, old: &Self) {
        let whens = |rules: &Self| rules.rules.iter().map(|rule| rule.when.clone()).collect::<Vec<_>>();
        if whens(self) == whens(old) {
            self.limits = Arc::clone(&old.limits);
        }
    }
}

impl Route {
    /// Sets the rules of its pace: the first that a response meets takes the place of the route's rate and burst. Only the first 64
    /// count. Default: none.
    ///
    /// Rules with times follow the server's calendar while it runs: transfers under way move to what holds then, within an interval.
    #[must_use]
    pub fn pace_rules(mut self, rules: Vec<PaceRule>) -> Self {
        self.rules.rules = rules;
        self.rules.rules.truncate(PaceRules::MAX);
        let label = |(nth, rule): (usize, &PaceRule)| rule.label(nth).into();
        self.rules.labels = self.rules.rules.iter().enumerate().map(label).collect();
        self
    }

    /// The rules of its pace, in order.
    pub fn rules(&self) -> &[PaceRule] {
        &self.rules.rules
    }

    /// When another of its rules begins or ends to hold; `None` if none ever does.
    pub fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        let timed = self.rules.rules.iter().filter_map(|rule| rule.when.during.as_ref());
        timed.filter_map(|during| during.next_change(now)).min()
    }

    /// Which rules a request of a client in `class` meets, for a path in normal form and a query.
    pub(in crate::http) fn rules_asked(
        &self,
        method: &Method,
        target: (&str, Option<&str>),
        class: Option<&str>,
    ) -> Met {
        self.rules.met(|rule| rule.when.asks(method, target, class))
    }

    /// The limit of a response to a request that met `asked`, and what the response met; `None` if it is the route's own.
    pub(in crate::http) fn rule_limit(
        &self,
        asked: Met,
        head: &response::Parts,
        now: impl FnOnce() -> SystemTime,
    ) -> Option<(Limit, Met)> {
        if asked == Met::default() {
            return None;
        }
        let answered = self.rules.met(|rule| rule.when.answers(head));
        let met = self.rules.reachable(Met(asked.0 & answered.0));
        if met == Met::default() {
            return None;
        }
        let mut limits = self.rules.limits.lock();
        if let Some(limit) = limits.get(&met) {
            return Some((limit.clone(), met));
        }
        if limits.len() >= MAX_LIMITS {
            limits.retain(|_, limit| limit.is_shared());
        }
        let limit = Limit::unlimited();
        self.rules.set(&limit, met, self.limit(), now());
        limits.insert(met, limit.clone());
        Some((limit, met))
    }

    /// The name or number of the rule that holds at `now` for a response that met `met`.
    pub(in crate::http) fn rule_held(&self, met: Met, now: SystemTime) -> Option<Arc<str>> {
        let mut all = self.rules.rules.iter().enumerate();
        let (nth, _) = all.find(|(nth, rule)| met.0 & 1 << nth != 0 && rule.when.is_time(now))?;
        self.rules.labels.get(nth).cloned()
    }

    /// Sets the limits of all responses under its rules to what holds at `now`. Call it when the time or the route's own limit
    /// has changed.
    pub(in crate::http) fn apply_rules(&self, now: SystemTime) {
        for (met, limit) in self.rules.limits.lock().iter() {
            self.rules.set(limit, *met, self.limit(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::content::Content;
    use crate::http::request_path::RequestPath;
    use crate::limit::Rate;
    use crate::schedule::{During, Zone};

    fn rule(when: When, rate: &str) -> PaceRule {
        PaceRule { name: None, when, rates: rate.parse().unwrap(), burst: 0 }
    }

    fn during(text: &str) -> When {
        When { during: Some(During::parse([text], Zone::default()).unwrap()), ..When::default() }
    }

    fn of_extension(extension: &str) -> When {
        When { extension: vec![extension.parse().unwrap()], ..When::default() }
    }

    fn at(text: &str) -> SystemTime {
        Zone::default().moment(text).unwrap()
    }

    fn limit(route: &Route, target: &str, now: SystemTime) -> Option<Limit> {
        let uri: http::Uri = target.parse().unwrap();
        let path = RequestPath::new(uri.path());
        let asked = route.rules_asked(&Method::GET, (path.normal().unwrap(), uri.query()), None);
        let head = http::Response::new(Content::Empty).into_parts().0;
        route.rule_limit(asked, &head, || now).map(|(limit, _)| limit)
    }

    fn route(rules: Vec<PaceRule>) -> Route {
        let route =
            Route::redirect("/", crate::http::redirect::RedirectSource::new("https://a/".parse().unwrap()));
        route.rate(Rate::new(5_000).unwrap()).pace_rules(rules)
    }

    fn rate(limit: Option<Limit>) -> String {
        limit.map_or_else(|| "own".to_owned(), |limit| limit.rates().to_string())
    }

    #[test]
    fn the_first_rule_that_is_met_holds_and_the_routes_own_rate_is_the_last() {
        let rules = [("iso", "1k"), ("zip", "2k for 1m, 1k"), ("iso", "3k"), ("txt", "off")];
        let route = route(rules.map(|(extension, text)| rule(of_extension(extension), text)).into());
        let now = at("2026-11-23 12:00");
        for (target, expected) in [
            ("/a.iso", "1k"),
            ("/a.zip", "2k for 1m, 1k"),
            ("/a.txt", "off"),
            ("/a", "own"),
            ("/iso", "own"),
            ("/a%2Eis%6f?x", "1k"),
            ("//a.iso/.", "own"),
        ] {
            assert_eq!(rate(limit(&route, target, now)), expected, "{target}");
        }
        assert_eq!(route.next_change(now), None);
    }

    #[test]
    fn at_a_boundary_all_limits_move_and_back_to_the_routes_own_as_that_is_then() {
        let rules = vec![
            rule(during("08:00-18:00"), "1k"),
            rule(of_extension("iso"), "2k"),
            rule(during("22:00-23:00"), "3k"),
        ];
        let route = route(rules);
        let now = at("2026-11-23 07:59:59");
        let [page, image] = ["/a", "/a.iso"].map(|target| limit(&route, target, now).unwrap());
        let rates = || [&page, &image].map(|limit| limit.rates().to_string());
        assert_eq!(rates(), ["5000B", "2k"]);
        let mut now = now;
        for (boundary, expected) in [
            ("2026-11-23 08:00", ["1k", "1k"]),
            ("2026-11-23 18:00", ["5000B", "2k"]),
            ("2026-11-23 22:00", ["3k", "2k"]),
            ("2026-11-23 23:00", ["5000B", "2k"]),
        ] {
            let next = route.next_change(now).unwrap();
            assert_eq!(next, at(boundary));
            route.apply_rules(next - Duration::from_nanos(1));
            let before = rates();
            route.apply_rules(next);
            assert!(before != rates() && rates() == expected, "{boundary}: {before:?} to {:?}", rates());
            now = next;
        }
        route.limit().set_rate(Rate::or_unlimited(7_000));
        route.apply_rules(now);
        assert_eq!(rates(), ["7000B", "2k"]);
        // A clock that was set back, and far ahead.
        route.apply_rules(at("2026-11-20 09:00"));
        assert_eq!(rates(), ["1k", "1k"]);
        route.apply_rules(at("2036-11-20 22:30"));
        assert_eq!(rates(), ["3k", "2k"]);
    }

    #[test]
    fn a_reload_with_the_same_conditions_moves_what_is_under_way() {
        let now = at("2026-11-23 12:00");
        let rules =
            |iso: &str, zip: &str| vec![rule(of_extension("iso"), iso), rule(during("08:00-18:00"), zip)];
        let old = route(rules("1k", "2k"));
        let under_way = ["/a.iso", "/a.zip"].map(|target| limit(&old, target, now).unwrap());
        let mut new = route(rules("3k", "4k"));
        new.adopt(&old);
        new.apply_rules(now);
        assert_eq!(under_way.each_ref().map(|limit| limit.rates().to_string()), ["3k", "4k"]);
        let mut other = route(vec![rule(of_extension("zip"), "9k")]);
        other.adopt(&new);
        other.apply_rules(now);
        assert_eq!(under_way.each_ref().map(|limit| limit.rates().to_string()), ["3k", "4k"]);
    }

    #[test]
    fn limits_that_nobody_uses_do_not_gather() {
        let extension = |nth: usize| (nth as u8 as char).to_string();
        let rules = (0..16).map(|nth| {
            let when = When { query: vec![extension(97 + nth).parse().unwrap()], ..during("08:00-18:00") };
            rule(when, "1k")
        });
        let route = route(rules.collect());
        let mut kept = Vec::new();
        for met in 1_u32..1 << 12 {
            let keys: Vec<_> =
                (0..16).filter(|nth| met & 1 << nth != 0).map(|nth| extension(97 + nth)).collect();
            let limit = limit(&route, &format!("/?{}", keys.join("&")), at("2026-11-23 12:00"));
            if met % 100 == 0 {
                kept.push(limit);
            }
        }
        assert!(route.rules.limits.lock().len() <= MAX_LIMITS + kept.len());
    }
}
