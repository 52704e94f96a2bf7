//! The level of a token bucket in integer nano-tokens.

use std::time::Duration;

use super::per_second::{Bytes, NANO, PerSecond};
use crate::clock::Instant;

/// A level that is refilled at a rate up to a depth, and lowered by spending. No rounding error accumulates. A clock that
/// stops or steps back refills nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Level<Unit = Bytes> {
    /// Nano-tokens; negative is debt. Invariant after [`settle`](Self::settle): below `depth + rate`. One nanosecond's refill
    /// may exceed the depth, so that due instants, which are rounded up to whole nanoseconds, lose nothing.
    nano: i128,
    /// When `nano` was computed.
    stamp: Instant,
    /// The rate of refill.
    rate: PerSecond<Unit>,
}

impl<Unit: Copy> Level<Unit> {
    /// Creates a level of `nano` nano-tokens.
    pub(super) fn new(rate: PerSecond<Unit>, nano: i128, now: Instant) -> Self {
        Self { nano, stamp: now, rate }
    }

    /// Refills by the time since the last call up to `depth`, then switches to `rate`. Returns what did not fit,
    /// in nano-tokens.
    pub(super) fn settle(&mut self, rate: PerSecond<Unit>, depth: i128, now: Instant) -> i128 {
        let elapsed = now.nanos_since(self.stamp);
        if elapsed > 0 {
            self.stamp = now;
            let refill = i128::from(self.rate.per_second()).saturating_mul(elapsed.into());
            self.nano = self.nano.saturating_add(refill);
        }
        self.rate = rate;
        let over = self.nano - depth;
        // Less than a nanosecond's refill may exceed the depth.
        if over < i128::from(rate.per_second()) {
            return 0;
        }
        self.nano = depth;
        over
    }

    /// Switches to `rate` and keeps the time that the level stands for: tokens of the old rate become as many of the new one as
    /// it gives in that time, less than a nano-token rounded off.
    pub(super) fn keep_time(&mut self, rate: PerSecond<Unit>) {
        let (old, new) = (i128::from(self.rate.per_second()), i128::from(rate.per_second()));
        // Whole nanoseconds and the rest apart: the product of a level and a rate may not fit.
        let (nanos, rest) = (self.nano.div_euclid(old), self.nano.rem_euclid(old));
        let rest = rest.unsigned_abs() * new.unsigned_abs() / old.unsigned_abs();
        self.nano = nanos.saturating_mul(new).saturating_add_unsigned(rest);
        self.rate = rate;
    }

    /// Advances the time without a refill.
    pub(super) fn skip_to(&mut self, now: Instant) {
        self.stamp = self.stamp.max(now);
    }

    /// Raises the level to `least` if it is below.
    pub(super) fn raise_to(&mut self, least: i128) {
        self.nano = self.nano.max(least);
    }

    pub(super) fn nano(&self) -> i128 {
        self.nano
    }

    /// When it was last settled.
    pub(super) fn stamp(&self) -> Instant {
        self.stamp
    }

    pub(super) fn rate(&self) -> PerSecond<Unit> {
        self.rate
    }

    /// Whole tokens above zero.
    pub(super) fn whole_tokens(&self) -> u64 {
        u64::try_from(self.nano.max(0) / NANO).unwrap_or(u64::MAX)
    }

    /// Returns whether there are `tokens`; always true for zero. Unlike `whole_tokens` it does not divide.
    pub(super) fn covers(&self, tokens: u64) -> bool {
        tokens == 0 || self.nano >= i128::from(tokens) * NANO
    }

    pub(super) fn spend(&mut self, tokens: u64) {
        self.nano -= i128::from(tokens) * NANO;
    }

    /// When the level is at least `nano`.
    pub(super) fn reaches(&self, nano: i128) -> Instant {
        let missing = (nano - self.nano).max(0);
        let rate = i128::from(self.rate.per_second());
        let nanos = u64::try_from((missing + rate - 1) / rate).unwrap_or(u64::MAX);
        self.stamp + Duration::from_nanos(nanos)
    }
}
