//! The arrivals of bytes, in bounded memory.
//!
//! Pure: passed times since the start of the run.

use std::time::Duration;

/// Bytes that arrived at one instant, or within one grain after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Since the run began.
    pub at: Duration,
    /// Number of bytes, at least one.
    pub bytes: u64,
}

/// Arrivals in order.
///
/// Arrivals within one grain, at first a millisecond, are merged at the instant of the first byte. When there are
/// more than fit, the grain is doubled and neighbours are merged.
///
/// ```
/// use sluicegate::probe::timeline::Timeline;
/// use std::time::Duration;
///
/// let mut timeline = Timeline::new(1000);
/// for (micros, bytes) in [(0, 4096), (300, 8192), (200_000, 12_288)] {
///     timeline.record(Duration::from_micros(micros), bytes);
/// }
/// assert_eq!(timeline.arrivals().len(), 2, "the first two were read within a millisecond");
/// assert_eq!(timeline.total(), 24_576);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Invariant: ascending, and at least one grain apart.
    arrivals: Vec<Arrival>,
    grain: Duration,
    most: usize,
    total: u64,
}

/// The finest resolution. Reads of one packet train are closer.
const GRAIN: Duration = Duration::from_millis(1);

impl Timeline {
    /// Creates an empty timeline of at most `most` arrivals, and at least two.
    pub fn new(most: usize) -> Self {
        Self { arrivals: Vec::new(), grain: GRAIN, most: most.max(2), total: 0 }
    }

    /// Records `bytes` at `at`. An instant before the last one counts as the last one; zero bytes are ignored.
    pub fn record(&mut self, at: Duration, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.total = self.total.saturating_add(bytes);
        match self.arrivals.last_mut() {
            Some(last) if at < last.at + self.grain => last.bytes = last.bytes.saturating_add(bytes),
            _ => self.arrivals.push(Arrival { at, bytes }),
        }
        while self.arrivals.len() > self.most {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.grain *= 2;
        let grain = self.grain;
        self.arrivals.dedup_by(|next, kept| {
            let merged = next.at < kept.at + grain;
            if merged {
                kept.bytes = kept.bytes.saturating_add(next.bytes);
            }
            merged
        });
    }

    /// The arrivals.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// The sum of bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The least time between two arrivals.
    pub fn grain(&self) -> Duration {
        self.grain
    }

    /// When the first byte arrived.
    pub fn first(&self) -> Option<Duration> {
        self.arrivals.first().map(|arrival| arrival.at)
    }

    /// When the last arrival was.
    pub fn last(&self) -> Option<Duration> {
        self.arrivals.last().map(|arrival| arrival.at)
    }

    /// The time of each arrival, and the sum of bytes up to it.
    pub fn steps(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.arrivals.iter().scan(0u64, |sum, arrival| {
            *sum = sum.saturating_add(arrival.bytes);
            Some((arrival.at, *sum))
        })
    }

    /// The part up to `end`, inclusive.
    pub fn until(&self, end: Duration) -> Self {
        let come = self.arrivals.partition_point(|arrival| arrival.at <= end);
        let arrivals = self.arrivals[..come].to_vec();
        let total = arrivals.iter().fold(0u64, |sum, arrival| sum.saturating_add(arrival.bytes));
        Self { arrivals, total, ..*self }
    }

    /// Merges timelines.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let all: Vec<&Self> = all.into_iter().collect();
        let most = all.iter().map(|timeline| timeline.most).max().unwrap_or(2);
        let grain = all.iter().map(|timeline| timeline.grain).max().unwrap_or(GRAIN);
        let mut arrivals: Vec<Arrival> =
            all.iter().flat_map(|timeline| &timeline.arrivals).copied().collect();
        arrivals.sort_by_key(|arrival| arrival.at);
        let mut sum = Self { grain, ..Self::new(most) };
        for arrival in arrivals {
            sum.record(arrival.at, arrival.bytes);
        }
        sum
    }
}

/// The sums of bytes by time, for quick search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    steps: Vec<(Duration, u64)>,
}

impl Sums {
    /// Creates the sums of a timeline, with its first byte at zero.
    pub fn from_first_byte(timeline: &Timeline) -> Self {
        let first = timeline.first().unwrap_or_default();
        Self { steps: timeline.steps().map(|(at, bytes)| (at - first, bytes)).collect() }
    }

