//! A source that tells how much is yet to come is asked when the chain wakes, and not before.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::brigade::{Brigade, Bucket};
use sluicegate::clock::ManualClock;
use sluicegate::generator::Generator;

use super::fixture::{MS, Reading, Timed, clock, data, limit};
use testkit::wire::{CHUNK, GUIDE};

/// What the rate filter has room for beyond a chunk.
const BEYOND: usize = 2;

/// Buckets by script, with or without telling how many bytes are left.
struct Told {
    source: Timed,
    left: u64,
    tells: bool,
}

impl Told {
    fn new(clock: &Arc<ManualClock>, coming: &[(u64, usize)], end: u64, tells: bool) -> Self {
        let left = coming.iter().map(|(_, len)| *len as u64).sum();
        let buckets = coming.iter().map(|&(at, len)| (at, data(len))).chain([(end, Bucket::Eos)]);
        Self { source: Timed::new(clock, buckets.collect::<Vec<_>>()), left, tells }
    }
}

impl Generator for Told {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        let before = brigade.bytes();
        let polled = self.source.poll_fill(cx, brigade);
        self.left -= brigade.bytes() - before;
        polled
    }

    fn min_remaining(&self) -> u64 {
        if self.tells { self.left } else { 0 }
    }
}

#[test]
fn a_body_that_sleeps_takes_no_chunk_before_its_time() {
    for (tells, ahead) in [(true, BEYOND), (false, CHUNK + BEYOND)] {
        let clock = clock();
        let source = Told::new(&clock, &[(0, 5 * CHUNK)], 0, tells);
        let given = Arc::clone(&source.source.given);
        let mut reading = Reading::new(&clock, &limit(GUIDE), source);
        for sent in 1..=3 {
            assert_eq!(reading.take().0, CHUNK as u64);
            assert_eq!(given.load(Ordering::SeqCst), sent * CHUNK + ahead, "{tells}");
            clock.advance_to_next();
        }
        // Less than a chunk and what there is room for is left: the end could be near, and is looked for.
        assert_eq!(reading.take().0, CHUNK as u64);
        assert_eq!(given.load(Ordering::SeqCst), 5 * CHUNK, "{tells}");
        clock.advance_to_next();
        assert!(matches!(reading.take(), (len, Some(Ok(()))) if len == CHUNK as u64));
        assert_eq!(clock.sleepers(), 0);
    }
}

// The bytes of a backend that had been late were read as soon as they came, and waited in memory for their time.
#[test]
fn what_comes_late_is_read_as_far_as_it_may_pass() {
    let half = CHUNK / 2;
    for (tells, ahead) in [(true, BEYOND), (false, CHUNK + BEYOND)] {
        let clock = clock();
        let source = Told::new(&clock, &[(0, half), (10, 5 * CHUNK)], 10, tells);
        let given = Arc::clone(&source.source.given);
        let mut reading = Reading::new(&clock, &limit(GUIDE), source);
        assert_eq!(reading.take().0, half as u64);
        assert_eq!(clock.advance_to_next().map(|at| at.as_nanos()), Some(10 * MS));
        // What is left of the first chunk, and what ten milliseconds have earned.
        let passed = CHUNK - half + GUIDE as usize / 100;
        assert_eq!(reading.take().0, passed as u64);
        assert_eq!(given.load(Ordering::SeqCst), half + passed + ahead, "{tells}");
        assert_eq!(reading.body.bytes_held(), ahead as u64, "{tells}");
    }
}

/// A source from which reading takes a millisecond.
struct Slow(Told, Arc<ManualClock>);

impl Generator for Slow {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        let polled = self.0.poll_fill(cx, brigade);
        self.1.advance(Duration::from_millis(1));
        polled
    }

    fn min_remaining(&self) -> u64 {
        self.0.min_remaining()
    }
}

// What time earned while a chunk was read covered the two bytes more as well: the body read on, some bytes at a time, and never
// slept.
#[test]
fn a_source_that_takes_time_is_read_for_one_chunk_and_sleeps() {
    let rate = 4 << 20;
    let chunk = rate / 5;
    for tells in [true, false] {
        let clock = clock();
        let source = Slow(Told::new(&clock, &[(0, 5 * chunk)], 0, tells), Arc::clone(&clock));
        let mut reading = Reading::new(&clock, &limit(rate as u64), source);
        // And what was earned in 13 ms or 14.
        let taken = reading.take().0 as usize;
        assert!((chunk..chunk + rate / 50).contains(&taken), "{tells}: {taken}");
        let next = clock.advance_to_next().unwrap().as_nanos() / MS;
        assert!((200..220).contains(&next), "{tells}: {next} ms");
    }
}

#[test]
fn the_rest_of_a_chunk_does_not_keep_its_read_buffer() {
    let whole = bytes::Bytes::from(vec![b'x'; CHUNK + BEYOND]);
    let mut brigade: Brigade = [Bucket::Data(whole.clone())].into_iter().collect();
    assert!(!whole.is_unique());
    drop(brigade.pop_within(CHUNK as u64));
    brigade.detach_front(1);
    assert!(!whole.is_unique(), "two bytes are more than one");
    brigade.detach_front(2);
    assert!(whole.is_unique() && brigade.to_bytes() == "xx");
}

proptest! {
    /// Whatever comes when: that the source is asked later changes nothing that leaves.
    #[test]
    fn the_timeline_is_the_same(
        rate in prop::sample::select(vec![7, 3_072, GUIDE, 64 * 1024, 1_000_003, 400_000]),
        coming in prop::collection::vec((0u64..700, 1usize..40_000), 1..12),
        end_after in 0u64..500,
    ) {
        let scale = if rate < 1_000 { 1_000 } else { 1 };
        let mut at = 0;
        let coming: Vec<_> = coming.into_iter().map(|(after, len)| {
            at += after;
            (at, len.div_ceil(scale))
        }).collect();
        let timeline = |tells| {
            let clock = clock();
            let source = Told::new(&clock, &coming, at + end_after, tells);
            let timeline = Reading::new(&clock, &limit(rate), source).timeline();
            assert_eq!(clock.sleepers(), 0);
            timeline
        };
        prop_assert_eq!(timeline(true), timeline(false));
    }
}
