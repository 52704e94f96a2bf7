//! The allowance of one paced stream: a token bucket one chunk deep, in integer nano-bytes.
//!
//! DESIGN's pacing rules 1–5 and 8 stand on this arithmetic; which bytes leave when is decided by
//! the rate filter, which asks here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Rate;
use crate::clock::Instant;

/// The interval of pacing: one chunk leaves in each. 200 ms, as in mod_ratelimit.
pub const INTERVAL: Duration = Duration::from_millis(200);

/// Nano-bytes in a byte. A rate of R bytes/s is exactly R nano-bytes each nanosecond.
const NANO: i128 = 1_000_000_000;

/// What one stream may send now, and when it may send more.
///
/// A token bucket one chunk deep (`rate × 200 ms`, at least one byte), full at the start, refilled
/// continuously. The level is exact: no rounding is carried from one interval to the next, for any
/// rate. It may be below zero: the end of a stream leaves on credit of less than one chunk, and a
/// successor on the same connection waits for that.
///
/// The burst is a second bucket beside it. It is spent once within a response and earned back from
/// what the allowance cannot hold, so a following response on the same connection finds as much of it
/// as was earned, and the whole of it after `burst ÷ rate` of quiet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Nano-bytes. Invariant: below `depth + rate` (one nanosecond's refill above the brim, so that a
    /// wake-up instant rounded up to a whole nanosecond loses nothing), above `-depth`.
    level: i128,
    /// Nano-bytes of burst spent and not yet earned back.
    burst_debt: i128,
    /// When `level` was true.
    stamp: Instant,
    /// The rate `level` was kept under.
    rate: Rate,
}

impl Allowance {
    /// A full allowance.
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { level: depth(rate), burst_debt: 0, stamp: now, rate }
    }

    /// Refills by the time since the last call, and goes over to `rate` if that is another one.
    ///
    /// A `now` before the last one changes nothing: time that did not pass earns nothing.
    pub fn settle(&mut self, rate: Rate, now: Instant) {
        let elapsed = now.nanos_since(self.stamp);
        if elapsed > 0 {
            self.stamp = now;
            self.level += i128::from(self.rate.bytes_per_second()) * i128::from(elapsed);
        }
        self.rate = rate;
        let depth = depth(rate);
        let over = self.level - depth;
        if over > 0 {
            self.burst_debt = (self.burst_debt - over).max(0);
            if over >= i128::from(rate.bytes_per_second()) {
                self.level = depth;
            }
        }
        // A lowered rate must not turn a small old credit into a long wait.
        self.level = self.level.max(-depth);
    }

    /// Whole bytes that may leave now.
    pub fn covered(&self) -> u64 {
        u64::try_from(self.level.max(0) / NANO).unwrap_or(u64::MAX)
    }

    /// Books `bytes` as sent; more than is covered is credit.
    pub fn spend(&mut self, bytes: u64) {
        self.level -= i128::from(bytes) * NANO;
    }

    /// Books `bytes` as sent out of the burst.
    pub fn spend_burst(&mut self, bytes: u64) {
        self.burst_debt += i128::from(bytes) * NANO;
    }

    /// How much of a burst of `burst` bytes a response that starts now may use.
    pub fn burst_left(&self, burst: u64) -> u64 {
        let left = i128::from(burst) * NANO - self.burst_debt;
        u64::try_from(left.max(0) / NANO).unwrap_or(u64::MAX)
    }

    /// Whether credit was taken that time has not paid back yet.
    pub fn in_debt(&self) -> bool {
        self.level < 0
    }

    /// Whether `bytes` are less than a chunk at the rate last settled for.
    pub fn is_less_than_chunk(&self, bytes: u64) -> bool {
        i128::from(bytes) * NANO < depth(self.rate)
    }

    /// Whether a whole chunk may leave now.
    pub fn is_whole(&self) -> bool {
        self.level >= depth(self.rate)
    }

    /// The first instant at which a whole chunk may leave.
    pub fn whole_at(&self) -> Instant {
        self.reaches(depth(self.rate))
    }

    /// The first instant at which no credit is owed.
    pub fn out_of_debt_at(&self) -> Instant {
        self.reaches(0)
    }

    fn reaches(&self, level: i128) -> Instant {
        let missing = (level - self.level).max(0);
        let rate = i128::from(self.rate.bytes_per_second());
        let nanos = u64::try_from((missing + rate - 1) / rate).unwrap_or(u64::MAX);
        self.stamp + Duration::from_nanos(nanos)
    }
}

/// The depth in nano-bytes: what the rate gives in one interval, at least one byte.
fn depth(rate: Rate) -> i128 {
    (i128::from(rate.bytes_per_second()) * INTERVAL.as_nanos() as i128).max(NANO)
}

/// The allowances that finished responses left on one connection and route, for the next ones there.
///
/// HTTP/1 has one at a time. Concurrent HTTP/2 streams each take one out and put it back; so however
/// requests follow one another, the long-run rate is the configured one for each concurrent response.
#[derive(Clone, Debug, Default)]
pub struct Carryover(Arc<Mutex<std::collections::VecDeque<Allowance>>>);

impl Carryover {
    /// Most allowances kept; more concurrent responses than this on one connection and route start afresh.
    const MOST: usize = 1024;

    /// Takes the allowance that was left first, which time has refilled most.
    pub fn take(&self) -> Option<Allowance> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Leaves an allowance for the next response.
    pub fn put(&self, allowance: Allowance) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() < Self::MOST {
            left.push_back(allowance);
        }
    }
}
