//! A local token bucket that threads share.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering};

use super::local_bucket::LocalBucket;
use crate::clock::Instant;
use crate::sync::Mutex;

/// A bucket that is shared by threads. A few of its tokens are set aside, to be taken without a lock and a look at the clock.
pub(super) struct SharedBucket {
    /// What is left of the micro-units set aside. Only the holder of the lock adds to it.
    aside: AtomicU64,
    bucket: Mutex<LocalBucket>,
}

impl SharedBucket {
    pub(super) fn new(bucket: LocalBucket) -> Self {
        Self { aside: AtomicU64::new(0), bucket: Mutex::new(bucket) }
    }

    /// Locks the bucket, with nothing set aside.
    pub(super) fn lock(&self) -> MutexGuard<'_, LocalBucket> {
        let mut bucket = self.bucket.lock();
        bucket.collect(self.aside.swap(0, Ordering::Relaxed));
        bucket
    }

    /// Takes `n` micro-units if they are available and no caller waits.
    pub(super) fn try_take(&self, n: u64, now: impl FnOnce() -> Instant) -> bool {
        let less = |left: u64| left.checked_sub(n);
        if n > 0 && self.aside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            return true;
        }
        let now = now();
        let mut bucket = self.lock();
        let is_taken = bucket.try_take(now, n);
        self.aside.store(bucket.set_aside(), Ordering::Relaxed);
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;
    use crate::limit::{PerSecond, TokenBucket};
    use crate::quota::client::local_bucket::{Attempt, Depth, MicroUnit};
    use crate::quota::limit::MICRO;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Ours beside a bucket that is looked at in each call.
    struct Beside {
        shared: SharedBucket,
        exact: TokenBucket<MicroUnit>,
        /// The most that ours may be short of.
        short: u64,
    }

    impl Beside {
        fn new(rate: u64, depth: u64) -> Self {
            let mut bucket = LocalBucket::new(Depth::Units(depth));
            bucket.set(at(0), rate * MICRO, None);
            let exact = TokenBucket::new(PerSecond::new(rate * MICRO).unwrap(), depth * MICRO, at(0));
            Self { shared: SharedBucket::new(bucket), exact, short: rate * MICRO / 1000 }
        }

        /// Asks both for `n` micro-units.
        fn take(&mut self, now: Instant, n: u64) {
            self.exact.refill(now);
            let there = self.exact.available();
            let n = n.min(self.exact.max_burst());
            if self.shared.try_take(n, || now) {
                assert!(self.exact.try_consume(n), "{n} of {there} at {now:?}");
            } else {
                assert!(there < n + self.short, "{n} of {there} at {now:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_more_is_taken_than_the_bucket_gives_and_what_was_set_aside_is_all_it_is_short_of(
            rate in prop_oneof![1u64..100, 1_000u64..2_000, 1_000_000u64..2_000_000],
            depth in 1u64..100_000,
            calls in prop::collection::vec(
                (prop_oneof![Just(0), 0..2_000u64, 0..50_000_000u64], prop_oneof![1..3 * MICRO, 0..100_000 * MICRO]),
                1..200,
            ),
        ) {
            let mut beside = Beside::new(rate, depth);
            let mut now = 0;
            for (nanos, n) in calls {
                now += nanos;
                beside.take(Instant::from_nanos(now), n);
            }
        }
    }

    #[test]
    fn what_is_set_aside_ends_with_the_client_and_while_a_caller_waits() {
        let shared = || {
            let mut bucket = LocalBucket::new(Depth::Units(100_000));
            bucket.set(at(0), 1_000_000 * MICRO, None);
            let shared = SharedBucket::new(bucket);
            assert!(shared.try_take(MICRO, || at(0)));
            assert!(shared.try_take(MICRO, || unreachable!("of those set aside")));
            shared
        };
        let closed = shared();
        closed.lock().close();
        assert!(!closed.try_take(MICRO, || at(0)) && !closed.try_take(0, || at(0)));
        let waited_for = shared();
        let mut ticket = None;
        let attempt = waited_for.lock().attempt(at(0), 100_000 * MICRO, &mut ticket, Waker::noop());
        assert!(matches!(attempt, Attempt::NotYet(Some(due)) if due == Instant::from_nanos(2_000)));
        assert!(!waited_for.try_take(MICRO, || at(0)), "a caller waits");
    }

    #[test]
    fn after_a_lapse_no_more_of_what_was_set_aside_is_there_than_the_smaller_bucket_holds() {
        for (then, left) in [(5, 5), (0, 2_000)] {
            let mut bucket = LocalBucket::new(Depth::default());
            bucket.set(at(0), 1_000_000 * MICRO, Some((at(10), then * MICRO)));
            let shared = SharedBucket::new(bucket);
            assert!(shared.try_take(MICRO, || at(0)));
            let taken = (0..).take_while(|_| shared.try_take(MICRO, || at(10_000))).take(2_000).count();
            assert_eq!(taken, left, "after a lapse to {then}");
        }
    }

    #[test]
    fn threads_take_no_more_than_there_is() {
        let mut bucket = LocalBucket::new(Depth::Units(100_000));
        bucket.set(at(0), 10_000_000 * MICRO, None);
        let shared = SharedBucket::new(bucket);
        let taken: usize = std::thread::scope(|scope| {
            let take = || (0..60_000).filter(|_| shared.try_take(MICRO, || at(0))).count();
            let threads = [scope.spawn(take), scope.spawn(take)];
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 100_000);
    }
}
