//! The rate filter: lets bytes out at a set pace, one chunk for each 200 ms, as mod_ratelimit does,
//! without what is wrong there.
//!
//! The rules are numbered in the README ("How it differs from mod_ratelimit"); the comments here name
//! them by number. The arithmetic is [`Allowance`]'s.

use super::{Filter, FilterError, Verdict};
use crate::brigade::{Brigade, MAX_PIECE};
use crate::clock::Instant;
use crate::limit::{Allowance, Carryover, Limit};

/// What happens to the remainder of less than a chunk at the end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndOfStream {
    /// It leaves with the last full chunk, on credit. The default.
    #[default]
    Immediate,
    /// It waits its interval like any other bytes: the strict bound, and what Apache's code does.
    Paced,
}

/// Paces one stream under a [`Limit`].
///
/// In any window of `w` seconds it lets out at most burst + one chunk + rate × w bytes (the end of the
/// stream may add less than one chunk, unless [`EndOfStream::Paced`]), and while source and reader keep
/// up at least rate × w − one chunk. The timeline depends on when bytes arrive, never on how they are
/// cut into brigades or whether they lie in memory or in a file.
///
/// ```
/// use bytes::Bytes;
/// use sluicegate::brigade::{Brigade, Bucket};
/// use sluicegate::clock::Instant;
/// use sluicegate::filter::{Filter, RateFilter, Verdict};
/// use sluicegate::limit::{Limit, Rate};
///
/// let mut filter = RateFilter::new(Limit::new(Rate::new(60 * 1024)));
/// let mut input: Brigade = [Bucket::Data(Bytes::from(vec![0; 38_400])), Bucket::Eos].into_iter().collect();
/// let mut out = Brigade::new();
///
/// let wait = filter.filter(Instant::ZERO, &mut input, &mut out)?;
/// assert_eq!((out.bytes(), wait), (12_288, Verdict::SleepUntil(Instant::from_millis(200))));
/// # Ok::<(), sluicegate::filter::FilterError>(())
/// ```
#[derive(Debug)]
pub struct RateFilter {
    limit: Limit,
    end_of_stream: EndOfStream,
    carryover: Option<Carryover>,
    /// `None` until the first bytes are asked for under a rate.
    allowance: Option<Allowance>,
    /// Bytes of the burst this stream may still use.
    burst_left: u64,
    /// What is in hand was not covered, and waits for the allowance to be whole.
    holding: bool,
    /// The remainder was let go on credit: what is still in hand follows without asking.
    closing: bool,
}

impl RateFilter {
    /// A filter for one stream under `limit`, which may be changed while the stream runs.
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            end_of_stream: EndOfStream::default(),
            carryover: None,
            allowance: None,
            burst_left: 0,
            holding: false,
            closing: false,
        }
    }

    /// The same with another rule for the end of the stream.
    #[must_use]
    pub fn end_of_stream(mut self, rule: EndOfStream) -> Self {
        self.end_of_stream = rule;
        self
    }

    /// The same, starting with the allowance a predecessor left in `carryover`, and leaving its own
    /// there when dropped (rule 8).
    #[must_use]
    pub fn carried_by(mut self, carryover: Carryover) -> Self {
        self.carryover = Some(carryover);
        self
    }

    /// How many of the `in_hand` bytes may leave now; `Err` is the instant to ask again.
    fn allow(&mut self, now: Instant, in_hand: u64, ends: bool) -> Result<u64, Instant> {
        let Some(rate) = self.limit.rate() else {
            self.holding = false;
            return Ok(in_hand);
        };
        if self.closing {
            return Ok(in_hand);
        }
        let allowance = match &mut self.allowance {
            Some(allowance) => {
                allowance.settle(rate, now);
                allowance
            }
            unused => {
                let mut allowance = self
                    .carryover
                    .as_ref()
                    .and_then(Carryover::take)
                    .unwrap_or_else(|| Allowance::full(rate, now));
                allowance.settle(rate, now);
                self.burst_left = allowance.burst_left(self.limit.burst());
                unused.insert(allowance)
            }
        };
        let on_credit = ends && self.end_of_stream == EndOfStream::Immediate;
        // A remainder that does not fit into what is held at a time is not known as one: a proxied
        // body's end would not be in hand yet, and a file must keep the same timeline.
        let is_remainder =
            |allowance: &Allowance, bytes| bytes < MAX_PIECE && allowance.is_less_than_chunk(bytes);

        if self.holding {
            if on_credit && is_remainder(allowance, in_hand) {
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
        if on_credit && is_remainder(allowance, rest) {
            if allowance.in_debt() {
                return if covered > 0 { Ok(covered) } else { Err(allowance.out_of_debt_at()) };
            }
            self.closing = true;
            return Ok(in_hand);
        }
        if covered > 0 {
            return Ok(covered);
        }
        self.holding = true;
        Err(allowance.whole_at())
    }

    fn book(&mut self, bytes: u64) {
        let Some(allowance) = &mut self.allowance else { return };
        let burst = bytes.min(self.burst_left);
        self.burst_left -= burst;
        allowance.spend_burst(burst);
        allowance.spend(bytes - burst);
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
            // Marks before the next byte are due already: what they stand behind has left.
            if input.move_marks_to(output) {
                return Ok(Verdict::Done);
            }
            if input.is_empty() || output.room() == 0 {
                return Ok(Verdict::Ready);
            }
            match self.allow(now, input.bytes(), input.ends()) {
                Err(due) => return Ok(Verdict::SleepUntil(due)),
                Ok(allowed) => {
                    let sent = allowed.min(output.room());
                    input.move_to(output, sent);
                    self.book(sent);
                }
            }
        }
    }

    fn reads_bytes(&self) -> bool {
        false
    }

    /// One chunk: enough to fill the next one and to see whether a remainder is the last.
    fn lookahead(&self) -> u64 {
        self.limit.rate().map_or(MAX_PIECE, |rate| (rate.bytes_per_second() / 5).clamp(1, MAX_PIECE))
    }
}

impl Drop for RateFilter {
    fn drop(&mut self) {
        if let (Some(carryover), Some(allowance)) = (self.carryover.take(), self.allowance.take()) {
            carryover.put(allowance);
        }
    }
}
