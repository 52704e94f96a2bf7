//! The chunks of a timeline: bytes that arrive together, with a pause before the next.
//!
//! Pure. A gap is a pause if it is long beside the others: half of the time between arrivals is spent in gaps of some
//! length or longer, and arrivals nearer than two fifths of that length are one chunk. The one rule finds chunks of
//! 200 ms, the 200 to 400 ms of Apache behind a slow source, and one burst a second.

use std::fmt;
use std::time::Duration;

use super::timeline::Timeline;

/// Shorter gaps are the network's and the scheduler's: the timeline is smooth.
const MIN_PAUSE: Duration = Duration::from_millis(5);

/// Fewer chunks show no regularity.
const FEWEST: usize = 3;

/// Bytes that arrived together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chunk {
    /// Arrival of its first byte.
    pub at: Duration,
    /// Arrival of its last byte.
    pub until: Duration,
    /// Number of bytes.
    pub bytes: u64,
}

/// The range of the middle eight tenths of some values, and their median.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spread<T> {
    /// The tenth percentile.
    pub low: T,
    /// The median.
    pub median: T,
    /// The ninetieth percentile.
    pub high: T,
}

/// The chunks of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chunks {
    /// At least three, in order.
    pub all: Vec<Chunk>,
    /// Bytes of each, except the first, which may have a burst, and the last, which may be cut short or have the
    /// remainder of a response.
    pub size: Spread<u64>,
    /// From the start of each to that of the next.
    pub interval: Spread<Duration>,
    /// The mean of the intervals within a tenth, or 10 ms, of the median.
    pub usual: Duration,
    /// Number of chunks between the first and the last that have the median size, within 1 %, and follow at a usual
    /// interval.
    pub regular: usize,
}

impl Chunks {
    /// Finds the chunks; `None` if there are fewer than three, or no pauses of 5 ms.
    pub fn of(timeline: &Timeline) -> Option<Self> {
        let arrivals = timeline.arrivals();
        let mut pauses: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        pauses.sort_unstable();
        let span = timeline.last()? - timeline.first()?;
        loop {
            let typical = half_time(&pauses)?;
            if typical < MIN_PAUSE.max(4 * timeline.grain()) {
                return None;
            }
            let all = cut(timeline, typical * 2 / 5);
            let busy: Duration = all.iter().map(|chunk| chunk.until - chunk.at).sum();
            // A chunk arrives at once. A flow for much of the time, with stalls between, is something else; and a few
            // long stalls must not hide the rhythm between them.
            if all.len() >= FEWEST && busy <= span / 4 {
                return Some(Self::measured(all));
            }
            pauses.truncate(pauses.partition_point(|pause| *pause < typical));
        }
    }

    fn measured(all: Vec<Chunk>) -> Self {
        let intervals: Vec<Duration> = all.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        let middle = &all[1..all.len() - 1];
        let size = Spread::of(middle.iter().map(|chunk| chunk.bytes).collect());
        let interval = Spread::of(intervals.clone());
        let slack = (interval.median / 10).max(Duration::from_millis(10));
        let is_usual = |time: &Duration| time.abs_diff(interval.median) <= slack;
        let usual: Vec<Duration> = intervals.iter().filter(|time| is_usual(time)).copied().collect();
        let count = u32::try_from(usual.len()).unwrap_or(u32::MAX).max(1);
        let is_regular = |chunk: &Chunk| chunk.bytes.abs_diff(size.median) <= size.median / 100;
        let regular =
            middle.iter().zip(&intervals).filter(|(chunk, before)| is_regular(chunk) && is_usual(before));
        let regular = regular.count();
        Self { size, interval, usual: usual.iter().sum::<Duration>() / count, regular, all }
    }

    /// Number of chunks between the first and the last, which sizes are measured of.
    pub fn between(&self) -> usize {
        self.all.len() - 2
    }

    /// Whether most have one size and one interval.
    pub fn are_regular(&self) -> bool {
        self.regular * 2 > self.between()
    }
}

impl<T: Copy + Ord> Spread<T> {
    /// Needs at least one value.
    fn of(mut values: Vec<T>) -> Self {
        values.sort_unstable();
        let at = |tenths: usize| values[(values.len() - 1) * tenths / 10];
        Self { low: at(1), median: at(5), high: at(9) }
    }
}

/// `12 288 B every 200 ms`, or the spreads where sizes or intervals differ.
impl fmt::Display for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, interval, .. } = self;
        if self.are_regular() {
            return write!(f, "{} B every {}", grouped(size.median), pause(self.usual));
        }
        match (grouped(size.low), grouped(size.high)) {
            (low, high) if low == high => write!(f, "{low} B")?,
            (low, high) => write!(f, "{low} to {high} B")?,
        }
        match (pause(interval.low), pause(interval.high)) {
            (low, high) if low == high => write!(f, " every {low}"),
            (low, high) => write!(f, " every {low} to {high}"),
        }
    }
}

