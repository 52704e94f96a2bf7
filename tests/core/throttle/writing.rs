//! Writing at a pace: turns, what goes back of them, and what passes through.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_lite::io::AsyncWrite;
use sluicegate::clock::Clock;
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::{Report, Throttle};

use super::scene::{CleanClock, Script, Step, Task, content, node, ready};

#[test]
fn bytes_go_down_as_their_turns_come() {
    let (clock, node) = node(10_000);
    let (task, mut writer) = (Task::default(), Throttle::new(Script::default(), &node));
    let (bytes, mut written, mut timeline) = (content(0..7_000), 0, Vec::new());
    while written < bytes.len() {
        match task.write(&mut writer, &bytes[written..]) {
            Poll::Pending => drop(clock.0.advance_to_next()),
            Poll::Ready(wrote) => {
                written += wrote.unwrap();
                timeline.push((clock.millis(), written));
            }
        }
    }
    assert_eq!(timeline, [(0, 2_000), (200, 4_000), (400, 6_000), (500, 7_000)]);
    let expected = Report { bytes: 7_000, waits: 3, waited: Duration::from_millis(500), rate: 7_000 };
    assert_eq!((writer.writes().report(), writer.reads().report()), (expected, Report::default()));
    assert!(writer.into_inner().taken == bytes);
}

#[test]
fn a_writer_that_would_block_leaves_its_turn_to_others() {
    let (clock, node) = node(10_000);
    let (task, mut full) = (Task::default(), Throttle::new(Script::of([Step::Block]), &node));
    let mut other = Throttle::new(Script::default(), &node);
    assert!(task.write(&mut full, &content(0..2_000)).is_pending());
    assert_eq!((full.held(), clock.0.sleepers()), (None, 0), "it waits for the socket, not in line");
    assert_eq!(ready(task.write(&mut other, &content(0..2_000))), 2_000, "all there is");
    assert!(task.write(&mut full, &content(0..2_000)).is_pending());
    assert_eq!(full.held().unwrap().by.as_ref(), "server");
    assert!(full.get_ref().taken.is_empty());
    assert_eq!(node.passed().bytes, 2_000);
}

#[test]
fn bytes_that_were_not_taken_or_failed_cost_nothing() {
    let (_clock, node) = node(10_000);
    let (task, script) = (Task::default(), Script::of([Step::Move(300), Step::Fail, Step::Move(0)]));
    let mut writer = Throttle::new(script, &node);
    assert_eq!(ready(task.write(&mut writer, &content(0..2_000))), 300);
    let Poll::Ready(Err(error)) = task.write(&mut writer, &content(0..1_700)) else { panic!("it waits") };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(ready(task.write(&mut writer, &content(0..1_700))), 0);
    assert_eq!(
        ready(task.write(&mut writer, &content(300..2_000))),
        1_700,
        "all of the interval is still there"
    );
    assert_eq!((node.passed().bytes, writer.writes().report().bytes), (2_000, 2_000));
    assert!(writer.get_ref().taken == content(0..2_000));
}

#[test]
fn slices_are_cut_where_the_turn_ends() {
    let (clock, node) = node(10_000);
    let (task, mut writer) = (Task::default(), Throttle::new(Script::default(), &node));
    let bytes = content(0..3_000);
    let slices = [&bytes[..500], &[], &bytes[500..1_900], &bytes[1_900..]].map(IoSlice::new);
    let wrote = task.poll(|cx| Pin::new(&mut writer).poll_write_vectored(cx, &slices));
    assert_eq!(ready(wrote), 2_000);
    assert!(writer.get_ref().taken == bytes[..2_000]);
    assert_eq!(writer.get_ref().slices, [3], "in one write");
    let rest = [IoSlice::new(&bytes[2_000..])];
    assert!(task.poll(|cx| Pin::new(&mut writer).poll_write_vectored(cx, &rest)).is_pending());
    clock.0.advance_to_next();
    assert_eq!(ready(task.poll(|cx| Pin::new(&mut writer).poll_write_vectored(cx, &rest))), 1_000);
    assert!(writer.get_ref().taken == bytes);
    let nothing = [IoSlice::new(&[])];
    assert_eq!(ready(task.poll(|cx| Pin::new(&mut writer).poll_write_vectored(cx, &nothing))), 0);
}

