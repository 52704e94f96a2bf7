//! When bytes last moved on an exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Instant, Sleep};

/// When bytes last moved on an exchange, and whether limits hold some; clones share it.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Moves>);

#[derive(Debug)]
struct Moves {
    last: AtomicU64,
    /// Directions that a limit holds.
    held: AtomicUsize,
}

impl Activity {
    /// Creates a record with `now`.
    pub fn new(now: Instant) -> Self {
        Self(Arc::new(Moves { last: AtomicU64::new(now.as_nanos()), held: AtomicUsize::new(0) }))
    }

    /// Records that bytes move at `now`, unless that is earlier than the last.
    pub fn touch(&self, now: Instant) {
        self.0.last.fetch_max(now.as_nanos(), Ordering::Relaxed);
    }

    /// Returns when bytes last moved.
    pub fn last(&self) -> Instant {
        Instant::from_nanos(self.0.last.load(Ordering::Relaxed))
    }

    /// Notes that a limit holds bytes: until as many calls of [`release`](Self::release) this counts as a move.
    pub fn hold(&self) {
        self.0.held.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that a limit that held bytes lets them go at `now`.
    pub fn release(&self, now: Instant) {
        self.touch(now);
        self.0.held.fetch_sub(1, Ordering::AcqRel);
    }

    /// Returns when bytes last moved; `now` while a limit holds some.
    pub fn last_at(&self, now: Instant) -> Instant {
        if self.0.held.load(Ordering::Acquire) > 0 { now } else { self.last() }
    }

    /// Completes when nothing has moved for `timeout`. Cancel safe.
    pub async fn idle(&self, clock: &Arc<dyn Clock>, timeout: Duration) {
        loop {
            let now = clock.now();
            let due = self.last_at(now) + timeout;
            if now >= due {
                return;
            }
            Sleep::until(Arc::clone(clock), due).await;
        }
    }
}
