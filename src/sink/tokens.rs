//! The pace of one connection: its token bucket, passed the time as a chain is.

use crate::clock::{Instant, Lateness};
use crate::limit::{Interval, Limit, TokenBucket};

/// Gives out tokens in pieces of one interval's worth, or of the burst if that is less.
///
/// A burst is often earned back in less time than a timer is late. A wake-up that is a little late counts as on time
/// here too ([`Lateness`]), or high rates would never be reached. The time passed is never ahead of the clock, so
/// over its life a connection sends at most burst + rate × time.
///
/// The limit may change at any time: a task that waits for tokens asks again at least once an interval.
pub(super) struct Tokens {
    limit: Limit,
    /// `None` without a rate.
    bucket: Option<Box<TokenBucket>>,
    lateness: Lateness,
    /// The last answer was of a limit that only reports: nothing was taken for it.
    reports: bool,
}

impl Tokens {
    /// Starts with a full bucket.
    pub(super) fn new(limit: Limit, now: Instant) -> Self {
        let bucket = limit.rate().map(|rate| Box::new(TokenBucket::new(rate, limit.burst(), now)));
        Self { limit, bucket, lateness: Lateness::default(), reports: false }
    }

    /// Takes tokens for up to `most` bytes, at least one; returns for how many. Tell [`passed`](Self::passed) how many were used.
    ///
    /// # Errors
    /// Too few: when there will be enough for `most` bytes or for one piece, not for every byte that drips in.
    pub(super) fn take(&mut self, now: Instant, most: usize) -> Result<usize, Instant> {
        let told = self.lateness.correct(now);
        self.keep_to_the_limit(told);
        let Some(bucket) = &mut self.bucket else { return Ok(most) };
        bucket.refill(told);
        self.reports = self.limit.is_report_only();
        if self.reports {
            return Ok(most);
        }
        let least = (most as u64).min(piece(bucket));
        if bucket.available() < least {
            let due = bucket.available_at(least);
            self.lateness.expect(due);
            bucket.refill(self.lateness.correct(now));
            if bucket.available() < least {
                return Err(due);
            }
        }
        // At most `most`, which is a usize.
        Ok(bucket.consume(most as u64) as usize)
    }

    /// Returns the tokens that `bytes` of the `covered` ones left unused. Under a limit that only reports, charges them, and counts
    /// those that it would have delayed.
    pub(super) fn passed(&mut self, bytes: usize, covered: usize) {
        match &mut self.bucket {
            Some(bucket) if self.reports => self.limit.note_over(bytes as u64 - bucket.consume(bytes as u64)),
            Some(bucket) => bucket.give_back((covered - bytes) as u64),
            None => {}
        }
    }

    /// Adopts the limit's current value. A change grants no burst: that takes a quiet time.
    fn keep_to_the_limit(&mut self, now: Instant) {
        let Some(rate) = self.limit.rate() else {
            self.bucket = None;
            return;
        };
        let burst = self.limit.burst().max(1);
        match &mut self.bucket {
            Some(bucket) if bucket.max_burst() == burst => {
                if bucket.rate() != rate {
                    bucket.set_rate(rate, now);
                }
            }
            other => {
                let fresh = TokenBucket::new(rate, burst, now);
                let left = other.as_ref().map_or_else(|| piece(&fresh), |bucket| bucket.available());
                *other = Some(Box::new(fresh.starting_with(left)));
            }
        }
    }
}

/// One interval's worth, or the burst if that is less; at least a byte.
fn piece(bucket: &TokenBucket) -> u64 {
    bucket.rate().chunk(Interval::DEFAULT).min(bucket.max_burst())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Rate;

    fn tokens(rate: u64, burst: u64) -> Tokens {
        Tokens::new(Limit::new(Rate::or_unlimited(rate)).with_burst(burst), Instant::ZERO)
    }

    // 64 KiB at 100 MiB/s are earned back in 0.6 ms; the wheel wakes each 10 ms.
    #[test]
    fn a_burst_earned_back_between_two_wake_ups_costs_no_rate() {
        let rate = 100 << 20;
        let mut tokens = tokens(rate, 65_536);
        let mut sent = 0;
        for millis in (0..=1000).step_by(10) {
            let now = Instant::from_millis(millis);
            while let Ok(taken) = tokens.take(now, 1 << 20) {
                sent += taken as u64;
            }
            assert!(sent <= 65_536 + rate * millis / 1000, "{sent} bytes at {millis} ms");
        }
        assert!(sent >= rate - 65_536, "{sent} bytes in a second");
    }

    #[test]
    fn what_comes_too_late_earns_the_burst_and_no_more() {
        let mut tokens = tokens(1_000_000, 1000);
        assert_eq!(tokens.take(Instant::ZERO, 5000), Ok(1000));
        assert_eq!(tokens.take(Instant::ZERO, 5000), Err(Instant::from_millis(1)));
        let late = Instant::from_millis(52);
        assert_eq!(tokens.take(late, 5000), Ok(1000));
        assert_eq!(tokens.take(late, 5000), Err(Instant::from_millis(53)));
    }

    #[test]
    fn a_change_holds_from_the_next_question_and_gives_no_burst() {
        let mut tokens = tokens(1_000, 1_000);
        assert_eq!(tokens.take(Instant::ZERO, 5_000), Ok(1_000));
        assert_eq!(tokens.take(Instant::ZERO, 5_000), Err(Instant::from_millis(200)));
        tokens.limit.set_rate(Rate::or_unlimited(10_000));
        let now = Instant::from_millis(100);
        assert_eq!(tokens.take(now, 5_000), Err(Instant::from_millis(190)), "100 are there of 1 000");
        tokens.limit.set_burst(50_000);
        assert_eq!(tokens.take(now, 5_000), Err(Instant::from_millis(290)), "100 are there of 2 000");
        tokens.limit.set_rate(None);
        assert_eq!(tokens.take(now, 1 << 30), Ok(1 << 30));
        tokens.limit.set_rate(Rate::or_unlimited(10_000));
        assert_eq!(tokens.take(now, 5_000), Ok(2_000), "one interval's worth");
        assert_eq!(tokens.take(now, 5_000), Err(Instant::from_millis(300)));
    }

    #[test]
    fn a_limit_that_only_reports_delays_nothing_and_counts_the_excess() {
        let mut tokens = tokens(1_000, 1_000);
        tokens.limit.set_report_only(true);
        // Offered again and again, and taken in the end.
        for (millis, offered, passed) in [(0, 9_000, 0), (0, 9_000, 5_000), (100, 7_000, 0), (100, 150, 150)]
        {
            assert_eq!(tokens.take(Instant::from_millis(millis), offered), Ok(offered));
            tokens.passed(passed, offered);
        }
        assert_eq!(tokens.limit.over(), 4_000 + 50);
    }
}
