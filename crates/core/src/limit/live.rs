//! A limit that can be changed while streams run under it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Budget, Rate};

/// A shared handle to a rate and a burst. Clones are the same limit: what one sets, all see.
///
/// A stream reads it each time it is asked for bytes, and drivers ask at least once an interval
/// (200 ms), so a change reaches every live stream within one interval, also one that sleeps on a
/// wait computed under the old rate.
///
/// ```
/// use sluicegate_core::limit::{Limit, Rate};
///
/// let limit = Limit::new(Rate::or_unlimited(61_440));
/// let same = limit.clone();
/// same.set_rate(None);
/// assert_eq!(limit.rate(), None, "unlimited");
/// ```
#[derive(Clone)]
pub struct Limit(Arc<Setting>);

struct Setting {
    /// Bytes per second; 0 stands for unlimited, which `Rate` cannot be.
    rate: AtomicU64,
    /// Bytes.
    burst: AtomicU64,
    report_only: AtomicBool,
    /// Bytes that would have been delayed.
    over: AtomicU64,
}

impl Limit {
    /// A limit that limits nothing until it has a rate.
    pub fn unlimited() -> Self {
        Self::new(None::<Rate>)
    }

    /// A limit of `rate` bytes per second, `None` for unlimited, without a burst.
    pub fn new(rate: impl Into<Option<Rate>>) -> Self {
        Self(Arc::new(Setting {
            rate: AtomicU64::new(encode(rate.into())),
            burst: AtomicU64::new(0),
            report_only: AtomicBool::new(false),
            over: AtomicU64::new(0),
        }))
    }

    /// The same limit with `bytes` that may leave ahead of the pace, once, at the start of a response.
    #[must_use]
    pub fn with_burst(self, bytes: u64) -> Self {
        self.set_burst(bytes);
        self
    }

    /// Bytes per second now in force; `None` is unlimited.
    pub fn rate(&self) -> Option<Rate> {
        Rate::or_unlimited(self.0.rate.load(Ordering::Relaxed))
    }

    /// Changes the rate for all streams under this limit.
    pub fn set_rate(&self, rate: Option<Rate>) {
        self.0.rate.store(encode(rate), Ordering::Relaxed);
    }

    /// The burst in bytes.
    pub fn burst(&self) -> u64 {
        self.0.burst.load(Ordering::Relaxed)
    }

    /// Changes the burst for responses that start from now on.
    pub fn set_burst(&self, bytes: u64) {
        self.0.burst.store(bytes, Ordering::Relaxed);
    }

    /// Whether the limit delays nothing, and counts what it would have delayed.
    pub fn is_report_only(&self) -> bool {
        self.0.report_only.load(Ordering::Relaxed)
    }

    /// Makes the limit delay nothing and only count, or delay again.
    pub fn set_report_only(&self, report_only: bool) {
        self.0.report_only.store(report_only, Ordering::Relaxed);
    }

    /// Bytes that passed so far and would have been delayed, if they had not been reported only.
    pub fn over(&self) -> u64 {
        self.0.over.load(Ordering::Relaxed)
    }

    /// Counts bytes that would have been delayed.
    pub fn note_over(&self, bytes: u64) {
        self.0.over.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All of it at once.
    pub fn budget(&self) -> Budget {
        Budget {
            rate: self.rate(),
            burst: self.burst(),
            report_only: self.is_report_only(),
            ..Budget::default()
        }
    }

    /// Changes rate, burst and whether it only reports; a weight means nothing here.
    pub fn set(&self, budget: Budget) {
        self.set_rate(budget.rate);
        self.set_burst(budget.burst);
        self.set_report_only(budget.report_only);
    }
}

fn encode(rate: Option<Rate>) -> u64 {
    rate.map_or(0, Rate::bytes_per_second)
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("rate", &self.rate()).field("burst", &self.burst()).finish()
    }
}
