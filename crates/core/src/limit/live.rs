//! A limit that can be changed at any time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Budget, Rate};

/// A rate and a burst, for each stream under it by itself; clones share the settings.
///
/// Streams read it at each step, and drivers step at least once per [interval](super::Interval) of the stream: so a change
/// reaches every live stream within one interval, also one that sleeps for long under the old rate.
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
    /// Bytes per second; 0 is unlimited.
    rate: AtomicU64,
    /// Bytes.
    burst: AtomicU64,
    report_only: AtomicBool,
    /// Bytes that would have been delayed.
    over: AtomicU64,
}

impl Limit {
    /// Creates a limit without a rate.
    pub fn unlimited() -> Self {
        Self::new(None::<Rate>)
    }

    /// Creates a limit of `rate`, or unlimited for `None`, without a burst.
    pub fn new(rate: impl Into<Option<Rate>>) -> Self {
        Self(Arc::new(Setting {
            rate: AtomicU64::new(encode(rate.into())),
            burst: AtomicU64::new(0),
            report_only: AtomicBool::new(false),
            over: AtomicU64::new(0),
        }))
    }

    /// Sets the burst: bytes that may pass ahead of the pace at the start of a response.
    #[must_use]
    pub fn with_burst(self, bytes: u64) -> Self {
        self.set_burst(bytes);
        self
    }

    /// Returns the rate; `None` is unlimited.
    pub fn rate(&self) -> Option<Rate> {
        Rate::or_unlimited(self.0.rate.load(Ordering::Relaxed))
    }

    /// Sets the rate of all streams under this limit.
    pub fn set_rate(&self, rate: Option<Rate>) {
        self.0.rate.store(encode(rate), Ordering::Relaxed);
    }

    /// Returns the burst in bytes.
    pub fn burst(&self) -> u64 {
        self.0.burst.load(Ordering::Relaxed)
    }

    /// Sets the burst of responses that start from now on.
    pub fn set_burst(&self, bytes: u64) {
        self.0.burst.store(bytes, Ordering::Relaxed);
    }

    /// Returns whether the limit only counts what it would delay.
    pub fn is_report_only(&self) -> bool {
        self.0.report_only.load(Ordering::Relaxed)
    }

    /// Sets whether the limit only counts what it would delay.
    pub fn set_report_only(&self, report_only: bool) {
        self.0.report_only.store(report_only, Ordering::Relaxed);
    }

    /// Returns the bytes that passed and would have been delayed, had the limit not only reported.
    pub fn over(&self) -> u64 {
        self.0.over.load(Ordering::Relaxed)
    }

    /// Counts bytes that would have been delayed.
    pub fn note_over(&self, bytes: u64) {
        self.0.over.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns all settings.
    pub fn budget(&self) -> Budget {
        Budget {
            rate: self.rate(),
            burst: self.burst(),
            report_only: self.is_report_only(),
            ..Budget::default()
        }
    }

    /// Sets rate, burst and whether it only reports; the weight is ignored.
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
