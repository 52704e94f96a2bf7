//! Reading at a pace: when bytes are handed on, what waits in hand, what costs nothing.

use std::io;
use std::task::Poll;
use std::time::Duration;

use futures_lite::io::{AsyncRead, Cursor};
use sluicegate::budget::Node;
use sluicegate::clock::{Clock, Instant};
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::{MAX_AHEAD, Report, Throttle};

use super::scene::{CleanClock, Script, Step, Task, content, node, ready};

/// Reads to the end: the content, and the cumulative bytes at each instant.
fn drain(
    reader: &mut Throttle<impl AsyncRead + Unpin>,
    clock: &CleanClock,
    len: usize,
) -> (Vec<u8>, Vec<(Instant, usize)>) {
    let (task, mut all, mut timeline) = (Task::default(), Vec::new(), Vec::new());
    loop {
        match task.read(&mut *reader, len) {
            Poll::Pending => drop(clock.0.advance_to_next().expect("it waits for its turn")),
            Poll::Ready(bytes) => {
                let bytes = bytes.unwrap();
                if bytes.is_empty() {
                    return (all, timeline);
                }
                all.extend_from_slice(&bytes);
                match timeline.last_mut() {
                    Some((at, sum)) if *at == clock.0.now() => *sum = all.len(),
                    _ => timeline.push((clock.0.now(), all.len())),
                }
            }
        }
    }
}

#[test]
fn each_read_waits_for_just_the_bytes_it_returns() {
    let (clock, node) = node(10_000);
    let mut reader = Throttle::new(Script::ending(6_500), &node);
    let (all, timeline) = drain(&mut reader, &clock, 1_500);
    assert!(all == content(0..6_500));
    // Of the interval that is there at once 500 bytes are too few for the second read; they are not lost.
    let expected = [(0, 1_500), (100, 3_000), (250, 4_500), (400, 6_000), (450, 6_500)];
    assert_eq!(timeline, expected.map(|(millis, sum)| (Instant::from_millis(millis), sum)));
    assert_eq!(clock.0.now(), Instant::from_millis(450), "the end came with the last bytes");
    let expected = Report { bytes: 6_500, waits: 4, waited: Duration::from_millis(450), rate: 6_500 };
    assert_eq!(reader.reads().report(), expected);
    assert_eq!(node.passed().bytes, 6_500);
}

#[test]
fn two_hundred_kib_take_exactly_a_second_through_any_buffer() {
    for len in [7, 100, 4_096, 8_191, 8_192, 20_480, 65_536, 1 << 20] {
        let clock = CleanClock::default();
        let budget = Budget::of(Rate::or_unlimited(102_400)).with_burst(102_400);
        let node = Node::root("download", budget, clock.0.clone());
        let mut reader = Throttle::new(Cursor::new(content(0..204_800)), &node);
        let (all, timeline) = drain(&mut reader, &clock, len);
        assert!(all == content(0..204_800));
        // The burst, but for what is too little for one more read.
        let (at, sum) = timeline[0];
        assert!(at == Instant::ZERO && sum <= 102_400 && sum + len.min(20_480) > 102_400, "{timeline:?}");
        assert_eq!(clock.0.now(), Instant::from_millis(1_000), "{len} bytes at a time");
    }
}

#[test]
fn an_empty_reader_takes_no_turn_and_an_ended_or_failed_one_needs_none() {
    let (clock, node) = node(10_000);
    let task = Task::default();
    let mut idle = Throttle::new(Script::of([Step::Block, Step::Block]), &node);
    assert!(task.read(&mut idle, 100).is_pending());
    assert_eq!((node.children(), clock.0.sleepers()), (0, 0), "it stands nowhere");
    let mut busy = Throttle::new(Script::default(), &node);
    assert_eq!(ready(task.read(&mut busy, 5_000)).len(), 2_000, "all there is");
    assert!(task.read(&mut idle, 100).is_pending());
    assert_eq!(idle.held(), None);

    let mut ended = Throttle::new(Script::ending(0), &node);
    assert!(ready(task.read(&mut ended, 100)).is_empty());
    let mut failed = Throttle::new(Script::of([Step::Fail]), &node);
    let Poll::Ready(Err(error)) = task.read(&mut failed, 100) else { panic!("it waits") };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(node.passed().bytes, 2_000);
    assert_eq!(failed.reads().report(), Report::default());
}