    /// The time of each arrival, and the sum of bytes up to it.
    pub fn steps(&self) -> &[(Duration, u64)] {
        &self.steps
    }

    /// Bytes up to `at`, inclusive.
    pub fn by(&self, at: Duration) -> u64 {
        let behind = self.steps.partition_point(|(then, _)| *then <= at);
        behind.checked_sub(1).map_or(0, |last| self.steps[last].1)
    }

    /// When the sum reached `bytes`; `None` if it never did.
    pub fn when(&self, bytes: u64) -> Option<Duration> {
        self.steps.get(self.steps.partition_point(|(_, sum)| *sum < bytes)).map(|(at, _)| *at)
    }
}

#[cfg(test)]
impl Timeline {
    /// Arrivals at milliseconds, none of which is merged for want of room.
    pub(super) fn of_millis(arrivals: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut timeline = Self::new(100_000);
        for (millis, bytes) in arrivals {
            timeline.record(Duration::from_millis(millis), bytes);
        }
        timeline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(most: usize, reads: &[(u64, u64)]) -> Timeline {
        let mut timeline = Timeline::new(most);
        for (micros, bytes) in reads {
            timeline.record(Duration::from_micros(*micros), *bytes);
        }
        timeline
    }

    fn seen(timeline: &Timeline) -> Vec<(u128, u64)> {
        timeline.arrivals().iter().map(|arrival| (arrival.at.as_micros(), arrival.bytes)).collect()
    }

    #[test]
    fn reads_within_a_grain_of_the_first_are_one_arrival() {
        let timeline = of(9, &[(10, 1), (1009, 2), (1010, 4), (900, 8), (5000, 0)]);
        assert_eq!(seen(&timeline), [(10, 3), (1010, 12)], "a clock that steps back moves nothing");
        assert_eq!(
            (timeline.total(), timeline.first(), timeline.last()),
            (15, Some(Duration::from_micros(10)), Some(Duration::from_micros(1010)))
        );
        assert_eq!(of(9, &[]).first(), None);
    }

    #[test]
    fn a_full_timeline_doubles_its_grain_and_loses_no_byte() {
        let reads: Vec<(u64, u64)> = (0..9).map(|n| (n * 1000, 1)).collect();
        let timeline = of(4, &reads);
        assert_eq!(timeline.grain(), Duration::from_millis(4));
        assert_eq!(seen(&timeline), [(0, 4), (4000, 4), (8000, 1)]);
        assert_eq!(timeline.total(), 9);
    }

    #[test]
    fn sums_answer_at_and_beside_each_step() {
        let sums = Sums::from_first_byte(&of(9, &[(5000, 10), (205_000, 5)]));
        let ms = Duration::from_millis;
        for (at, bytes) in [(0, 10), (199, 10), (200, 15), (9999, 15)] {
            assert_eq!(sums.by(ms(at)), bytes, "{at}");
        }
        for (bytes, when) in [(0, Some(0)), (10, Some(0)), (11, Some(200)), (15, Some(200)), (16, None)] {
            assert_eq!(sums.when(bytes), when.map(ms), "{bytes}");
        }
        assert_eq!(Sums::default().by(ms(1)), 0);
    }

    #[test]
    fn the_beginning_is_a_timeline_too() {
        let timeline = of(9, &[(5000, 10), (205_000, 5), (405_000, 1)]);
        let ms = Duration::from_millis;
        for (end, arrivals, total) in [(4, 0, 0), (5, 1, 10), (204, 1, 10), (205, 2, 15), (9999, 3, 16)] {
            let begun = timeline.until(ms(end));
            assert_eq!((begun.arrivals().len(), begun.total()), (arrivals, total), "{end}");
        }
        assert_eq!(timeline.until(ms(405)), timeline);
    }

    #[test]
    fn several_lines_make_one() {
        let sum = Timeline::sum([&of(9, &[(0, 1), (4000, 2)]), &of(9, &[(2000, 4), (4200, 8)])]);
        assert_eq!(seen(&sum), [(0, 1), (2000, 4), (4000, 10)]);
    }
}
