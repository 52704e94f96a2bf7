//! What is configured on a node of the tree, and the meter that keeps it.

use std::num::NonZeroU16;

use crate::clock::Instant;
use crate::limit::Rate;
use crate::limit::level::{Level, NANO};

/// How large a part of what is shared a node gets beside its siblings. 1, the default, to 65 535.
///
/// A node of weight 3 gets three times what one of weight 1 gets while both want more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(NonZeroU16);

impl Weight {
    /// A weight; `None` for zero, which would never get anything.
    pub const fn new(weight: u16) -> Option<Self> {
        match NonZeroU16::new(weight) {
            Some(weight) => Some(Self(weight)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(NonZeroU16::MIN)
    }
}

/// The limits of one node. The default limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes per second of all that passes below the node; `None` is unlimited.
    pub rate: Option<Rate>,
    /// The most bytes that may leave at once after a quiet time. Less than what the rate gives in one
    /// interval (200 ms) counts as that.
    pub burst: u64,
    /// The share beside the node's siblings.
    pub weight: Weight,
    /// The node delays nothing, and counts what it would have delayed.
    pub report_only: bool,
}

impl Budget {
    /// A budget of `rate`, without a burst; with `None` it limits nothing.
    ///
    /// A rate is never zero, so that a share which was computed to be nothing does not lift the limit:
    ///
    /// ```compile_fail
    /// use sluicegate_core::limit::{Budget, Rate};
    ///
    /// let budget = Budget::of(Rate::new(0));
    /// ```
    pub fn of(rate: impl Into<Option<Rate>>) -> Self {
        Self { rate: rate.into(), ..Self::default() }
    }

    /// A budget that limits nothing: the default.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// The same with a burst of `bytes`.
    #[must_use]
    pub fn with_burst(self, bytes: u64) -> Self {
        Self { burst: bytes, ..self }
    }

    /// The same with another weight.
    #[must_use]
    pub fn with_weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// The same, only reporting.
    #[must_use]
    pub fn reporting_only(self) -> Self {
        Self { report_only: true, ..self }
    }
}

/// The longest that debited bytes may silence a node, in seconds of its rate.
const MAX_DEBT_SECONDS: i128 = 1;

/// The token bucket of a node with a rate.
///
/// As deep as the burst, or as what the rate gives in an interval if that is more: a grant is at most
/// the latter, so it can always be paid, and a timer that rings late within an interval loses nothing.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    level: Level,
    /// Bytes.
    burst: u64,
}

impl Meter {
    /// A full meter.
    pub(super) fn full(rate: Rate, burst: u64, now: Instant) -> Self {
        Self { level: Level::new(rate, depth(rate, burst), now), burst }
    }

    /// A meter that holds one interval's worth, and nothing of the burst yet.
    pub(super) fn without_burst(rate: Rate, burst: u64, now: Instant) -> Self {
        Self { level: Level::new(rate, depth(rate, 0), now), burst }
    }

    /// What the rate gives in one interval in whole bytes, at least one: the most that one grant may be.
    pub(super) fn quantum(&self) -> u64 {
        self.level.rate().bytes_per_interval()
    }

    pub(super) fn rate(&self) -> Rate {
        self.level.rate()
    }

    /// Goes over to another rate and burst. What is in the meter stays, as far as it holds it; a debt
    /// becomes no longer than an interval, or a lowered rate would turn an old debt into a long silence.
    pub(super) fn change(&mut self, rate: Rate, burst: u64, now: Instant) {
        self.burst = burst;
        self.level.settle(rate, depth(rate, burst), now);
        self.level.raise_to(-depth(rate, 0));
    }

    /// `Err` is the first instant at which `bytes` can be paid.
    pub(super) fn can_pay(&mut self, bytes: u64, now: Instant) -> Result<(), Instant> {
        self.level.settle(self.level.rate(), depth(self.level.rate(), self.burst), now);
        let cost = i128::from(bytes) * NANO;
        if self.level.nano() >= cost { Ok(()) } else { Err(self.level.reaches(cost)) }
    }

    pub(super) fn pay(&mut self, bytes: u64) {
        self.level.spend(bytes);
    }

    /// Books bytes that left without asking.
    pub(super) fn debit(&mut self, bytes: u64) {
        self.level.spend(bytes);
        self.level.raise_to(-MAX_DEBT_SECONDS * i128::from(self.rate().bytes_per_second()) * NANO);
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        let brim = depth(self.rate(), self.burst);
        let raised = self.level.nano().saturating_add(i128::from(bytes) * NANO);
        self.level.raise_to(raised.min(brim));
    }

    /// When nothing will be left to remember: the meter is full again.
    pub(super) fn full_at(&self) -> Instant {
        self.level.reaches(depth(self.rate(), self.burst))
    }
}

/// The depth in nano-bytes.
fn depth(rate: Rate, burst: u64) -> i128 {
    rate.nano_per_interval().max(i128::from(burst) * NANO)
}
