//! Limits: rates and sizes with their spellings, shared live settings, and the arithmetic of allowances.
//!
//! Pure: takes `now`, never asks a clock, never waits. Knows neither brigades nor filters.

mod allowance;
mod live;
mod spelling;
mod units;

pub use allowance::{Allowance, Carryover, INTERVAL};
pub use live::Limit;
pub use spelling::UnitError;
pub use units::{Burst, Rate, RateOrOff, Size};
