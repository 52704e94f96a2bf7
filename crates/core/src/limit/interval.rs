//! The interval of a pace.

use std::fmt;
use std::time::Duration;

/// The interval of what has no [`Interval`] of its own: turns of shared budgets, tokens of a connection. 200 ms.
pub const INTERVAL: Duration = Interval::DEFAULT.duration();

/// How often a paced stream sends: each time one chunk, what its rate gives in one interval.
///
/// From 50 ms to 1 s, by default 200 ms as in mod_ratelimit. A short one makes streams even, a long one cheap: each chunk costs
/// a wake-up and a write.
///
/// ```
/// use std::time::Duration;
/// use sluicegate_core::limit::{Interval, Rate};
///
/// let interval = Interval::new(Duration::from_millis(50))?;
/// assert_eq!(Rate::new(61_440)?.chunk(interval), 3_072);
/// let error = Interval::new(Duration::from_millis(49)).unwrap_err();
/// assert_eq!(error.to_string(), "49ms is not an interval from 50ms to 1s; choose one of these, or leave it out for 200ms");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    nanos: u32,
}

impl Interval {
    /// 50 ms. Timers may be late by as much.
    pub const MIN: Self = Self::of_millis(50);

    /// 1 s.
    pub const MAX: Self = Self::of_millis(1_000);

    /// 200 ms.
    pub const DEFAULT: Self = Self::of_millis(200);

    /// Creates an interval.
    ///
    /// # Errors
    /// `duration` is below [`MIN`](Self::MIN) or above [`MAX`](Self::MAX).
    pub fn new(duration: Duration) -> Result<Self, IntervalError> {
        let nanos = u32::try_from(duration.as_nanos()).map_err(|_| IntervalError(duration))?;
        let interval = Self { nanos };
        (Self::MIN..=Self::MAX).contains(&interval).then_some(interval).ok_or(IntervalError(duration))
    }

    /// Returns its length.
    pub const fn duration(self) -> Duration {
        Duration::from_nanos(self.nanos as u64)
    }

    /// Its length in nanoseconds.
    pub(super) fn nanos(self) -> i128 {
        self.nanos.into()
    }

    const fn of_millis(millis: u32) -> Self {
        Self { nanos: millis * 1_000_000 }
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.duration())
    }
}

/// Why a duration is not an [`Interval`]. Displays the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalError(Duration);

impl fmt::Display for IntervalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (duration, least, most) = (self.0, Interval::MIN, Interval::MAX);
        write!(f, "{duration:?} is not an interval from {least} to {most}; choose one of these, ")?;
        write!(f, "or leave it out for {}", Interval::DEFAULT)
    }
}

impl std::error::Error for IntervalError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_from_50_ms_to_1_s_to_the_nanosecond() {
        for (nanos, shown) in [
            (50_000_000, Ok("50ms")),
            (50_000_001, Ok("50.000001ms")),
            (200_000_000, Ok("200ms")),
            (999_999_999, Ok("999.999999ms")),
            (1_000_000_000, Ok("1s")),
            (0, Err("0ns")),
            (49_000_000, Err("49ms")),
            (49_999_999, Err("49.999999ms")),
            (1_000_000_001, Err("1.000000001s")),
            (1_001_000_000, Err("1.001s")),
            (u64::MAX, Err("18446744073.709551615s")),
        ] {
            let duration = Duration::from_nanos(nanos);
            match (Interval::new(duration), shown) {
                (Ok(interval), Ok(shown)) => {
                    assert_eq!((interval.duration(), interval.to_string()), (duration, shown.to_owned()));
                }
                (Err(error), Err(shown)) => {
                    let text = format!("{shown} is not an interval from 50ms to 1s");
                    assert!(error.to_string().starts_with(&text), "{error}");
                }
                (made, _) => panic!("{nanos}: {made:?}"),
            }
        }
        assert_eq!((Interval::default(), Interval::DEFAULT.duration()), (Interval::DEFAULT, INTERVAL));
    }
}
