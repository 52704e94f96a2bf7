//! A limit that can be changed at any time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::watch::Watching;
use super::{Budget, Part, Rate, Rates};
use crate::clock::Instant;
use crate::sync::Mutex;

/// A rate and a burst, for each stream under it by itself; clones share the settings.
///
/// Other [rates](Rates) may hold for the first bytes of each stream.
///
/// Streams read it at each step, and drivers step at least once per [interval](super::Interval) of the stream: so a change
/// reaches every live stream within one interval, also one that sleeps for long under the old rate. A driver that
/// [watches](Self::watch) it is woken at once.
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
pub struct Limit(pub(super) Arc<Setting>);

pub(super) struct Setting {
    /// Bytes per second; 0 is unlimited. The last of several rates.
    rate: AtomicU64,
    /// Bytes.
    burst: AtomicU64,
    /// [`Flags`]. Changed while `first` is locked.
    flags: AtomicU32,
    /// How often what a sleeping stream depends on was changed. Counted while `watching` is locked.
    changes: AtomicU32,
    /// Nanoseconds on the clock at which the last change began to hold; [`UNTIMED`] if it holds once it is seen.
    changed_at: AtomicU64,
    /// The rates before the last. Locked only where `flags` says that there are some.
    first: Mutex<First>,
    /// Bytes that would have been delayed.
    over: AtomicU64,
    pub(super) watching: Watching,
}

/// A change whose time is not known.
const UNTIMED: u64 = u64::MAX;

#[derive(Default)]
struct First {
    parts: Option<Arc<[Part]>>,
    /// The last version that was given.
    version: u32,
}

/// Whether a limit only reports, and the version of its rates before the last; one load for all that is rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u32);

impl Flags {
    const REPORT_ONLY: u32 = 1;

    pub(crate) fn is_report_only(self) -> bool {
        self.0 & Self::REPORT_ONLY != 0
    }

    /// The number of the change that set rates before the last; 0 if there are none.
    pub(crate) fn version(self) -> u32 {
        self.0 >> 1
    }

