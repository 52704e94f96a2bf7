//! The smallest filter: counts what passes and changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{request, response};

use super::{Filter, FilterError, FilterFactory, Verdict};
use crate::brigade::{Brigade, Bucket};
use crate::clock::Instant;

/// What [`Count`] filters saw, summed over all that share it.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    bytes: AtomicU64,
    streams: AtomicU64,
    ended: AtomicU64,
}

impl Counts {
    /// Bytes that passed, in memory and in file slices.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Streams begun. A response that turns out to have no content, as one to HEAD, is none.
    pub fn streams(&self) -> u64 {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// Streams whose end passed. What is missing to [`streams`](Self::streams) is live or was aborted.
    pub fn ended(&self) -> u64 {
        self.0.ended.load(Ordering::Relaxed)
    }
}

/// Passes everything on as it is and adds it up in a shared [`Counts`].
#[derive(Debug)]
pub struct Count {
    counts: Counts,
    /// Something passed already.
    begun: bool,
}

impl Count {
    /// A filter for one stream that adds to `counts`.
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

/// Counts the responses of a route, all into the same [`Counts`].
///
/// Where it stands in the route's list decides what it counts: before `gzip` the content's bytes, behind
/// it the coded ones. Heads and framing are not in it.
#[derive(Clone, Debug, Default)]
pub struct CountFactory {
    counts: Counts,
}

impl CountFactory {
    /// A factory whose filters add to `counts`.
    pub fn new(counts: Counts) -> Self {
        Self { counts }
    }

    /// What was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl FilterFactory for CountFactory {
    fn attach(&self, _: &request::Parts, _: &mut response::Parts) -> Option<Box<dyn Filter>> {
        Some(Box::new(Count::new(self.counts.clone())))
    }
}
