//! Streams of HTTP/2 whose client takes nothing: each is reset by its own timer, without harm to its
//! neighbours.
//!
//! A stream waits in hyper for its window, and hyper asks neither us nor the body meanwhile. But it runs
//! each stream as a task, through our executor: dropping that task resets the stream. So each task is
//! wrapped in a watch that its response's body tells when bytes were handed over and when more are asked for.
//!
//! A stream may also wait because its connection has no tokens, or a slow reader: that is no fault of its
//! own, and the sink has its own patience with readers. So only the time counts in which the connection
//! had nothing to write; or all of it, once the connection has written so much that every other stream had
//! its turn.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use super::connection::{Connection, MAX_STREAM_BUFFER, MAX_STREAMS};
use crate::clock::{Instant, Sleep};
use crate::limit::INTERVAL;
use crate::rt;
use crate::sink::SinkState;

/// When a connection has written so much, each of its streams has had its turn with all it may hold.
const ALL_TURNS: u64 = MAX_STREAMS as u64 * MAX_STREAM_BUFFER as u64;

thread_local! {
    /// The watch of the stream whose task is being polled on this thread.
    static CURRENT: RefCell<Option<Arc<StreamWatch>>> = const { RefCell::new(None) };
}

/// How long one stream has waited for its client.
pub(super) struct StreamWatch {
    connection: Arc<SinkState>,
    waits: Mutex<Waits>,
    given_up: AtomicBool,
}

#[derive(Default)]
struct Waits {
    /// `None` while the client is not waited for.
    waiting: Option<Waiting>,
    /// What waits that are over took in all.
    waited: Duration,
}

/// How things stood when bytes were handed over.
#[derive(Clone, Copy)]
struct Waiting {
    since: Instant,
    /// The connection's quiet time.
    quiet: Duration,
    /// Bytes that had gone to the connection's sink.
    sent: u64,
}

impl StreamWatch {
    pub(super) fn new(connection: Arc<SinkState>) -> Arc<Self> {
        Arc::new(Self { connection, waits: Mutex::default(), given_up: AtomicBool::new(false) })
    }

    /// The watch of the stream that is being answered; `None` over HTTP/1.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Bytes were handed over: from now on the client is waited for.
    pub(super) fn handed_over(&self, now: Instant) {
        let waiting = Waiting { since: now, quiet: self.connection.quiet(now), sent: self.sent() };
        self.waits().waiting = Some(waiting);
    }

    /// More bytes are asked for: the client took what there was.
    pub(super) fn asked_for(&self, now: Instant) {
        let mut waits = self.waits();
        if let Some(waiting) = waits.waiting.take() {
            waits.waited += self.shut(&waiting, now);
        }
    }

    /// Since when the client has been waited for.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waits().waiting.map(|waiting| waiting.since)
    }

    /// How long, until `now`, the client's window alone held the stream.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        let waits = self.waits();
        waits.waited + waits.waiting.map_or(Duration::ZERO, |waiting| self.shut(&waiting, now))
    }

    /// Whether the stream was reset because its client took nothing.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// When the patience with the client may end; not after `now`: it has. `None` while nobody waits.
    fn patience_ends(&self, patience: Duration, now: Instant) -> Option<Instant> {
        let waiting = self.waits().waiting?;
        if self.sent() - waiting.sent >= ALL_TURNS {
            return Some(waiting.since + patience);
        }
        let left = patience.saturating_sub(self.shut(&waiting, now));
        // A connection that writes on and on leaves the rest of the patience as it is.
        let later = if self.connection.is_writing() && !left.is_zero() { left.max(INTERVAL) } else { left };
        Some(now + later)
    }

    fn shut(&self, waiting: &Waiting, now: Instant) -> Duration {
        self.connection.quiet(now).saturating_sub(waiting.quiet)
    }

    fn sent(&self) -> u64 {
        let counts = self.connection.counts();
        counts.bytes_written() + counts.buffered()
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs hyper's tasks for one HTTP/2 connection; ends those whose client takes nothing for its patience.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    connection: Arc<Connection>,
}

impl StreamExecutor {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let connection = Arc::clone(&self.connection);
        let server = &connection.server;
        let watched = Watched {
            stream: Box::pin(stream),
            watch: StreamWatch::new(Arc::clone(&connection.sink)),
            alarm: Sleep::until(Arc::clone(&server.clock), server.clock.now()),
            patience: connection.settings.sink.stall_timeout,
        };
        rt::spawn(async move {
            if watched.await.is_none() {
                connection.server.telemetry.stream_stalled();
                let (client, peer) = (connection.client_addr(), connection.ends.peer);
                log::debug!(
                    connection = connection.id, client:%, peer:%;
                    "stream reset: its client took nothing for too long"
                );
            }
        });
    }
}

/// A stream's task with its watch. `None`: the client took nothing for too long.
struct Watched<F> {
    stream: Pin<Box<F>>,
    watch: Arc<StreamWatch>,
    alarm: Sleep,
    patience: Duration,
}

