//! Whole screens, and what keys do to them.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use serde::Deserialize;
use serde_json::{Value, json};

use super::columns::{Sort, View};
use super::live::Live;
use super::pen::Look;
use super::screen;
use super::state::{Input, Link, Then, Top};

const COLOURED: Look = Look { has_colour: true, has_unicode: true };

/// A state like those that a server sends, at this number of seconds.
fn live(second: u64) -> Live {
    let moved = |rate: u64| rate * second;
    let limit = |kind: &str, rate: Value, waits: u64| json!({"kind": kind, "rate": rate, "burst": 0, "report_only": false, "bytes": moved(3_000_000), "waits": waits, "source": {"rate": {"from": "file"}}});
    let state = json!({
        "at": 1_000_000 + second * 1_000, "elapsed": 1_000,
        "server": {"version": "0.1.0", "draining": false, "shedding": false, "connections": 6, "transfers": 9, "bytes": (0..second).map(|second| 1_000_000 + 500_000 * (second % 5)).sum::<u64>(), "bytes_up": moved(20_000), "held_bytes": 123_456, "held_by": {"pace": 2, "server": 1, "reader": 1, "nothing": 5}},
        "limits": {
            "/v1/limits/server": limit("server", json!(3_145_728), 88),
            "/v1/limits/client": limit("client", json!(2_097_152), 3),
            "/v1/limits/routes/%2Fmedia%2F/response": {"kind": "pace", "route": "/media/", "rate": 512_000, "rates": ["2m for 10m", "500k"], "burst": 262_144, "report_only": true, "source": {"rate": {"from": "api"}}},
            "/v1/limits/routes/%2F/total": limit("route", Value::Null, 0),
            "/v1/limits/classes/vip/client": limit("class_client", json!(4_194_304), 7),
        },
        "classes": {"vip": {"transfers": 1, "bytes": moved(700_000), "held_by": {"pace": 1}}},
        "routes": {"/": {"transfers": 3, "bytes": moved(2_900_000), "held_by": {"pace": 2, "server": 1}}, "/media/": {"transfers": 1, "bytes": moved(10_000), "held_by": {"reader": 1}}},
        "clients": {
            "192.0.2.1": {"class": "vip", "transfers": 1, "bytes": moved(700_000), "held_by": {"pace": 1}},
            "192.0.2.2": {"transfers": 2, "bytes": moved(2_100_000), "held_by": {"pace": 1, "server": 1}},
            "2001:db8::1": {"transfers": 1, "bytes": moved(10_000), "held_by": {"reader": 1}},
        },
        "transfers": {
            "1.1": {"connection": 1, "client": "192.0.2.1", "class": "vip", "route": "/", "method": "GET", "target": "/release-42.iso", "status": 200, "length": 734_003_200, "bytes": moved(700_000), "rate_set": 716_800, "held_by": "pace", "limit": "/v1/limits/routes/%2F/response"},
            "2.1": {"connection": 2, "client": "192.0.2.2", "route": "/", "method": "GET", "target": "/a/long/way/to/a/file/with/a/long/name.tar.gz", "status": 200, "length": null, "bytes": moved(2_000_000), "rate_set": null, "held_by": "server", "limit": "/v1/limits/server"},
            "2.2": {"connection": 2, "client": "192.0.2.2", "route": "/", "method": "PUT", "target": "/up\u{1b}[2J\u{202e}load", "status": null, "length": null, "bytes": 0, "rate_set": null, "held_by": "source", "upload": {"length": 1_000_000, "bytes": moved(20_000), "rate_set": 20_480, "held_by": "upload"}},
            "5.3": {"connection": 5, "client": "2001:db8::1", "route": "/media/", "method": "GET", "target": "/media/名前.mp4", "status": 206, "length": 5_000_000, "bytes": moved(10_000), "rate_set": 512_000, "held_by": "reader"},
        },
        "rest": {"clients": 0, "transfers": 5, "bytes": moved(150_000), "bytes_up": 0},
        "streams": {"/events/": {"streams": 4, "subscribers": 120, "suspended": 2, "away": 1, "queued": 37, "saturation": 412, "published": 900, "delivered": 99_000, "dropped": 3, "expired": 1, "p99_us": 2_500}},
        "alerts": {
            "SluicegateEventsLost /events/": {"severity": "warning", "text": "Subscribers lost 4 events in the last minute."},
            "SluicegateServerLimitFull server": {"severity": "info", "text": "The limit is full: transfers get their shares of it."},
        },
    });
    let live = Live::deserialize(state).unwrap();
    Live { quiet_until: live.at - live.elapsed, ..live }
}

/// What it shows after so many seconds.
fn top(seconds: u64) -> Top {
    let mut top = Top::new("127.0.0.1:9180".to_owned(), Sort::Now);
    for second in 0..=seconds {
        top.take(live(second), second * 1_000);
        top.tick(second * 1_000);
    }
    top
}

