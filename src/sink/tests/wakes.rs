//! How often a connection's task is polled, and how often its socket is called: once for each thing that
//! happened, and never in between.

use super::*;
use crate::wake_count::WakeCount;

/// A task that writes so many bytes through a sink, polled when it was woken and at no other time.
struct Task {
    bench: Bench,
    left: usize,
    wakes: WakeCount,
    seen: usize,
    polls: usize,
}

impl Task {
    fn begin(settings: SinkSettings, len: usize, then: Act) -> Self {
        let bench = Bench::new(settings);
        bench.script(&[], then);
        let mut task = Self { bench, left: len, wakes: WakeCount::default(), seen: 0, polls: 0 };
        task.poll();
        task
    }

    /// Does as framing does: writes until it is told to wait, and flushes.
    fn poll(&mut self) {
        self.polls += 1;
        let waker = self.wakes.waker();
        let mut cx = Context::from_waker(&waker);
        let mut sink = Pin::new(self.bench.sink());
        while self.left > 0 {
            match sink.as_mut().poll_write(&mut cx, &vec![0; self.left]) {
                Poll::Ready(Ok(n)) => self.left -= n,
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        let _ = sink.as_mut().poll_flush(&mut cx);
    }

    /// Lets the executor run. Says how often the task was polled and its socket called, in all.
    fn run(&mut self) -> (usize, usize) {
        while self.wakes.get() > self.seen {
            self.seen = self.wakes.get();
            self.poll();
        }
        (self.polls, self.bench.calls())
    }

    /// The socket becomes writable: takes so many bytes, then refuses.
    fn writable(&mut self, bytes: usize) {
        self.bench.script(&[Act::Take(bytes)], Act::Refuse);
        let waker = self.bench.wire.0.borrow_mut().waker.take();
        waker.expect("the socket is waited for").wake();
    }
}

#[test]
fn a_stalled_connection_is_polled_when_its_patience_ends_and_not_before() {
    let mut task = Task::begin(settings(), 100, Act::Refuse);
    let begun = task.run();
    assert_eq!(begun.0, 1);
    for _ in 0..599 {
        task.bench.clock.advance(Duration::from_millis(100));
        assert_eq!(task.run(), begun);
    }
    task.bench.clock.advance(Duration::from_millis(100));
    assert_eq!(task.run().0, 2);
    assert_eq!(task.bench.totals.stall_closes(), 1);
}

#[test]
fn a_slow_reader_costs_a_poll_for_each_time_it_reads_and_a_call_or_two() {
    let mut task = Task::begin(settings(), 100, Act::Refuse);
    let (mut polls, mut calls) = task.run();
    for read in 1..=99 {
        task.bench.clock.advance(Duration::from_millis(1));
        assert_eq!(task.run(), (polls, calls));
        task.writable(1);
        let now = task.run();
        assert_eq!(now.0, polls + 1, "after {read} bytes");
        // The byte that is taken; the refusal, of what was held and of what is new.
        assert!((2..=4).contains(&(now.1 - calls)), "{} calls", now.1 - calls);
        (polls, calls) = now;
    }
    assert_eq!(task.bench.written().len(), 99);
}

#[test]
fn an_empty_bucket_waits_for_the_clock_and_does_not_ask_the_socket() {
    let limit = SinkSettings { rate: Rate::or_unlimited(1_000), burst: 200, ..settings() };
    let mut task = Task::begin(limit, 2_000, Act::Take(usize::MAX));
    for piece in 0..10 {
        // One piece and one call each 200 ms.
        assert_eq!(task.run(), (piece + 1, piece + 1));
        task.bench.clock.advance(Duration::from_nanos(199_999_999));
        assert_eq!(task.run(), (piece + 1, piece + 1));
        task.bench.clock.advance(Duration::from_nanos(1));
    }
    assert_eq!((task.left, task.bench.clock.sleepers()), (0, 0), "all is gone, and nothing waited for");
    assert_eq!(task.run().0, 10);
}

#[test]
fn a_connection_with_nothing_to_write_is_never_polled() {
    let mut task = Task::begin(settings(), 100, Act::Take(usize::MAX));
    assert_eq!(task.bench.clock.sleepers(), 0);
    task.bench.clock.advance(Duration::from_secs(3600));
    assert_eq!(task.run(), (1, 1));
}
