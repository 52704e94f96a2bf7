//! The rate filter: a chunk each interval, after mod_ratelimit, without its drift and added latency.
//!
//! `docs/pacing.md` numbers the rules that are cited here. The arithmetic is [`Allowance`]'s.

use std::time::Duration;

use super::{Filter, FilterError, Verdict};
use crate::brigade::{Brigade, MAX_PIECE};
use crate::clock::Instant;
use crate::limit::{Allowance, Carryover, Interval, Limit, Rate, TokenBucket};

/// When the last bytes of a stream, less than a chunk, are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndOfStream {
    /// With the last full chunk, on credit. The default.
    ///
    /// Only less than 64 KiB is such a remainder: no more of a proxied body is gathered, so that the end behind more could
    /// not be seen, and a file must have the same timeline.
    #[default]
    Immediate,
    /// An interval later, like any other bytes: the strict bound, and what Apache's code does.
    Paced,
}

/// Paces one stream under a [`Limit`].
///
/// A chunk is what the rate gives in one [`Interval`]. In any window of `w` seconds at most burst + one chunk + rate × w bytes pass (the end of the stream may add less than one
/// chunk, unless [`EndOfStream::Paced`]), and while source and reader keep up at least rate × w − one chunk. The timeline
/// depends on when bytes arrive, never on how they are cut into brigades or whether they are in memory or in a file. All this
/// is exact in the time that the filter is passed; the driver handles late timers ([`Lateness`](crate::clock::Lateness)).
///
/// The burst is for the first bytes of a response, whether they need it or not. Responses that share a [`Carryover`] share
/// one burst: it refills at the rate while the allowance is whole, and a response may use what had refilled when it began.
///
/// Bytes that pass while there is no rate are not charged, but are the start of the response: the burst that they did not
/// need is not granted later. When there is a rate again, the time without one has earned no more than a chunk.
///
/// ```
/// use bytes::Bytes;
/// use sluicegate_core::brigade::{Brigade, Bucket};
/// use sluicegate_core::clock::Instant;
/// use sluicegate_core::filter::{Filter, RateFilter, Verdict};
/// use sluicegate_core::limit::{Limit, Rate};
///
/// let mut filter = RateFilter::new(Limit::new(Rate::or_unlimited(60 * 1024)));
/// let mut input: Brigade = [Bucket::Data(Bytes::from(vec![0; 38_400])), Bucket::Eos].into_iter().collect();
/// let mut out = Brigade::new();
///
/// let wait = filter.filter(Instant::ZERO, &mut input, &mut out)?;
/// assert_eq!((out.bytes(), wait), (12_288, Verdict::SleepUntil(Instant::from_millis(200))));
/// # Ok::<(), sluicegate_core::filter::FilterError>(())
/// ```
#[derive(Debug)]
pub struct RateFilter {
    limit: Limit,
    interval: Interval,
    end_of_stream: EndOfStream,
    carryover: Option<Carryover>,
    /// `None` until the first bytes under a rate.
    allowance: Option<Allowance>,
    /// Bytes of the burst that this stream may still use; set with the allowance.
    burst_left: u64,
    /// Bytes that passed before there was an allowance, without a rate.
    unpaced: u64,
    /// The input was not covered, and waits for a whole allowance.
    holding: bool,
    /// The remainder is sent on credit: the rest of the input passes.
    closing: bool,
    /// Finds what the limit would have delayed, while it only reports.
    report: Option<TokenBucket>,
}

