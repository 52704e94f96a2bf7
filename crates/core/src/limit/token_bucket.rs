//! Token buckets.

use super::level::Level;
use super::per_second::{Bytes, NANO, PerSecond};
use crate::clock::Instant;

/// A token bucket; one token is one `Unit`, by default a byte.
///
/// In any time `t` it yields at most `max_burst + rate × t` tokens, exact to the nano-token at any rate. A clock that steps
/// back changes nothing.
///
/// ```
/// use std::time::Duration;
/// use sluicegate_core::clock::Instant;
/// use sluicegate_core::limit::{Rate, TokenBucket};
///
/// let second = Instant::ZERO + Duration::from_secs(1);
/// let mut bucket = TokenBucket::new(Rate::new(32_768).unwrap(), 65_536, Instant::ZERO);
/// assert_eq!(bucket.consume(100_000), 65_536, "the burst");
/// assert!(!bucket.try_consume(1));
/// bucket.refill(second);
/// assert_eq!(bucket.consume(100_000), 32_768, "a second's worth");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBucket<Unit = Bytes> {
    level: Level<Unit>,
    max_burst: u64,
}

impl<Unit: Copy> TokenBucket<Unit> {
    /// Creates a full bucket of `max_burst` tokens that is refilled at `rate`. A `max_burst` of zero counts as one.
    pub fn new(rate: PerSecond<Unit>, max_burst: u64, now: Instant) -> Self {
        let max_burst = max_burst.max(1);
        Self { level: Level::new(rate, depth(max_burst), now), max_burst }
    }

    /// Lowers the tokens to `tokens`.
    #[must_use]
    pub fn starting_with(mut self, tokens: u64) -> Self {
        let surplus = self.available().saturating_sub(tokens);
        self.level.spend(surplus);
        self
    }

    /// Refills by the time since the last call. An earlier `now` changes nothing.
    pub fn refill(&mut self, now: Instant) {
        self.level.settle(self.level.rate(), depth(self.max_burst), now);
    }

    /// Removes up to `requested` tokens; returns how many.
    pub fn consume(&mut self, requested: u64) -> u64 {
        let allowed = requested.min(self.available());
        self.level.spend(allowed);
        allowed
    }

    /// Removes `n` tokens and returns true, or none and returns false if there are fewer.
    pub fn try_consume(&mut self, n: u64) -> bool {
        let enough = n <= self.max_burst && self.level.covers(n);
        if enough {
            self.level.spend(n);
        }
        enough
    }

    /// Removes `n` tokens if there are `n`, or `max_burst` if `n` is more; what is missing is refilled first. So a piece larger
    /// than the bucket passes, at the rate in the long run.
    pub fn try_consume_on_credit(&mut self, n: u64) -> bool {
        let enough = self.level.covers(n.min(self.max_burst));
        if enough {
            self.level.spend(n);
        }
        enough
    }

    /// Returns tokens that were not used, up to `max_burst`.
    pub fn give_back(&mut self, tokens: u64) {
        let tokens = tokens.min(self.max_burst - self.available());
        self.level.raise_to(self.level.nano() + i128::from(tokens) * NANO);
    }

    /// Returns the tokens, as of the last refill.
    pub fn available(&self) -> u64 {
        self.level.whole_tokens().min(self.max_burst)
    }

    /// Returns when there are `n` tokens if none is removed; more than `max_burst` counts as that.
    pub fn available_at(&self, n: u64) -> Instant {
        self.level.reaches(depth(n.min(self.max_burst)))
    }

    /// Sets the rate from `now` on. The tokens stay.
    pub fn set_rate(&mut self, rate: PerSecond<Unit>, now: Instant) {
        self.level.settle(rate, depth(self.max_burst), now);
    }

    /// Sets the capacity; zero counts as one. Tokens above it are lost.
    pub fn set_max_burst(&mut self, max_burst: u64, now: Instant) {
        self.max_burst = max_burst.max(1);
        self.refill(now);
    }

    /// Advances the time to `now` without a refill.
    pub fn skip_to(&mut self, now: Instant) {
        self.level.skip_to(now);
    }

    /// Returns the rate.
    pub fn rate(&self) -> PerSecond<Unit> {
        self.level.rate()
    }

    /// Returns the capacity.
    pub fn max_burst(&self) -> u64 {
        self.max_burst
    }
}

