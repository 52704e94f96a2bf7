use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A connection that was asked at 0, answered at 1 ms, and had these arrivals.
fn seen(arrivals: impl IntoIterator<Item = (u64, u64)>, end: End) -> ConnectionTrace {
    let timeline = Timeline::of_millis(arrivals);
    let (asked, answered) = (Some(Duration::ZERO), Some(ms(1)));
    ConnectionTrace { timeline, asked, answered, responses: 0, dials: 1, end, failure: None }
}

fn grid(bytes: u64) -> ConnectionTrace {
    seen((0..50).map(|n| (2 + n * 200, bytes)), End::At(ms(10_000)))
}

fn outcome(probed: Vec<Vec<ConnectionTrace>>) -> Outcome {
    let target: Target = "http://h/x".parse().unwrap();
    let probed = probed.into_iter().map(|connections| TargetTraces { target: target.clone(), connections });
    Outcome { probed: probed.collect(), lasted: ms(10_000), interrupted: false }
}

fn goal(rate: &str, shared: bool, tolerance: f64) -> Goal {
    Goal { rate: Some(rate.parse().unwrap()), shared, tolerance: Some(tolerance) }
}

#[test]
fn a_connection_that_keeps_the_pace_is_reported_so() {
    let report = outcome(vec![vec![grid(12_288)]]).report(&goal("60", false, 0.1));
    let measures = &report.summaries[0].connections[0];
    assert_eq!((measures.bytes, measures.first_byte, measures.lasted), (614_400, Some(ms(1)), ms(10_000)));
    assert_eq!(measures.rate, Some(61_440.0));
    assert_eq!(measures.seconds, Some(Seconds { best: 61_440, worst: 61_440 }));
    assert_eq!((report.misses, report.comparison.is_none()), (Some(vec![]), true));
    assert_eq!(report.summaries[0].jain, None, "of one connection");
}

#[test]
fn the_worst_connection_decides_unless_the_rate_is_shared() {
    let uneven = outcome(vec![vec![grid(12_288), grid(6_144)]]);
    let report = uneven.report(&goal("60", false, 1.0));
    let expected = "http://h/x: on 1 of 2 connections the rate is -50.00 % off, 1 % are allowed";
    assert_eq!(report.misses, Some(vec![expected.to_owned()]));
    assert_eq!(uneven.report(&goal("90", true, 0.1)).misses, Some(vec![]));
    assert_eq!(report.summaries[0].together.rate, Some(92_160.0));
    assert_eq!(report.summaries[0].jain, Some(0.9));
}

#[test]
fn a_short_or_interrupted_run_misses_its_goal() {
    let mut short = outcome(vec![vec![seen([(0, 100)], End::Whole)]]);
    let told = |outcome: &Outcome| outcome.report(&goal("60", false, 5.0)).misses.unwrap();
    assert_eq!(told(&short), ["http://h/x: what came is too short to tell a rate"]);
    short.interrupted = true;
    assert_eq!(told(&short)[1], "the run was cut short");
    assert_eq!(short.report(&Goal::default()).misses, None, "nothing was wished for");
}

#[test]
fn the_pair_that_differs_most_is_reported() {
    let late = seen((0..50).map(|n| (2 + n * 200 + u64::from(n > 9) * 500, 12_288)), End::At(ms(10_000)));
    let two = outcome(vec![vec![grid(12_288), grid(12_288)], vec![grid(12_288), late]]);
    let report = two.report(&goal("60", false, 50.0));
    let comparison = report.comparison.unwrap();
    assert_eq!((comparison.lead, comparison.chunk, comparison.agree()), (36_864, 12_288, false));
    assert_eq!(report.misses, Some(vec!["the two timelines do not agree".to_owned()]));
    let nothing = outcome(vec![vec![grid(1)], vec![seen([], End::At(ms(1)))]]);
    assert!(
        nothing
            .report(&goal("60", false, 5.0))
            .misses
            .unwrap()
            .contains(&"there is nothing to compare".into())
    );
}

#[test]
fn failures_are_counted_by_their_words() {
    let mut bad = outcome(vec![vec![grid(1), grid(1), grid(1)]]);
    for n in [0, 2] {
        bad.probed[0].connections[n].failure = Some("gone".to_owned());
    }
    assert_eq!(bad.failures(), [("http://h/x: gone".to_owned(), 2)]);
}

#[test]
fn jains_index_is_one_for_equal_shares_and_one_nth_for_one_of_n() {
    for (shares, expected) in [
        (&[5.0, 5.0, 5.0][..], 1.0),
        (&[7.0, 0.0, 0.0, 0.0], 0.25),
        (&[2.0, 1.0], 0.9),
        (&[0.0, 0.0], 1.0),
        (&[], 1.0),
    ] {
        assert!((jain(shares) - expected).abs() < 1e-12, "{shares:?}");
    }
}
