//! Rules of a route's pace: decided at the head, and moved at boundaries of time under responses that are on their way.

use std::time::Duration;

use bytes::Bytes;

use super::pipe::{Client, Road};
use super::{GET, Page, World, content};
use crate::http::SharedLimits;
use crate::http::classes::tests::prepared;
use crate::http::route::{PaceRule, Route, When};
use crate::http::server::Settings;
use crate::limit::Rate;
use crate::schedule::{During, Zone};

const LEN: usize = 900_000;

/// The world's calendar begins at 100 s after the beginning of 1970, a Thursday: this holds from its 140th second for a minute.
const MINUTE: &str = "Thu 00:04-00:05";

fn during(text: &str) -> When {
    When { during: Some(During::parse([text], Zone::default()).unwrap()), ..When::default() }
}

fn rule(when: When, rate: &str) -> PaceRule {
    PaceRule { name: None, when, rates: rate.parse().unwrap(), burst: 0 }
}

/// A server of one page at `rate`, with rules.
fn world(rate: u64, rules: Vec<PaceRule>) -> World {
    let page = Page { status: 200, bytes: content(LEN), sized: true };
    World::on(Settings::default(), Route::handler("/", page).rate(Rate::or_unlimited(rate)).pace_rules(rules))
}

/// The bytes of content that came so far, each the one that was to come.
struct Came<'a> {
    client: &'a Client,
    page: Bytes,
    bytes: Vec<u8>,
}

impl Came<'_> {
    fn so_far(&mut self) -> usize {
        self.bytes.extend(self.client.read(usize::MAX));
        let head =
            self.bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(self.bytes.len(), |at| at + 4);
        let came = &self.bytes[head..];
        assert!(came == &self.page[..came.len()]);
        came.len()
    }
}

#[test]
fn at_a_boundary_a_response_moves_within_an_interval_without_a_burst_or_a_loss() {
    for (before, then) in [(1_000, 5_000), (5_000, 1_000)] {
        let mut world = world(before, vec![rule(during(MINUTE), &format!("{then}B"))]);
        let client = world.connect(Road::WIDE);
        client.send(GET);
        world.settle();
        let mut came = Came { client: &client, page: content(LEN), bytes: Vec::new() };
        // Two chunks before the boundary.
        world.pass(Duration::from_millis(139_600));
        let at_boundary = came.so_far();
        let rates = [before as usize, then as usize];
        assert_eq!(at_boundary, rates[0] * 140 - rates[0] / 5);
        world.pass(Duration::from_millis(400));
        // The task that follows the calendar is on the executor; here it is told.
        world.handle.follow_calendar();
        let mut seen = vec![came.so_far()];
        for _ in 0..295 {
            world.pass(Duration::from_millis(200));
            seen.push(came.so_far());
        }
        let chunk = |rate: usize| rate / 5;
        // Seen within an interval; from then on the new chunk each interval, and no more.
        for (nth, pair) in seen.windows(2).enumerate() {
            let moved = pair[1] - pair[0];
            let most = if nth == 0 { chunk(rates[0].max(rates[1])) } else { chunk(rates[1]) };
            assert!(moved <= most, "{moved} bytes in interval {nth} of {then} B/s");
            assert!(nth < 2 || moved == chunk(rates[1]), "{moved} bytes in interval {nth} of {then} B/s");
        }
        world.pass(Duration::from_secs(1));
        world.handle.follow_calendar();
        let back = came.so_far();
        world.pass(Duration::from_secs(10));
        let moved = came.so_far() - back;
        assert!(
            moved.abs_diff(10 * rates[0]) <= 2 * chunk(rates[0].max(rates[1])),
            "{moved} bytes at {before} B/s again"
        );
        world.cut(1);
    }
}

#[test]
fn a_thousand_responses_move_at_one_boundary() {
    let mut world = world(1_000, vec![rule(during(MINUTE), "2000B")]);
    world.pass(Duration::from_secs(139));
    let clients: Vec<Client> = (0..1_000).map(|_| world.connect(Road::WIDE)).collect();
    clients.iter().for_each(|client| client.send(GET));
    world.settle();
    world.pass(Duration::from_secs(1));
    world.handle.follow_calendar();
    world.pass(Duration::from_millis(200));
    for client in &clients {
        client.read(usize::MAX);
    }
    world.pass(Duration::from_secs(2));
    for client in &clients {
        let moved = client.read(usize::MAX).len();
        assert_eq!(moved, 4_000, "in two seconds at 2 000 B/s");
    }
    for number in 1..=clients.len() {
        world.cut(number);
    }
}

