//! Rates and sizes: their spellings, one parser, one way to print them.

use std::fmt;
use std::num::NonZeroU64;

/// A rate in bytes per second, never zero. Unlimited is `Option::<Rate>::None`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// `bytes_per_second` as a rate; `None` for zero, which reads as "unlimited" where a rate is optional.
    pub fn new(bytes_per_second: u64) -> Option<Self> {
        NonZeroU64::new(bytes_per_second).map(Self)
    }

    /// Bytes per second.
    pub fn bytes_per_second(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rate({} B/s)", self.0)
    }
}

/// PLACEHOLDER
pub struct Burst;
/// PLACEHOLDER
pub struct Size;
/// PLACEHOLDER
pub struct UnitError;
