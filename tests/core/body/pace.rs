//! What the driver adds to the chain's pace: wake-ups that are late, clocks that step, live limits.

use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::body::Waits;
use sluicegate::brigade::{Brigade, Bucket};
use sluicegate::clock::{Clock, Instant};
use sluicegate::limit::{Limit, Rate};

use super::fixture::{Reading, Timed, clock, data, limit, page, page_of};
use testkit::wire::{GUIDE, content};

const CHUNK: u64 = testkit::wire::CHUNK as u64;

// Over HTTP/2 a stream's first byte goes alone, to see whether its window is open. The rest of the chunk follows
// a little later, and not with what that time would have earned.
#[test]
fn a_first_byte_alone_changes_no_instant() {
    for len in [1, 2, 5_000, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 38_400, 6 * CHUNK, 200_000] {
        let expected = Reading::new(&clock(), &limit(GUIDE), page(len)).timeline();
        for micros in [0, 17, 4_999, 5_001, 50_000] {
            let clock = clock();
            let mut reading = Reading::new(&clock, &limit(GUIDE), page(len));
            reading.body.set_max_frame(1);
            let Poll::Ready(Some(Ok(first))) = reading.poll() else { panic!("a byte is due") };
            assert_eq!(first.data_ref().map(|data| data.len()), Some(1));
            clock.advance(Duration::from_micros(micros));
            reading.body.set_max_frame(u64::MAX);
            let mut timeline = reading.timeline();
            match timeline.first_mut() {
                Some((millis, bytes)) if *millis == micros / 1_000 => (*millis, *bytes) = (0, *bytes + 1),
                _ => timeline.insert(0, (0, 1)),
            }
            assert_eq!(timeline, expected, "{len}, {micros} µs");
        }
    }
}

#[test]
fn of_a_file_no_more_is_held_for_the_first_byte_than_one_read_gives() {
    let content = content(100_000);
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &content).unwrap();
    let mut reading = Reading::new(&clock(), &Limit::unlimited(), page_of(file));
    reading.body.set_max_frame(1);
    let mut came = Vec::new();
    loop {
        match reading.poll() {
            Poll::Pending => reading.task.wait(),
            Poll::Ready(None) => break,
            Poll::Ready(Some(frame)) => {
                let data = frame.unwrap().into_data().unwrap();
                if came.is_empty() {
                    assert_eq!(data.len(), 1);
                    assert!(reading.body.bytes_held() < 2048, "{}", reading.body.bytes_held());
                    reading.body.set_max_frame(65_536);
                }
                came.extend_from_slice(&data);
            }
        }
    }
    assert!(came == content);
}

#[test]
fn a_source_slower_than_the_limit_is_not_delayed_at_all() {
    let clock = clock();
    // 1 000 bytes each 37 ms are 27 KB/s; one event alone after a pause of a second.
    let coming = (0..20).map(|n| (n * 37, data(1_000))).chain([(1_703, data(9)), (2_000, Bucket::Eos)]);
    let mut reading = Reading::new(&clock, &limit(GUIDE), Timed::new(&clock, coming.collect::<Vec<_>>()));
    let expected: Vec<_> = (0..20).map(|n| (n * 37, 1_000)).chain([(1_703, 9)]).collect();
    assert_eq!(reading.timeline(), expected);
    assert_eq!(reading.millis(), 2_000);
    assert_eq!(clock.sleepers(), 0);
}

// 15 000 bytes are a chunk and 2 712. Without the end these wait; it comes at 50 ms and lets them go.
#[test]
fn a_late_end_of_stream_wakes_a_body_that_waits() {
    let clock = clock();
    let source = Timed::new(&clock, [(0, data(15_000)), (50, Bucket::Eos)]);
    let mut reading = Reading::new(&clock, &limit(GUIDE), source);
    assert_eq!(reading.timeline(), [(0, CHUNK), (50, 2_712)]);
}

// While nobody asks, it is the reader that is waited for.
#[test]
fn the_wait_for_the_pace_ends_when_the_chunk_is_due_however_late_it_is_asked_for() {
    let clock = clock();
    let mut reading = Reading::new(&clock, &limit(GUIDE), page(3 * CHUNK));
    assert_eq!(reading.take().0, CHUNK);
    clock.advance(Duration::from_secs(60));
    assert_eq!(reading.take().0, CHUNK);
    assert_eq!(reading.body.waits(), Waits { pace: Duration::from_millis(200), ..Waits::default() });
    // Asked too early it waits on, and for the whole of it.
    clock.advance(Duration::from_millis(150));
    assert_eq!(reading.take().0, 0);
    clock.advance(Duration::from_millis(150));
    assert_eq!(reading.take().0, CHUNK);
    assert_eq!(reading.body.waits(), Waits { pace: Duration::from_millis(400), ..Waits::default() });
}

// At 1 B/s the second byte is due after a second.
#[test]
fn a_new_rate_reaches_a_body_that_sleeps_for_long_within_an_interval() {
    for changed_at in [1, 199, 200, 201, 399, 650] {
        let left_at = |new: Option<Rate>| {
            let clock = clock();
            let shared = limit(1);
            let mut reading = Reading::new(&clock, &shared, page(30_000));
            assert_eq!(reading.take().0, 1);
            while clock.next_deadline().unwrap() < Instant::from_millis(changed_at) {
                clock.advance_to_next();
                assert_eq!(reading.take().0, 0);
            }
            shared.set_rate(new);
            reading.task.take_wake();
            clock.set(Instant::from_millis(changed_at));
            if !reading.task.take_wake() {
                clock.advance_to_next();
            }
            let left_at = reading.timeline()[0].0;
            assert_eq!(clock.sleepers(), 0);
            left_at
        };
        // It looks each 200 ms. What is unlimited leaves then; a rate first has to earn its chunk.
        let seen_at = changed_at.div_ceil(200) * 200;
        assert_eq!(left_at(None), seen_at, "changed at {changed_at} ms");
        let earned_by = seen_at..=seen_at + 200;
        assert!(earned_by.contains(&left_at(Rate::or_unlimited(100_000))), "changed at {changed_at} ms");
    }
}

