//! Counts what passes a wrapper.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::last_second::LastSecond;
use crate::clock::Clock;
use crate::sync::Mutex;

/// Counts what passes in one direction of one wrapper, or of many together. Clones share the counts: keep one to read while
/// the wrapper is elsewhere.
#[derive(Clone)]
pub struct Meter(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    /// Counts the same, together with other meters.
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

/// A snapshot of a [`Meter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Bytes that passed.
    pub bytes: u64,
    /// How often a turn was waited for.
    pub waits: u64,
    /// The sum of all waits; one that lasts is not included.
    pub waited: Duration,
    /// Bytes that passed in the last second: the current rate, in bytes per second.
    pub rate: u64,
}

impl Meter {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { clock, sum: None, counts: Mutex::default() }))
    }

    /// Creates a meter whose counts are added to this one's.
    pub(super) fn part(&self) -> Self {
        let clock = Arc::clone(&self.0.clock);
        Self(Arc::new(Inner { clock, sum: Some(self.clone()), counts: Mutex::default() }))
    }

    /// Returns a snapshot. Reads the time.
    pub fn report(&self) -> Report {
        let now = self.0.clock.now();
        let counts = self.0.counts.lock();
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
            counts.recent.add(bytes, now);
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
            add(&mut meter.0.counts.lock());
            at = meter.0.sum.as_ref();
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meter").field(&self.report()).finish()
    }
}
