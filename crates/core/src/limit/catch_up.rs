//! How much time a stream may make up.

use std::fmt;
use std::time::Duration;

use super::Interval;

/// How much time that a stream did not use it may make up at once, because its source or its reader was slow.
///
/// From 50 ms to one minute. It counts only where it is longer than the stream's [`Interval`]: one interval, a chunk, may be made
/// up without it.
///
/// ```
/// use std::time::Duration;
/// use sluicegate_core::limit::CatchUp;
///
/// let catch_up = CatchUp::new(Duration::from_secs(1))?;
/// assert_eq!(catch_up.to_string(), "1s");
/// # Ok::<(), sluicegate_core::limit::CatchUpError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatchUp {
    nanos: u64,
}

impl CatchUp {
    /// 50 ms, the shortest interval.
    pub const MIN: Duration = Interval::MIN.duration();

    /// One minute.
    pub const MAX: Duration = Duration::from_secs(60);

    /// Creates one.
    ///
    /// # Errors
    /// `duration` is below [`MIN`](Self::MIN) or above [`MAX`](Self::MAX).
    pub fn new(duration: Duration) -> Result<Self, CatchUpError> {
        if !(Self::MIN..=Self::MAX).contains(&duration) {
            return Err(CatchUpError(duration));
        }
        Ok(Self { nanos: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX) })
    }

    /// Returns its length.
    pub const fn duration(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// Its length in nanoseconds.
    pub(super) fn nanos(self) -> i128 {
        self.nanos.into()
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.duration())
    }
}

/// Why a duration is not a [`CatchUp`]. Displays the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUpError(Duration);

impl fmt::Display for CatchUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (CatchUp::MIN, CatchUp::MAX);
        write!(f, "{:?} is not a time from {least:?} to {most:?}; choose one of these, ", self.0)?;
        f.write_str("or leave it out for one interval")
    }
}

impl std::error::Error for CatchUpError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_50_ms_to_a_minute_to_the_nanosecond() {
        for (nanos, is_good) in [
            (0, false),
            (49_999_999, false),
            (50_000_000, true),
            (60_000_000_000, true),
            (60_000_000_001, false),
        ] {
            let duration = Duration::from_nanos(nanos);
            let made = CatchUp::new(duration);
            assert_eq!(
                made.map(CatchUp::duration),
                is_good.then_some(duration).ok_or(CatchUpError(duration))
            );
        }
        let error = CatchUp::new(Duration::ZERO).unwrap_err().to_string();
        assert_eq!(
            error,
            "0ns is not a time from 50ms to 60s; choose one of these, or leave it out for one interval"
        );
    }
}