fn depth(tokens: u64) -> i128 {
    i128::from(tokens) * NANO
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Rate;
    use proptest::prelude::*;
    use std::time::Duration;

    fn rate(bytes_per_second: u64) -> Rate {
        Rate::new(bytes_per_second).unwrap()
    }

    fn bucket(max: u64, start: u64, bytes_per_second: u64) -> TokenBucket {
        TokenBucket::new(rate(bytes_per_second), max, Instant::ZERO).starting_with(start)
    }

    #[test]
    fn the_table() {
        // max, start, rate, then pairs of (seconds, what a greedy taker gets).
        type Row = (u64, u64, u64, &'static [(u64, u64)]);
        let rows: [Row; 6] = [
            (65_536, 65_536, 32_768, &[(0, 65_536), (1, 32_768), (2, 32_768), (3, 32_768)]),
            (65_536, 0, 32_768, &[(0, 0), (1, 32_768), (4, 65_536)]),
            (10, 5, 1, &[(0, 5), (1, 1), (3, 2), (100, 10)]),
            (1, 1, 1_000_000, &[(0, 1), (1, 1)]),
            (0, 0, 1, &[(0, 0), (5, 1)]),
            (u64::MAX, u64::MAX, u64::MAX, &[(0, u64::MAX), (1, u64::MAX)]),
        ];
        for (max, start, per_second, expected) in rows {
            let mut bucket = bucket(max, start, per_second);
            for &(seconds, tokens) in expected {
                bucket.refill(Instant::ZERO + Duration::from_secs(seconds));
                assert_eq!(bucket.consume(u64::MAX), tokens, "{max} {start} {per_second} at {seconds} s");
            }
        }
    }

    #[test]
    fn on_credit_a_full_bucket_gives_more_than_it_holds_and_refills_that_first() {
        let second = |n| Instant::ZERO + Duration::from_secs(n);
        let mut bucket = bucket(10, 9, 1);
        assert!(!bucket.try_consume_on_credit(25), "it is not full");
        bucket.refill(second(1));
        assert!(bucket.try_consume_on_credit(25));
        assert_eq!((bucket.available(), bucket.available_at(1)), (0, second(17)));
        assert!(bucket.try_consume(0), "nothing is always there");
        bucket.refill(second(17));
        assert!(bucket.try_consume_on_credit(1) && !bucket.try_consume_on_credit(1));
    }

    #[test]
    fn a_smaller_bucket_loses_what_is_over_and_skipped_time_earns_nothing() {
        let second = |n| Instant::ZERO + Duration::from_secs(n);
        let mut bucket = bucket(10, 10, 1);
        bucket.set_max_burst(4, second(0));
        assert_eq!((bucket.available(), bucket.max_burst()), (4, 4));
        assert_eq!(bucket.consume(4), 4);
        bucket.skip_to(second(100));
        bucket.refill(second(102));
        assert_eq!(bucket.available(), 2);
    }

    #[test]
    fn a_token_is_there_at_its_nanosecond_and_not_one_before() {
        for (per_second, n, nanos) in
            [(1, 1, 1_000_000_000), (3, 1, 333_333_334), (3, 2, 666_666_667), (1_000_000_000, 7, 7)]
        {
            let mut bucket = bucket(1_000, 0, per_second);
            assert_eq!(bucket.available_at(n), Instant::from_nanos(nanos));
            bucket.refill(Instant::from_nanos(nanos - 1));
            assert!(!bucket.try_consume(n), "{per_second} B/s");
            bucket.refill(Instant::from_nanos(nanos));
            assert!(bucket.try_consume(n) && !bucket.try_consume(1), "{per_second} B/s");
        }
    }

    #[test]
    fn all_or_nothing_takes_nothing_when_it_is_not_all() {
        let mut bucket = bucket(10, 10, 1);
        assert!(!bucket.try_consume(11));
        assert!(bucket.try_consume(0) && bucket.try_consume(9) && !bucket.try_consume(2));
        assert_eq!(bucket.available(), 1);
    }

    #[test]
    fn a_clock_that_steps_back_earns_nothing_and_takes_nothing() {
        let mut bucket = bucket(100, 0, 10);
        bucket.refill(Instant::from_millis(1_000));
        bucket.refill(Instant::from_millis(200));
        assert_eq!(bucket.available(), 10);
        bucket.refill(Instant::from_millis(1_100));
        assert_eq!(bucket.available(), 11);
    }

    #[test]
    fn tokens_given_back_do_not_overflow_the_bucket() {
        let mut bucket = bucket(10, 10, 1);
        assert_eq!(bucket.consume(4), 4);
        bucket.give_back(3);
        assert_eq!(bucket.available(), 9);
        bucket.give_back(u64::MAX);
        assert_eq!(bucket.available(), 10);
    }

    proptest! {
        #[test]
        fn no_history_gives_more_than_burst_and_rate(
            per_second in 1u64..20_000_000_000,
            max in 1u64..1_000_000,
            steps in prop::collection::vec((0u64..3_000_000_000, 0u64..2_000_000, any::<bool>(), 0u64..5_000_000_000), 1..60),
        ) {
            let mut bucket = TokenBucket::new(rate(per_second), max, Instant::ZERO);
            let (mut now, mut given) = (Instant::ZERO, 0u128);
            for (nanos, n, all, back) in steps {
                now = now + Duration::from_nanos(nanos);
                bucket.refill(now);
                let before = bucket.available();
                // A clock that steps back, and comes to where it was.
                bucket.refill(Instant::from_nanos(now.as_nanos().saturating_sub(back)));
                bucket.refill(now);
                prop_assert_eq!(bucket.available(), before);
                let got = if all { if bucket.try_consume(n) { n } else { 0 } } else { bucket.consume(n) };
                prop_assert!(got == 0 || got <= before);
                prop_assert_eq!(bucket.available(), (before - got).min(max));
                given += u128::from(got);
                let bound = u128::from(max) * 1_000_000_000 + u128::from(per_second) * u128::from(now.as_nanos());
                prop_assert!(given * 1_000_000_000 <= bound);
            }
        }
    }
}
