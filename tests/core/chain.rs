//! The chain: what it asks of its driver, and that nothing is lost, out of place or late on the way.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use sluicegate::brigade::{Brigade, Bucket, FileSlice};
use sluicegate::clock::Instant;
use sluicegate::filter::{Chain, Count, Counts, Filter, FilterError, RateFilter, Replace, Step, Verdict};
use sluicegate::limit::{Limit, Rate};
use testkit::filters::sleepers::{Keep, OneEach};
use testkit::filters::{by, data, failed, pass};

const SECOND: Duration = Duration::from_secs(1);

fn slice(len: u64) -> FileSlice {
    FileSlice::new(Arc::new(tempfile::tempfile().unwrap()), 0, len)
}

/// Steps until something is out; its bytes.
#[track_caller]
fn output(chain: &mut Chain, now: Instant) -> Bytes {
    let mut out = Brigade::new();
    let step = chain.step(now, &mut out);
    assert!(matches!(step, Ok(Step::Output)), "{step:?}");
    out.to_bytes()
}

/// Steps a chain that must sleep; until when.
#[track_caller]
fn sleep(chain: &mut Chain, now: Instant) -> Instant {
    match chain.step(now, &mut Brigade::new()) {
        Ok(Step::Sleep(due)) => due,
        step => panic!("{step:?}"),
    }
}

/// Steps a chain that must want a piece of a file.
#[track_caller]
fn read(chain: &mut Chain, now: Instant) -> FileSlice {
    match chain.step(now, &mut Brigade::new()) {
        Ok(Step::Read(slice)) => slice,
        step => panic!("{step:?}"),
    }
}

/// A pace in bytes per second.
fn paced(rate: u64) -> RateFilter {
    RateFilter::new(Limit::new(Rate::or_unlimited(rate)))
}

/// Takes all it is given and lets it out one second after the last came, having kept it itself.
fn keep() -> Keep {
    Keep::new(SECOND, u64::MAX)
}

/// Lets out one bucket a second, and leaves the others where they are.
fn one_a_second() -> OneEach {
    OneEach::new(SECOND)
}

#[test]
fn a_sleeper_that_keeps_its_bytes_itself_is_woken() {
    // Its input was empty, and so it was never called again.
    let mut chain = Chain::new().then(keep());
    chain.input().extend([data("kept"), Bucket::Eos]);
    let due = Instant::ZERO + SECOND;
    for _ in 0..2 {
        assert_eq!(sleep(&mut chain, Instant::ZERO), due);
        assert_eq!(chain.due(), Some(due));
    }
    assert_eq!(output(&mut chain, due), "kept");
    assert!(chain.is_finished());
}

#[test]
fn bytes_that_a_sleeping_filter_kept_come_before_further_reads() {
    let mut chain = Chain::new().then(keep());
    chain.input().push(data("kept"));
    let due = sleep(&mut chain, Instant::ZERO);
    chain.input().extend([Bucket::File(slice(4)), Bucket::Eos]);
    assert_eq!(output(&mut chain, due), "kept");
    read(&mut chain, due);
}

#[test]
fn called_late_a_sleeper_has_lost_nothing() {
    let mut chain = Chain::new().then(one_a_second()).then(Count::new(Counts::default()));
    let mut out = Brigade::new();
    chain.input().extend([data("a"), data("b"), Bucket::Flush, data("c"), Bucket::Eos]);
    let mut now = Instant::ZERO;
    loop {
        match chain.step(now, &mut out).unwrap() {
            Step::Sleep(due) => now = due + 17 * SECOND,
            Step::Output if chain.is_finished() => break,
            Step::Output => now = now + SECOND / 3,
            step => panic!("{step:?}"),
        }
    }
    assert_eq!(out.to_bytes(), "abc");
    assert!(matches!(out.iter().nth(2), Some(Bucket::Flush)));
}

#[test]
fn of_two_sleepers_the_earlier_is_waited_for() {
    let mut chain = Chain::new().then(one_a_second()).then(paced(5));
    chain.input().extend([data("aaa"), data("b"), Bucket::Eos]);
    assert_eq!(output(&mut chain, Instant::ZERO), "a");
    assert_eq!(sleep(&mut chain, Instant::ZERO), Instant::from_millis(200));
    assert_eq!(output(&mut chain, Instant::from_millis(400)), "a");
    assert_eq!(output(&mut chain, Instant::from_millis(600)), "a");
    assert_eq!(sleep(&mut chain, Instant::from_millis(800)), Instant::ZERO + SECOND);
}

