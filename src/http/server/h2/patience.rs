//! Resets a stream whose client takes nothing, by a timer of its own; its neighbours go on.
//!
//! A stream may also wait because its connection has no tokens, or a slow reader, which the sink watches. So only time counts in
//! which the connection had nothing to write; or all of it, once the connection has written so much that every other stream
//! had its turn.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{MAX_STREAM_BUFFER, MAX_STREAMS};
use crate::clock::{Clock, Sleep};
use crate::http::server::connection::Connection;
use crate::http::server::stream_watch::StreamWatch;
use crate::sink::SinkState;

/// When a connection has written so much, each of its streams has had its turn with all it may have in the framing.
const ALL_TURNS: u64 = MAX_STREAMS as u64 * MAX_STREAM_BUFFER as u64;

/// One stream's patience with its client, for the stream's own task.
pub(super) struct Patience {
    watch: Arc<StreamWatch>,
    alarm: Sleep,
    lasts: Duration,
    /// The client is waited for. Saves the lock if not.
    is_waiting: bool,
}

impl Patience {
    pub(super) fn new(connection: &Connection) -> Self {
        let lasts = connection.settings.sink.stall_timeout;
        Self::of(&connection.sink, Arc::clone(&connection.server.clock), lasts)
    }

    fn of(sink: &Arc<SinkState>, clock: Arc<dyn Clock>, lasts: Duration) -> Self {
        let alarm = Sleep::until(Arc::clone(&clock), clock.now());
        Self { watch: StreamWatch::new(Arc::clone(sink)), alarm, lasts, is_waiting: false }
    }

    /// The handle for those who report on the stream.
    pub(super) fn watch(&self) -> Arc<StreamWatch> {
        Arc::clone(&self.watch)
    }

    /// Starts waiting for the client, unless it is waited for already.
    pub(super) fn begin(&mut self) {
        if !self.is_waiting {
            self.is_waiting = true;
            self.watch.begin(self.alarm.clock().now());
        }
    }

    /// Ends the wait.
    pub(super) fn end(&mut self) {
        if self.is_waiting {
            self.is_waiting = false;
            self.watch.end(self.alarm.clock().now());
        }
    }

    /// Notes `bytes` that the client took; `PROGRESS` of them end the wait.
    pub(super) fn took(&mut self, bytes: u64) {
        if self.is_waiting && self.watch.took(bytes) {
            self.end();
        }
    }

    /// Ready when the patience has ended: the stream is given up.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_waiting {
            return Poll::Pending;
        }
        loop {
            let now = self.alarm.clock().now();
            let Some(due) = self.watch.patience_ends(self.lasts, ALL_TURNS, now) else {
                return Poll::Pending;
            };
            if due <= now {
                self.watch.give_up();
                return Poll::Ready(());
            }
            self.alarm.reset(due);
            if Pin::new(&mut self.alarm).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Instant, ManualClock};
    use crate::http::server::stream_watch::PROGRESS;
    use crate::limit::INTERVAL;
    use std::task::Waker;

    const MINUTE: Duration = Duration::from_secs(60);
    const NANO: Duration = Duration::from_nanos(1);

    struct Bench {
        clock: Arc<ManualClock>,
        connection: Arc<SinkState>,
        patience: Patience,
    }

    impl Bench {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new());
            clock.advance(Duration::from_secs(1));
            let connection = Arc::new(SinkState::new(Arc::clone(&clock) as _, Arc::default()));
            let patience = Patience::of(&connection, Arc::clone(&clock) as _, MINUTE);
            Self { clock, connection, patience }
        }

        fn watch(&self) -> &StreamWatch {
            &self.patience.watch
        }

        fn poll(&mut self) -> Poll<()> {
            self.patience.poll_end(&mut Context::from_waker(Waker::noop()))
        }

        fn advance(&mut self, time: Duration) -> Poll<()> {
            self.clock.advance(time);
            self.poll()
        }
    }

    #[test]
    fn a_stream_is_given_up_when_its_patience_ends_and_not_a_nanosecond_before() {
        let mut bench = Bench::new();
        assert!(bench.poll().is_pending());
        assert_eq!(bench.clock.sleepers(), 0, "the client is not waited for");
        bench.patience.begin();
        assert!(bench.poll().is_pending());
        assert_eq!(bench.clock.next_deadline(), Some(Instant::from_millis(61_000)));
        assert!(bench.advance(MINUTE - NANO).is_pending());
        assert!(!bench.watch().is_given_up());
        assert_eq!(bench.advance(NANO), Poll::Ready(()));
        assert!(bench.watch().is_given_up());
        assert_eq!(bench.watch().waited(bench.clock.now()), MINUTE);
    }

    #[test]
    fn a_stream_whose_client_takes_all_there_is_in_time_goes_on() {
        let mut bench = Bench::new();
        for _ in 0..2 {
            bench.patience.begin();
            assert!(bench.poll().is_pending());
            assert!(bench.advance(MINUTE - NANO).is_pending());
            bench.patience.end();
        }
        assert!(bench.advance(10 * MINUTE).is_pending());
        assert_eq!(bench.watch().waited(bench.clock.now()), 2 * (MINUTE - NANO));
    }

    #[test]
    fn a_client_that_opens_its_window_bit_by_bit_must_take_a_frame_in_the_time() {
        for (last, expected) in [(PROGRESS - 2, Poll::Ready(())), (PROGRESS - 1, Poll::Pending)] {
            let mut bench = Bench::new();
            bench.patience.begin();
            assert!(bench.advance(MINUTE - NANO).is_pending());
            bench.patience.took(1);
            bench.patience.begin();
            bench.patience.took(last);
            bench.patience.begin();
            assert_eq!(bench.advance(NANO), expected, "{last}");
        }
    }

    #[test]
    fn the_time_in_which_the_connection_writes_is_not_the_clients() {
        let mut bench = Bench::new();
        bench.patience.begin();
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
        assert_eq!(bench.advance(NANO), Poll::Ready(()));
        assert_eq!(bench.watch().waited(bench.clock.now()), MINUTE);
    }

    #[test]
    fn when_all_others_had_their_turn_a_writing_connection_is_no_excuse() {
        for (sent, expected) in [(ALL_TURNS - 1, Poll::Pending), (ALL_TURNS, Poll::Ready(()))] {
            let mut bench = Bench::new();
            bench.connection.note_offered(bench.clock.now());
            bench.patience.begin();
            assert!(bench.poll().is_pending());
            bench.connection.note_written(sent as usize, bench.clock.now());
            assert!(bench.advance(MINUTE - NANO).is_pending());
            assert_eq!(bench.advance(NANO), expected, "{sent} bytes");
        }
    }
}
