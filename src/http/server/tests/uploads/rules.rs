//! Rules of uploads: decided at the head of the request, and moved at boundaries of time under uploads that are on their way.

use super::*;
use crate::http::route::{PaceRule, When};
use crate::schedule::{During, Zone};

/// The world's calendar begins at 100 s after the beginning of 1970, a Thursday: this holds from its 140th second for a minute.
const MINUTE: &str = "Thu 00:04-00:05";

fn rule(name: &str, when: When, rate: &str) -> PaceRule {
    PaceRule { name: Some(name.to_owned()), when, rates: rate.parse().unwrap(), burst: 0 }
}

fn during() -> When {
    When { during: Some(During::parse([MINUTE], Zone::default()).unwrap()), ..When::default() }
}

fn rules() -> Vec<PaceRule> {
    vec![
        rule("video", When { content_type: vec!["video/*".parse().unwrap()], ..When::default() }, "50000B"),
        rule("large", When { size: Some(">500k".parse().unwrap()), ..When::default() }, "10000B"),
        rule("put", When { method: vec![http::Method::PUT], ..When::default() }, "5000B"),
        rule("slow", When { query: vec!["slow".parse().unwrap()], ..When::default() }, "2500B"),
        rule("iso", When { extension: vec!["iso".parse().unwrap()], ..When::default() }, "2000B"),
        rule("error", When { status: vec!["2xx".parse().unwrap()], ..When::default() }, "1000B"),
    ]
}

#[test]
fn the_first_rule_that_an_upload_meets_takes_the_place_of_the_routes_own_rate() {
    for (head, framed, len, first, name) in [
        ("POST /page", "Content-Type: video/mp4\r\n", 100_000, 10_000, Some("video")),
        ("POST /page", "", 600_000, 2_000, Some("large")),
        ("POST /page", "Content-Type: VIDEO/mp4; a=b\r\n", 600_000, 10_000, Some("video")),
        ("PUT /page", "Content-Type: text/plain\r\n", 100_000, 1_000, Some("put")),
        ("POST /page?a&slow=1", "", 100_000, 500, Some("slow")),
        ("POST /a%2Eis%6F", "", 100_000, 400, Some("iso")),
        ("POST /page", "", 100_000, 20_000, None),
    ] {
        let settings = Settings { access_log: true, ..Settings::default() };
        let (mut world, taking) =
            taking(settings, |route| route.upload(rate(100_000)).upload_pace_rules(rules()));
        let client = world.connect(Road::WIDE);
        let request = request(len, Framed::Length, framed);
        let request = [head.as_bytes(), &request["POST /page".len()..]].concat();
        client.send(&request);
        world.settle();
        assert_eq!(taking.taken(), first, "{head} {framed}");
        let report = &world.handle.connections_after(0, 1, 1)[0].transfers[0];
        let upload = report.upload.as_ref().unwrap();
        assert_eq!(upload.pace.map(|rate| rate.bytes_per_second() / 5), Some(first), "{head}");
        assert_eq!(upload.pace_is_routes, name.is_none());
        recorder::taken();
        client.reset();
        world.settle();
        world.cut(1);
        let lines = lines();
        let line = lines.last().expect("a line of the access log");
        assert_eq!(line.fields.get("rule_up").map(String::as_str), name, "{head}");
    }
}

#[test]
fn a_rule_of_a_size_is_not_met_by_content_of_unknown_length() {
    let (mut world, taking) =
        taking(Settings::default(), |route| route.upload(rate(100_000)).upload_pace_rules(rules()));
    let client = world.connect(Road::WIDE);
    client.send(&request(600_000, Framed::Chunked, ""));
    world.settle();
    assert_eq!(taking.taken(), 20_000);
    client.reset();
    world.settle();
}

#[test]
fn at_a_boundary_an_upload_moves_within_an_interval_without_a_burst_or_a_loss() {
    for (before, then) in [(1_000, 5_000), (5_000, 1_000)] {
        let (mut world, taking) = taking(Settings::default(), |route| {
            route.upload(rate(before)).upload_pace_rules(vec![rule("m", during(), &format!("{then}B"))])
        });
        let client = world.connect(Road::WIDE);
        client.send(&request(900_000, Framed::Length, ""));
        world.settle();
        world.pass(Duration::from_secs(140));
        world.handle.follow_calendar();
        let at_boundary = taking.taken();
        for second in 1..=10 {
            world.pass(SECOND);
            // The integral of the rates, and the first chunk.
            let due = 140 * before + second * then;
            let most = before.max(then) / 5;
            let taken = taking.taken();
            assert!(taken <= due + most && taken + most >= due, "{taken} after {second} s, {due} were due");
        }
        assert!(at_boundary <= 140 * before + before / 5);
        client.reset();
        world.settle();
    }
}

// Whatever a transfer does, its rules are looked at when its head is there, and when the calendar is.
#[test]
fn rules_cost_nothing_for_a_chunk() {
    let many = || {
        let other = (0..60).map(|nth| {
            let when = When { path: vec![format!("/other/{nth}/*").parse().unwrap()], ..during() };
            rule(&format!("r{nth}"), when, "1k")
        });
        other.chain([rule("all", during(), "20000B")]).collect::<Vec<_>>()
    };
    let (mut world, taking) =
        taking(Settings::default(), |route| route.upload(rate(10_000)).upload_pace_rules(many()));
    let route = world.handle.routes()[0].clone();
    let clients: Vec<Client> = (0..10).map(|_| world.connect(Road::WIDE)).collect();
    for client in &clients {
        client.send(&request(1_000_000, Framed::Length, ""));
    }
    world.settle();
    let at_head = route.rule_looks();
    // By the path and by the fields, and one look at the time for all that met the same.
    // The task that follows the calendar begins by looking.
    assert!((10 * 2 + 1..=10 * 2 + 3).contains(&at_head), "{at_head} looks");
    let (began, taken) = (world.millis(), taking.taken());
    world.pass(Duration::from_secs(30));
    assert!(taking.taken() - taken >= 10 * 290_000, "1 500 chunks");
    assert!(world.millis() - began == 30_000);
    // Somebody else's thread follows the calendar: at most once a second.
    let looks = route.rule_looks() - at_head;
    assert!(looks <= 2 * 31, "{looks} looks in half a minute");
    for client in &clients {
        client.reset();
    }
    world.settle();
}