fn drawn(top: &mut Top, (width, height): (u16, u16), look: Look, now: u64) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, top, look, now)).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines of a screen, without the spaces at their ends.
fn lines(buffer: &Buffer) -> Vec<String> {
    let line = |y| {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += u16::try_from(ratatui::text::Span::raw(symbol).width().max(1)).unwrap();
        }
        line.trim_end().to_owned()
    };
    (0..buffer.area.height).map(line).collect()
}

fn text(top: &mut Top, size: (u16, u16)) -> String {
    lines(&drawn(top, size, COLOURED, 20_000)).join("\n") + "\n"
}

/// Compares a screen with the file of this name. `SLUICEGATE_SCREENS=write` writes the files anew, to be looked at.
fn golden(name: &str, screen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/top/screens").join(name);
    if std::env::var_os("SLUICEGATE_SCREENS").is_some() {
        std::fs::write(&path, screen).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(screen, expected, "{name}:\n{screen}");
}

#[test]
fn screens_of_each_size() {
    for (name, size) in
        [("80x24.txt", (80, 24)), ("120x40.txt", (120, 40)), ("40x10.txt", (40, 10)), ("20x5.txt", (20, 5))]
    {
        golden(name, &text(&mut top(20), size));
    }
    // What docs/live.md shows is how it begins.
    let begins: Vec<String> = text(&mut top(20), (80, 24)).lines().take(9).map(str::to_owned).collect();
    assert!(include_str!("../../../docs/live.md").contains(&begins.join("\n")));
    // There is nothing to see, and no panic.
    for size in [(0, 0), (1, 1), (3, 2), (200, 1), (1, 60), (5, 7), (9, 12), (99, 13), (1000, 200)] {
        for keys in [&[][..], &[Input::Move(1), Input::Open][..], &[Input::Help][..]] {
            let mut top = top(3);
            keys.iter().for_each(|key| _ = top.press(*key, 20_000));
            drawn(&mut top, size, COLOURED, 20_000);
        }
    }
}

#[test]
fn each_view_and_what_opens() {
    for (at, view) in View::ALL.into_iter().enumerate().skip(1) {
        let mut top = top(20);
        top.press(Input::View(view), 20_000);
        let name = format!("{}.txt", ["", "clients", "routes", "classes", "limits", "streams"][at]);
        golden(&name, &text(&mut top, (80, 16)));
    }
    let mut top = top(20);
    // The second by pace is the first client's.
    top.press(Input::Move(1), 20_000);
    top.press(Input::Move(1), 20_000);
    top.press(Input::Open, 20_000);
    golden("way.txt", &text(&mut top, (80, 24)));
    top.press(Input::Help, 20_000);
    golden("help.txt", &text(&mut top, (80, 24)));
}

#[test]
fn without_colour_and_without_unicode_it_is_plain() {
    let buffer = drawn(&mut top(20), (80, 24), Look { has_colour: false, has_unicode: false }, 20_000);
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let foreign: String = lines(&buffer).concat().chars().filter(|c| !c.is_ascii()).collect();
    assert_eq!(foreign, "名", "what a client sent, and nothing of ours");
    let coloured = drawn(&mut top(20), (80, 24), COLOURED, 20_000);
    assert!(coloured.content.iter().any(|cell| cell.fg == Color::Red));
}

/// The names of the rows in view, in order.
fn names(top: &mut Top) -> Vec<String> {
    top.rows(20_000).into_iter().map(|row| row.name.split('?').next().unwrap().to_owned()).collect()
}

#[test]
fn rows_are_in_the_order_that_was_typed() {
    let mut top = top(20);
    for (keys, expected) in [
        (&[][..], ["2.1", "1.1", "2.2", "5.3"]),
        (&[Input::Sort(Sort::Set)], ["1.1", "5.3", "2.2", "2.1"]),
        (&[Input::Sort(Sort::Sent)], ["2.1", "1.1", "2.2", "5.3"]),
        (&[Input::Sort(Sort::Held)], ["1.1", "5.3", "2.1", "2.2"]),
        (&[Input::Sort(Sort::Name)], ["2.1", "5.3", "1.1", "2.2"]),
        (&[Input::Reverse], ["2.2", "1.1", "5.3", "2.1"]),
        // From the last column on to the first.
        (&[Input::TurnSort(true)], ["5.3", "2.2", "1.1", "2.1"]),
        (&[Input::TurnSort(false), Input::Reverse], ["2.1", "5.3", "1.1", "2.2"]),
    ] {
        keys.iter().for_each(|key| _ = top.press(*key, 20_000));
        let rows = top.rows(20_000);
        let keys: Vec<&str> = rows.iter().map(|row| row.key.trim_start_matches("transfer ")).collect();
        assert_eq!(keys, expected, "{:?}", top.sort);
    }
}

#[test]
fn while_it_is_paused_nothing_moves_and_then_the_newest_is_shown() {
    let mut top = top(20);
    let before = text(&mut top, (80, 24));
    top.press(Input::Pause, 20_000);
    let paused = lines(&drawn(&mut top, (80, 24), COLOURED, 20_000));
    for second in 21..30 {
        top.take(live(second), second * 1_000);
        top.tick(second * 1_000);
        assert_eq!(lines(&drawn(&mut top, (80, 24), COLOURED, second * 1_000)), paused);
    }
    let same = before.lines().zip(&paused).filter(|(before, now)| before == now).count();
    assert_eq!((paused[0].contains("  paused  "), same), (true, 22), "all but the first line and the last");
    top.press(Input::Pause, 30_000);
    assert_eq!(top.live.at, 1_029_000);
    assert!(lines(&drawn(&mut top, (80, 24), COLOURED, 29_500))[0].contains("  live  "));
    let rows = top.rows(29_500);
    let moved = rows.iter().filter(|row| row.key.ends_with("1.1"));
    let paces: Vec<u64> = moved.map(|row| top.paces.of(&row.key, 29_500)).collect();
    assert_eq!(paces, [700_000], "what moved meanwhile did not do so in the last second");
}

#[test]
fn what_was_chosen_stays_chosen() {
    let mut top = top(20);
    let chosen = |top: &mut Top| {
        let rows = top.rows(20_000);
        let (first, at) = top.fit(&rows, 2);
        (first, at.map(|at| rows[at].key.clone()))
    };
    assert_eq!(chosen(&mut top), (0, None));
    top.press(Input::Move(1), 20_000);
    assert_eq!(chosen(&mut top), (0, Some("transfer 2.1".to_owned())));
    top.press(Input::Move(2), 20_000);
    assert_eq!(chosen(&mut top), (1, Some("transfer 2.2".to_owned())));
    // Another order: the same row, wherever it is.
    top.press(Input::Sort(Sort::Name), 20_000);
    assert_eq!(chosen(&mut top), (2, Some("transfer 2.2".to_owned())));
    top.press(Input::First, 20_000);
    top.press(Input::Page(1), 20_000);
    assert_eq!(chosen(&mut top), (2, Some("transfer 1.1".to_owned())));
    // It ends: the row at its place is chosen.
    let mut without = live(21);
    without.transfers.remove("1.1");
    top.take(without, 20_000);
    assert_eq!(chosen(&mut top), (1, Some("transfer 2.2".to_owned())));
    top.press(Input::Back, 20_000);
    assert_eq!(chosen(&mut top).1, None);
}

#[test]
fn a_client_opens_to_its_transfers() {
    let mut top = top(20);
    top.press(Input::View(View::Clients), 20_000);
    top.press(Input::Move(1), 20_000);
    top.press(Input::Open, 20_000);
    assert_eq!((top.view, top.only.as_deref()), (View::Transfers, Some("client 192.0.2.2")));
    assert_eq!(
        names(&mut top),
        ["GET /a/long/way/to/a/file/with/a/long/name.tar.gz", "PUT /up\u{1b}[2J\u{202e}load"]
    );
    assert!(text(&mut top, (80, 24)).contains("Transfers of client 192.0.2.2"));
    top.press(Input::Back, 20_000);
    assert_eq!(names(&mut top).len(), 4);
}

#[test]
fn the_way_follows_the_row_and_says_when_it_has_ended() {
    let mut top = top(20);
    top.press(Input::Move(1), 20_000);
    top.press(Input::Open, 20_000);
    assert!(text(&mut top, (80, 24)).contains("> server     3.0 MiB/s: holds it"));
    top.press(Input::Move(1), 20_000);
    assert!(text(&mut top, (80, 24)).contains("> rate       700.0 KiB/s: holds it"));
    let mut without = live(21);
    without.transfers.remove("1.1");
    top.take(without, 20_000);
    assert!(text(&mut top, (80, 24)).contains("Its way: it has ended"));
}

#[test]
fn a_server_that_is_gone_is_told_of_and_keys_still_work() {
    let mut top = top(20);
    top.link = Link::Lost("no states (refused), trying again".to_owned());
    assert!(
        text(&mut top, (80, 24))
            .starts_with("sluicegate 0.1.0 at 127.0.0.1:9180  no states (refused), trying again  6 conne")
    );
    assert_eq!(top.press(Input::Quit, 20_000), Then::Quit);
    // It answers again, though nothing has changed.
    top.link = Link::Live;
    assert!(text(&mut top, (80, 24)).lines().next().unwrap().contains("  live  "));
}
