//! Filters: their contract, the chain that steps them, and the filters of this crate.
//!
//! All of it is sans-I/O. A filter is passed `now` and returns what must happen next; a driver such as
//! [`PacedBody`](crate::body::PacedBody) does it.

mod chain;
mod contract;
mod count;
mod factory;
mod fields;
mod gzip;
mod media;
mod rate;
mod replace;
pub mod rewrite;
mod weight;

use std::fmt;
use std::time::Duration;

use crate::brigade::{Brigade, MAX_PIECE};
use crate::clock::Instant;
use crate::limit::{INTERVAL, Limit};

pub use chain::{Chain, Step};
pub use count::{Count, CountFactory, Counts};
pub use factory::{FilterFactory, OptionError, factory_fn};
pub use gzip::{Gzip, GzipFactory, GzipLevel};
pub use media::{MediaRange, MediaTypes, NotSent};
pub use rate::{EndOfStream, RateFilter};
pub use replace::{Replace, ReplaceFactory};
pub use weight::weight_of;

/// A sans-I/O transform of a stream of buckets.
///
/// The one required method takes buckets from `input` and pushes buckets to `output`. It cannot sleep, read or see a task's
/// context; it returns what it needs instead:
///
/// - [`Verdict::Ready`]: the input is empty, or the output has no room. The chain calls again when there is more of what was
///   missing.
/// - [`Verdict::SleepUntil`]`(t)`: nothing can be done before `t`, which is after `now`, unless the stream ends first. Called
///   earlier with nothing new, the filter returns the same; called later, it has lost nothing. What waits may stay in
///   `input`. A driver that knows the end to be far may read no more from the source before `t`.
/// - [`Verdict::Done`]: [`Bucket::Eos`](crate::brigade::Bucket::Eos) has been pushed. The filter is not called again.
///
/// Data is pushed only while [`output.room()`](Brigade::room) is not zero; marks always fit, and keep their places between
/// the data. [`Chain`] checks this contract: a breach is an error (debug builds panic), so that a faulty filter cannot spin
/// or stall a stream for ever.
///
/// ```
/// use sluicegate_core::brigade::{Brigade, Bucket};
/// use sluicegate_core::clock::Instant;
/// use sluicegate_core::filter::{Filter, FilterError, Verdict};
///
/// /// Turns ASCII letters into capitals.
/// struct Shout;
///
/// impl Filter for Shout {
///     fn filter(&mut self, _now: Instant, input: &mut Brigade, output: &mut Brigade)
///         -> Result<Verdict, FilterError>
///     {
///         while let Some(bucket) = input.pop_within(output.room()) {
///             output.push(match bucket {
///                 Bucket::Data(bytes) => Bucket::Data(bytes.to_ascii_uppercase().into()),
///                 mark => mark,
///             });
///         }
///         Ok(Verdict::after(output))
///     }
/// }
/// ```
pub trait Filter: Send + Sync {
    /// Moves what can be moved at `now` from `input` to `output`.
    ///
    /// # Errors
    /// The content cannot be transformed. The response is aborted; bytes already put out are sent.
    fn filter(
        &mut self,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError>;

    /// Returns whether the filter needs the bytes of file slices. By default true: it gets `Data` and marks only. A filter
    /// that only counts, cuts or delays returns false and gets [`Bucket::File`](crate::brigade::Bucket::File) too.
    fn reads_bytes(&self) -> bool {
        true
    }

    /// Returns the most bytes to gather before the filter, which bounds the memory that a stream holds there.
    fn lookahead(&self) -> u64 {
        MAX_PIECE
    }

    /// Returns about how many bytes of input the filter would let pass at `now`, if more follow. By default all. A hint: a
    /// driver whose source has more takes so many and two, and leaves the rest where it is until it may pass.
    fn covers(&self, now: Instant) -> u64 {
        let _ = now;
        u64::MAX
    }

    /// Returns how long a driver may sleep before it steps again, although the filter sleeps for longer: by then a live limit
    /// may have changed. Default 200 ms.
    fn max_sleep(&self) -> Duration {
        INTERVAL
    }

    /// Returns the limit that decides how long the filter sleeps, for a driver to step again as soon as it changes. By default
    /// none.
    fn limit(&self) -> Option<&Limit> {
        None
    }

    /// Returns the memory of the filter's state in bytes, such as a coder's windows, without what waits before and behind it.
    /// By default 0, for filters with little state.
    fn held(&self) -> u64 {
        0
    }

    /// Returns the most that [`held`](Self::held) may return. If not 0, the filter counts as a coder.
    fn max_held(&self) -> u64 {
        0
    }

    /// Returns whether the filter has bytes to put out before it sees input, such as the header of a format. Then a chain
    /// that [gathers little](Chain::set_max_gathered) calls it once with an empty input. By default false.
    fn has_header(&self) -> bool {
        false
    }
}

/// What a filter needs next. See [`Filter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More input, or more room in the output.
    Ready,
    /// Time to pass until this instant.
    SleepUntil(Instant),
    /// Nothing: end of stream is out.
    Done,
}

impl Verdict {
    /// Returns [`Done`](Self::Done) if `output` ends the stream, else [`Ready`](Self::Ready): for filters that never sleep.
    pub fn after(output: &Brigade) -> Self {
        if output.ends() { Self::Done } else { Self::Ready }
    }
}

/// Why a filter failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterError {
    /// The content cannot be transformed. The text says why.
    Failed(String),
    /// The filter broke its contract, a fault in its code. The text names the rule.
    Contract(&'static str),
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => f.write_str(reason),
            Self::Contract(rule) => write!(f, "a filter broke the contract: {rule}"),
        }
    }
}

impl std::error::Error for FilterError {}
