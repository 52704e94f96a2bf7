//! Detects that a client has gone while its response waits.
//!
//! A reset is unambiguous. After a half-close the client may still read, or be gone: the next write, or the setting `half_close`,
//! decides.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use super::HEAD_PIECE;
use super::input::Input;
use crate::clock::{Clock, Instant, Sleep};
use crate::http::server::HalfClose;
use crate::http::server::connection::Connection;
use crate::sink::{Sink, SinkState, Wire};

/// The most bytes of pipelined requests that are read while a response waits.
const MAX_AHEAD: usize = 2 * HEAD_PIECE;

/// How often a socket is checked whose readiness says nothing: it stays readable, because of a half-close or of bytes that are
/// not read yet.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What may be read while a response waits.
pub(super) enum Reads {
    /// Pipelined requests.
    Ahead,
    /// Nothing: what comes is content that is not wanted yet.
    Nothing,
}

/// Watches one client.
pub(super) struct Presence {
    half_close: HalfClose,
    /// How long a half-closed client may stay without being written to.
    patience: Duration,
    clock: Arc<dyn Clock>,
    state: Arc<SinkState>,
    check: Option<Box<Check>>,
}

/// The periodic check.
struct Check {
    alarm: Sleep,
    /// Bytes written up to the last check, and since when that has not changed.
    written: u64,
    since: Instant,
}

impl Presence {
    pub(super) fn new(connection: &Connection) -> Self {
        Self {
            half_close: connection.settings.half_close,
            patience: connection.settings.idle_timeout,
            clock: Arc::clone(&connection.server.clock),
            state: Arc::clone(&connection.sink),
            check: None,
        }
    }

    /// Stops the periodic check: the response is over.
    pub(super) fn rest(&mut self) {
        self.check = None;
    }

    /// Has the task woken when the client goes.
    ///
    /// # Errors
    /// It has gone: reset the connection.
    pub(super) fn check<W: Wire>(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input,
        sink: &mut Sink<W>,
        reads: Reads,
    ) -> io::Result<()> {
        while matches!(reads, Reads::Ahead) && !input.has_ended() && input.len() < MAX_AHEAD {
            if input.poll_more(cx, sink, HEAD_PIECE)?.is_pending() {
                return Ok(());
            }
        }
        if input.has_ended() && self.half_close == HalfClose::Abort {
            self.state.abort();
            return Err(ErrorKind::ConnectionAborted.into());
        }
        if input.has_ended() && self.check.is_none() && sink.get_ref().is_gone() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let written = self.state.counts().bytes_written();
        let check = self.check.get_or_insert_with(|| Box::new(Check::new(&self.clock, written)));
        if let Some(now) = check.poll_due(cx, &*self.clock) {
            if sink.get_ref().is_gone() {
                return Err(ErrorKind::ConnectionReset.into());
            }
            if check.written != written {
                (check.written, check.since) = (written, now);
            }
            if input.has_ended() && now - check.since >= self.patience {
                self.state.abort();
                return Err(ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

impl Check {
    fn new(clock: &Arc<dyn Clock>, written: u64) -> Self {
        let alarm = Sleep::lasting(Arc::clone(clock), CHECK_INTERVAL);
        Self { alarm, written, since: clock.now() }
    }

    /// Returns the present instant if a check is due. Has the task woken for the next one.
    fn poll_due(&mut self, cx: &mut Context<'_>, clock: &dyn Clock) -> Option<Instant> {
        if Pin::new(&mut self.alarm).poll(cx).is_pending() {
            return None;
        }
        let now = clock.now();
        self.alarm.reset(now + CHECK_INTERVAL);
        // A thread that does not run for an interval finds the next check due. It comes with the next poll: checking on
        // here, a machine that is slow enough would never leave.
        if Pin::new(&mut self.alarm).poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;
    use crate::clock::{ManualClock, TimerKey};

    /// Two intervals pass between any two looks at it.
    struct Late(ManualClock);

    impl Clock for Late {
        fn now(&self) -> Instant {
            self.0.advance(2 * CHECK_INTERVAL);
            self.0.now()
        }

        fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey {
            self.0.wake_at(deadline, waker)
        }

        fn cancel(&self, key: TimerKey) {
            self.0.cancel(key);
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_thread_that_runs_too_seldom_checks_once_a_poll_and_comes_back() {
        let clock: Arc<dyn Clock> = Arc::new(Late(ManualClock::new()));
        let mut check = Check::new(&clock, 0);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        for polls in 1..=10 {
            assert!(check.poll_due(&mut Context::from_waker(&waker), &*clock).is_some());
            assert!(wakes.0.load(Ordering::Relaxed) >= polls);
        }
    }
}
