//! A number per second whose type says what is counted.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;

use super::{Budget, CatchUp, Interval};

/// Nano-units in a unit. A rate of R per second is exactly R nano-units per nanosecond.
pub(super) const NANO: i128 = 1_000_000_000;

/// A number of `Unit` per second, never zero. Unlimited is `None`.
///
/// `Unit` is a type without values, such as [`Bytes`]; rates of different units do not mix. It should derive what
/// [`Bytes`] derives: a rate has these traits only if its unit has them.
///
/// ```compile_fail
/// use sluicegate_core::limit::{PerSecond, Rate};
///
/// #[derive(Clone, Copy, Debug)]
/// enum Requests {}
///
/// let requests: PerSecond<Requests> = Rate::new(100).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerSecond<Unit>(NonZeroU64, PhantomData<Unit>);

/// The unit of [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bytes {}

/// A rate in bytes per second, never zero. Unlimited is `Option::<Rate>::None`.
///
/// ```
/// use sluicegate_core::limit::Rate;
///
/// let rate: Rate = "60".parse()?;
/// assert_eq!(rate.bytes_per_second(), 61_440);
/// assert_eq!(rate.to_string(), "60k");
/// assert_eq!(Rate::parse_or_off("off")?, None);
/// # Ok::<(), sluicegate_core::limit::UnitError>(())
/// ```
pub type Rate = PerSecond<Bytes>;

/// A rate of zero, which [`PerSecond`] does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroRate;

impl fmt::Display for ZeroRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate is at least 1 per second; leave it out where there is no limit")
    }
}

impl std::error::Error for ZeroRate {}

/// For `?` where bytes are read and written: [`InvalidInput`](std::io::ErrorKind::InvalidInput).
impl From<ZeroRate> for std::io::Error {
    fn from(error: ZeroRate) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}

impl<Unit> PerSecond<Unit> {
    /// Creates a rate of `per_second`.
    ///
    /// ```
    /// use sluicegate_core::limit::{Budget, Rate, ZeroRate};
    ///
    /// let share = |total: u64, parts: u64| Rate::new(total / parts).map(Budget::of);
    /// assert_eq!(share(1_000, 4).map(|budget| budget.rate), Ok(Rate::or_unlimited(250)));
    /// // Nothing to share is not a share without a limit.
    /// assert_eq!(share(3, 4), Err(ZeroRate));
    /// ```
    ///
    /// # Errors
    /// [`ZeroRate`] for zero, at which nothing would ever pass. A caller that computed it must decide what it means; see
    /// [`or_unlimited`](Self::or_unlimited).
    pub const fn new(per_second: u64) -> Result<Self, ZeroRate> {
        match NonZeroU64::new(per_second) {
            Some(rate) => Ok(Self(rate, PhantomData)),
            None => Err(ZeroRate),
        }
    }

    /// Creates a rate of `per_second`, or `None`, which is unlimited, for zero: for settings in which 0 is no limit. For what
    /// is computed, such as a share, use [`new`](Self::new).
    pub const fn or_unlimited(per_second: u64) -> Option<Self> {
        match NonZeroU64::new(per_second) {
            Some(rate) => Some(Self(rate, PhantomData)),
            None => None,
        }
    }

    /// Returns the units per second.
    pub const fn per_second(self) -> u64 {
        self.0.get()
    }
}

impl Rate {
    /// Creates a rate of so many times 1024 bytes per second: for rates that are written in the source. Others may be zero;
    /// see [`new`](Self::new).
    ///
    /// ```
    /// use sluicegate_core::limit::Rate;
    ///
    /// const RATE: Rate = Rate::kib_per_second(64); // zero would not compile
    /// assert_eq!(RATE.bytes_per_second(), 65_536);
    /// ```
    ///
    /// # Panics
    /// If it is zero, or more bytes than 64 bits count.
    #[track_caller]
    pub const fn kib_per_second(kib: u64) -> Self {
        Self::of_units(kib, 1 << 10)
    }

    /// Creates a rate of so many times 1 048 576 bytes per second: for rates that are written in the source.
    ///
    /// ```
    /// assert_eq!(sluicegate_core::limit::Rate::mib_per_second(3).bytes_per_second(), 3_145_728);
    /// ```
    ///
    /// # Panics
    /// If it is zero, or more bytes than 64 bits count.
    #[track_caller]
    pub const fn mib_per_second(mib: u64) -> Self {
        Self::of_units(mib, 1 << 20)
    }

    #[track_caller]
    const fn of_units(count: u64, unit: u64) -> Self {
        let Some(bytes) = count.checked_mul(unit) else { panic!("the rate is more than 64 bits count") };
        match Self::new(bytes) {
            Ok(rate) => rate,
            Err(ZeroRate) => panic!("a rate is at least 1 per second"),
        }
    }

    /// Returns the bytes per second.
    pub const fn bytes_per_second(self) -> u64 {
        self.per_second()
    }

    /// Returns one chunk in whole bytes, at least one: what the rate gives in one `interval`.
    ///
    /// ```
    /// use sluicegate_core::limit::{Interval, Rate};
    ///
    /// let chunk = |rate: u64| Rate::new(rate).unwrap().chunk(Interval::DEFAULT);
    /// assert_eq!((chunk(61_440), chunk(3_072), chunk(1)), (12_288, 614, 1));
    /// ```
    pub fn chunk(self, interval: Interval) -> u64 {
        // An interval is at most a second, and so fits.
        u64::try_from(self.nano_chunk(interval) / NANO).unwrap_or(u64::MAX)
    }

    /// One chunk in nano-bytes, exactly; at least one byte.
    pub(super) fn nano_chunk(self, interval: Interval) -> i128 {
        (i128::from(self.bytes_per_second()) * interval.nanos()).max(NANO)
    }

    /// The most that a stream may be allowed at once, in nano-bytes: one chunk, or what the rate gives in `catch_up`.
    pub(super) fn nano_depth(self, interval: Interval, catch_up: Option<CatchUp>) -> i128 {
        let chunk = self.nano_chunk(interval);
        let made_up = |catch_up: CatchUp| i128::from(self.bytes_per_second()) * catch_up.nanos();
        catch_up.map_or(chunk, |catch_up| chunk.max(made_up(catch_up)))
    }

    /// Returns the most whole bytes that leave at once: one chunk, or what the rate gives in `catch_up`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sluicegate_core::limit::{CatchUp, Interval, Rate};
    ///
    /// let (rate, second) = (Rate::new(61_440).unwrap(), CatchUp::new(Duration::from_secs(1)).ok());
    /// assert_eq!(rate.at_once(Interval::DEFAULT, None), 12_288);
    /// assert_eq!(rate.at_once(Interval::DEFAULT, second), 61_440);
    /// ```
    pub fn at_once(self, interval: Interval, catch_up: Option<CatchUp>) -> u64 {
        u64::try_from(self.nano_depth(interval, catch_up) / NANO).unwrap_or(u64::MAX)
    }
}

/// A budget of this rate, without a burst.
impl From<Rate> for Budget {
    fn from(rate: Rate) -> Self {
        Self::of(rate)
    }
}

/// A budget of this rate, without a burst; `None` limits nothing.
impl From<Option<Rate>> for Budget {
    fn from(rate: Option<Rate>) -> Self {
        Self::of(rate)
    }
}

impl<Unit> fmt::Debug for PerSecond<Unit> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PerSecond({})", self.0)
    }
}
