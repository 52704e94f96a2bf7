//! Bytes by time: each second's, and the most of any second.

use std::collections::VecDeque;
use std::time::Duration;

/// How often bytes are counted. A second may begin at each of these.
pub(super) const SAMPLE: Duration = Duration::from_millis(100);

/// Samples of a second.
pub(super) const SAMPLES: usize = 10;

/// Counts bytes by time.
#[derive(Clone, Debug, Default)]
pub(super) struct ByteCount {
    seen: u64,
    second: VecDeque<u64>,
    in_second: u64,
    /// The most bytes of ten samples that follow one another.
    pub(super) peak: u64,
    /// The bytes of each second from the start.
    pub(super) seconds: Vec<u64>,
    samples: usize,
}

impl ByteCount {
    /// Starts where a counter stands at `seen`.
    pub(super) fn from(seen: u64) -> Self {
        Self { seen, ..Self::default() }
    }

    /// Notes that the counter stands at `now`, a sample after the last.
    pub(super) fn sample(&mut self, now: u64) {
        let came = now.saturating_sub(self.seen);
        self.seen = self.seen.max(now);
        self.second.push_back(came);
        self.in_second += came;
        if self.second.len() > SAMPLES {
            self.in_second -= self.second.pop_front().unwrap_or(0);
        }
        self.peak = self.peak.max(self.in_second);
        if self.samples.is_multiple_of(SAMPLES) {
            self.seconds.push(0);
        }
        self.samples += 1;
        if let Some(last) = self.seconds.last_mut() {
            *last += came;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_summed_and_the_peak_is_of_any_second() {
        let mut byte_count = ByteCount::from(7);
        let mut counter = 7;
        for n in 0..30 {
            // Five samples of 10 bytes at the end of the first second, and five at the start of the next.
            counter += if (5..15).contains(&n) { 10 } else { 1 };
            byte_count.sample(counter);
        }
        assert_eq!((byte_count.seconds, byte_count.peak), (vec![55, 55, 10], 100));
    }
}
