//! Tests of the rate filter.

use super::*;
use crate::brigade::Bucket;
use bytes::Bytes;

const GUIDE: u64 = 60 * 1024;

fn filter(bytes_per_second: u64) -> RateFilter {
    RateFilter::new(Limit::new(Rate::or_unlimited(bytes_per_second)))
}

fn body(bytes: usize) -> Brigade {
    [Bucket::Data(Bytes::from(vec![0; bytes]))].into_iter().collect()
}

/// Steps once at `millis` with all the room there is: what came out, and the verdict.
fn step(filter: &mut RateFilter, millis: u64, input: &mut Brigade) -> (u64, Verdict) {
    let mut out = Brigade::new();
    let verdict = filter.filter(Instant::from_millis(millis), input, &mut out).unwrap();
    (out.bytes(), verdict)
}

// 3 072 B/s has a chunk of 614.4 bytes. A look-ahead of 614 hid the end of stream behind a remainder
// of 614 bytes, so a proxied body waited for an interval that the same body as a file did not.
#[test]
fn the_lookahead_shows_the_end_behind_any_remainder() {
    for bytes_per_second in [1, 3, 5, 6, 7, 9, 3072, GUIDE, 1_000_003, 327_680, 327_681, 1 << 30] {
        let filter = filter(bytes_per_second);
        let rate = Rate::new(bytes_per_second).unwrap();
        let full = Allowance::full(rate, Interval::DEFAULT, Instant::ZERO);
        let hides_the_end = filter.lookahead() < MAX_PIECE && full.is_less_than_chunk(filter.lookahead());
        assert!(!hides_the_end, "{bytes_per_second} B/s");
        assert!(filter.lookahead() <= MAX_PIECE && filter.lookahead() >= 1);
    }
}

#[test]
fn without_a_rate_everything_leaves_at_once() {
    let mut filter = filter(0);
    assert_eq!(step(&mut filter, 0, &mut body(1_000_000)), (1_000_000, Verdict::Ready));
    assert_eq!(filter.lookahead(), MAX_PIECE);
}

// What left while there was no rate was booked as credit: two intervals of silence followed, and the
// guarantee is rate × w − one chunk.
#[test]
fn bytes_sent_without_a_rate_are_no_debt_later() {
    let mut filter = filter(GUIDE);
    let mut input = body(1_000_000);
    assert_eq!(step(&mut filter, 0, &mut input).0, 12_288);
    filter.limit.set_rate(None);
    assert_eq!(step(&mut filter, 100, &mut input), (1_000_000 - 12_288, Verdict::Ready));
    filter.limit.set_rate(Rate::or_unlimited(GUIDE));
    let mut input = body(30_000);
    assert_eq!(step(&mut filter, 1000, &mut input).0, 12_288, "time without a rate earned a chunk");
    assert_eq!(step(&mut filter, 1100, &mut input), (0, Verdict::SleepUntil(Instant::from_millis(1200))));
}

// It earned up to what the rate gives in `catch_up`, on top of what had left without a rate.
#[test]
fn time_without_a_rate_is_not_made_up() {
    let catch_up = Some(CatchUp::new(Duration::from_secs(60)).unwrap());
    let mut filter = filter(GUIDE).catch_up(catch_up);
    let mut input = body(10_000_000);
    assert_eq!(step(&mut filter, 0, &mut input).0, 12_288);
    for off in [true, false] {
        filter.limit.set_rate(Rate::or_unlimited(GUIDE).filter(|_| !off));
        let (sent, _) = step(&mut filter, if off { 100 } else { 60_000 }, &mut input);
        assert_eq!(sent, if off { 10_000_000 - 12_288 } else { 12_288 });
        input = body(10_000_000);
    }
    assert_eq!(step(&mut filter, 70_000, &mut body(10_000_000)).0, 10 * GUIDE, "time with a rate is made up");
    // Of several rates, one of which is none.
    let limit = Limit::unlimited();
    limit.set_rates("60k for 60k, off for 1m, 60k".parse().unwrap());
    let mut filter = RateFilter::new(limit).catch_up(catch_up);
    let mut input = body(61_440 + 1_000);
    let sent: u64 = (0..5).map(|n| step(&mut filter, n * 200, &mut input).0).sum();
    assert_eq!(sent, 61_440 + 1_000);
    assert_eq!(step(&mut filter, 50_000, &mut body(2_000_000)).0, (1 << 20) - 1_000 + 12_288);
}

// The burst is for the start of a response. Bytes that left before there was a rate are that start.
#[test]
fn a_response_that_began_without_a_rate_gets_no_burst_in_its_middle() {
    for paced_first in [false, true] {
        let mut filter = RateFilter::new(Limit::new(Rate::or_unlimited(GUIDE)).with_burst(50_000));
        if paced_first {
            assert_eq!(step(&mut filter, 0, &mut body(1)).0, 1);
        }
        filter.limit.set_rate(None);
        step(&mut filter, 0, &mut body(40_000));
        filter.limit.set_rate(Rate::or_unlimited(GUIDE));
        let left = 10_000 - u64::from(paced_first);
        assert_eq!(step(&mut filter, 0, &mut body(100_000)).0, left + 12_288);
    }
}

