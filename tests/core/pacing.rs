//! The golden timelines of `fixtures/pacing`, on the bare chain and on the model; and what no line of a
//! golden can tell: pieces, very long runs, clocks at their end, late and idle steps.

use std::sync::Arc;

use sluicegate::brigade::{Brigade, Bucket, FileSlice};
use sluicegate::clock::Instant;
use sluicegate::filter::{Chain, EndOfStream, RateFilter, Step};
use sluicegate::limit::{Limit, Rate};
use testkit::timeline::chain::ChainRunner;
use testkit::timeline::golden::check_all;
use testkit::timeline::model::Model;
use testkit::timeline::{Arrival, Case, GUIDE, Item, Mark, Runner, sends};

#[test]
fn the_chain_keeps_every_golden_timeline() {
    check_all(&ChainRunner::default());
    check_all(&ChainRunner { at_hand: true, ..ChainRunner::default() });
}

// Goldens are worked out by hand in their comments. This catches a slip of the pen.
#[test]
fn the_rules_written_down_a_second_time_give_the_same() {
    check_all(&Model);
}

#[test]
fn room_and_looks_do_not_show_in_a_timeline() {
    for (room, look_every) in [(7, 200), (4096, 1), (65_536, 7), (12_288, 60_000)] {
        let runner = ChainRunner {
            room,
            look_every: Some(look_every * testkit::timeline::MS),
            ..ChainRunner::default()
        };
        for golden in testkit::timeline::golden::all() {
            // When a live change is seen depends on when one looks.
            if golden.case.changes.is_empty() {
                let is = testkit::timeline::lines(&runner, &runner.run(&golden.case));
                assert_eq!(is, golden.lines, "{} with {room} bytes of room", golden.name);
            }
        }
    }
}

fn arrival(items: &[Item]) -> Vec<Arrival> {
    vec![Arrival { at: 0, items: items.to_vec() }]
}

/// A chain with nothing but the rate filter, and `bytes` of a file that nobody reads in it.
fn chain(rate: u64, bytes: u64) -> Chain {
    let mut chain = Chain::new().then(RateFilter::new(Limit::new(Rate::or_unlimited(rate))));
    let file = Arc::new(tempfile::tempfile().unwrap());
    chain.input().push(FileSlice::new(file, 0, bytes));
    chain
}

/// Steps until the chain sleeps: what came out, and the instant slept for.
fn until_asleep(chain: &mut Chain, now: u64, room: u64) -> (u64, u64) {
    let mut out = Brigade::with_budget(room);
    let mut bytes = 0;
    loop {
        match chain.step(Instant::from_nanos(now), &mut out).unwrap() {
            Step::Output => {
                bytes += out.bytes();
                out.clear();
            }
            Step::Sleep(due) => return (bytes, due.as_nanos()),
            step => unreachable!("{step:?} with bytes in hand"),
        }
    }
}

#[test]
fn a_chunk_above_64_kib_goes_down_in_pieces_one_after_the_other() {
    let case = Case::one(1 << 20, arrival(&[Item::Data(450_000), Item::Mark(Mark::Eos)]));
    let events = ChainRunner::default().run(&case);
    let pieces = sends(&events);
    // 3 × 65 536 + 13 107 = 209 715; then the rest of what is in hand, in pieces of the same size at most.
    assert!(pieces.iter().all(|(_, bytes)| *bytes <= 65_536), "{pieces:?}");
    let chunk =
        |at| pieces.iter().filter(move |piece| piece.0 == at).map(|piece| piece.1).collect::<Vec<_>>();
    assert_eq!(chunk(0).iter().sum::<u64>(), 209_715);
    assert_eq!(chunk(199_999_810).iter().sum::<u64>(), 240_285);
}