#[test]
fn an_empty_buffer_is_filled_at_once_and_leaves_waiting_bytes() {
    let (clock, node) = node(10_000);
    let (task, mut reader) = (Task::default(), Throttle::new(Script::default(), &node));
    assert!(ready(task.read(&mut reader, 0)).is_empty());
    assert_eq!(ready(task.read(&mut reader, 2_000)).len(), 2_000);
    assert!(task.read(&mut reader, 1_000).is_pending());
    assert!(ready(task.read(&mut reader, 0)).is_empty());
    assert_eq!(reader.buffer(), content(2_000..3_000));
    clock.0.advance_to_next();
    assert_eq!(ready(task.read(&mut reader, 1_000)), content(2_000..3_000));
    assert_eq!(reader.reads().report().waits, 1, "the empty one ended no wait");
}

#[test]
fn another_buffer_than_that_which_waited_gets_the_bytes_in_order() {
    let (clock, node) = node(10_000);
    let (task, mut reader) = (Task::default(), Throttle::new(Script::default(), &node));
    assert_eq!(ready(task.read(&mut reader, 2_000)).len(), 2_000);
    assert!(task.read(&mut reader, 1_000).is_pending());
    clock.0.advance_to_next();
    assert_eq!(task.woken(), 1);
    assert_eq!(ready(task.read(&mut reader, 10)), content(2_000..2_010));
    assert_eq!(node.passed().bytes, 2_010, "the rest of the turn is there for others");
    assert_eq!(ready(task.read(&mut reader, 1 << 20)), content(2_010..3_000), "and was not taken meanwhile");
    assert!(reader.buffer().is_empty());
}

#[test]
fn no_more_than_its_bound_is_ever_in_hand_and_the_source_is_left_alone_meanwhile() {
    let (clock, node) = node(1);
    let (task, mut reader) = (Task::default(), Throttle::new(Script::default(), &node));
    assert_eq!(ready(task.read(&mut reader, 1 << 20)).len(), 1);
    for _ in 0..10 {
        assert!(task.read(&mut reader, 1 << 20).is_pending());
    }
    assert_eq!(reader.buffer().len(), MAX_AHEAD - 1);
    assert_eq!((reader.get_ref().given, reader.get_ref().most_asked), (MAX_AHEAD, MAX_AHEAD));
    assert_eq!(clock.0.sleepers(), 1);
}

#[test]
fn dropped_in_mid_wait_it_returns_its_reservation() {
    let (clock, node) = node(100_000);
    let (first_task, second_task) = (Task::default(), Task::default());
    let mut first = Throttle::new(Script::default(), &node);
    let mut second = Throttle::new(Script::default(), &node);
    assert_eq!(ready(first_task.read(&mut first, 20_000)).len(), 20_000);
    assert!(first_task.read(&mut first, 20_000).is_pending());
    assert!(second_task.read(&mut second, 20_000).is_pending());
    clock.0.advance(Duration::from_millis(100));
    assert_eq!((first_task.woken(), second_task.woken()), (1, 0), "half of an interval each");
    // Its turn came, and it does not come for it.
    drop(first);
    assert_eq!(second_task.woken(), 0, "what came back is half of what it wants now that it is alone");
    clock.0.advance(Duration::from_millis(100));
    assert_eq!(second_task.woken(), 1);
    assert_eq!(ready(second_task.read(&mut second, 20_000)).len(), 20_000);
    assert_eq!(node.passed().bytes, 40_000);
    assert!(second_task.read(&mut second, 20_000).is_pending());
    drop(second);
    assert_eq!((node.passed().bytes, node.children(), clock.0.sleepers()), (40_000, 0, 0));
}