    fn with_version(self, version: u32) -> Self {
        Self(self.0 & Self::REPORT_ONLY | version << 1)
    }
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
            flags: AtomicU32::new(0),
            changes: AtomicU32::new(0),
            changed_at: AtomicU64::new(UNTIMED),
            first: Mutex::default(),
            over: AtomicU64::new(0),
            watching: Watching::default(),
        }))
    }

    /// Wakes the tasks that watch if `change` changes a rate, or whether the limit only reports.
    fn change(&self, change: impl FnOnce()) {
        self.change_at(UNTIMED, change);
    }

    fn change_at(&self, nanos: u64, change: impl FnOnce()) {
        let state = || (self.0.rate.load(Ordering::Relaxed), self.flags());
        self.0.watching.change(|| {
            let before = state();
            change();
            let is_change = state() != before;
            if is_change {
                // A stream that reads the rate before this counts the change a step too early or too late, once.
                self.0.changed_at.store(nanos, Ordering::Relaxed);
                self.0.changes.fetch_add(1, Ordering::Relaxed);
            }
            is_change
        });
    }

    /// Returns when the last change began to hold, if it was made with a time.
    pub(crate) fn changed_at(&self) -> Option<Instant> {
        let nanos = self.0.changed_at.load(Ordering::Relaxed);
        (nanos != UNTIMED).then(|| Instant::from_nanos(nanos))
    }

    /// Returns how often it was changed so that sleeping streams were woken.
    pub(super) fn changes(&self) -> u32 {
        self.0.changes.load(Ordering::Relaxed)
    }

    /// Sets the burst: bytes that may pass ahead of the pace at the start of a response.
    #[must_use]
    pub fn with_burst(self, bytes: u64) -> Self {
        self.set_burst(bytes);
        self
    }

    /// Returns the rate, the last of several; `None` is unlimited.
    pub fn rate(&self) -> Option<Rate> {
        Rate::or_unlimited(self.0.rate.load(Ordering::Relaxed))
    }

    /// Sets the rate of all streams under this limit, for the whole of each.
    pub fn set_rate(&self, rate: Option<Rate>) {
        self.change(|| self.store_rate(rate));
    }

    fn store_rate(&self, rate: Option<Rate>) {
        if self.flags().version() == 0 {
            self.0.rate.store(encode(rate), Ordering::Relaxed);
        } else {
            self.store_rates(rate.into());
        }
    }

    /// Returns the rates of each stream.
    pub fn rates(&self) -> Rates {
        let first = self.0.first.lock();
        Rates::with_last(first.parts.clone(), self.rate())
    }

    /// Sets the rates of all streams under this limit. Those under way go on with what holds for the bytes they have sent.
    pub fn set_rates(&self, rates: Rates) {
        self.change(|| self.store_rates(rates));
    }

    fn store_rates(&self, rates: Rates) {
        let (new, last) = rates.into_parts();
        let mut first = self.0.first.lock();
        self.0.rate.store(encode(last), Ordering::Relaxed);
        if new == first.parts {
            return;
        }
        let version = match new {
            Some(_) => {
                first.version = first.version % Self::MAX_VERSION + 1;
                first.version
            }
            None => 0,
        };
        first.parts = new;
        self.0.flags.store(self.flags().with_version(version).0, Ordering::Relaxed);
    }

    /// Returns the rate of the byte behind the first `sent` of a stream.
    pub fn rate_at(&self, sent: u64) -> Option<Rate> {
        if self.flags().version() == 0 { self.rate() } else { self.rates().at(sent) }
    }

    pub(crate) fn flags(&self) -> Flags {
        Flags(self.0.flags.load(Ordering::Relaxed))
    }

    const MAX_VERSION: u32 = u32::MAX >> 1;

    /// Returns whether others have this limit too.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
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
        self.flags().is_report_only()
    }

    /// Sets whether the limit only counts what it would delay.
    pub fn set_report_only(&self, report_only: bool) {
        self.change(|| self.store_report_only(report_only));
    }

    fn store_report_only(&self, report_only: bool) {
        let _changing = self.0.first.lock();
        let flags = Flags(report_only.into()).with_version(self.flags().version());
        self.0.flags.store(flags.0, Ordering::Relaxed);
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

    /// Sets rates, burst and whether it only reports to those of `other`.
    pub fn set_like(&self, other: &Self) {
        self.set_all(other.rates(), other.burst(), other.is_report_only());
    }

    /// Sets rates, burst and whether it only reports, from now on. What a stream has left of a chunk is capped at a new one.
    pub fn set_all(&self, rates: Rates, burst: u64, report_only: bool) {
        self.set_burst(burst);
        self.change(|| {
            self.store_rates(rates);
            self.store_report_only(report_only);
        });
    }

    /// Sets rates, burst and whether it only reports, from `at` on. A stream that sees the change later counts the time until `at`
    /// at the old rate and the time since at the new one, so it gets exactly the integral of its rates.
    ///
    /// Of several changes that a stream sees at once only the last has its time.
    pub fn set_all_at(&self, rates: Rates, burst: u64, report_only: bool, at: Instant) {
        self.set_burst(burst);
        self.change_at(at.as_nanos(), || {
            self.store_rates(rates);
            self.store_report_only(report_only);
        });
    }

    /// Sets rate, burst and whether it only reports; the weight is ignored. The rate holds for the whole of each stream. A plain
    /// [`Rate`] is a budget without a burst; [`set_rate`](Self::set_rate) keeps the burst.
    pub fn set(&self, budget: impl Into<Budget>) {
        let budget = budget.into();
        self.set_burst(budget.burst);
        self.change(|| {
            self.store_rate(budget.rate);
            self.store_report_only(budget.report_only);
        });
    }
}

fn encode(rate: Option<Rate>) -> u64 {
    rate.map_or(0, Rate::bytes_per_second)
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("rate", &self.rates()).field("burst", &self.burst()).finish()
    }
}
