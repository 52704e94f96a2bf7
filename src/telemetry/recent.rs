//! Throughput over about the last second, without a timer: computed when bytes pass and when asked.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Instant;
use crate::sync::Mutex;

/// The shortest time that a rate is computed over.
const MIN_ELAPSED: Duration = Duration::from_millis(200);

const SECOND: u64 = 1_000_000_000;

/// Bytes that passed, and their rate over about the last second. One task adds, any may read.
///
/// Weighs the bytes of the second under way and of the one before, by how far the last second reaches into it. So it
/// is exact for an even flow, and off by at most a chunk for one in chunks. The first second is computed over the time
/// there was.
///
/// An addition costs one atomic addition, and a lock once a second. [`throttle`](crate::throttle) has a type of its own
/// for this: it is exact to the nanosecond, for eleven notes on the heap and a lock for each addition, too much for
/// every connection and every response.
///
/// ```
/// use sluicegate::clock::Instant;
/// use sluicegate::telemetry::Recent;
///
/// let recent = Recent::since(Instant::ZERO);
/// for tenth in 0..20 {
///     recent.add(100, Instant::from_millis(tenth * 100 + 50));
/// }
/// assert_eq!(recent.bytes_per_second(Instant::from_millis(2_000)), 1_000);
/// assert_eq!(recent.bytes_per_second(Instant::from_millis(2_500)), 500);
/// assert_eq!(recent.bytes_per_second(Instant::from_millis(3_000)), 0);
/// ```
#[derive(Debug)]
pub struct Recent {
    began: Instant,
    total: AtomicU64,
    /// The second of `mark`, so that most additions need not lock it.
    second: AtomicU64,
    mark: Mutex<Mark>,
}

/// Where the second under way began. Locked while it changes, and while a reader relates it to the total: what is
/// added in a later second waits for it.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Counted from the beginning.
    second: u64,
    /// The total when it began.
    total: u64,
    /// Bytes of the second before.
    previous: u64,
}

impl Recent {
    /// Nothing has passed yet; the first second begins at `began`.
    pub fn since(began: Instant) -> Self {
        Self { began, total: AtomicU64::new(0), second: AtomicU64::new(0), mark: Mutex::default() }
    }

    /// Adds `bytes` that passed at `now`.
    pub fn add(&self, bytes: u64, now: Instant) {
        let second = self.second_of(now);
        if second > self.second.load(Ordering::Relaxed) {
            let mut mark = self.mark.lock();
            *mark = mark.moved_to(second, self.bytes());
            self.second.store(mark.second, Ordering::Relaxed);
        }
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Has the processor fetch what [`add`](Self::add) uses.
    pub(crate) fn prefetch(&self) {
        black_box((self.began, self.second.load(Ordering::Relaxed), self.bytes()));
    }

    /// Bytes that passed so far.
    pub fn bytes(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes per second over about the second before `now`.
    pub fn bytes_per_second(&self, now: Instant) -> u64 {
        let (total, mark) = {
            let mark = self.mark.lock();
            let total = self.bytes();
            (total, mark.moved_to(self.second_of(now), total))
        };
        let current = total - mark.total;
        let elapsed = now.nanos_since(self.began);
        let rate = if mark.second == 0 {
            u128::from(current) * u128::from(SECOND) / u128::from(elapsed).max(MIN_ELAPSED.as_nanos())
        } else {
            let left = u128::from(SECOND - elapsed % SECOND);
            u128::from(mark.previous) * left / u128::from(SECOND) + u128::from(current)
        };
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    fn second_of(&self, now: Instant) -> u64 {
        now.nanos_since(self.began) / SECOND
    }
}

impl Mark {
    /// The mark of `second`, if that is later: a clock that steps back stays in the second it was in.
    fn moved_to(self, second: u64, total: u64) -> Self {
        match second.saturating_sub(self.second) {
            0 => self,
            1 => Self { second, total, previous: total - self.total },
            _ => Self { second, total, previous: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_flow_is_reported_within_a_chunk() {
        let began = Instant::from_millis(12_345);
        let recent = Recent::since(began);
        for chunk in 0..50 {
            let now = began + Duration::from_millis(200 * chunk);
            recent.add(12_288, now);
            for later in [0, 50, 199] {
                let told = recent.bytes_per_second(now + Duration::from_millis(later));
                if chunk > 4 {
                    assert!(told.abs_diff(61_440) <= 12_288, "{told} at {chunk}");
                }
            }
        }
        assert_eq!(recent.bytes(), 50 * 12_288);
    }

    #[test]
    fn the_first_second_counts_as_long_as_it_was_and_no_less_than_an_interval() {
        let recent = Recent::since(Instant::ZERO);
        recent.add(1_000, Instant::ZERO);
        for (millis, expected) in
            [(0, 5_000), (200, 5_000), (500, 2_000), (999, 1_001), (1_000, 1_000), (2_000, 0)]
        {
            assert_eq!(recent.bytes_per_second(Instant::from_millis(millis)), expected, "{millis}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let recent = Recent::since(Instant::from_millis(5_000));
        recent.add(10, Instant::from_millis(8_000));
        recent.add(10, Instant::from_millis(4_000));
        assert_eq!(recent.bytes_per_second(Instant::from_millis(8_000)), 20);
        assert_eq!(recent.bytes_per_second(Instant::from_millis(4_000)), 20);
    }

    #[test]
    fn a_reader_never_sees_more_than_a_second_held() {
        let recent = Recent::since(Instant::ZERO);
        std::thread::scope(|scope| {
            let adding = scope.spawn(|| {
                for milli in 0..200_000 {
                    recent.add(1, Instant::from_millis(milli));
                }
            });
            while !adding.is_finished() {
                // Any instant may be asked for; two whole seconds are the most that are weighed.
                for milli in [1_000, 100_500, 300_000] {
                    let told = recent.bytes_per_second(Instant::from_millis(milli));
                    assert!(told <= 2_000, "{told}");
                }
            }
        });
        assert_eq!(recent.bytes_per_second(Instant::from_millis(200_000)), 1_000);
    }
}
