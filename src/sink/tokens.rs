//! The pace of one connection: its token bucket, told the time as the drivers tell their chains.

use crate::clock::{Instant, Punctual};
use crate::limit::{INTERVAL, Rate, TokenBucket};

/// Tokens that are asked for in pieces of one interval's worth, or of the burst if that is less.
///
/// A burst is often earned back in less time than a timer is late. A wake-up a little late counts as on
/// time here too ([`Punctual`]), or high rates would never be reached. Told time is never ahead of the
/// clock, so over its life the connection sends no more than burst + rate × time.
pub(super) struct Tokens {
    bucket: TokenBucket,
    punctual: Punctual,
}

impl Tokens {
    /// All of `burst` is there.
    pub(super) fn new(rate: Rate, burst: u64, now: Instant) -> Self {
        Self { bucket: TokenBucket::new(rate, burst, now), punctual: Punctual::default() }
    }

    /// Takes tokens for `most` bytes, at least one, or for as many as there are.
    ///
    /// # Errors
    /// There are too few; it says when there will be enough. Not for every byte that drips in: for all
    /// that is asked, or for one piece.
    pub(super) fn take(&mut self, now: Instant, most: usize) -> Result<usize, Instant> {
        let least = (most as u64).min(self.piece());
        self.bucket.refill(self.punctual.tell(now));
        if self.bucket.available() < least {
            let due = self.bucket.available_at(least);
            self.punctual.expect(due);
            self.bucket.refill(self.punctual.tell(now));
            if self.bucket.available() < least {
                return Err(due);
            }
        }
        // At most `most`, which is a usize.
        Ok(self.bucket.consume(most as u64) as usize)
    }

    /// Puts back what was taken and not used.
    pub(super) fn give_back(&mut self, tokens: usize) {
        self.bucket.give_back(tokens as u64);
    }

    fn piece(&self) -> u64 {
        let nanos = u128::from(self.bucket.rate().bytes_per_second()) * INTERVAL.as_nanos();
        u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX).clamp(1, self.bucket.max_burst())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // 64 KiB at 100 MiB/s are earned back in 0.6 ms; the wheel wakes each 10 ms.
    #[test]
    fn a_burst_earned_back_between_two_wake_ups_costs_no_rate() {
        let rate = 100 << 20;
        let mut tokens = Tokens::new(Rate::new(rate).unwrap(), 65_536, Instant::ZERO);
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
        let mut tokens = Tokens::new(Rate::new(1_000_000).unwrap(), 1000, Instant::ZERO);
        assert_eq!(tokens.take(Instant::ZERO, 5000), Ok(1000));
        assert_eq!(tokens.take(Instant::ZERO, 5000), Err(Instant::from_millis(1)));
        let late = Instant::from_millis(52);
        assert_eq!(tokens.take(late, 5000), Ok(1000));
        assert_eq!(tokens.take(late, 5000), Err(Instant::from_millis(53)));
    }
}
