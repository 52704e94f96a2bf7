//! Streams and sinks of bytes at a pace.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_lite::{Stream, stream};
use futures_sink::Sink;
use sluicegate::throttle::{ByteItem, PacedStream};

use super::scene::{CleanClock, Task, content, node};

/// Reads a stream to its end: each item with the instant at which it came.
fn drain<S>(stream: S, clock: &CleanClock) -> Vec<(u64, Result<Bytes, S::Item>)>
where
    S: Stream + Unpin,
    S::Item: ByteItem,
{
    let (mut stream, task, mut all) = (stream, Task::default(), Vec::new());
    loop {
        match task.poll(|cx| Pin::new(&mut stream).poll_next(cx)) {
            Poll::Pending => drop(clock.0.advance_to_next().expect("it waits for its turn")),
            Poll::Ready(None) => return all,
            Poll::Ready(Some(item)) => all.push((clock.millis(), item.into_bytes())),
        }
    }
}

fn bytes(range: std::ops::Range<usize>) -> Bytes {
    content(range).into()
}

#[test]
fn items_pass_in_pieces_when_their_turn_is_and_empty_ones_and_errors_at_once() {
    let (clock, node) = node(10_000);
    let items = [Ok(bytes(0..5_000)), Ok(Bytes::new()), Err("broken"), Ok(bytes(5_000..5_100))];
    let mut paced = PacedStream::new(stream::iter(items), &node);
    assert_eq!(paced.size_hint(), (4, None));
    let first = Task::default().poll(|cx| Pin::new(&mut paced).poll_next(cx));
    assert_eq!(first, Poll::Ready(Some(Ok(bytes(0..2_000)))));
    assert_eq!(paced.size_hint(), (4, None), "the rest of the first, and three");
    let meter = paced.reads().clone();
    assert_eq!(
        drain(paced, &clock),
        [
            (200, Ok(bytes(2_000..4_000))),
            (300, Ok(bytes(4_000..5_000))),
            (300, Ok(Bytes::new())),
            (300, Err(Err("broken"))),
            (310, Ok(bytes(5_000..5_100))),
        ]
    );
    assert_eq!(meter.report().bytes, 5_100);
    assert_eq!(node.passed().bytes, 5_100);
}

#[test]
fn plain_bytes_share_a_limit_and_are_not_copied() {
    let (clock, node) = node(10_000);
    let (one, two) = (bytes(0..2_000), bytes(0..1_000));
    let address = one.as_ptr();
    let mut first = PacedStream::new(stream::iter([one]), &node);
    let second = PacedStream::new(stream::iter([two.clone()]), &node);
    let Poll::Ready(Some(piece)) = Task::default().poll(|cx| Pin::new(&mut first).poll_next(cx)) else {
        panic!("a burst is there");
    };
    assert_eq!((piece.len(), piece.as_ptr()), (2_000, address));
    assert_eq!(drain(second, &clock), [(100, Ok(two))]);
}

/// A sink that takes an item when it is told to.
#[derive(Default)]
struct Taker {
    is_full: bool,
    taken: VecDeque<Bytes>,
    flushed: usize,
    closed: bool,
}

impl Sink<Bytes> for Taker {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_full { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn start_send(mut self: Pin<&mut Self>, item: Bytes) -> io::Result<()> {
        assert!(!self.is_full, "poll_ready first");
        self.taken.push_back(item);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_sink_is_given_pieces_in_their_turn_and_a_full_one_holds_no_turn() {
    let (clock, node) = node(10_000);
    let (task, mut paced) = (Task::default(), PacedStream::new(Taker::default(), &node));
    assert!(task.poll(|cx| Pin::new(&mut paced).poll_ready(cx)).is_ready());
    Pin::new(&mut paced).start_send(bytes(0..3_000)).unwrap();
    assert!(paced.get_ref().taken.is_empty(), "it passes when it is polled");
    paced.get_mut().is_full = true;
    assert!(task.poll(|cx| Pin::new(&mut paced).poll_ready(cx)).is_pending());
    assert_eq!(node.passed().bytes, 0);
    paced.get_mut().is_full = false;
    assert!(task.poll(|cx| Pin::new(&mut paced).poll_ready(cx)).is_pending());
    assert_eq!(paced.get_ref().taken, [bytes(0..2_000)]);
    clock.0.advance_to_next();
    assert_eq!((task.woken(), clock.millis()), (1, 100));
    assert!(task.poll(|cx| Pin::new(&mut paced).poll_flush(cx)).is_ready());
    assert_eq!((paced.get_ref().taken[1].len(), paced.get_ref().flushed), (1_000, 1));
    Pin::new(&mut paced).start_send(bytes(0..100)).unwrap();
    assert!(task.poll(|cx| Pin::new(&mut paced).poll_close(cx)).is_pending());
    assert!(!paced.get_ref().closed, "not before all has passed");
    clock.0.advance_to_next();
    assert!(task.poll(|cx| Pin::new(&mut paced).poll_close(cx)).is_ready());
    assert!(paced.get_ref().closed && paced.get_ref().taken.len() == 3);
    assert_eq!(paced.writes().report().bytes, 3_100);
}
