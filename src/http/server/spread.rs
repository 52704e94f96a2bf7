//! How fast the kernel may let out what smooth responses hand to it, so that it spreads each chunk over its interval.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::answer_content::AnswerContent;
use super::connection::Connection;
use crate::http::route::{Route, Stage};
use crate::limit::{Limit, Rate};
use crate::sink::{Sink, Wire};

/// Ten milliseconds of it are a packet. Below, heads of responses would wait for long, and there is nothing to spread.
const LEAST: u64 = 128 * 1024;

/// What paces a smooth response.
pub(super) struct Spread {
    /// Those of its filters.
    limits: Vec<Limit>,
}

impl Spread {
    /// For a response of `route` under `limit`; `None` if its chunks leave at once.
    pub(super) fn of(route: &Route, limit: Limit) -> Option<Box<Self>> {
        route.is_smooth.then(|| {
            let of_filters = route.stages.iter().filter_map(|stage| match stage {
                Stage::Pace(pacing) => Some(pacing.limit.clone()),
                Stage::Named(..) | Stage::RoutePace => None,
            });
            Box::new(Self { limits: of_filters.chain([limit]).collect() })
        })
    }

    /// The bytes per second above which the kernel is to send nothing of `content` behind the first `sent` bytes, by the lowest
    /// of its limits; `None`: as fast as it can. Bursts go at once: until the first wait, if there may be one.
    pub(super) fn rate(&self, content: &AnswerContent, sent: u64) -> Option<u64> {
        let own =
            self.limits.iter().map(|limit| (limit.rate_at(sent), limit.burst(), limit.is_report_only()));
        let shared = content.budgets().map(|budget| (budget.rate, budget.burst, budget.report_only));
        let (mut lowest, mut has_burst) = (None::<Rate>, false);
        for (rate, burst, is_report_only) in own.chain(shared) {
            if let (Some(rate), false) = (rate, is_report_only) {
                lowest = Some(lowest.map_or(rate, |lowest| lowest.min(rate)));
                has_burst |= burst > 0;
            }
        }
        lowest.filter(|_| !has_burst || content.has_waited()).map(kernel_rate)
    }
}

/// The rate of the kernel at `pace`: a chunk has left after four fifths of its interval. The rest is for what the kernel
/// counts and the pace does not (heads, framing, TLS, segments sent twice), so that chunks never pile up.
fn kernel_rate(pace: Rate) -> u64 {
    let pace = pace.bytes_per_second();
    pace.saturating_add(pace / 4).max(LEAST)
}

/// What the streams of one connection, which share its socket, ask of the kernel: the sum of their rates, or no bound while
/// one of them has none.
#[derive(Default)]
pub(super) struct StreamPaces {
    sum: AtomicU64,
    unbound: AtomicU64,
}

impl StreamPaces {
    /// Has the kernel keep to them. While there is no stream, it goes on as before: bytes of the last may be on their way.
    pub(super) fn apply<W: Wire>(&self, sink: &mut Sink<W>) {
        // A change that is under way is seen by the next write.
        if self.unbound.load(Ordering::Relaxed) > 0 {
            sink.set_pacing_rate(None);
        } else if let rate @ 1.. = self.sum.load(Ordering::Relaxed) {
            sink.set_pacing_rate(Some(rate));
        }
    }

    fn add(&self, rate: Option<u64>) {
        match rate {
            Some(rate) => self.sum.fetch_add(rate, Ordering::Relaxed),
            None => self.unbound.fetch_add(1, Ordering::Relaxed),
        };
    }

    fn remove(&self, rate: Option<u64>) {
        match rate {
            Some(rate) => self.sum.fetch_sub(rate, Ordering::Relaxed),
            None => self.unbound.fetch_sub(1, Ordering::Relaxed),
        };
    }
}

/// The part of one stream in its connection's [`StreamPaces`].
pub(super) struct StreamPace {
    connection: Arc<Connection>,
    rate: Option<u64>,
}

impl StreamPace {
    pub(super) fn new(connection: &Arc<Connection>, rate: Option<u64>) -> Self {
        let rate = rate.map(bounded);
        connection.stream_paces.add(rate);
        Self { connection: Arc::clone(connection), rate }
    }

    pub(super) fn set(&mut self, rate: Option<u64>) {
        let rate = rate.map(bounded);
        if rate != self.rate {
            // First the new one: the sum may be too high for a moment, and never 0.
            self.connection.stream_paces.add(rate);
            self.connection.stream_paces.remove(self.rate);
            self.rate = rate;
        }
    }
}

impl Drop for StreamPace {
    fn drop(&mut self) {
        self.connection.stream_paces.remove(self.rate);
    }
}

/// More than any kernel spreads, and little enough for the sum of a connection's streams.
fn bounded(rate: u64) -> u64 {
    rate.min(1 << 48)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_rate_is_five_quarters_of_the_pace_within_bounds() {
        for (pace, expected) in [
            (1, LEAST),
            (104_857, LEAST),
            (104_858, 131_072),
            (104_861, 131_076),
            (12_500_000, 15_625_000),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(kernel_rate(Rate::new(pace).unwrap()), expected, "{pace}");
        }
    }
}
