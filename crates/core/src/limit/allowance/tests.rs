//! Tests of allowances.

use std::time::Duration;

use super::*;

const GUIDE: u64 = 60 * 1024;

fn rate(bytes_per_second: u64) -> Rate {
    Rate::new(bytes_per_second).unwrap()
}

fn full(rate: Rate, now: Instant) -> Allowance {
    Allowance::full(rate, Interval::DEFAULT, now)
}

/// Spends what is covered each time the allowance is whole, `intervals` times; the instant and sum
/// of the last spend.
fn run(mut allowance: Allowance, rate: Rate, intervals: u64) -> (Instant, u64) {
    let (mut now, mut sent) = (Instant::ZERO, 0);
    for _ in 0..intervals {
        now = allowance.whole_at().max(now);
        allowance.settle(rate, now);
        assert!(allowance.is_whole(), "{rate:?} at {now:?}");
        let covered = allowance.covered();
        allowance.spend(covered);
        sent += covered;
    }
    (now, sent)
}

#[test]
fn a_chunk_is_what_the_rate_gives_in_an_interval_and_at_least_a_byte() {
    // The httpd guide prints 12228 for the first.
    for (bytes_per_second, chunk) in [(GUIDE, 12_288), (1, 1), (3, 1), (5, 1), (9, 1), (10, 2), (3072, 614)] {
        let allowance = full(rate(bytes_per_second), Instant::ZERO);
        assert_eq!(allowance.covered(), chunk, "{bytes_per_second} B/s");
        assert!(allowance.is_whole() && !allowance.is_less_than_chunk(chunk + 1));
    }
    // 614.4 bytes: 614 are less than a chunk, 615 are not.
    let odd = full(rate(3072), Instant::ZERO);
    assert!(odd.is_less_than_chunk(614) && !odd.is_less_than_chunk(615));
    assert!(!full(rate(3), Instant::ZERO).is_less_than_chunk(1));
}

#[test]
fn a_chunk_is_due_at_the_end_of_its_interval_and_not_a_nanosecond_before() {
    let of_nanos = |nanos| Interval::new(Duration::from_nanos(nanos)).unwrap();
    for (interval, chunk) in [
        (Interval::MIN, 50_000),
        (of_nanos(50_001_000), 50_001),
        (Interval::DEFAULT, 200_000),
        (of_nanos(999_999_000), 999_999),
        (Interval::MAX, 1_000_000),
    ] {
        let rate = rate(1_000_000);
        let mut allowance = Allowance::full(rate, interval, Instant::ZERO);
        for nth in 0..1_000 {
            let due = Instant::from_nanos(nth * interval.duration().as_nanos() as u64);
            if nth > 0 {
                let mut early = allowance.clone();
                early.settle(rate, Instant::from_nanos(due.as_nanos() - 1));
                assert!(!early.is_whole() && early.covered() < chunk, "{interval}, chunk {nth}");
            }
            allowance.settle(rate, due);
            assert!(allowance.is_whole() && allowance.covered() == chunk, "{interval}, chunk {nth}");
            allowance.spend(chunk);
            let next = due + interval.duration();
            assert_eq!((allowance.covered(), allowance.whole_at()), (0, next), "{interval}");
        }
    }
}

#[test]
fn another_interval_caps_what_is_left_and_what_is_owed_at_its_own_chunk() {
    let rate = rate(1_000_000);
    for (spent, interval, covered, whole_at) in [
        (0, Interval::MIN, 50_000, 0),
        (1_900_000, Interval::MIN, 0, 100),
        (0, Interval::MAX, 1_000_000, 0),
        (1_900_000, Interval::MAX, 0, 1_900),
    ] {
        let mut allowance = Allowance::full(rate, Interval::MAX, Instant::ZERO);
        allowance.spend(spent);
        let mut allowance = allowance.with_interval(interval);
        allowance.settle(rate, Instant::ZERO);
        let expected = (covered, Instant::from_millis(whole_at));
        assert_eq!((allowance.covered(), allowance.whole_at()), expected, "{spent} at {interval}");
    }
}

// 180 bytes for each client that is remembered, as the documentation of `Carryovers` says.
#[test]
fn an_allowance_takes_48_bytes() {
    assert_eq!(size_of::<Allowance>(), 48);
}

#[test]
fn a_million_intervals_drift_by_less_than_a_byte_at_any_rate() {
    for bytes_per_second in [
        1,
        2,
        3,
        4,
        5,
        7,
        9,
        11,
        999,
        3072,
        GUIDE,
        1_000_003,
        1 << 20,
        999_999_937,
        9_999_999_999,
        10_000_000_000,
    ] {
        let rate = rate(bytes_per_second);
        for (interval, intervals) in
            [(Interval::DEFAULT, 1_000_000), (Interval::MIN, 100_000), (Interval::MAX, 100_000)]
        {
            let (now, sent) = run(Allowance::full(rate, interval, Instant::ZERO), rate, intervals);
            // All that was spent but the last chunk had to be earned first, exactly.
            let earned = i128::from(bytes_per_second) * i128::from(now.as_nanos());
            let left = earned + rate.nano_chunk(interval) - i128::from(sent) * NANO;
            assert!(left >= 0, "{rate:?} sent what it had not earned");
            assert!(left < NANO.max(i128::from(bytes_per_second)) + NANO, "{rate:?} lost {left} nano-bytes");
        }
    }
}

