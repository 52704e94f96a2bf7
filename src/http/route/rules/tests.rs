//! Tests of the rules of a route's pace.

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
    let target = (path.normal().unwrap(), uri.query());
    let asked = route.rules_asked((&Method::GET, &HeaderMap::new()), target, None).down;
    let head = http::Response::new(Content::Empty).into_parts().0;
    route.rule_limit(asked, &head, || (now, None)).map(|(limit, _)| limit)
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
        route.apply_rules((next - Duration::from_nanos(1), None));
        let before = rates();
        route.apply_rules((next, None));
        assert!(before != rates() && rates() == expected, "{boundary}: {before:?} to {:?}", rates());
        now = next;
    }
    route.limit().set_rate(Rate::or_unlimited(7_000));
    route.apply_rules((now, None));
    assert_eq!(rates(), ["7000B", "2k"]);
    // A clock that was set back, and far ahead.
    route.apply_rules((at("2026-11-20 09:00"), None));
    assert_eq!(rates(), ["1k", "1k"]);
    route.apply_rules((at("2036-11-20 22:30"), None));
    assert_eq!(rates(), ["3k", "2k"]);
}

#[test]
fn a_reload_with_the_same_conditions_moves_what_is_under_way() {
    let now = at("2026-11-23 12:00");
    let rules = |iso: &str, zip: &str| vec![rule(of_extension("iso"), iso), rule(during("08:00-18:00"), zip)];
    let old = route(rules("1k", "2k"));
    let under_way = ["/a.iso", "/a.zip"].map(|target| limit(&old, target, now).unwrap());
    let mut new = route(rules("3k", "4k"));
    new.rules.adopt(&old.rules);
    new.apply_rules((now, None));
    assert_eq!(under_way.each_ref().map(|limit| limit.rates().to_string()), ["3k", "4k"]);
}

// They kept what they had, and followed neither the file nor the calendar any more.
#[test]
fn a_reload_with_other_conditions_moves_what_is_under_way_to_those_that_it_is_known_to_meet() {
    let now = at("2026-11-23 12:00");
    let timed = |extension: &str, text: &str, rate: &str| {
        rule(When { during: during(text).during, ..of_extension(extension) }, rate)
    };
    let old = route(vec![timed("iso", "08:00-18:00", "1k"), rule(of_extension("zip"), "2k")]);
    let under_way = ["/a.iso", "/a.zip"].map(|target| limit(&old, target, now).unwrap());
    let rates = || under_way.each_ref().map(|limit| limit.rates().to_string());
    assert_eq!(rates(), ["1k", "2k"]);
    let mut before = old;
    for (rules, expected, tonight) in [
        // Other times and another order.
        (
            vec![rule(of_extension("zip"), "3k"), timed("iso", "20:00-21:00", "4k")],
            ["5000B", "3k"],
            ["4k", "3k"],
        ),
        // A rule that asks for the time alone is met by all that met a rule; one that asks something else by nothing.
        (
            vec![rule(of_extension("tar"), "6k"), rule(during("20:00-21:00"), "7k")],
            ["5000B", "5000B"],
            ["7k", "7k"],
        ),
        // What was met once is met again.
        (
            vec![timed("iso", "08:00-18:00", "8k"), rule(of_extension("zip"), "9k")],
            ["8k", "9k"],
            ["5000B", "9k"],
        ),
        (vec![], ["5000B", "5000B"], ["5000B", "5000B"]),
    ] {
        let mut new = route(rules);
        new.rules.adopt(&before.rules);
        new.apply_rules((now, None));
        assert_eq!(rates(), expected);
        new.apply_rules((at("2026-11-23 20:30"), None));
        assert_eq!(rates(), tonight);
        before = new;
    }
    drop(under_way);
    for _ in 0..100 {
        let mut new = route(vec![rule(of_extension("zip"), "9k")]);
        new.rules.adopt(&before.rules);
        let mut other = route(vec![rule(of_extension("iso"), "9k")]);
        other.rules.adopt(&new.rules);
        before = other;
    }
    let limits = before.rules.limits.lock();
    assert!(limits.of.is_empty() && limits.former.len() <= 5, "{}", limits.former.len());
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
        let keys: Vec<_> = (0..16).filter(|nth| met & 1 << nth != 0).map(|nth| extension(97 + nth)).collect();
        let limit = limit(&route, &format!("/?{}", keys.join("&")), at("2026-11-23 12:00"));
        if met % 100 == 0 {
            kept.push(limit);
        }
    }
    assert!(route.rules.limits.lock().of.len() <= MAX_LIMITS + kept.len());
}
