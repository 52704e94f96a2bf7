//! The rate filter: a chunk each interval, after mod_ratelimit, without its drift and added latency.
//!
//! `docs/pacing.md` numbers the rules that are cited here. The arithmetic is [`Allowance`]'s.

mod position;

use std::time::Duration;

use super::{Filter, FilterError, Verdict};
use crate::brigade::{Brigade, MAX_PIECE};
use crate::clock::Instant;
use crate::limit::{Allowance, Carryover, CatchUp, Flags, Interval, Limit, Rate, TokenBucket};
use position::{InHand, Position};

/// When the last bytes of a stream, less than a chunk, are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndOfStream {
    /// With the last full chunk, on credit. The default.
    ///
    /// Only less than 60 KiB is such a remainder: no more of a proxied body is gathered, so that the end behind more could
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
/// With [`catch_up`](Self::catch_up) the time that a slow source or reader did not use counts for more than a chunk: the bound is
/// then burst + what the rate gives in that time + rate × w.
///
/// Where the limit has several [rates](crate::limit::Rates), each holds for its bytes of the stream, those of the burst included.
/// A chunk that crosses from one to the next has the time of an interval, at both rates: so what has left at any time is the
/// integral of the rate, and one chunk.
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
    catch_up: Option<CatchUp>,
    carryover: Option<Carryover>,
    /// `None` until the first bytes under a rate.
    allowance: Option<Allowance>,
    /// Bytes of the burst that this stream may still use; set with the allowance.
    burst_left: u64,
    /// Bytes that passed.
    sent: u64,
    /// Which of several rates holds; unused while there is one.
    position: Option<Box<Position>>,
    /// The input was not covered, and waits for a whole allowance.
    holding: bool,
    /// Bytes passed without a rate since it was last settled.
    unpaced: bool,
    /// Until then a stream may still take what it had earned under the old rate, though a chunk of the new one may be smaller.
    old_chunk_until: Instant,
    /// The remainder is sent on credit: the rest of the input passes.
    closing: bool,
    /// Finds what the limit would have delayed, while it only reports.
    report: Option<Box<TokenBucket>>,
}

impl RateFilter {
    /// Creates the filter of one stream under `limit`, which may be changed at any time.
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            interval: Interval::DEFAULT,
            end_of_stream: EndOfStream::default(),
            catch_up: None,
            carryover: None,
            allowance: None,
            burst_left: 0,
            sent: 0,
            position: None,
            holding: false,
            unpaced: false,
            old_chunk_until: Instant::ZERO,
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

    /// Sets how much time that this stream did not use it may make up at once. Default: one interval.
    #[must_use]
    pub fn catch_up(mut self, catch_up: Option<CatchUp>) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// Starts with the allowance that a predecessor left in `carryover`, and leaves its own there at its end (rule 8).
    #[must_use]
    pub fn with_carryover(mut self, carryover: Carryover) -> Self {
        self.carryover = Some(carryover);
        self
    }