#[test]
fn output_does_not_wait_for_a_read() {
    let mut chain = Chain::new().then(Replace::new("x", "y").unwrap()).then(paced(10));
    let mut out = Brigade::new();
    chain.input().extend([data("abcdef"), Bucket::File(slice(10)), Bucket::Eos]);
    // The rate filter looks four bytes ahead; when it has let two of them go, the filter before it has room.
    let mut steps = Vec::new();
    let mut now = Instant::ZERO;
    for _ in 0..12 {
        match chain.step(now, &mut out).unwrap() {
            Step::Output => {
                steps.push(format!("{} out", out.bytes()));
                out.clear();
            }
            Step::Sleep(due) => now = due,
            Step::Read(piece) => {
                steps.push("read".to_owned());
                assert_eq!(piece.len(), 10);
                assert!(
                    matches!(chain.step(now, &mut out), Ok(Step::Read(_))),
                    "and again, if stepped early"
                );
                chain.supply(Bytes::from_static(b"0123456789"));
            }
            Step::NeedInput | Step::Done => break,
        }
    }
    assert_eq!(steps[..3], ["2 out", "2 out", "read"]);
}

#[test]
fn a_filter_that_holds_back_all_before_a_file_reads_on() {
    // Nothing came out of it, so the chain looked no further, and asked for input that had been given.
    let mut chain = Chain::new().then(Replace::new("ab", "c").unwrap());
    chain.input().extend([data("a"), Bucket::File(slice(1)), Bucket::Eos]);
    read(&mut chain, Instant::ZERO);
    chain.supply(Bytes::from_static(b"b"));
    assert_eq!(output(&mut chain, Instant::ZERO), "c");
}

#[test]
fn a_read_of_nothing_is_an_error_and_no_spin() {
    let mut chain = Chain::new().then(Replace::new("x", "y").unwrap());
    let mut out = Brigade::new();
    chain.input().extend([Bucket::File(slice(10)), Bucket::Eos]);
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Read(_))));
    chain.supply(Bytes::from_static(b"01234"));
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)), "what is out comes first");
    out.clear();
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Read(rest)) if rest.offset() == 5));
    chain.supply(Bytes::new());
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
    assert!(matches!(out.pop(), Some(Bucket::Error(_))) && out.is_empty());
}

#[test]
fn more_bytes_than_were_asked_for_are_cut_off() {
    let mut chain = Chain::new().then(Replace::new("x", "y").unwrap());
    chain.input().extend([Bucket::File(slice(4)), Bucket::Eos]);
    read(&mut chain, Instant::ZERO);
    chain.supply(Bytes::from_static(b"0123456789"));
    assert_eq!(output(&mut chain, Instant::ZERO), "0123");
}

#[test]
fn nothing_comes_behind_an_error_in_the_middle() {
    let counts = Counts::default();
    let mut chain =
        Chain::new().then(Count::new(counts.clone())).then(Replace::new("x", "y").unwrap()).then(paced(10));
    let mut out = Brigade::new();
    chain.input().extend([Bucket::File(slice(1 << 20)), Bucket::Flush, Bucket::Eos]);
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Read(_))));
    chain.supply(failed());
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
    assert!(matches!(out.pop(), Some(Bucket::Error(_))) && out.is_empty());
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Done)));
    assert!(counts.bytes() <= 64 * 1024 && counts.ended() == 0);
}

#[test]
fn bytes_before_an_error_go_out_at_their_pace() {
    let mut chain = Chain::new().then(paced(10));
    let mut out = Brigade::new();
    chain.input().extend([data("abc"), failed()]);
    assert_eq!(output(&mut chain, Instant::ZERO), "ab");
    assert_eq!(sleep(&mut chain, Instant::ZERO), Instant::from_millis(200));
    assert!(matches!(chain.step(Instant::from_millis(200), &mut out), Ok(Step::Output)));
    assert_eq!((out.to_bytes(), out.is_closed(), out.ends()), (Bytes::from_static(b"c"), true, false));
}