#[test]
fn a_read_that_is_given_up_loses_nothing() {
    let (clock, node) = node(10_000);
    let mut reader = Throttle::new(Script::default(), &node);
    assert_eq!(ready(Task::default().read(&mut reader, 2_000)).len(), 2_000);
    // Each by a task of its own that never comes back.
    for _ in 0..5 {
        assert!(Task::default().read(&mut reader, 1_000).is_pending());
    }
    clock.0.advance(Duration::from_millis(100));
    assert_eq!(ready(Task::default().read(&mut reader, 1_000)), content(2_000..3_000));
}

#[test]
fn a_limit_is_changed_while_it_waits() {
    let (clock, node) = node(1);
    let (task, mut reader) = (Task::default(), Throttle::new(Script::default(), &node));
    let mut read = |len| task.read(&mut reader, len).map(|bytes| bytes.unwrap().len());
    assert_eq!(read(1_000), Poll::Ready(1));
    assert!(read(1_000).is_pending());
    node.set(Budget::of(Rate::or_unlimited(10_000)));
    clock.0.advance(Duration::from_millis(200));
    assert_eq!(task.woken(), 1, "raised");
    assert_eq!(read(1_000), Poll::Ready(999));
    assert!(read(50_000).is_pending());
    node.set(Budget::default());
    assert_eq!(task.woken(), 2, "and off");
    assert_eq!(read(50_000), Poll::Ready(50_000));
    assert_eq!(read(50_000), Poll::Ready(50_000));
    assert_eq!(node.children(), 0, "without a limit it stands in no line");
    node.set(Budget::of(Rate::or_unlimited(10_000)));
    assert_eq!(read(50_000), Poll::Ready(2_000), "and on again");
    assert!(read(50_000).is_pending());
    assert_eq!(reader.read_node().budget().rate, Rate::or_unlimited(10_000));
    assert_eq!(reader.reads().report().bytes, 103_000, "counted with and without a limit");
}

#[test]
fn it_reports_its_binding_limit_and_its_pace() {
    let (clock, server) = node(1_000_000);
    let own = server.child("download", Budget::of(Rate::or_unlimited(10_000)));
    let (task, mut reader) = (Task::default(), Throttle::new(Script::default(), &own));
    let meter = reader.reads().clone();
    assert_eq!(ready(task.read(&mut reader, 2_000)).len(), 2_000);
    assert_eq!((reader.held(), meter.report().rate), (None, 2_000));
    assert!(task.read(&mut reader, 2_000).is_pending());
    let held = reader.held().unwrap();
    assert_eq!((held.by.as_str(), held.until), ("download", Some(Instant::from_millis(200))));
    for _ in 0..10 {
        clock.0.advance_to_next();
        assert_eq!(ready(task.read(&mut reader, 2_000)).len(), 2_000);
        assert!(task.read(&mut reader, 2_000).is_pending());
    }
    let expected = Report { bytes: 22_000, waits: 11, waited: Duration::from_secs(2), rate: 10_000 };
    assert_eq!(meter.report(), expected);
    server.set(Budget::of(Rate::or_unlimited(100)));
    clock.0.set(Instant::from_millis(2_999));
    assert_eq!(meter.report().rate, 2_000, "the last chunk is not a second ago");
    clock.0.set(Instant::from_millis(3_000));
    assert_eq!(meter.report().rate, 0);
}

#[test]
fn the_wrapped_value_can_be_borrowed_and_taken_out() {
    let (_clock, node) = node(10_000);
    let mut reader = Throttle::new(Script::ending(5), &node);
    reader.get_mut().end = Some(7);
    assert_eq!(ready(Task::default().read(&mut reader, 100)), content(0..7));
    assert_eq!(std::pin::Pin::new(&mut reader).get_pin_mut().given, 7);
    assert_eq!(reader.into_inner().given, 7);
}

#[test]
fn a_reader_that_lies_is_an_error() {
    struct Liar;
    impl AsyncRead for Liar {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len() + 1))
        }
    }
    let clock = CleanClock::default();
    let mut reader = Throttle::new(Liar, &clock.node(10_000));
    assert!(matches!(Task::default().read(&mut reader, 10), Poll::Ready(Err(_))));
}
