//! Plots of runs that were made up: well-formed, without scripts, and legible with many connections.

use std::time::Duration;

use sluicegate::probe::pace::End;
use sluicegate::probe::plot::plot;
use sluicegate::probe::report::{ConnectionTrace, Goal, Outcome, TargetTraces};
use sluicegate::probe::timeline::Timeline;
use testkit::panels::{Panel, Series, beside};

fn seen(count: u64, every: u64, bytes: u64) -> ConnectionTrace {
    let mut timeline = Timeline::new(10_000);
    for n in 0..count {
        timeline.record(Duration::from_millis(2 + n * every), bytes);
    }
    let (asked, answered) = (Some(Duration::ZERO), timeline.first());
    let end = End::At(Duration::from_secs(10));
    ConnectionTrace { timeline, asked, answered, responses: 0, dials: 1, end, failure: None }
}

fn outcome(urls: usize, connections: usize, one: &ConnectionTrace) -> Outcome {
    let target = "http://127.0.0.1:8080/a?b=1&c='\"".parse();
    let target: sluicegate::probe::target::Target =
        target.unwrap_or_else(|_| "http://h/a?b=1&c='".parse().unwrap());
    let probed = TargetTraces { target, connections: vec![one.clone(); connections] };
    Outcome { probed: vec![probed; urls], lasted: Duration::from_secs(10), interrupted: false }
}

/// How many paths of a class there are, in a plot that must be well-formed and without scripts.
fn classes(outcome: &Outcome) -> impl Fn(&str) -> usize + use<> {
    let goal = Goal { rate: "60".parse().ok(), shared: false, tolerance: None };
    classes_of(&plot(outcome, &outcome.report(&goal), &goal))
}

fn classes_of(text: &str) -> impl Fn(&str) -> usize + use<> {
    let document = roxmltree::Document::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let names: Vec<&str> = document.descendants().map(|node| node.tag_name().name()).collect();
    assert!(!names.contains(&"script") && text.contains("prefers-color-scheme: dark"));
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    let paths = document.descendants().filter(|node| node.tag_name().name() == "path");
    let all: Vec<String> = paths.filter_map(|node| node.attribute("class").map(ToOwned::to_owned)).collect();
    move |class| all.iter().filter(|found| *found == class).count()
}

#[test]
fn few_connections_have_a_line_each_and_many_are_a_band() {
    let grid = seen(50, 200, 12_288);
    // Each URL has one more line, of its rates.
    let one = classes(&outcome(1, 1, &grid));
    assert_eq!(one("line s0"), 2);
    let six = classes(&outcome(1, 6, &grid));
    assert_eq!((six("line thin s0"), six("line thin s5"), six("band s0")), (1, 1, 0));
    let hundred = classes(&outcome(2, 100, &grid));
    assert_eq!(
        (hundred("band s0"), hundred("band s1"), hundred("line s1"), hundred("line thin s1")),
        (1, 1, 2, 0)
    );
}

#[test]
fn odd_runs_are_drawn_too() {
    for odd in [seen(0, 1, 1), seen(1, 1, 1), seen(9000, 1, u64::MAX / 9000), seen(2, 9000, 1)] {
        for (urls, connections) in [(1, 1), (2, 1), (1, 30)] {
            let count = classes(&outcome(urls, connections, &odd));
            assert!(count("line s0") >= 1);
        }
    }
}

#[test]
fn a_long_run_is_no_large_plot() {
    let dense = outcome(1, 6, &seen(9_000, 1, 100));
    let goal = Goal::default();
    assert!(plot(&dense, &dense.report(&goal), &goal).len() < 300_000);
}

/// Bodies of `chunks`, 200 ms apart from zero on, in panels of a file and a backend each.
fn panels(chunks: &[u64]) -> Vec<Panel> {
    let panel = |chunks: &u64| {
        let mut timeline = Timeline::new(10_000);
        (0..*chunks).for_each(|n| timeline.record(Duration::from_millis(n * 200), 12_288));
        let series = ["file", "proxied & more"];
        let series = series.map(|name| Series { name: name.to_owned(), timeline: timeline.clone() });
        Panel { title: format!("a server <{chunks}>"), series: series.into() }
    };
    chunks.iter().map(panel).collect()
}

#[test]
fn servers_are_drawn_beside_one_another() {
    let until = Duration::from_secs(6);
    let text = beside("Of four & more", &panels(&[50, 31, 2, 0]), 61_440, until);
    let count = classes_of(&text);
    assert_eq!((count("line broad s0"), count("line s1")), (4, 4));
    let document = roxmltree::Document::parse(&text).unwrap();
    let texts = document.descendants().filter(|node| node.tag_name().name() == "text");
    let texts: Vec<&str> = texts.filter_map(|node| node.text()).map(str::trim).collect();
    for (words, times) in [
        ("Of four & more", 1),
        ("61 440 B/s from the first byte on", 1),
        ("a server <50>", 1),
        ("file: 12 288 B every 200 ms", 2),
        ("proxied & more", 2),
        ("KiB so far", 4),
        ("seconds since the first byte", 2),
    ] {
        assert_eq!(texts.iter().filter(|text| **text == words).count(), times, "{words} in {texts:?}");
    }
    // What came after the time that is shown is not drawn: both have 31 chunks until then.
    let paths = document.descendants().filter(|node| node.attribute("class") == Some("line broad s0"));
    let heights = |path: &str| path.matches('V').count();
    let steps: Vec<usize> = paths.filter_map(|node| node.attribute("d")).map(heights).collect();
    assert_eq!(steps, [31, 31, 2, 0]);
}

#[test]
fn no_server_and_one_are_drawn_too() {
    for chunks in [&[][..], &[50], &[0]] {
        let count = classes_of(&beside("", &panels(chunks), 1, Duration::ZERO));
        assert_eq!(count("line s1"), chunks.len());
    }
}
