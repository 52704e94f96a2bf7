//! A filter that counts what passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{request, response};

use super::{Filter, FilterError, FilterFactory, Verdict};
use crate::brigade::{Brigade, Bucket};
use crate::clock::Instant;

/// The sums of the [`Count`] filters that share it; clones are shared.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    bytes: AtomicU64,
    streams: AtomicU64,
    ended: AtomicU64,
}

impl Counts {
    /// Returns the bytes that passed, in memory and in file slices.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of streams begun. Responses without content, as to HEAD, are none.
    pub fn streams(&self) -> u64 {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// Returns the number of streams whose end passed. The other [`streams`](Self::streams) are live or were aborted.
    pub fn ended(&self) -> u64 {
        self.0.ended.load(Ordering::Relaxed)
    }
}

/// Counts what passes in a shared [`Counts`].
#[derive(Debug)]
pub struct Count {
    counts: Counts,
    begun: bool,
}

impl Count {
    /// Creates the filter of one stream.
    pub fn new(counts: Counts) -> Self {
        Self { counts, begun: false }
    }
}

impl Filter for Count {
    fn filter(
        &mut self,
        _now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        if !std::mem::replace(&mut self.begun, true) {
            self.counts.0.streams.fetch_add(1, Ordering::Relaxed);
        }
        let mut bytes = 0;
        while let Some(bucket) = input.pop_within(output.room()) {
            bytes += bucket.len();
            if matches!(bucket, Bucket::Eos) {
                self.counts.0.ended.fetch_add(1, Ordering::Relaxed);
            }
            output.push(bucket);
        }
        self.counts.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Verdict::after(output))
    }

    fn reads_bytes(&self) -> bool {
        false
    }
}

/// Counts the content of a route's responses in one [`Counts`]: before `gzip` in the route's list plain bytes, behind it coded
/// ones. Heads and framing are not counted.
#[derive(Clone, Debug, Default)]
pub struct CountFactory {
    counts: Counts,
}

impl CountFactory {
    /// Creates a factory whose filters add to `counts`.
    pub fn new(counts: Counts) -> Self {
        Self { counts }
    }

    /// Returns the counts.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl FilterFactory for CountFactory {
    fn attach(&self, _: &request::Parts, _: &mut response::Parts) -> Option<Box<dyn Filter>> {
        Some(Box::new(Count::new(self.counts.clone())))
    }
}
