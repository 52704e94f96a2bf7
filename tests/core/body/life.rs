//! How a body begins, waits, fails and is dropped.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::io::AsyncRead;
use http::HeaderMap;
use http_body::Body;
use sluicegate::brigade::{Brigade, Bucket, FileSlice, MAX_PIECE};
use sluicegate::clock::Instant;
use sluicegate::filter::{Chain, Filter, FilterError, RateFilter, Verdict};
use sluicegate::generator::ReadGenerator;

use super::fixture::{Reading, Timed, broken, clock, data, limit, page, page_of};
use testkit::filters::by_result;
use testkit::wire::GUIDE;

/// A reader in whose every read one would wait for ever. Tells when it is dropped.
struct Silent(#[allow(dead_code)] Arc<()>);

impl AsyncRead for Silent {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

#[test]
fn dropped_in_mid_sleep_it_leaves_no_sleeper() {
    let clock = clock();
    let mut reading = Reading::new(&clock, &limit(GUIDE), page(100_000));
    assert_eq!(reading.take().0, 12_288);
    assert_eq!(clock.sleepers(), 1);
    drop(reading);
    assert_eq!(clock.sleepers(), 0);
}

#[test]
fn dropped_while_it_waits_for_its_source_it_drops_the_source_and_leaves_no_sleeper() {
    let clock = clock();
    let held = Arc::new(());
    let source = ReadGenerator::new(Silent(Arc::clone(&held)));
    let mut reading = Reading::new(&clock, &limit(GUIDE), source);
    assert!(reading.poll().is_pending());
    assert_eq!((clock.sleepers(), Arc::strong_count(&held)), (0, 2), "a silent source is no timer");
    drop(reading);
    assert_eq!((clock.sleepers(), Arc::strong_count(&held)), (0, 1));
}

#[test]
fn dropped_between_pieces_of_a_file_it_closes_the_file() {
    let clock = clock();
    let file = tempfile::tempfile().unwrap();
    file.set_len(1_000_000).unwrap();
    let file = Arc::new(file);
    let slice = FileSlice::new(Arc::clone(&file), 0, 1_000_000);
    let page: Brigade = [Bucket::File(slice), Bucket::Eos].into_iter().collect();
    // Chunks of 200 000 bytes are several pieces: after one of them the next is at hand.
    let mut reading = Reading::new(&clock, &limit(1_000_000), page);
    match reading.poll() {
        Poll::Ready(frame) => {
            assert_eq!(frame.unwrap().unwrap().into_data().unwrap().len() as u64, MAX_PIECE)
        }
        // In the middle of a read, where the file system has no other way.
        Poll::Pending => {}
    }
    drop(reading);
    assert_eq!(clock.sleepers(), 0);
    // A thread of the pool may be in the middle of its read.
    testkit::wait::until("the file to be closed", || Arc::strong_count(&file) == 1);
}

#[test]
fn a_body_that_sleeps_is_woken_once_for_each_chunk_and_by_nothing_else() {
    let clock = clock();
    let mut reading = Reading::new(&clock, &limit(GUIDE), page(10 * 12_288));
    let (mut polls, mut came) = (0, 0);
    while came < 10 * 12_288 {
        let woken = reading.task.woken();
        came += reading.take().0;
        polls += 1;
        assert_eq!(reading.task.woken(), woken, "polling wakes nobody");
        clock.advance_to_next();
    }
    assert_eq!((polls, reading.task.woken()), (10, 9));
}

#[test]
fn nothing_is_taken_from_the_source_before_the_chain_wants_it() {
    let clock = clock();
    let source = Timed::new(&clock, [(0, data(10_000_000)), (0, Bucket::Eos)]);
    let given = Arc::clone(&source.given);
    let mut reading = Reading::new(&clock, &limit(GUIDE), source);
    for chunk in 1..=20 {
        assert_eq!(reading.take().0, 12_288);
        let lookahead = 12_288 + 2;
        assert_eq!(given.load(Ordering::SeqCst), chunk * 12_288 + lookahead, "and no more than that");
        clock.advance_to_next();
    }
}

#[test]
fn a_failed_source_ends_the_body_behind_its_bytes_and_nothing_follows() {
    let clock = clock();
    let source = Timed::new(&clock, [(0, data(30_000)), (0, broken())]);
    let mut reading = Reading::new(&clock, &limit(GUIDE), source);
    assert_eq!(reading.take().0, 12_288);
    clock.advance_to_next();
    assert_eq!((reading.millis(), reading.take().0), (200, 12_288));
    assert!(!reading.body.is_end_stream(), "a failure is no end that could be told beforehand");
    clock.advance_to_next();
    let (rest, end) = reading.take();
    let error = end.unwrap().unwrap_err();
    assert_eq!((reading.millis(), rest, error.to_string().as_str()), (400, 5_424, "the script says so"));
    assert!(error.is_source() && reading.body.is_end_stream());
    assert!(matches!(reading.poll(), Poll::Ready(None)));
    assert_eq!(clock.sleepers(), 0);
}

#[test]
fn a_source_that_fails_before_its_first_byte_gives_the_error_alone() {
    let clock = clock();
    let mut reading = Reading::new(&clock, &limit(1), Timed::new(&clock, [(0, broken())]));
    let (bytes, end) = reading.take();
    assert_eq!(bytes, 0);
    assert!(end.unwrap().unwrap_err().is_source());
}

#[test]
fn a_failed_filter_is_told_from_a_failed_source() {
    let fails = by_result(|_, _, _| Err(FilterError::Failed("no such luck".into())));
    let chain = Chain::new().then(fails).then(RateFilter::new(limit(GUIDE)));
    let mut reading = Reading::through(&clock(), chain, page(5));
    let error = reading.take().1.unwrap().unwrap_err();
    assert!(!error.is_source());
    assert_eq!(error.to_string(), "no such luck");
    assert!(matches!(reading.poll(), Poll::Ready(None)));
}

#[test]
fn a_file_that_ended_early_is_an_error_behind_its_bytes() {
    let clock = clock();
    let file = tempfile::tempfile().unwrap();
    file.set_len(20_000).unwrap();
    let slice = FileSlice::new(Arc::new(file), 0, 38_400);
    let page: Brigade = [Bucket::File(slice), Bucket::Eos].into_iter().collect();
    let mut reading = Reading::new(&clock, &limit(GUIDE), page);
    let mut came = 0;
    let error = loop {
        let (bytes, end) = reading.take();
        came += bytes;
        match end {
            Some(end) => break end.unwrap_err(),
            None if reading.task.take_wake() => {}
            None if clock.sleepers() == 0 => reading.task.wait(),
            None => drop(clock.advance_to_next()),
        }
    };
    assert!(error.is_source(), "{error}");
    assert_eq!((came, clock.sleepers()), (20_000, 0));
}

/// What HTTP framing asks to put the end behind the last bytes without another frame.
#[test]
fn the_end_is_known_with_the_last_bytes_if_it_is_at_hand() {
    let clock = clock();
    let mut reading = Reading::new(&clock, &limit(GUIDE), page(15_000));
    let mut seen = Vec::new();
    loop {
        assert!(!reading.body.is_end_stream(), "bytes are to come: {seen:?}");
        match reading.poll() {
            Poll::Ready(frame) => seen.push(frame.unwrap().unwrap().into_data().unwrap().len()),
            Poll::Pending => drop(clock.advance_to_next()),
        }
        if reading.body.is_end_stream() {
            break;
        }
    }
    assert_eq!(seen.iter().sum::<usize>(), 15_000);
    assert!(matches!(reading.poll(), Poll::Ready(None)) && reading.body.is_end_stream());

    let trailers = Bucket::Trailers(Box::new(HeaderMap::new()));
    let page: Brigade = [data(5), trailers, Bucket::Eos].into_iter().collect();
    let mut reading = Reading::new(&clock, &limit(GUIDE), page);
    assert!(matches!(reading.poll(), Poll::Ready(Some(Ok(frame))) if frame.is_data()));
    assert!(!reading.body.is_end_stream(), "trailers are to come");
    assert!(matches!(reading.poll(), Poll::Ready(Some(Ok(frame))) if frame.is_trailers()));
    assert!(reading.body.is_end_stream());
}

#[test]
fn an_empty_body_ends_at_once() {
    let clock = clock();
    let mut reading = Reading::new(&clock, &limit(1), Brigade::new());
    assert!(matches!(reading.poll(), Poll::Ready(None)));
    assert!(reading.body.is_end_stream());
    assert_eq!((clock.sleepers(), reading.task.woken()), (0, 0));
}

/// Notes how many bytes it was given, and puts out one in a hundred, as a coder may.
struct Coder(Arc<AtomicU64>);

impl Filter for Coder {
    fn filter(&mut self, _: Instant, input: &mut Brigade, out: &mut Brigade) -> Result<Verdict, FilterError> {
        while out.room() > 0
            && let Some(bucket) = input.pop()
        {
            self.0.fetch_add(bucket.len(), Ordering::Relaxed);
            out.push(match bucket {
                Bucket::Data(bytes) => Bucket::Data(bytes.slice(..bytes.len() / 100)),
                mark => mark,
            });
        }
        Ok(Verdict::after(out))
    }

    fn max_held(&self) -> u64 {
        1
    }
}

#[test]
fn in_one_poll_a_coder_is_given_one_piece_and_others_have_their_turn() {
    const PIECE: usize = 16 * 1024;
    let clock = clock();
    let file = tempfile::tempfile().unwrap();
    file.set_len(10 * PIECE as u64).unwrap();
    let memory: Brigade = (0..10).map(|_| data(PIECE)).chain([Bucket::Eos]).collect();
    for (page, is_memory) in [(memory, true), (page_of(file), false)] {
        let given = Arc::new(AtomicU64::new(0));
        let chain = Chain::new().then(Coder(Arc::clone(&given))).then(RateFilter::new(limit(0)));
        let mut reading = Reading::through(&clock, chain, page);
        let (mut turns, mut before, mut came) = (0, 0, 0);
        loop {
            let polled = reading.poll();
            let given = given.load(Ordering::Relaxed);
            assert!(given - before <= PIECE as u64, "{} bytes in one turn", given - before);
            match polled {
                Poll::Ready(None) => break,
                Poll::Ready(Some(frame)) => came += frame.unwrap().data_ref().map_or(0, |data| data.len()),
                Poll::Pending => {
                    // By itself, or by the thread that reads the file.
                    reading.task.wait();
                    reading.task.take_wake();
                    assert!(!is_memory || reading.body.held().is_none(), "it waits for nothing");
                    (turns, before) = (turns + 1, given);
                }
            }
        }
        assert_eq!((came, clock.sleepers(), given.load(Ordering::Relaxed)), (1_630, 0, 163_840));
        assert!(turns >= 9, "{turns}");
        assert_eq!(reading.body.waits().pace, Duration::ZERO);
    }
}

#[test]
fn of_many_coders_few_are_given_something_before_another_task_has_its_turn() {
    const PIECE: usize = 16 * 1024;
    const CODERS: usize = 160;
    let clock = clock();
    let given = Arc::new(AtomicU64::new(0));
    let coder = |_| {
        let page: Brigade = (0..10).map(|_| data(PIECE)).chain([Bucket::Eos]).collect();
        Reading::through(&clock, Chain::new().then(Coder(Arc::clone(&given))), page)
    };
    let mut coders: Vec<Reading<Brigade>> = (0..CODERS).map(coder).collect();
    // An executor that polls all its tasks in turn.
    let (mut rounds, mut most) = (0, 0);
    while !coders.is_empty() {
        let before = given.load(Ordering::Relaxed);
        coders.retain_mut(|coder| {
            loop {
                match coder.poll() {
                    Poll::Ready(None) => return false,
                    Poll::Ready(Some(frame)) => drop(frame.unwrap()),
                    Poll::Pending => break,
                }
            }
            assert!(coder.task.take_wake(), "it goes on by itself");
            true
        });
        rounds += 1;
        if rounds > 10 {
            most = most.max((given.load(Ordering::Relaxed) - before) / PIECE as u64);
        }
    }
    assert_eq!(given.load(Ordering::Relaxed), (CODERS * 10 * PIECE) as u64);
    assert!(most <= 40, "{most} coders between two turns of another task");
}