#[test]
fn a_filter_that_ends_the_stream_early_ends_the_asking_too() {
    let first = by(|_, input, output| {
        if input.bytes() > 0 && output.room() > 0 {
            output.extend(input.pop());
            output.push(Bucket::Eos);
        }
        Verdict::after(output)
    });
    let mut chain = Chain::new().then(one_a_second()).then(first).then(paced(10));
    chain.input().extend([data("1234567"), data("more"), data("and more")]);
    output(&mut chain, Instant::ZERO);
    assert!(!chain.wants_input() && chain.input().is_empty(), "nobody will see it");
    // The sleeper before the end is not waited for.
    assert_eq!(sleep(&mut chain, Instant::ZERO), Instant::from_millis(200));
}

#[test]
fn an_output_without_room_is_the_drivers_to_empty() {
    let mut chain = Chain::new().then(Count::new(Counts::default()));
    let mut out = Brigade::with_budget(0);
    chain.input().push(data("a"));
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
}

#[test]
fn a_filter_that_asks_for_no_bytes_gets_one() {
    struct Modest;
    impl Filter for Modest {
        fn filter(
            &mut self,
            _: Instant,
            input: &mut Brigade,
            output: &mut Brigade,
        ) -> Result<Verdict, FilterError> {
            Ok(pass(input, output))
        }
        fn lookahead(&self) -> u64 {
            0
        }
    }
    let mut chain = Chain::new().then(Count::new(Counts::default())).then(Modest);
    let mut out = Brigade::new();
    assert!(chain.wants_input());
    chain.input().extend([data("abc"), Bucket::Eos]);
    while !chain.is_finished() {
        assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
    }
    assert_eq!(out.to_bytes(), "abc");
}

#[test]
fn a_filter_is_not_blamed_for_bytes_that_the_driver_pushed() {
    let mut chain = Chain::new().then(Count::new(Counts::default()));
    let mut out = Brigade::with_budget(1);
    out.extend([data("a"), data("b")]);
    chain.input().push(Bucket::Flush);
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
    assert_eq!(out.len(), 3);
}

proptest! {
    #[test]
    fn files_and_memory_pass_a_reading_filter_alike(
        pieces in prop::collection::vec((0usize..4, prop::collection::vec(b'a'..=b'c', 1..3000)), 1..12),
        room in prop_oneof![Just(1u64), 1u64..65_536],
        short in 1usize..5000,
    ) {
        let content: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.clone()).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let file = Arc::new(file);
        let mut at = 0;
        let mut flushes = 0;
        let counts = Counts::default();
        let mut chain = Chain::new()
            .then(Count::new(counts.clone()))
            .then(Replace::new("abc", "").unwrap())
            .then(Count::new(counts.clone()))
            .then(Replace::new("b", "abab").unwrap());
        for (kind, piece) in &pieces {
            let len = piece.len() as u64;
            chain.input().push(match kind {
                0 => Bucket::Data(piece.clone().into()),
                _ => Bucket::File(FileSlice::new(Arc::clone(&file), at, len)),
            });
            if *kind == 1 {
                flushes += 1;
                chain.input().push(Bucket::Flush);
            }
            at += len;
        }
        chain.input().push(Bucket::Eos);
        let mut all = Brigade::new();
        let mut out = Brigade::with_budget(room);
        loop {
            match chain.step(Instant::ZERO, &mut out).unwrap() {
                Step::Output => while let Some(bucket) = out.pop() {
                    all.push(bucket);
                },
                Step::Read(slice) => {
                    let mut bytes = vec![0; short.min(slice.len() as usize)];
                    file.read_exact_at(&mut bytes, slice.offset()).unwrap();
                    chain.supply(Bytes::from(bytes));
                }
                Step::Done => break,
                step => prop_assert!(false, "{:?}", step),
            }
        }
        let plain = String::from_utf8(content.clone()).unwrap();
        let expected = plain.replace("abc", "").replace('b', "abab");
        prop_assert_eq!(all.to_bytes(), expected);
        prop_assert_eq!(all.iter().filter(|bucket| matches!(bucket, Bucket::Flush)).count(), flushes);
        prop_assert_eq!(counts.ended(), 2);
    }
}
