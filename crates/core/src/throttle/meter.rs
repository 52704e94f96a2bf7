//! What passed a wrapper, to be read while it runs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::last_second::LastSecond;
use crate::clock::Clock;

/// Counts what passes in one direction of one wrapper, or of many together. Clones are the same one: keep
/// one to read it while the wrapper is elsewhere.
#[derive(Clone)]
pub struct Meter(Arc<Book>);

struct Book {
    clock: Arc<dyn Clock>,
    /// Counts the same, with that of others.
    sum: Option<Meter>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    bytes: u64,
    waits: u64,
    waited: Duration,
    recent: LastSecond,
}

/// What a [`Meter`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Bytes that passed.
    pub bytes: u64,
    /// How often they had to wait for a turn.
    pub waits: u64,
    /// For how long, all waits together; the present one is not included.
    pub waited: Duration,
    /// Bytes that passed in the last second: the current rate. It follows a change within that second.
    pub rate: u64,
}

impl Meter {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Book { clock, sum: None, counts: Mutex::default() }))
    }

    /// One whose figures are in this one's too.
    pub(super) fn part(&self) -> Self {
        let clock = Arc::clone(&self.0.clock);
        Self(Arc::new(Book { clock, sum: Some(self.clone()), counts: Mutex::default() }))
    }

    /// The figures at this moment.
    pub fn report(&self) -> Report {
        let now = self.0.clock.now();
        let counts = self.lock();
        let Counts { bytes, waits, waited, .. } = *counts;
        Report { bytes, waits, waited, rate: counts.recent.in_last_second(now) }
    }

    pub(super) fn passed(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let now = self.0.clock.now();
        self.count(|counts| {
            counts.bytes = counts.bytes.saturating_add(bytes);
            counts.recent.note(bytes, now);
        });
    }

    pub(super) fn waits(&self) {
        self.count(|counts| counts.waits += 1);
    }

    pub(super) fn waited(&self, lasted: Duration) {
        self.count(|counts| counts.waited = counts.waited.saturating_add(lasted));
    }

    fn count(&self, add: impl Fn(&mut Counts)) {
        let mut at = Some(self);
        while let Some(meter) = at {
            add(&mut meter.lock());
            at = meter.0.sum.as_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meter").field(&self.report()).finish()
    }
}
