//! Bytes that passed in the last second, from a few spans and without a timer.

use std::collections::VecDeque;

use crate::clock::Instant;

const SECOND: u64 = 1_000_000_000;

/// The length of a span, in nanoseconds.
const WIDTH: u64 = SECOND / 10;

/// This many spans, the current one included, cover a second wherever they begin.
const MAX_SPANS: usize = 11;

/// Counts bytes by spans of a tenth of a second. Allocates as bytes pass, up to [`MAX_SPANS`].
#[derive(Debug, Default)]
pub(super) struct LastSecond {
    spans: VecDeque<Span>,
}

#[derive(Debug)]
struct Span {
    first: Instant,
    last: Instant,
    bytes: u64,
}

impl LastSecond {
    pub(super) fn add(&mut self, bytes: u64, now: Instant) {
        match self.spans.back_mut() {
            Some(span) if now.nanos_since(span.first) < WIDTH => {
                span.last = span.last.max(now);
                span.bytes = span.bytes.saturating_add(bytes);
            }
            _ => {
                if self.spans.len() == MAX_SPANS {
                    self.spans.pop_front();
                }
                self.spans.push_back(Span { first: now, last: now, bytes });
            }
        }
    }

    /// Returns the bytes that passed in the second up to `now`, without those of exactly a second ago. A span that reaches
    /// out of the second counts in proportion.
    pub(super) fn in_last_second(&self, now: Instant) -> u64 {
        self.spans.iter().fold(0, |sum, span| sum.saturating_add(span.since_a_second(now)))
    }
}

impl Span {
    fn since_a_second(&self, now: Instant) -> u64 {
        let (first, last) = (now.nanos_since(self.first), now.nanos_since(self.last));
        if first < SECOND {
            return self.bytes;
        }
        if last >= SECOND {
            return 0;
        }
        let inside = u128::from(self.bytes) * u128::from(SECOND - last) / u128::from(first - last);
        u64::try_from(inside).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_chunk_counts_for_one_second_to_the_nanosecond() {
        let mut recent = LastSecond::default();
        assert_eq!(recent.in_last_second(at(0)), 0);
        recent.add(1_000, at(50));
        assert_eq!(recent.in_last_second(at(50)), 1_000);
        assert_eq!(recent.in_last_second(Instant::from_nanos(1_049_999_999)), 1_000);
        assert_eq!(recent.in_last_second(at(1_050)), 0);
        assert_eq!(recent.in_last_second(Instant::MAX), 0);
    }

    #[test]
    fn a_chunk_each_interval_reports_its_rate_at_any_time() {
        let mut recent = LastSecond::default();
        for chunk in 0..50 {
            recent.add(20_480, at(chunk * 200));
            if chunk < 4 {
                continue;
            }
            for millis in 0..200 {
                assert_eq!(recent.in_last_second(at(chunk * 200 + millis)), 102_400, "{chunk} + {millis} ms");
            }
        }
    }

    #[test]
    fn a_steady_trickle_reports_its_rate_and_fades_evenly() {
        let mut recent = LastSecond::default();
        for millis in 1..=3_000 {
            recent.add(7, at(millis));
            if millis >= 1_100 {
                let reported = recent.in_last_second(at(millis));
                assert!(reported.abs_diff(7_000) <= 14, "{reported} at {millis} ms");
            }
        }
        for millis in 0..=1_000 {
            let (reported, left) = (recent.in_last_second(at(3_000 + millis)), 7 * (1_000 - millis));
            assert!(reported.abs_diff(left) <= 14, "{reported} instead of {left}, {millis} ms later");
        }
    }

    #[test]
    fn few_spans_cover_a_second_at_any_distance() {
        for distance in [1, 49, 50, 99, 100, 101, 199, 999, 1_000, 5_000] {
            let mut recent = LastSecond::default();
            for n in 0..2_000 {
                recent.add(1, at(n * distance));
            }
            let now = 1_999 * distance;
            let exact = (0..2_000).filter(|n| now - n * distance < 1_000).count() as u64;
            let reported = recent.in_last_second(at(now));
            assert!(
                reported.abs_diff(exact) <= exact / 100 + 1,
                "{reported} instead of {exact} at {distance} ms"
            );
            assert!(recent.spans.len() <= MAX_SPANS);
        }
    }

    #[test]
    fn a_clock_that_steps_back_and_an_overflow_do_no_harm() {
        let mut recent = LastSecond::default();
        recent.add(u64::MAX, at(5_000));
        recent.add(1, at(1_000));
        recent.add(1, at(7_000));
        assert_eq!(recent.in_last_second(at(0)), u64::MAX);
        assert_eq!(recent.in_last_second(at(7_500)), 1);
    }
}
