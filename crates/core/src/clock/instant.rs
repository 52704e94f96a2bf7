//! A point on a clock's time line.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, in whole nanoseconds since its clock's origin.
///
/// Unlike [`std::time::Instant`] it can be written as a number, so that tests and simulations name instants exactly, and it
/// comes only from a [`Clock`](crate::clock::Clock). Instants of different clocks must not be compared.
///
/// Arithmetic saturates at both ends; the upper is 584 years after the origin.
///
/// ```
/// use sluicegate_core::clock::Instant;
/// use std::time::Duration;
///
/// let due = Instant::ZERO + Duration::from_millis(200);
/// assert_eq!(due.as_nanos(), 200_000_000);
/// assert_eq!(due - Instant::ZERO, Duration::from_millis(200));
/// assert_eq!(Instant::ZERO - due, Duration::ZERO, "no negative durations");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);
    /// The last instant.
    pub const MAX: Self = Self(u64::MAX);

    /// Creates an instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Creates an instant `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Returns the nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the nanoseconds since `earlier`; zero if that is later.
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::MAX + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::ZERO - Instant::MAX, Duration::ZERO);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::MAX);
        assert_eq!(Instant::MAX.nanos_since(Instant::from_nanos(1)), u64::MAX - 1);
    }

    #[test]
    fn debug_is_seconds() {
        assert_eq!(format!("{:?}", Instant::from_nanos(1_200_000_003)), "1.200000003s");
    }
}