#[test]
fn the_calendar_is_followed_without_being_asked_also_when_it_jumps() {
    let mut world = world(1_000, vec![rule(during(MINUTE), "5000B")]);
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.pass(Duration::from_millis(139_900));
    let rate = |world: &World| {
        let report = &world.handle.connections_after(0, 1, 1)[0];
        report.transfers[0].pace.map(Rate::bytes_per_second)
    };
    assert_eq!(rate(&world), Some(1_000));
    world.until("the boundary", |world| rate(world) == Some(5_000));
    world.clock.advance(Duration::from_secs(1_800));
    world.until("the end of the rule", |world| rate(world) == Some(1_000));
    world.cut(1);
}

// Sixty-four rules and eight classes, all looked through: what a transfer costs then is the same for each of its chunks.
#[test]
fn rules_and_classes_are_decided_at_the_head_and_at_boundaries_and_for_no_chunk() {
    let other = (0..63).map(|nth| {
        let path = vec![format!("/other/{nth}/*").parse().unwrap()];
        rule(When { path, ..during(MINUTE) }, "1k")
    });
    let rules = other.chain([rule(during(MINUTE), "5000B")]).collect();
    let page = Page { status: 200, bytes: content(LEN), sized: true };
    let route = Route::handler("/", page).rate(Rate::or_unlimited(1_000)).pace_rules(rules);
    let mut world = World::on_followed(Settings::default(), route);
    let classes: String = (0..8)
        .map(|nth| format!("[[class]]\nname = 'c{nth}'\nmatch = {{ user_agent = 'never-{nth}*' }}\n"))
        .collect();
    world.server.budgets.set_classes(prepared(&classes, &SharedLimits::default()));
    let route = world.handle.routes()[0].clone();
    let decided = |world: &World| (route.rule_looks(), world.server.budgets.decisions());

    const TRANSFERS: usize = 10;
    let clients: Vec<Client> = (0..TRANSFERS).map(|_| world.connect(Road::WIDE)).collect();
    clients.iter().for_each(|client| client.send(GET));
    world.settle();
    // By the request and by the response; and which holds now, once for all that met the same.
    let at_heads = (2 * TRANSFERS + 1, TRANSFERS);
    assert_eq!(decided(&world), at_heads);
    let mut came = 0;
    let mut read = || {
        came += clients.iter().map(|client| client.read(usize::MAX).len()).sum::<usize>();
        came
    };
    // Up to the boundary, up to the next, and behind it.
    for (boundaries, seconds, rate) in [(0, 140, 1_000), (1, 60, 5_000), (2, 20, 1_000)] {
        if boundaries > 0 {
            world.handle.follow_calendar();
        }
        let (before, expected) = (read(), (at_heads.0 + boundaries, at_heads.1));
        for _ in 0..seconds {
            world.pass(Duration::from_secs(1));
            read();
            assert_eq!(decided(&world), expected, "{boundaries} boundaries");
        }
        let (bytes, due) = (read() - before, TRANSFERS * seconds * rate);
        assert!(bytes + TRANSFERS * 1_000 >= due, "{bytes} bytes of {due}, in chunks of {}", rate / 5);
    }
    (1..=TRANSFERS).for_each(|number| world.cut(number));
}

#[test]
fn a_rule_is_chosen_by_the_head_of_the_response() {
    let status = |text: &str| When { status: vec![text.parse().unwrap()], ..When::default() };
    let size = |text: &str| When { size: Some(text.parse().unwrap()), ..When::default() };
    for (rules, first) in [
        (vec![rule(status("404"), "1000B"), rule(size(">800k"), "20000B")], 4_000),
        (vec![rule(status("2xx"), "5000B"), rule(size(">800k"), "20000B")], 1_000),
        (vec![rule(size(">900k"), "5000B")], 2_000),
        (vec![rule(status("200"), "off")], LEN),
    ] {
        let mut world = world(10_000, rules);
        let client = world.connect(Road::WIDE);
        client.send(GET);
        world.settle();
        let mut came = Came { client: &client, page: content(LEN), bytes: Vec::new() };
        assert_eq!(came.so_far(), first);
        if first < LEN {
            world.cut(1);
        }
    }
}