impl<F: Future> Future for Watched<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let outer = CURRENT.replace(Some(Arc::clone(&this.watch)));
        let polled = this.stream.as_mut().poll(cx);
        CURRENT.set(outer);
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Some(output));
        }
        loop {
            let now = this.alarm.clock().now();
            let Some(due) = this.watch.patience_ends(this.patience, now) else { return Poll::Pending };
            if due <= now {
                this.watch.given_up.store(true, Ordering::Relaxed);
                return Poll::Ready(None);
            }
            this.alarm.reset(due);
            if Pin::new(&mut this.alarm).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use std::task::Waker;

    const MINUTE: Duration = Duration::from_secs(60);
    const NANO: Duration = Duration::from_nanos(1);

    struct Bench {
        clock: Arc<ManualClock>,
        connection: Arc<SinkState>,
        stream: Watched<std::future::Pending<()>>,
    }

    impl Bench {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new());
            clock.advance(Duration::from_secs(1));
            let connection = Arc::new(SinkState::new(Arc::clone(&clock) as _, Arc::default()));
            let stream = watched(std::future::pending(), &clock, &connection);
            Self { clock, connection, stream }
        }

        fn watch(&self) -> &StreamWatch {
            &self.stream.watch
        }

        fn poll(&mut self) -> Poll<Option<()>> {
            Pin::new(&mut self.stream).poll(&mut Context::from_waker(Waker::noop()))
        }

        fn advance(&mut self, time: Duration) -> Poll<Option<()>> {
            self.clock.advance(time);
            self.poll()
        }
    }

    fn watched<F: Future>(stream: F, clock: &Arc<ManualClock>, connection: &Arc<SinkState>) -> Watched<F> {
        let alarm = Sleep::until(Arc::clone(clock) as _, Instant::ZERO);
        let watch = StreamWatch::new(Arc::clone(connection));
        Watched { stream: Box::pin(stream), watch, alarm, patience: MINUTE }
    }

    #[test]
    fn a_stream_is_let_go_when_its_patience_ends_and_not_a_nanosecond_before() {
        let mut bench = Bench::new();
        assert!(bench.poll().is_pending());
        assert_eq!(bench.clock.sleepers(), 0, "the client is not waited for");
        bench.watch().handed_over(bench.clock.now());
        assert!(bench.poll().is_pending());
        assert_eq!(bench.clock.next_deadline(), Some(Instant::from_millis(61_000)));
        assert!(bench.advance(MINUTE - NANO).is_pending());
        assert!(!bench.watch().is_given_up());
        assert_eq!(bench.advance(NANO), Poll::Ready(None));
        assert!(bench.watch().is_given_up());
        assert_eq!(bench.watch().waited(bench.clock.now()), MINUTE);
    }

    #[test]
    fn a_stream_whose_client_asks_again_in_time_goes_on() {
        let mut bench = Bench::new();
        for _ in 0..2 {
            bench.watch().handed_over(bench.clock.now());
            assert!(bench.poll().is_pending());
            assert!(bench.advance(MINUTE - NANO).is_pending());
            bench.watch().asked_for(bench.clock.now());
        }
        assert!(bench.advance(10 * MINUTE).is_pending());
        assert_eq!(bench.watch().waited(bench.clock.now()), 2 * (MINUTE - NANO));
    }

    #[test]
    fn the_time_in_which_the_connection_writes_is_not_the_clients() {
        let mut bench = Bench::new();
        bench.watch().handed_over(bench.clock.now());
        assert!(bench.advance(MINUTE - NANO).is_pending());
        bench.connection.note_offered(bench.clock.now());
        // It is looked at now and then, and waits on.
        for _ in 0..1000 {
            assert!(bench.poll().is_pending());
            assert_eq!(bench.clock.next_deadline(), Some(bench.clock.now() + INTERVAL));
            bench.clock.advance(INTERVAL);
        }
        assert!(bench.poll().is_pending());
        bench.connection.flushed();
        assert!(bench.poll().is_pending());
        assert_eq!(bench.advance(NANO), Poll::Ready(None));
        assert_eq!(bench.watch().waited(bench.clock.now()), MINUTE);
    }

    #[test]
    fn when_all_others_had_their_turn_a_writing_connection_is_no_excuse() {
        for (sent, expected) in [(ALL_TURNS - 1, Poll::Pending), (ALL_TURNS, Poll::Ready(None))] {
            let mut bench = Bench::new();
            bench.connection.note_offered(bench.clock.now());
            bench.watch().handed_over(bench.clock.now());
            assert!(bench.poll().is_pending());
            bench.connection.note_written(sent as usize, bench.clock.now());
            assert!(bench.advance(MINUTE - NANO).is_pending());
            assert_eq!(bench.advance(NANO), expected, "{sent} bytes");
        }
    }

    #[test]
    fn the_answering_code_finds_its_streams_watch_and_no_other() {
        let bench = Bench::new();
        let mut stream = watched(async { StreamWatch::current() }, &bench.clock, &bench.connection);
        let own = Arc::clone(&stream.watch);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Some(found))) = Pin::new(&mut stream).poll(&mut cx) else { panic!("no watch") };
        assert!(Arc::ptr_eq(&found, &own));
        assert!(StreamWatch::current().is_none());
    }
}