#[test]
fn a_chunk_is_whole_to_the_nanosecond() {
    for bytes_per_second in [1, 3, 7, GUIDE, 1_000_003, 9_999_999_999] {
        let rate = rate(bytes_per_second);
        let mut allowance = full(rate, Instant::ZERO);
        allowance.spend(allowance.covered());
        let due = allowance.whole_at();
        let mut early = allowance.clone();
        early.settle(rate, Instant::from_nanos(due.as_nanos() - 1));
        assert!(!early.is_whole(), "{rate:?}");
        assert_eq!(early.whole_at(), due, "asked early, {rate:?} gives the same answer");
        allowance.settle(rate, due);
        assert!(allowance.is_whole(), "{rate:?}");
    }
}

#[test]
fn however_often_it_is_settled_the_level_is_the_same() {
    let rate = rate(7);
    let mut often = full(rate, Instant::ZERO);
    often.spend(1);
    let mut once = often.clone();
    for nanos in (0..140_000_000).step_by(999_999) {
        often.settle(rate, Instant::from_nanos(nanos));
    }
    let now = Instant::from_millis(141);
    often.settle(rate, now);
    once.settle(rate, now);
    assert_eq!(often, once);
}

#[test]
fn time_that_did_not_pass_earns_nothing() {
    let rate = rate(GUIDE);
    let mut allowance = full(rate, Instant::from_millis(1000));
    allowance.spend(12_288);
    let before = allowance.clone();
    allowance.settle(rate, Instant::ZERO);
    assert_eq!(allowance, before, "a step back changes nothing");
    allowance.settle(rate, Instant::from_millis(1100));
    assert_eq!(allowance.covered(), 6144, "and what follows is reckoned from the latest instant seen");
}

#[test]
fn a_stall_earns_one_chunk() {
    let rate = rate(GUIDE);
    let mut allowance = full(rate, Instant::ZERO);
    allowance.spend(12_288);
    allowance.settle(rate, Instant::from_millis(86_400_000));
    assert_eq!(allowance.covered(), 12_288);
}

#[test]
fn the_burst_is_earned_back_by_what_the_allowance_cannot_hold_and_by_nothing_twice() {
    let rate = rate(GUIDE);
    let mut allowance = full(rate, Instant::ZERO);
    allowance.spend_burst(20_000);
    allowance.spend(12_288);
    allowance.settle(rate, Instant::from_millis(200));
    assert_eq!(allowance.burst_left(20_000), 0, "whole, but nothing was over yet");
    allowance.settle(rate, Instant::from_millis(300));
    assert_eq!(allowance.burst_left(20_000), 6144);
    allowance.settle(rate, Instant::from_millis(10_000));
    assert_eq!(allowance.burst_left(20_000), 20_000, "and never more than it was");
}

// A refill of less than a nanosecond above the brim stays in the level. It paid for the burst as well,
// once for each time the allowance was looked at.
#[test]
fn reading_an_overfull_allowance_refills_no_burst() {
    let rate = rate(9_999_999_999);
    let mut allowance = full(rate, Instant::ZERO);
    allowance.spend_burst(1000);
    allowance.spend(allowance.covered());
    let due = allowance.whole_at();
    for _ in 0..10_000 {
        allowance.settle(rate, due);
    }
    assert_eq!(allowance.burst_left(1000), 0);
}

#[test]
fn a_lowered_rate_caps_what_is_left_and_what_is_owed_at_its_own_chunk() {
    let (fast, slow) = (rate(1_000_000), rate(1000));
    let mut whole = full(fast, Instant::ZERO);
    whole.settle(slow, Instant::ZERO);
    assert_eq!(whole.covered(), 200);
    let mut owing = full(fast, Instant::ZERO);
    owing.spend(399_999);
    owing.settle(slow, Instant::ZERO);
    assert_eq!(owing.out_of_debt_at(), Instant::from_millis(200));
    assert_eq!(owing.whole_at(), Instant::from_millis(400));
}

#[test]
fn time_before_a_change_counts_at_the_old_rate() {
    let (slow, fast) = (rate(1000), rate(1_000_000));
    let mut allowance = full(slow, Instant::ZERO);
    allowance.spend(200);
    allowance.settle(fast, Instant::from_millis(100));
    assert_eq!(allowance.covered(), 100);
}

// Overflowed: 2^64 bytes/s for 2^64 ns are more nano-bytes than 127 bits hold.
#[test]
fn the_largest_rate_over_the_longest_time_does_not_overflow() {
    let rate = rate(u64::MAX);
    let mut allowance = full(rate, Instant::ZERO);
    allowance.spend(u64::MAX);
    allowance.spend_burst(u64::MAX);
    allowance.settle(rate, Instant::MAX);
    assert!(allowance.is_whole());
    assert_eq!(allowance.burst_left(u64::MAX), u64::MAX);
    let mut slow = full(Rate::new(1).unwrap(), Instant::from_nanos(u64::MAX - 5));
    slow.spend(u64::MAX);
    assert_eq!(slow.whole_at(), Instant::MAX, "later than a clock can tell");
}