#[test]
fn flush_close_and_writes_of_nothing_pass_also_while_bytes_wait() {
    let (clock, node) = node(10_000);
    let (task, mut writer) = (Task::default(), Throttle::new(Script::default(), &node));
    assert_eq!(ready(task.write(&mut writer, &content(0..2_000))), 2_000);
    assert!(task.write(&mut writer, b"more").is_pending());
    assert_eq!(ready(task.write(&mut writer, b"")), 0);
    ready(task.poll(|cx| Pin::new(&mut writer).poll_flush(cx)));
    ready(task.poll(|cx| Pin::new(&mut writer).poll_close(cx)));
    assert!(writer.get_ref().flushed == 1 && writer.get_ref().closed);
    assert_eq!(clock.0.sleepers(), 1, "and it still waits");
    drop(writer);
    assert_eq!((node.passed().bytes, node.children()), (2_000, 0));
}

#[test]
fn reading_and_writing_wait_apart_and_share_their_node_or_have_one_each() {
    let clock = CleanClock::default();
    let (upload, download) = (clock.node(10_000), clock.node(20_000));
    let task = Task::default();
    let mut both = Throttle::directional(Script::default(), &upload, &download);
    assert_eq!(ready(task.read(&mut both, 50_000)).len(), 2_000);
    assert_eq!(ready(task.write(&mut both, &content(0..50_000))), 4_000);
    assert_eq!((upload.passed().bytes, download.passed().bytes), (2_000, 4_000));
    assert_eq!((both.reads().report().bytes, both.writes().report().bytes), (2_000, 4_000));
    assert_eq!(both.read_node().budget(), upload.budget());
    assert_eq!(both.write_node().budget(), download.budget());

    let shared = clock.node(10_000);
    let mut one = Throttle::new(Script::default(), &shared);
    assert_eq!(ready(task.read(&mut one, 1_500)).len(), 1_500);
    assert_eq!(ready(task.write(&mut one, &content(0..500))), 500);
    let (reads, writes) = (Task::default(), Task::default());
    assert!(reads.read(&mut one, 1_000).is_pending());
    assert!(writes.write(&mut one, &content(0..1_000)).is_pending());
    clock.0.advance(Duration::from_millis(200));
    assert_eq!((reads.woken(), writes.woken()), (1, 1), "each its own task");
    assert_eq!(ready(reads.read(&mut one, 1_000)).len(), 1_000);
    assert_eq!(ready(writes.write(&mut one, &content(0..1_000))), 1_000);
}

#[test]
fn a_turn_that_came_for_more_than_is_wanted_now_goes_back() {
    let (clock, node) = node(10_000);
    let (task, mut writer) = (Task::default(), Throttle::new(Script::default(), &node));
    assert_eq!(ready(task.write(&mut writer, &content(0..2_000))), 2_000);
    assert!(task.write(&mut writer, &content(0..2_000)).is_pending());
    clock.0.advance_to_next();
    assert_eq!(ready(task.write(&mut writer, b"x")), 1);
    assert_eq!((clock.millis(), node.passed().bytes), (200, 2_001));
    let mut other = Throttle::new(Script::default(), &node);
    assert_eq!(ready(task.write(&mut other, &content(0..1_999))), 1_999);
}

#[test]
fn a_limit_that_is_set_while_bytes_run_holds_from_then_on() {
    let (_clock, node) = node(1);
    node.set(Budget::default());
    let (task, mut writer) = (Task::default(), Throttle::new(Script::default(), &node));
    assert_eq!(ready(task.write(&mut writer, &content(0..1 << 20))), 1 << 20);
    node.set(Budget::of(Rate::or_unlimited(10_000)));
    assert_eq!(ready(task.write(&mut writer, &content(0..1 << 20))), 2_000);
    assert!(task.write(&mut writer, &content(0..1 << 20)).is_pending());
}

#[test]
fn a_writer_that_lies_is_an_error() {
    struct Liar;
    impl AsyncWrite for Liar {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len() + 1))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let clock = CleanClock::default();
    let mut writer = Throttle::new(Liar, &clock.node(10_000));
    assert!(matches!(Task::default().write(&mut writer, b"abc"), Poll::Ready(Err(_))));
    assert_eq!(clock.0.now().as_nanos(), 0);
}
