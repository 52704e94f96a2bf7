//! How long an HTTP/2 stream has waited for its client: kept by the stream's task, read by reports and the access log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Instant;
use crate::limit::INTERVAL;
use crate::sink::SinkState;
use crate::sync::Mutex;

/// Bytes that a client must take for a wait to be over: a frame of the size that clients begin with (RFC 9113,
/// section 6.5.2). One that opens its window byte by byte does not keep a stream for ever.
pub(super) const PROGRESS: u64 = 16 * 1024;

/// The waits of one stream. Locked only while they are read or changed.
pub(super) struct StreamWatch {
    connection: Arc<SinkState>,
    waits: Mutex<Waits>,
    given_up: AtomicBool,
}

#[derive(Default)]
struct Waits {
    /// `None` while the client is not waited for.
    waiting: Option<Waiting>,
    /// The sum of waits that are over.
    waited: Duration,
}

/// The state of the connection when a wait began.
#[derive(Clone, Copy)]
struct Waiting {
    since: Instant,
    /// The connection's quiet time.
    quiet: Duration,
    /// Bytes that had gone to the connection's sink.
    sent: u64,
    /// Bytes that the client took since.
    taken: u64,
}

impl StreamWatch {
    pub(super) fn new(connection: Arc<SinkState>) -> Arc<Self> {
        Arc::new(Self { connection, waits: Mutex::default(), given_up: AtomicBool::new(false) })
    }

    /// Since when the client has been waited for.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waits.lock().waiting.map(|waiting| waiting.since)
    }

    /// How long, until `now`, the client's window alone held the stream.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        let waits = self.waits.lock();
        waits.waited + waits.waiting.map_or(Duration::ZERO, |waiting| self.shut(&waiting, now))
    }

    /// Notes that the stream is reset because its client took nothing.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether the stream was reset because its client took nothing.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self, now: Instant) {
        let waiting = Waiting { since: now, quiet: self.connection.quiet(now), sent: self.sent(), taken: 0 };
        self.waits.lock().waiting = Some(waiting);
    }

    pub(super) fn end(&self, now: Instant) {
        let mut waits = self.waits.lock();
        if let Some(waiting) = waits.waiting.take() {
            waits.waited += self.shut(&waiting, now);
        }
    }

    /// Adds to what the client took in this wait; whether that is enough to end it.
    pub(super) fn took(&self, bytes: u64) -> bool {
        let mut waits = self.waits.lock();
        let Some(waiting) = &mut waits.waiting else { return false };
        waiting.taken += bytes;
        waiting.taken >= PROGRESS
    }

    /// When the patience with the client may end; it has if that is not after `now`. `None` if the stream does not wait.
    /// Once the connection has sent `all_turns` bytes, every other stream had its turn.
    pub(super) fn patience_ends(&self, patience: Duration, all_turns: u64, now: Instant) -> Option<Instant> {
        let waiting = self.waits.lock().waiting?;
        if self.sent().saturating_sub(waiting.sent) >= all_turns {
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
        // In this order: bytes that move from the buffer to the socket meanwhile are counted, if twice. They are gone from
        // both when the sink is dropped with some in its buffer.
        let buffered = counts.buffered();
        counts.bytes_written() + buffered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::sink::SinkCounts;

    // The task of a stream can outlive the sink, which gives back its buffer when it is dropped.
    #[test]
    fn bytes_of_a_sink_that_is_gone_are_no_turns_of_others() {
        let clock = Arc::new(ManualClock::new());
        let sink = Arc::new(SinkState::new(clock.clone(), Arc::new(SinkCounts::default())));
        let watch = StreamWatch::new(Arc::clone(&sink));
        sink.note_buffered(0, 1000);
        watch.begin(clock.now());
        sink.note_buffered(1000, 0);
        let minute = Duration::from_secs(60);
        assert_eq!(watch.patience_ends(minute, 1, clock.now()), Some(clock.now() + minute));
        clock.advance(minute / 2);
        assert_eq!(watch.patience_ends(minute, 1, clock.now()), Some(clock.now() + minute / 2));
        sink.note_written(1000, clock.now());
        assert_eq!(watch.patience_ends(minute, 1, clock.now()), Some(clock.now() + minute / 2), "as before");
        sink.note_written(1, clock.now());
        assert_eq!(
            watch.patience_ends(minute, 1, clock.now()),
            Some(Instant::ZERO + minute),
            "since it began"
        );
    }
}