#[test]
fn ten_gigabytes_a_second_are_two_gigabytes_each_interval() {
    let mut chain = chain(10_000_000_000, u64::MAX / 2);
    let mut now = 0;
    for _ in 0..3 {
        let (bytes, due) = until_asleep(&mut chain, now, 65_536);
        assert_eq!((bytes, due - now), (2_000_000_000, 200_000_000));
        now = due;
    }
}

// The nth chunk of whole bytes is due when n of them were earned: n × chunk ÷ rate, rounded up once.
#[test]
fn a_million_intervals_in_all_are_on_the_grid_of_the_first() {
    for rate in [1, 3, 7, 3072, GUIDE, 1_000_003, 999_999_937] {
        let mut chain = chain(rate, u64::MAX / 2);
        let (mut now, mut sent) = (0, 0u128);
        for _ in 0..150_000 {
            let (bytes, due) = until_asleep(&mut chain, now, 1 << 40);
            sent += u128::from(bytes);
            // The first chunk was there; the next is whole when as much was earned as was sent.
            let exact = (sent * 1_000_000_000).div_ceil(u128::from(rate));
            assert_eq!(u128::from(due), exact, "{rate} B/s, after {sent} bytes");
            now = due;
        }
    }
}

#[test]
fn centuries_into_the_run_the_grid_is_as_fine() {
    let century = 100 * 365 * 86_400 * 1_000_000_000;
    for start in [century, 5 * century] {
        let mut chain = chain(3, 1_000_000);
        let (bytes, due) = until_asleep(&mut chain, start, 1 << 20);
        assert_eq!((bytes, due - start), (1, 333_333_334));
        let (bytes, due) = until_asleep(&mut chain, due, 1 << 20);
        assert_eq!((bytes, due - start), (1, 666_666_667));
        assert_eq!(until_asleep(&mut chain, due - 1, 1 << 20), (0, due), "one nanosecond early");
    }
}

// HAProxy once left a timer in the past, and span.
#[test]
fn however_late_the_step_the_next_instant_lies_ahead() {
    let mut chain = chain(GUIDE, 1_000_000);
    let (mut now, mut last) = (0, 0);
    for late in [0, 1, 199_999_999, 200_000_000, 200_000_001, 86_400_000_000_000] {
        now = last + late;
        let (bytes, due) = until_asleep(&mut chain, now, 1 << 20);
        assert!(bytes <= 12_288 && due > now, "{late} ns late");
        last = due;
    }
    assert_eq!(until_asleep(&mut chain, now, 1 << 20), (0, last), "asked again at once");
}

// httpd forwarded the end of stream before the paced bytes were out, and broke the chunked framing.
#[test]
fn the_end_of_stream_is_never_ahead_of_bytes() {
    for rule in [EndOfStream::Immediate, EndOfStream::Paced] {
        let filter = RateFilter::new(Limit::new(Rate::or_unlimited(GUIDE))).end_of_stream(rule);
        let mut chain = Chain::new().then(filter);
        chain.input().extend([Bucket::Data(vec![0; 38_400].into()), Bucket::Flush, Bucket::Eos]);
        let mut out = Brigade::with_budget(5000);
        let (mut now, mut sent) = (Instant::ZERO, 0);
        loop {
            match chain.step(now, &mut out).unwrap() {
                Step::Output => {
                    sent += out.bytes();
                    assert_eq!(out.ends(), sent == 38_400 && !chain.wants_input(), "{sent} bytes out");
                    out.clear();
                }
                Step::Sleep(due) => now = due,
                Step::Done => break,
                step => unreachable!("{step:?}"),
            }
        }
        assert_eq!(sent, 38_400);
    }
}

// httpd slept for HEAD, and sent an empty chunk for it.
#[test]
fn an_end_without_bytes_takes_one_step_and_no_time() {
    let mut chain = Chain::new().then(RateFilter::new(Limit::new(Rate::or_unlimited(1))));
    chain.input().push(Bucket::Eos);
    let mut out = Brigade::new();
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
    assert_eq!((out.len(), out.bytes(), out.ends()), (1, 0, true));
    out.clear();
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Done)));
}