    /// Returns how many of the bytes in hand may pass now at `rate`, or when to ask again.
    fn allow(&mut self, now: Instant, rate: Rate, in_hand: &InHand, ends: bool) -> Result<u64, Instant> {
        if self.closing {
            return Ok(in_hand.bytes);
        }
        let known = self.allowance.take().map(|mut allowance| {
            self.old_chunk_until = self.settle(&mut allowance, rate, now);
            allowance
        });
        self.unpaced = false;
        let allowance = match known {
            Some(allowance) => self.allowance.insert(allowance),
            None => {
                let carried = self.carryover.as_ref();
                let left = carried.and_then(Carryover::take).map(|left| left.with_interval(self.interval));
                let mut allowance = left.unwrap_or_else(|| Allowance::full(rate, self.interval, now));
                if self.position.is_some() {
                    allowance.keep_time(rate);
                }
                // No more than a chunk: the time between responses is not this one's to make up.
                allowance.settle(rate, now);
                let burst = self.limit.burst();
                let burst = carried.map_or(burst, |carried| carried.burst_left(&allowance, burst));
                self.burst_left = burst.saturating_sub(self.sent);
                self.allowance.insert(allowance)
            }
        };
        let on_credit = ends && self.end_of_stream == EndOfStream::Immediate;
        // See `EndOfStream::Immediate`. `lookahead` makes the end behind any remainder visible.
        let is_rest = |allowance: &Allowance, bytes| {
            bytes < MAX_PIECE && allowance.is_less_than_chunk(bytes) && in_hand.is_rest(allowance, bytes)
        };

        if self.holding {
            if on_credit && is_rest(allowance, in_hand.bytes) {
                if allowance.in_debt() {
                    return Err(allowance.out_of_debt_at());
                }
                self.closing = true;
                return Ok(in_hand.bytes);
            }
            if !allowance.is_whole() {
                return Err(allowance.whole_at());
            }
            self.holding = false;
        }
        let covered = allowance.covered().saturating_add(self.burst_left).min(in_hand.bytes);
        let rest = in_hand.bytes - covered;
        if rest == 0 {
            return Ok(covered);
        }
        let is_last = on_credit && is_rest(allowance, rest);
        if is_last && !allowance.in_debt() {
            self.closing = true;
            return Ok(in_hand.bytes);
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

    /// Returns which of several rates holds, and the bytes of `input` that it holds for. `flags` are the limit's.
    fn rate_here(&mut self, flags: Flags, input: &Brigade, now: Instant) -> (Option<Rate>, InHand) {
        let position = match &mut self.position {
            Some(known) if known.version() == flags.version() => known,
            // Changed meanwhile: as with any change of a rate, the bytes that are left or owed stay.
            other => other.insert(Box::new(Position::new(flags.version(), self.limit.rates(), self.sent))),
        };
        let moved = position.advance(self.sent);
        let known = (position.rate(), position.in_hand(self.sent, input));
        if moved && let Some(rate) = known.0 {
            if let Some(mut allowance) = self.allowance.take() {
                let old = allowance.rate();
                self.settle(&mut allowance, old, now);
                allowance.keep_time(rate);
                self.allowance = Some(allowance);
            }
            self.unpaced = false;
        }
        known
    }

    /// Settles `allowance`, this stream's, at `now` under `rate`. Returns until when what it has of an old chunk may pass.
    fn settle(&self, allowance: &mut Allowance, rate: Rate, now: Instant) -> Instant {
        let catch_up = self.catch_up_here();
        // A change by hand is to hold at once, and caps what was earned. One with a known time, of the calendar, keeps it.
        if allowance.rate() != rate
            && !self.unpaced
            && let Some(at) = self.limit.changed_at()
        {
            allowance.change(rate, catch_up, at, now);
            return now + self.interval.duration();
        }
        if now < self.old_chunk_until && !self.unpaced {
            allowance.settle_keeping(rate, catch_up, now);
        } else {
            allowance.settle_within(rate, catch_up, now);
        }
        self.old_chunk_until
    }

    /// How much unused time may be made up; only the interval's if there was time without a rate, which nobody waited in.
    fn catch_up_here(&self) -> Option<CatchUp> {
        self.catch_up.filter(|_| !self.unpaced)
    }

    /// Where the stream is among several rates, if that is known of the limit as it is; `flags` are the limit's.
    fn position_here(&self, flags: Flags) -> Option<&Position> {
        self.position.as_deref().filter(|known| flags.version() != 0 && known.version() == flags.version())
    }

    /// Counts bytes that passed and would have been delayed by the rate.
    fn report(&mut self, now: Instant, rate: Rate, bytes: u64) {
        let depth = rate.at_once(self.interval, self.catch_up).saturating_add(self.limit.burst());
        let bucket = self.report.get_or_insert_with(|| Box::new(TokenBucket::new(rate, depth, now)));
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
            let (rate, flags) = (self.limit.rate(), self.limit.flags());
            let (rate, in_hand) = match flags.version() {
                0 => (rate, InHand::all(input)),
                _ => self.rate_here(flags, input, now),
            };
            let Some(rate) = rate.filter(|_| !flags.is_report_only()) else {
                let sent = in_hand.bytes.min(output.room());
                input.move_to(output, sent);
                self.holding = false;
                self.unpaced = true;
                self.sent = self.sent.saturating_add(sent);
                self.burst_left = self.burst_left.saturating_sub(sent);
                if let Some(rate) = rate {
                    self.report(now, rate, sent);
                }
                continue;
            };
            match self.allow(now, rate, &in_hand, input.ends()) {
                Err(due) => return Ok(Verdict::SleepUntil(due)),
                Ok(allowed) => {
                    let sent = allowed.min(output.room());
                    input.move_to(output, sent);
                    self.sent = self.sent.saturating_add(sent);
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
        let flags = self.limit.flags();
        let rate = match self.position_here(flags) {
            Some(known) => known.fastest(),
            None if flags.version() == 0 => self.limit.rate(),
            None => self.limit.rates().fastest(),
        };
        rate.map_or(MAX_PIECE, |rate| rate.chunk(self.interval).saturating_add(2).min(MAX_PIECE))
    }

    /// Nothing while it waits for a whole chunk. Before the first bytes, when the client's allowance is not taken yet, all.
    fn covers(&self, now: Instant) -> u64 {
        let flags = self.limit.flags();
        let rate = self.position_here(flags).map_or_else(|| self.limit.rate(), Position::rate);
        let rate = rate.filter(|_| !flags.is_report_only() && !self.closing);
        let (Some(rate), Some(allowance)) = (rate, &self.allowance) else { return u64::MAX };
        let mut allowance = allowance.clone();
        self.settle(&mut allowance, rate, now);
        if self.holding && !allowance.is_whole() {
            return 0;
        }
        allowance.covered().saturating_add(self.burst_left)
    }

    /// One interval: by then a change of the limit is seen.
    fn max_sleep(&self) -> Duration {
        self.interval.duration()
    }

    fn limit(&self) -> Option<&Limit> {
        Some(&self.limit)
    }
}

impl Drop for RateFilter {
    fn drop(&mut self) {
        self.leave_allowance();
    }
}

#[cfg(test)]
mod tests;
