//! Limits: rates and sizes as text and numbers, live settings, token buckets, allowances, and the tree of budgets.
//!
//! Pure: is passed `now`, reads no clock, never waits.

mod allowance;
mod buffers;
mod carryover;
mod catch_up;
mod interval;
mod level;
mod live;
mod notation;
mod per_second;
mod rates;
mod token_bucket;
mod tree;
mod units;
mod watch;

pub use allowance::Allowance;
pub use buffers::Buffers;
pub use carryover::{Carryover, Carryovers};
pub use catch_up::{CatchUp, CatchUpError};
pub use interval::{INTERVAL, Interval, IntervalError};
pub(crate) use live::Flags;
pub use live::Limit;
pub use notation::UnitError;
pub use per_second::{Bytes, PerSecond, Rate, ZeroRate};
pub(crate) use rates::Part;
pub use rates::{Rates, RatesError};
pub use token_bucket::TokenBucket;
pub use tree::{Budget, MIN_QUANTUM, NodeId, Passed, Tree, Weight};
pub use units::{Burst, RateOrOff, Size};
pub use watch::LimitWatch;