impl RateFilter {
    /// Creates the filter of one stream under `limit`, which may be changed at any time.
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            interval: Interval::DEFAULT,
            end_of_stream: EndOfStream::default(),
            carryover: None,
            allowance: None,
            burst_left: 0,
            unpaced: 0,
            holding: false,
            closing: false,
            report: None,
        }
    }

    /// Sets how often a chunk leaves. Unlike the limit it stays as it is for this stream. Default 200 ms.
    #[must_use]
    pub fn interval(mut self, interval: Interval) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the rule for the end of the stream.
    #[must_use]
    pub fn end_of_stream(mut self, rule: EndOfStream) -> Self {
        self.end_of_stream = rule;
        self
    }

    /// Starts with the allowance that a predecessor left in `carryover`, and leaves its own there at its end (rule 8).
    #[must_use]
    pub fn with_carryover(mut self, carryover: Carryover) -> Self {
        self.carryover = Some(carryover);
        self
    }

    /// Returns how many of the `in_hand` bytes may pass now, or when to ask again.
    fn allow(&mut self, now: Instant, rate: Rate, in_hand: u64, ends: bool) -> Result<u64, Instant> {
        if self.closing {
            return Ok(in_hand);
        }
        let allowance = match &mut self.allowance {
            Some(allowance) => {
                allowance.settle(rate, now);
                allowance
            }
            unused => {
                let carried = self.carryover.as_ref();
                let left = carried.and_then(Carryover::take).map(|left| left.with_interval(self.interval));
                let mut allowance = left.unwrap_or_else(|| Allowance::full(rate, self.interval, now));
                allowance.settle(rate, now);
                let burst = self.limit.burst();
                let burst = carried.map_or(burst, |carried| carried.burst_left(&allowance, burst));
                self.burst_left = burst.saturating_sub(self.unpaced);
                unused.insert(allowance)
            }
        };
        let on_credit = ends && self.end_of_stream == EndOfStream::Immediate;
        // See `EndOfStream::Immediate`. `lookahead` makes the end behind any remainder visible.
        let is_rest = |allowance: &Allowance, bytes| bytes < MAX_PIECE && allowance.is_less_than_chunk(bytes);

        if self.holding {
            if on_credit && is_rest(allowance, in_hand) {
                if allowance.in_debt() {
                    return Err(allowance.out_of_debt_at());
                }
                self.closing = true;
                return Ok(in_hand);
            }
            if !allowance.is_whole() {
                return Err(allowance.whole_at());
            }
            self.holding = false;
        }
        let covered = allowance.covered().saturating_add(self.burst_left).min(in_hand);
        let rest = in_hand - covered;
        if rest == 0 {
            return Ok(covered);
        }
        let is_last = on_credit && is_rest(allowance, rest);
        if is_last && !allowance.in_debt() {
            self.closing = true;
            return Ok(in_hand);
        }
        if covered > 0 {
            return Ok(covered);
        }
        if is_last {
            return Err(allowance.out_of_debt_at());
        }
        self.holding = true;
        Err(allowance.whole_at())
    }

    /// Counts bytes that passed and would have been delayed by the rate.
    fn report(&mut self, now: Instant, rate: Rate, bytes: u64) {
        let depth = rate.chunk(self.interval).saturating_add(self.limit.burst());
        let bucket = self.report.get_or_insert_with(|| TokenBucket::new(rate, depth, now));
        // As in an allowance, the time until now counts at the old rate, within the new depth.
        bucket.set_max_burst(depth, now);
        bucket.set_rate(rate, now);
        self.limit.note_over(bytes - bucket.consume(bytes));
    }

    /// Charges bytes that passed under a rate.
    fn charge(&mut self, bytes: u64) {
        let Some(allowance) = &mut self.allowance else { return };
        let burst = bytes.min(self.burst_left);
        self.burst_left -= burst;
        allowance.spend_burst(burst);
        allowance.spend(bytes - burst);
    }

    fn leave_allowance(&mut self) {
        let left = self.carryover.take().zip(self.allowance.take());
        left.into_iter().for_each(|(carryover, allowance)| carryover.put(allowance));
    }
}

impl Filter for RateFilter {
    fn filter(
        &mut self,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        loop {
            // Marks before the next byte are due: what is before them has passed.
            if input.move_marks_to(output) {
                // Now, since the next response may begin as soon as the last byte is sent.
                self.leave_allowance();
                return Ok(Verdict::Done);
            }
            if input.is_empty() || output.room() == 0 {
                return Ok(Verdict::Ready);
            }
            // Read once per move: another thread may change it at any time.
            let (rate, report_only) = (self.limit.rate(), self.limit.is_report_only());
            let Some(rate) = rate.filter(|_| !report_only) else {
                let sent = input.bytes().min(output.room());
                input.move_to(output, sent);
                self.holding = false;
                self.unpaced = self.unpaced.saturating_add(sent);
                self.burst_left = self.burst_left.saturating_sub(sent);
                if let Some(rate) = rate {
                    self.report(now, rate, sent);
                }
                continue;
            };
            match self.allow(now, rate, input.bytes(), input.ends()) {
                Err(due) => return Ok(Verdict::SleepUntil(due)),
                Ok(allowed) => {
                    let sent = allowed.min(output.room());
                    input.move_to(output, sent);
                    self.charge(sent);
                }
            }
        }
    }

    fn reads_bytes(&self) -> bool {
        false
    }

    /// One chunk and two bytes: a chunk may have one byte more for fractions of those before, and one byte must follow it.
    /// So the end of the stream is seen behind any remainder; and while the source has more, something is left after each
    /// chunk for which this filter sleeps, which tells the driver until when it need not poll the source.
    fn lookahead(&self) -> u64 {
        self.limit.rate().map_or(MAX_PIECE, |rate| rate.chunk(self.interval).saturating_add(2).min(MAX_PIECE))
    }

    /// One interval: by then a change of the limit is seen.
    fn max_sleep(&self) -> Duration {
        self.interval.duration()
    }
}

impl Drop for RateFilter {
    fn drop(&mut self) {
        self.leave_allowance();
    }
}

#[cfg(test)]
mod tests;
