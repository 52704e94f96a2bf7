//! Measures how long a connection had nothing to write.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::clock::Instant;

/// Sums the times between a flush and the next bytes. One task changes it; others may read it.
#[derive(Debug)]
pub(super) struct Quiet {
    /// Nanoseconds of the finished times.
    sum: AtomicU64,
    /// Start of the current one, in nanoseconds; `WRITING` if there is none.
    since: AtomicU64,
}

/// Not an instant of any clock: 584 years after its origin.
const WRITING: u64 = u64::MAX;

impl Quiet {
    /// Starts with nothing to write.
    pub(super) fn since(now: Instant) -> Self {
        Self { sum: AtomicU64::new(0), since: AtomicU64::new(now.as_nanos()) }
    }

    /// Ends the current time: there are bytes to write.
    pub(super) fn end(&self, now: Instant) {
        let since = self.since.swap(WRITING, SeqCst);
        self.sum.fetch_add(now.as_nanos().saturating_sub(since), SeqCst);
    }

    /// Begins one: there is nothing more to write.
    pub(super) fn begin(&self, now: Instant) {
        self.since.store(now.as_nanos(), SeqCst);
    }

    /// The sum until `now`.
    pub(super) fn until(&self, now: Instant) -> Duration {
        // In this order a concurrent change makes the sum too small, which only prolongs a wait.
        let sum = self.sum.load(SeqCst);
        Duration::from_nanos(sum + now.as_nanos().saturating_sub(self.since.load(SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_without_anything_to_write_is_summed() {
        let (at, sum) = (Instant::from_nanos, Duration::from_nanos);
        let quiet = Quiet::since(at(0));
        assert_eq!((quiet.until(at(0)), quiet.until(at(7))), (sum(0), sum(7)));
        quiet.end(at(10));
        assert_eq!(quiet.until(at(15)), sum(10));
        quiet.end(at(17));
        quiet.begin(at(20));
        assert_eq!((quiet.until(at(20)), quiet.until(at(25))), (sum(10), sum(15)));
        quiet.end(at(19));
        assert_eq!(quiet.until(at(30)), sum(10), "a clock that steps back");
    }
}
