//! Small parts of the tests of chains: filters from closures, filters that sleep, buckets.

pub mod sleepers;

use bytes::Bytes;
use sluicegate::brigade::{Brigade, Bucket, SourceError};
use sluicegate::clock::Instant;
use sluicegate::filter::{Filter, FilterError, Verdict};

/// A filter from a closure.
struct By<F>(F);

impl<F: FnMut(Instant, &mut Brigade, &mut Brigade) -> Result<Verdict, FilterError> + Send + Sync> Filter
    for By<F>
{
    fn filter(
        &mut self,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        (self.0)(now, input, output)
    }
}

/// A filter that runs `f` at each step.
pub fn by(
    mut f: impl FnMut(Instant, &mut Brigade, &mut Brigade) -> Verdict + Send + Sync + 'static,
) -> impl Filter {
    By(move |now, input: &mut Brigade, output: &mut Brigade| Ok(f(now, input, output)))
}

/// A filter that runs `f` at each step, and may fail.
pub fn by_result(
    f: impl FnMut(Instant, &mut Brigade, &mut Brigade) -> Result<Verdict, FilterError> + Send + Sync + 'static,
) -> impl Filter {
    By(f)
}

/// Moves everything that fits from `input` to `output`.
pub fn pass(input: &mut Brigade, output: &mut Brigade) -> Verdict {
    while let Some(bucket) = input.pop_within(output.room()) {
        output.push(bucket);
    }
    Verdict::after(output)
}

/// Passes marks on as they are, and of data what `f` makes of it.
pub fn map(input: &mut Brigade, output: &mut Brigade, mut f: impl FnMut(&[u8]) -> Bytes) -> Verdict {
    while let Some(bucket) = input.pop_within(output.room()) {
        output.push(match bucket {
            Bucket::Data(bytes) => Bucket::Data(f(&bytes)),
            mark => mark,
        });
    }
    Verdict::after(output)
}

/// A bucket of text.
pub fn data(text: &'static str) -> Bucket {
    Bucket::Data(Bytes::from_static(text.as_bytes()))
}

/// The mark of a source that failed.
pub fn failed() -> Bucket {
    Bucket::Error(SourceError::new("the disk is gone"))
}
