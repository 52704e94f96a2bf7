//! The allowance of one paced stream: a token bucket one chunk deep, in integer nano-bytes.
//!
//! The arithmetic of rules 1–5 and 8 in `docs/pacing.md`; the rate filter decides which bytes pass.

use super::level::Level;
use super::per_second::{NANO, Rate};
use super::{CatchUp, Interval};
use crate::clock::Instant;

/// What one stream may send now, and when it may send more.
///
/// A token bucket one chunk deep (`rate × interval`, at least one byte), full at first, refilled continuously. The level is
/// exact at any rate, without rounding. It may be negative: the end of a stream may pass on credit of less than one chunk,
/// for which the client's next response waits.
///
/// A chunk need not be whole bytes (3 072 B/s: 614.4). Whole bytes pass, the fraction stays in the level, and the next chunk
/// is due when the level is a whole chunk again: 614 bytes after 614 ÷ 3 072 s. Instants are whole nanoseconds: due instants
/// are rounded up, and the refill of that fraction of a nanosecond is kept. So no rate drifts, and a bound on a window of `w`
/// is exact for `w` plus one nanosecond, the clock's resolution.
///
/// The burst is a second bucket. It is spent once per response and refilled by what the allowance cannot hold, so that the
/// client's next response has what was refilled, and the whole burst after `burst ÷ rate` of silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// One chunk deep. Invariant: above minus one chunk.
    level: Level,
    /// Bytes of burst that were spent and not refilled yet.
    burst_debt: u64,
    /// The same, less than a byte. Apart, so that 65 536 carried allowances are smaller by a mebibyte.
    burst_debt_nano: u32,
    interval: Interval,
}

impl Allowance {
    /// Creates a full allowance of one chunk for each `interval`.
    pub fn full(rate: Rate, interval: Interval, now: Instant) -> Self {
        let level = Level::new(rate, rate.nano_chunk(interval), now);
        Self { level, burst_debt: 0, burst_debt_nano: 0, interval }
    }

    /// Sets the interval. The next [`settle`](Self::settle) caps what is left, and what is owed, at its chunk.
    #[must_use]
    pub fn with_interval(self, interval: Interval) -> Self {
        Self { interval, ..self }
    }

    /// Refills by the time since the last call, then changes to `rate`. An earlier `now` refills nothing.
    pub fn settle(&mut self, rate: Rate, now: Instant) {
        self.settle_within(rate, None, now);
    }

    /// Like [`settle`](Self::settle), with room for what `rate` gives in `catch_up`, if that is more than a chunk.
    pub fn settle_within(&mut self, rate: Rate, catch_up: Option<CatchUp>, now: Instant) {
        self.settle_to(rate, rate.nano_depth(self.interval, catch_up), now);
    }

    /// Like [`settle_within`](Self::settle_within), without taking back what a [`change`](Self::change) left above the depth.
    pub fn settle_keeping(&mut self, rate: Rate, catch_up: Option<CatchUp>, now: Instant) {
        let depth = rate.nano_depth(self.interval, catch_up).max(self.level.nano());
        self.settle_to(rate, depth, now);
    }

    /// Refills at the old rate until `at` and at `rate` from then until `now`, and keeps what was earned of a chunk of the old
    /// rate, though one of the new may be smaller. So no change adds or takes a byte of the integral of the rate.
    pub fn change(&mut self, rate: Rate, catch_up: Option<CatchUp>, at: Instant, now: Instant) {
        let (old, at) = (self.level.rate(), at.min(now));
        self.settle_to(old, old.nano_depth(self.interval, catch_up), at);
        // No time passes: only the rate is another.
        self.level.settle(rate, i128::MAX, at);
        // A level that is due may be above a chunk by a nanosecond's refill. A part of a byte that a rate takes several intervals
        // for comes on top of the interval in which the change is seen.
        let old_chunk = old.nano_chunk(self.interval);
        let part = if old_chunk == NANO { NANO } else { 0 };
        let old_chunk = old_chunk + part + i128::from(old.bytes_per_second());
        self.settle_to(rate, (rate.nano_depth(self.interval, catch_up) + part).max(old_chunk), now);
    }

    fn settle_to(&mut self, rate: Rate, depth: i128, now: Instant) {
        let over = self.level.settle(rate, depth, now);
        let owed = self.nano_burst_debt();
        if over > 0 && owed > 0 {
            let left = (owed - over).max(0);
            // Less than before, and a remainder: both fit.
            self.burst_debt = u64::try_from(left / NANO).unwrap_or(u64::MAX);
            self.burst_debt_nano = (left % NANO) as u32;
        }
        // A lowered rate must not turn an old credit into a long wait.
        self.level.raise_to(-rate.nano_chunk(self.interval));
    }

    /// Changes to `rate` and keeps the time that is left or owed, not the bytes: what is left of an interval gives what `rate`
    /// gives in that time. The next [`settle`](Self::settle) caps it.
    pub fn keep_time(&mut self, rate: Rate) {
        self.level.keep_time(rate);
    }

    /// Returns the rate since the last change.
    pub fn rate(&self) -> Rate {
        self.level.rate()
    }

    /// Returns the whole bytes that may pass now.
    pub fn covered(&self) -> u64 {
        self.level.whole_tokens()
    }

    /// Charges `bytes`; more than [`covered`](Self::covered) is credit.
    pub fn spend(&mut self, bytes: u64) {
        self.level.spend(bytes);
    }

    /// Charges `bytes` to the burst.
    pub fn spend_burst(&mut self, bytes: u64) {
        self.burst_debt = self.burst_debt.saturating_add(bytes);
    }

    /// Returns how much of a burst of `burst` bytes a response that starts now may use.
    pub fn burst_left(&self, burst: u64) -> u64 {
        let left = i128::from(burst) * NANO - self.nano_burst_debt();
        u64::try_from(left.max(0) / NANO).unwrap_or(u64::MAX)
    }

    /// Returns whether there is a credit to pay.
    pub fn in_debt(&self) -> bool {
        self.level.nano() < 0
    }

    /// Returns whether `bytes` are less than a chunk of the current rate.
    pub fn is_less_than_chunk(&self, bytes: u64) -> bool {
        i128::from(bytes) * NANO < self.nano_chunk()
    }

    /// Returns whether `bytes` and `nano` billionths of a byte are less than a chunk of the current rate.
    pub(crate) fn is_less_with(&self, bytes: u64, nano: i128) -> bool {
        (i128::from(bytes) * NANO).saturating_add(nano) < self.nano_chunk()
    }

    /// Returns whether a whole chunk may pass now.
    pub fn is_whole(&self) -> bool {
        self.level.nano() >= self.nano_chunk()
    }

    /// Returns when a whole chunk may pass.
    pub fn whole_at(&self) -> Instant {
        self.level.reaches(self.nano_chunk())
    }

    /// Returns when the credit is paid.
    pub fn out_of_debt_at(&self) -> Instant {
        self.level.reaches(0)
    }

    /// When it was last settled.
    pub(super) fn settled_at(&self) -> Instant {
        self.level.stamp()
    }

    /// When it is as a full one: the credit is paid, and the burst refilled.
    pub(super) fn restored_at(&self) -> Instant {
        self.level.reaches(self.nano_chunk() + self.nano_burst_debt())
    }

    /// One chunk of the current rate.
    fn nano_chunk(&self) -> i128 {
        self.level.rate().nano_chunk(self.interval)
    }

    fn nano_burst_debt(&self) -> i128 {
        i128::from(self.burst_debt) * NANO + i128::from(self.burst_debt_nano)
    }
}

#[cfg(test)]
mod tests;
