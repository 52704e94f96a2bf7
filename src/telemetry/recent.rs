//! The present rate of bytes, without a timer: computed when bytes pass and when it is read.

use std::time::Duration;

use crate::clock::Instant;

/// The shortest time that a rate is computed over: one interval of the pace.
const LEAST: Duration = Duration::from_millis(200);

const SECOND: u64 = 1_000_000_000;

/// Bytes per second over about the last second.
///
/// Keeps the sums of the current second and of the one before, which counts in proportion to its part of the last
/// second. So it is exact for an even flow, and at most one chunk off for chunks. The first second counts as long as
/// it was.
///
/// ```
/// use sluicegate::clock::Instant;
/// use sluicegate::telemetry::Recent;
///
/// let mut recent = Recent::since(Instant::ZERO);
/// for tenth in 0..20 {
///     recent.add(100, Instant::from_millis(tenth * 100 + 50));
/// }
/// assert_eq!(recent.bytes_per_second(Instant::from_millis(2_000)), 1_000);
/// assert_eq!(recent.bytes_per_second(Instant::from_millis(2_500)), 500);
/// assert_eq!(recent.bytes_per_second(Instant::from_millis(3_000)), 0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Recent {
    began: Instant,
    /// The number of the second that `current` belongs to.
    second: u64,
    current: u64,
    previous: u64,
}

impl Recent {
    /// Starts at `began` without bytes.
    pub fn since(began: Instant) -> Self {
        Self { began, second: 0, current: 0, previous: 0 }
    }

    /// Adds bytes that passed.
    pub fn add(&mut self, bytes: u64, now: Instant) {
        let second = self.second_of(now);
        (self.previous, self.current) = self.at(second);
        self.second = second;
        self.current = self.current.saturating_add(bytes);
    }

    /// Bytes per second over about the second before `now`.
    pub fn bytes_per_second(&self, now: Instant) -> u64 {
        let second = self.second_of(now);
        let (previous, current) = self.at(second);
        let elapsed = now.nanos_since(self.began);
        let rate = if second == 0 {
            u128::from(current) * u128::from(SECOND) / u128::from(elapsed).max(LEAST.as_nanos())
        } else {
            let left = u128::from(SECOND - elapsed % SECOND);
            u128::from(previous) * left / u128::from(SECOND) + u128::from(current)
        };
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    fn second_of(&self, now: Instant) -> u64 {
        // A clock that steps back stays in the second it was in.
        (now.nanos_since(self.began) / SECOND).max(self.second)
    }

    /// The sums of the second before `second` and of `second`.
    fn at(&self, second: u64) -> (u64, u64) {
        match second - self.second {
            0 => (self.previous, self.current),
            1 => (self.current, 0),
            _ => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_at_their_pace_are_told_within_a_chunk() {
        let began = Instant::from_millis(12_345);
        let mut recent = Recent::since(began);
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
    }

    #[test]
    fn the_first_second_counts_as_long_as_it_was_and_no_less_than_an_interval() {
        let mut recent = Recent::since(Instant::ZERO);
        recent.add(1_000, Instant::ZERO);
        for (millis, expected) in
            [(0, 5_000), (200, 5_000), (500, 2_000), (999, 1_001), (1_000, 1_000), (2_000, 0)]
        {
            assert_eq!(recent.bytes_per_second(Instant::from_millis(millis)), expected, "{millis}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let mut recent = Recent::since(Instant::from_millis(5_000));
        recent.add(10, Instant::from_millis(8_000));
        recent.add(10, Instant::from_millis(4_000));
        assert_eq!(recent.bytes_per_second(Instant::from_millis(8_000)), 20);
    }
}