#[test]
fn a_lowered_rate_holds_from_the_next_chunk_on() {
    let clock = clock();
    let shared = limit(100_000);
    let mut reading = Reading::new(&clock, &shared, page(65_000));
    assert_eq!(reading.take().0, 20_000);
    clock.advance_to_next();
    assert_eq!((reading.millis(), reading.take().0), (200, 20_000));
    shared.set_rate(Rate::or_unlimited(10_000));
    // 25 000 bytes at 10 000 B/s: chunks of 2 000, one an interval, the last with what is less than one.
    let mut rest: Vec<_> = (0..12).map(|n| (400 + n * 200, 2_000)).collect();
    rest[11].1 = 3_000;
    assert_eq!(reading.timeline(), rest);
}

#[test]
fn a_clock_that_steps_back_neither_hurries_nor_spins_nor_stops_a_body() {
    for back_to in [0, 100, 399] {
        let clock = clock();
        let mut reading = Reading::new(&clock, &limit(GUIDE), page(10 * CHUNK));
        assert_eq!(reading.take().0, CHUNK);
        clock.advance_to_next();
        assert_eq!(reading.take().0, CHUNK);
        clock.advance_to_next();
        assert_eq!((reading.millis(), reading.take().0), (400, CHUNK));
        clock.set(Instant::from_millis(back_to));
        for _ in 0..100 {
            assert_eq!(reading.take().0, 0, "nothing leaves for a step back");
        }
        assert_eq!(clock.sleepers(), 1);
        let rest: Vec<_> = (3..10).map(|n| (n * 200, CHUNK)).collect();
        assert_eq!(reading.timeline(), rest, "the grid stands where it stood");
    }
}

// The chain alone would lose the 50 ms (fixtures/pacing/short-stall.txt); the driver is late by no more
// than a timer may be, and tells the chain the instant that was due.
#[test]
fn a_short_stall_is_forgiven() {
    for (late, then) in [(0, 400), (1, 400), (50, 400), (51, 451), (120, 520)] {
        let clock = clock();
        let mut reading = Reading::new(&clock, &limit(GUIDE), page(4 * CHUNK));
        assert_eq!(reading.take().0, CHUNK);
        clock.set(Instant::from_millis(200 + late));
        assert_eq!(reading.take().0, CHUNK);
        assert_eq!(reading.timeline()[0], (then, CHUNK), "{late} ms late");
    }
}

#[test]
fn a_reader_that_stalled_gets_one_chunk_and_no_revenge() {
    let clock = clock();
    let mut reading = Reading::new(&clock, &limit(GUIDE), page(20 * CHUNK));
    assert_eq!(reading.take().0, CHUNK);
    clock.set(Instant::from_millis(3_000));
    assert_eq!(reading.take().0, CHUNK);
    let next: Vec<_> = reading.timeline().into_iter().take(2).collect();
    assert_eq!(next, [(3_200, CHUNK), (3_400, CHUNK)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wake-ups late by up to 50 ms each: nothing drifts, and nothing is early.
    #[test]
    fn late_wake_ups_cost_no_rate(
        rate in 6u64..50_000_000,
        late in prop::collection::vec(0u64..=50_000_000, 30),
    ) {
        let clock = clock();
        let whole = late.len() as u64 * rate;
        let source = Endless;
        let mut reading = Reading::new(&clock, &limit(rate), source);
        let mut came = reading.take().0;
        for late in &late {
            let due = clock.next_deadline().unwrap();
            clock.set(due + Duration::from_nanos(*late));
            came += reading.take().0;
            let now = u128::from(clock.now().as_nanos());
            // Out at any instant: what time gave and a chunk; less a chunk and what 50 ms are worth.
            let earned = u128::from(rate) * now / 1_000_000_000;
            let chunk = u128::from(rate.div_ceil(5));
            prop_assert!(u128::from(came) <= earned + chunk, "{came} at {now}");
            let slack = u128::from(rate) * 50_000_000 / 1_000_000_000 + 2;
            prop_assert!(u128::from(came) + slack >= earned, "{came} of {earned} at {now}");
        }
        prop_assert!(came <= whole);
        drop(reading);
        prop_assert_eq!(clock.sleepers(), 0);
    }
}

/// Bytes without end, as many as are asked for.
struct Endless;

impl sluicegate::generator::Generator for Endless {
    fn poll_fill(&mut self, _cx: &mut std::task::Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        const ZEROS: &[u8] = &[0; 65_536];
        let len = brigade.room().clamp(1, ZEROS.len() as u64) as usize;
        brigade.push(bytes::Bytes::from_static(&ZEROS[..len]));
        Poll::Ready(())
    }
}

#[test]
fn an_unlimited_body_never_sleeps() {
    let clock = clock();
    let mut reading = Reading::new(&clock, &Limit::unlimited(), page(10_000_000));
    assert_eq!(reading.timeline(), [(0, 10_000_000)]);
    assert_eq!(reading.task.woken(), 0);
}
