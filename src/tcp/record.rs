//! Counters of one stream, for the log line at its end and for the admin listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::body::Waits;
use crate::budget::Gate;
use crate::clock::Clock;
use crate::generator::Activity;
use crate::sync::Mutex;

/// Times a direction waited: for the pace and the source, and for turns in shared budgets by their names.
pub(crate) type Waited = (Waits, Vec<(Arc<str>, Duration)>);

pub(crate) struct Record {
    clock: Arc<dyn Clock>,
    activity: Activity,
    down: AtomicU64,
    /// How many of `down` were taken by [`take_uncounted`](Self::take_uncounted).
    counted: AtomicU64,
    up: AtomicU64,
    complete: AtomicBool,
    waited_down: Mutex<Waited>,
    waited_up: Mutex<Waited>,
}

impl Record {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let activity = Activity::new(clock.now());
        Arc::new(Self {
            clock,
            activity,
            down: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            up: AtomicU64::new(0),
            complete: AtomicBool::new(false),
            waited_down: Mutex::default(),
            waited_up: Mutex::default(),
        })
    }

    /// Bytes written to the client.
    pub(crate) fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }

    /// Bytes written to the client since the last call.
    pub(crate) fn take_uncounted(&self) -> u64 {
        let down = self.down();
        down.saturating_sub(self.counted.fetch_max(down, Ordering::Relaxed))
    }

    /// Bytes of the client written to the upstream.
    pub(crate) fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    /// Whether the client was sent everything.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    pub(super) fn completed(&self) {
        self.complete.store(true, Ordering::Relaxed);
    }

    /// Times that what the client is sent waited; known once its direction ended.
    pub(crate) fn waited_down(&self) -> Waited {
        self.waited_down.lock().clone()
    }

    /// Times that what the client sends waited; known once its direction ended.
    pub(crate) fn waited_up(&self) -> Waited {
        self.waited_up.lock().clone()
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }
}

/// One direction of a stream: what its driver adds to the record.
pub(super) struct Direction {
    pub(super) record: Arc<Record>,
    pub(super) down: bool,
}

impl Direction {
    pub(super) fn moved(&self, bytes: u64) {
        let count = if self.down { &self.record.down } else { &self.record.up };
        count.fetch_add(bytes, Ordering::Relaxed);
        self.record.activity.touch(self.record.clock.now());
    }

    /// Notes that a limit holds the direction, or holds it no more: meanwhile the stream is not idle.
    pub(super) fn hold(&self, is_held: bool) {
        let Record { activity, clock, .. } = &*self.record;
        if is_held { activity.hold() } else { activity.release(clock.now()) }
    }

    pub(super) fn waited(&self, waits: Waits, gate: &Gate) {
        let turns = gate.waited().cloned().collect();
        let waited = if self.down { &self.record.waited_down } else { &self.record.waited_up };
        *waited.lock() = (waits, turns);
    }
}
