//! Filters: the contract, the chain that steps them, and the filters that come with the crate.
//!
//! Everything here is sans-I/O: no runtime, no socket, no clock, no `.await`. A filter is told `now`
//! and answers what must happen next; drivers do it.

mod chain;
mod contract;
mod count;
mod factory;
mod fields;
mod gzip;
mod media;
mod rate;
mod replace;
mod weight;

use std::fmt;

use crate::brigade::{Brigade, MAX_PIECE};
use crate::clock::Instant;

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
/// The one method to write takes buckets from `input` and pushes buckets to `output`. It cannot
/// sleep, read or see a task's context; it returns what it needs instead:
///
/// - [`Verdict::Ready`]: the input is empty, or the output has no room. The chain calls again when
///   there is more of what was missing.
/// - [`Verdict::SleepUntil`]`(t)`: nothing can be done before `t`, which lies after `now`, unless the end
///   of the stream comes first. Called earlier, with nothing new, the filter gives the same answer; called
///   later, it has lost nothing. What waits may stay in `input`: whatever comes later is put behind it. A
///   driver that knows the end to be far may leave what comes where it is until `t`.
/// - [`Verdict::Done`]: [`Bucket::Eos`](crate::brigade::Bucket::Eos) has been pushed. The filter is
///   not called again.
///
/// Data is pushed only while [`output.room()`](Brigade::room) is not zero; marks always fit, and keep
/// their places between the data. [`Chain`] checks this contract and turns a breach into an error
/// (debug builds panic), so a faulty filter cannot spin or hold a stream for ever.
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
pub trait Filter: Send {
    /// Moves what can be moved at `now` from `input` to `output`.
    ///
    /// # Errors
    /// What makes it impossible to go on. The response is aborted; bytes already out stay out.
    fn filter(
        &mut self,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError>;

    /// Whether the filter looks at the bytes, so that file slices must be read before it sees them.
    ///
    /// The default, true, lets a filter expect `Data` and marks only. A filter that only counts,
    /// cuts or delays says false and gets [`Bucket::File`](crate::brigade::Bucket::File) as it is.
    fn reads_bytes(&self) -> bool {
        true
    }

    /// The most bytes worth gathering before the filter; a bound on the memory a stream holds there.
    fn lookahead(&self) -> u64 {
        MAX_PIECE
    }

    /// Bytes of memory that the filter's own state takes at the moment, beside what waits before and behind it:
    /// a coder's windows, say. The default, 0, is for filters whose state is small.
    fn held(&self) -> u64 {
        0
    }

    /// The most that [`held`](Self::held) may come to.
    fn max_held(&self) -> u64 {
        0
    }

    /// Whether the filter puts something out whatever its input will be, and before it sees any of it. A chain
    /// that is to hold little calls it so once, with an empty input. The default is false.
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
    /// [`Done`](Self::Done) if `output` now ends the stream, else [`Ready`](Self::Ready): what a filter
    /// that never sleeps returns.
    pub fn after(output: &Brigade) -> Self {
        if output.ends() { Self::Done } else { Self::Ready }
    }
}

/// Why a filter could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// The filter met content it cannot transform. The text says what.
    Failed(String),
    /// The filter broke its contract. The text names the rule; the fault is in the filter's code.
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
