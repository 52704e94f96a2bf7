//! The limits of a node, and the token bucket that keeps them.

use std::num::NonZeroU16;

use crate::clock::Instant;
use crate::limit::level::Level;
use crate::limit::per_second::NANO;
use crate::limit::{Interval, Rate};

/// A node's share beside its siblings: 1, the default, to 65 535. A node of weight 3 gets three times what one of weight 1
/// gets while both want more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(NonZeroU16);

impl Weight {
    /// Creates a weight; `None` for zero.
    pub const fn new(weight: u16) -> Option<Self> {
        match NonZeroU16::new(weight) {
            Some(weight) => Some(Self(weight)),
            None => None,
        }
    }

    /// Returns the number.
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
///
/// ```
/// use sluicegate_core::limit::{Budget, Rate};
///
/// // 4 MiB at once, the rest at 1 MiB/s.
/// let budget = Budget::of(Rate::mib_per_second(1)).with_burst(4 << 20);
/// assert_eq!(Budget::from(Rate::mib_per_second(1)), Budget { burst: 0, ..budget });
/// assert_eq!(Budget::default().rate, None);
///
/// // What takes a budget takes a rate, or none: a setting that may be `off`.
/// assert_eq!(Budget::from(Rate::parse_or_off("off")?), Budget::default());
/// # Ok::<(), sluicegate_core::limit::UnitError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes per second of all that passes below the node; `None` is unlimited.
    pub rate: Option<Rate>,
    /// The most bytes that may pass at once after silence; at least what the rate gives in one interval (200 ms).
    pub burst: u64,
    /// The share beside the node's siblings.
    pub weight: Weight,
    /// The node only counts what it would delay.
    pub report_only: bool,
}

impl Budget {
    /// Creates a budget of `rate`, or unlimited for `None`, without a burst.
    ///
    /// A rate is never zero, so that a computed share of nothing does not lift the limit:
    ///
    /// ```compile_fail
    /// use sluicegate_core::limit::{Budget, Rate};
    ///
    /// let budget = Budget::of(Rate::new(0));
    /// ```
    pub fn of(rate: impl Into<Option<Rate>>) -> Self {
        Self { rate: rate.into(), ..Self::default() }
    }

    /// Sets the burst in bytes. Of a [`Size`](crate::limit::Size) that was read as text: `size.bytes()`.
    #[must_use]
    pub fn with_burst(self, bytes: u64) -> Self {
        Self { burst: bytes, ..self }
    }

    /// Sets the weight.
    #[must_use]
    pub fn with_weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// Makes the budget only count what it would delay.
    #[must_use]
    pub fn reporting_only(self) -> Self {
        Self { report_only: true, ..self }
    }
}

/// The most that debited bytes may delay a node, in seconds.
const MAX_DEBT_SECONDS: i128 = 1;

/// The token bucket of a node with a rate. As deep as the burst, or as one interval of the rate if that is more: a grant is at
/// most the latter, so that it can be paid, and a timer that is late within an interval loses nothing.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    level: Level,
    /// Bytes.
    burst: u64,
}

impl Meter {
    /// Creates a full bucket.
    pub(super) fn full(rate: Rate, burst: u64, now: Instant) -> Self {
        Self { level: Level::new(rate, depth(rate, burst), now), burst }
    }

    /// Creates a bucket with one interval's worth.
    pub(super) fn without_burst(rate: Rate, burst: u64, now: Instant) -> Self {
        Self { level: Level::new(rate, depth(rate, 0), now), burst }
    }

    /// The largest grant: what the rate gives in one interval in whole bytes, at least one.
    pub(super) fn quantum(&self) -> u64 {
        self.level.rate().chunk(Interval::DEFAULT)
    }

    pub(super) fn rate(&self) -> Rate {
        self.level.rate()
    }

    /// Changes rate and burst. The level stays within the new depth; a debt becomes at most an interval's worth, or a lowered
    /// rate would turn it into a long wait.
    pub(super) fn change(&mut self, rate: Rate, burst: u64, now: Instant) {
        self.burst = burst;
        self.level.settle(rate, depth(rate, burst), now);
        self.level.raise_to(-depth(rate, 0));
    }

    /// Returns when `bytes` can be paid, if not now.
    pub(super) fn can_pay(&mut self, bytes: u64, now: Instant) -> Result<(), Instant> {
        self.level.settle(self.level.rate(), depth(self.level.rate(), self.burst), now);
        let cost = i128::from(bytes) * NANO;
        if self.level.nano() >= cost { Ok(()) } else { Err(self.level.reaches(cost)) }
    }

    pub(super) fn pay(&mut self, bytes: u64) {
        self.level.spend(bytes);
    }

    /// Charges bytes that passed without a turn.
    pub(super) fn debit(&mut self, bytes: u64) {
        self.level.spend(bytes);
        self.level.raise_to(-MAX_DEBT_SECONDS * i128::from(self.rate().bytes_per_second()) * NANO);
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        let full = depth(self.rate(), self.burst);
        let raised = self.level.nano().saturating_add(i128::from(bytes) * NANO);
        self.level.raise_to(raised.min(full));
    }

    /// Whether the bucket was full when it was last asked whether it [can pay](Self::can_pay).
    pub(super) fn is_full(&self) -> bool {
        self.level.nano() >= depth(self.rate(), self.burst)
    }

    /// When the bucket is full.
    pub(super) fn full_at(&self) -> Instant {
        self.level.reaches(depth(self.rate(), self.burst))
    }
}

/// The depth in nano-bytes.
fn depth(rate: Rate, burst: u64) -> i128 {
    rate.nano_chunk(Interval::DEFAULT).max(i128::from(burst) * NANO)
}