/// Formats a time in few digits: `200 ms`, `1.002 s`.
pub fn pause(time: Duration) -> String {
    match (time + Duration::from_micros(500)).as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        millis if millis.is_multiple_of(1000) => format!("{} s", millis / 1000),
        millis => format!("{}.{:03} s", millis / 1000, millis % 1000),
    }
}

/// Formats a number with its digits in threes: `12 288`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Returns the length of which it holds that half of the time is spent in pauses at least as long. Expects ascending
/// order.
fn half_time(pauses: &[Duration]) -> Option<Duration> {
    let half = pauses.iter().sum::<Duration>() / 2;
    let mut spent = Duration::ZERO;
    pauses.iter().rev().copied().find(|pause| {
        spent += *pause;
        spent >= half
    })
}

/// Cuts the timeline at each gap of `pause` or longer.
fn cut(timeline: &Timeline, pause: Duration) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for arrival in timeline.arrivals() {
        match chunks.last_mut() {
            Some(chunk) if arrival.at - chunk.until < pause => {
                chunk.until = arrival.at;
                chunk.bytes = chunk.bytes.saturating_add(arrival.bytes);
            }
            _ => chunks.push(Chunk { at: arrival.at, until: arrival.at, bytes: arrival.bytes }),
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some number that looks like chance, below `most`.
    fn chance(n: u64, most: u64) -> u64 {
        (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % most
    }

    fn measured(arrivals: impl IntoIterator<Item = (u64, u64)>) -> String {
        Chunks::of(&Timeline::of_millis(arrivals)).map_or("none".to_owned(), |chunks| {
            format!("{chunks} ({} of {})", chunks.regular, chunks.between())
        })
    }

    #[test]
    fn chunks_and_their_rhythm_are_recognised() {
        let grid = (0..151).map(|n| (n * 200, 12_288));
        assert_eq!(measured(grid.clone()), "12 288 B every 200 ms (149 of 149)");
        let jittered = (0..151).map(|n| (n * 200 + chance(n, 9), 12_288));
        assert_eq!(measured(jittered), "12 288 B every 200 ms (149 of 149)");
        let in_pieces = (0..100).flat_map(|n| [(n * 200, 4096), (n * 200 + 2, 4096), (n * 200 + 30, 4096)]);
        assert_eq!(measured(in_pieces), "12 288 B every 200 ms (98 of 98)");
        let burst_and_remainder = grid
            .clone()
            .take(18)
            .chain([(3600, 22_419)])
            .map(|(at, bytes)| (at, if at == 0 { 274_432 } else { bytes }));
        assert_eq!(measured(burst_and_remainder), "12 288 B every 200 ms (17 of 17)");
        // nginx: some pieces, each second.
        let nginx = (0..30).flat_map(|n| (0..7).map(move |piece| (n * 1002 + piece * 2, 14_628)));
        assert_eq!(measured(nginx), "102 396 B every 1.002 s (28 of 28)");
        let quick = (0..500).map(|n| (n * 20, 1229));
        assert_eq!(measured(quick), "1 229 B every 20 ms (498 of 498)");
    }

    #[test]
    fn irregular_chunks_are_reported_by_their_spread() {
        let mut at = 0;
        let apache = (0..100).map(|n| {
            at += 200 + chance(n, 201);
            (at, 4096 + chance(n + 77, 3) * 4096)
        });
        let chunks = Chunks::of(&Timeline::of_millis(apache)).unwrap();
        assert!(!chunks.are_regular() && chunks.all.len() == 100, "{chunks:?}");
        assert_eq!((chunks.size.low, chunks.size.high), (4096, 12_288));
        assert!(chunks.to_string().starts_with("4 096 to 12 288 B every 2"), "{chunks}");
    }

    #[test]
    fn smooth_and_short_timelines_have_no_chunks() {
        assert_eq!(measured([]), "none");
        assert_eq!(measured([(0, 1)]), "none");
        assert_eq!(measured([(0, 12_288), (200, 12_288)]), "none");
        assert_eq!(measured((0..5000).map(|n| (n, 65_536))), "none");
        // A stream that stalls: smooth between, and no chunk that comes at once.
        assert_eq!(measured((0..9000).map(|n| (n + n / 3000 * 5000, 100))), "none");
    }

    #[test]
    fn long_stalls_do_not_hide_the_rhythm() {
        let stalled = (0..50).map(|n| (n * 200 + if n < 25 { 0 } else { 20_000 }, 12_288));
        assert_eq!(measured(stalled), "12 288 B every 200 ms (47 of 48)");
    }

    #[test]
    fn three_chunks_are_enough() {
        assert_eq!(measured([(0, 12_288), (200, 12_288), (400, 13_824)]), "12 288 B every 200 ms (1 of 1)");
    }

    #[test]
    fn numbers_are_grouped_and_times_short() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number), text);
        }
        for (micros, text) in [(0, "0 ms"), (199_600, "200 ms"), (999_500, "1 s"), (1_002_000, "1.002 s")] {
            assert_eq!(pause(Duration::from_micros(micros)), text);
        }
    }
}
