//! Plots of runs that were made up: well-formed, without scripts, and legible with many connections.

use std::time::Duration;

use sluicegate::probe::pace::End;
use sluicegate::probe::plot::plot;
use sluicegate::probe::report::{Goal, Outcome, Probed, Seen};
use sluicegate::probe::timeline::Timeline;

fn seen(count: u64, every: u64, bytes: u64) -> Seen {
    let mut timeline = Timeline::new(10_000);
    for n in 0..count {
        timeline.record(Duration::from_millis(2 + n * every), bytes);
    }
    let (asked, answered) = (Some(Duration::ZERO), timeline.first());
    let end = End::At(Duration::from_secs(10));
    Seen { timeline, asked, answered, responses: 0, dials: 1, end, failure: None }
}

fn outcome(urls: usize, connections: usize, one: &Seen) -> Outcome {
    let target = "http://127.0.0.1:8080/a?b=1&c='\"".parse();
    let target: sluicegate::probe::target::Target =
        target.unwrap_or_else(|_| "http://h/a?b=1&c='".parse().unwrap());
    let probed = Probed { target, connections: vec![one.clone(); connections] };
    Outcome { probed: vec![probed; urls], lasted: Duration::from_secs(10), interrupted: false }
}

/// How many elements of a class there are, in a plot that must be well-formed and without scripts.
fn classes(outcome: &Outcome) -> impl Fn(&str) -> usize + use<> {
    let goal = Goal { rate: "60".parse().ok(), shared: false, tolerance: None };
    let text = plot(outcome, &outcome.report(&goal), &goal);
    let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
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
