//! Blocking code: the wait parks its thread, on whatever clock.

use std::io::{Cursor, IoSlice, Read, Write};
use std::thread;

use sluicegate::budget::Node;
use sluicegate::clock::{Clock, Instant};
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::{Report, Throttle};

use super::scene::{CleanClock, content};

/// Runs `work` on a thread, and moves the clock on whenever that waits.
pub fn run<T: Send + 'static>(clock: &CleanClock, work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::spawn(work);
    while !thread.is_finished() {
        if clock.0.advance_to_next().is_none() {
            thread::yield_now();
        }
    }
    thread.join().unwrap()
}

fn download(clock: &CleanClock) -> Node {
    Node::root("download", Budget::of(Rate::or_unlimited(102_400)).with_burst(102_400), clock.0.clone())
}

#[test]
fn two_hundred_kib_are_read_in_exactly_a_second() {
    let clock = CleanClock::default();
    let mut reader = Throttle::new(Cursor::new(content(0..204_800)), &download(&clock));
    let (all, mut reader) = run(&clock, move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        (all, reader)
    });
    assert!(all == content(0..204_800));
    assert_eq!(clock.0.now(), Instant::from_millis(1_000));
    assert_eq!(reader.reads().report().waited, clock.0.now() - Instant::ZERO);
    assert!(reader.buffer().is_empty());
}

#[test]
fn and_written_so_too() {
    let clock = CleanClock::default();
    let mut writer = Throttle::new(Vec::new(), &download(&clock));
    let writer = run(&clock, move || {
        writer.write_all(&content(0..100_000)).unwrap();
        let rest = content(100_000..204_800);
        let (mut left, mut right) = rest.split_at(2_800);
        while !left.is_empty() || !right.is_empty() {
            let wrote = writer.write_vectored(&[left, right].map(IoSlice::new)).unwrap();
            let of_left = wrote.min(left.len());
            (left, right) = (&left[of_left..], &right[wrote - of_left..]);
        }
        writer.flush().unwrap();
        writer
    });
    assert_eq!(clock.0.now(), Instant::from_millis(1_000));
    assert_eq!(writer.writes().report().bytes, 204_800);
    assert!(writer.into_inner() == content(0..204_800));
}

#[test]
fn calls_that_need_not_wait_return_at_once() {
    let clock = CleanClock::default();
    let mut io = Throttle::new(Cursor::new(b"hello".to_vec()), &download(&clock));
    let mut text = String::new();
    io.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), io.read(&mut [0; 10]).unwrap()), ("hello", 0));
    assert_eq!((io.write(b"").unwrap(), io.write(b" there").unwrap()), (0, 6));
    let (reads, writes) = (io.reads().report(), io.writes().report());
    assert_eq!(reads, Report { bytes: 5, rate: 5, ..Report::default() });
    assert_eq!(writes, Report { bytes: 6, rate: 6, ..Report::default() });
    assert_eq!(io.into_inner().into_inner(), b"hello there");
}