#[test]
fn holding_ends_at_once_when_the_rate_is_taken_off() {
    let mut filter = filter(1);
    let mut input = body(100);
    assert_eq!(step(&mut filter, 0, &mut input), (1, Verdict::SleepUntil(Instant::from_millis(1000))));
    filter.limit.set_rate(None);
    assert_eq!(step(&mut filter, 200, &mut input), (99, Verdict::Ready));
}

#[test]
fn a_raised_rate_reaches_a_stream_asleep_on_a_long_wait() {
    let mut filter = filter(1);
    let mut input = body(100_000);
    step(&mut filter, 0, &mut input);
    filter.limit.set_rate(Rate::or_unlimited(1_000_000));
    // 0.2 bytes are there; 199 999.8 more take 199 999 800 ns.
    let due = Instant::from_nanos(200_000_000 + 199_999_800);
    assert_eq!(step(&mut filter, 200, &mut input), (0, Verdict::SleepUntil(due)));
    let mut out = Brigade::new();
    filter.filter(due, &mut input, &mut out).unwrap();
    assert_eq!(out.bytes(), 99_999);
}

#[test]
fn a_lowered_rate_lets_its_own_chunk_go_and_no_more() {
    let mut filter = filter(1_000_000);
    let mut input = body(1_000_000);
    assert_eq!(step(&mut filter, 0, &mut input).0, 200_000);
    filter.limit.set_rate(Rate::or_unlimited(10));
    assert_eq!(step(&mut filter, 100, &mut input), (2, Verdict::SleepUntil(Instant::from_millis(300))));
}

/// Sets a rate of 10 bytes/s from `millis` on.
fn lower_at(filter: &RateFilter, millis: u64) {
    filter.limit.set_all_at(Rate::or_unlimited(10).into(), 0, false, Instant::from_millis(millis));
}

// The change is seen late: the time since it counts at the new rate.
#[test]
fn where_the_time_of_a_change_is_known_what_was_earned_until_then_leaves_and_no_more() {
    for (at, sent) in [(40, 40_000), (100, 100_000), (200, 100_000)] {
        let mut filter = filter(1_000_000);
        let mut input = body(1_000_000);
        step(&mut filter, 0, &mut input);
        lower_at(&filter, at);
        assert_eq!(step(&mut filter, 100, &mut input).0, sent, "{at}");
        // What 40 ms leave of a byte is kept.
        let (more, _) = step(&mut filter, 300, &mut input);
        assert_eq!(more, 2, "{at}");
    }
}

// A stream that does not take it keeps no chunk of a fast rate for the time of a slow one.
#[test]
fn what_is_left_of_an_old_chunk_may_leave_within_an_interval() {
    for (millis, sent) in [(100, 99_999), (299, 99_999), (300, 2), (86_400_000, 2)] {
        let mut filter = filter(1_000_000);
        step(&mut filter, 0, &mut body(200_000));
        lower_at(&filter, 100);
        // It is seen, and takes one byte.
        assert_eq!(step(&mut filter, 100, &mut body(1)).0, 1);
        assert_eq!(step(&mut filter, millis, &mut body(1_000_000)).0, sent, "at {millis} ms");
    }
}

#[test]
fn a_lowered_rate_shortens_a_debt_to_its_own_chunk() {
    let carryover = Carryover::default();
    let limit = Limit::new(Rate::or_unlimited(1_000_000));
    let mut first = RateFilter::new(limit.clone()).with_carryover(carryover.clone());
    let mut input = body(250_000);
    input.push(Bucket::Eos);
    assert_eq!(step(&mut first, 0, &mut input), (250_000, Verdict::Done), "50 000 on credit");
    limit.set_rate(Rate::or_unlimited(1000));
    let mut second = RateFilter::new(limit).with_carryover(carryover);
    // 200 bytes are owed, and 200 more make a chunk.
    let due = Verdict::SleepUntil(Instant::from_millis(400));
    assert_eq!(step(&mut second, 0, &mut body(1000)), (0, due));
}

#[test]
fn a_filter_that_saw_no_bytes_leaves_the_allowance_to_the_next() {
    let carryover = Carryover::default();
    let limit = Limit::new(Rate::or_unlimited(GUIDE));
    let new = || RateFilter::new(limit.clone()).with_carryover(carryover.clone());
    assert_eq!(step(&mut new(), 0, &mut body(12_288)).0, 12_288);
    assert_eq!(step(&mut new(), 0, &mut [Bucket::Eos].into_iter().collect()), (0, Verdict::Done));
    drop(new());
    assert_eq!(step(&mut new(), 0, &mut body(1)).0, 0, "still spent");
}

#[test]
fn a_response_dropped_in_mid_sleep_leaves_what_it_had() {
    let carryover = Carryover::default();
    let limit = Limit::new(Rate::or_unlimited(GUIDE));
    for (millis, leaves) in [(0, 12_288), (100, 6144), (100, 0)] {
        let mut filter = RateFilter::new(limit.clone()).with_carryover(carryover.clone());
        assert_eq!(step(&mut filter, millis, &mut body(50_000)).0, leaves, "at {millis} ms");
    }
}
