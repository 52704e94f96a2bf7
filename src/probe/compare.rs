//! Compares two timelines: direct against proxied, one server against another.
//!
//! Pure. Each timeline starts at its own first byte; they are compared up to the first end. At each instant the lead
//! of one is its bytes, less what the other has [`LATE`] later, so that wake-ups some milliseconds late do not count.
//! **They agree if neither ever leads by more than one chunk**, the larger of the two's usual ones, **and what the
//! rate gives in that time** (a first chunk in two pieces earns as much); and, where both ended, if they have the
//! same length. A rate that is 1 % off leads by a chunk after 100 chunks; a grid with another phase never does.

use std::time::Duration;

use super::chunks::Chunks;
use super::pace::End;
use super::timeline::{Sums, Timeline};

/// How late bytes may be without counting.
pub const LATE: Duration = Duration::from_millis(25);

/// Points at which the shift is measured.
const PLACES: u64 = 200;

/// One timeline of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The arrivals.
    pub timeline: &'a Timeline,
    /// Its chunks, if it has any.
    pub chunks: Option<&'a Chunks>,
    /// Its rate in bytes per second, if known.
    pub rate: Option<f64>,
    /// How it ended.
    pub end: End,
}

/// How two timelines differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// The largest lead, in bytes.
    pub lead: u64,
    /// When that was, since the first byte.
    pub at: Duration,
    /// The chunk: the larger of the two's usual ones.
    pub chunk: u64,
    /// The largest lead allowed: a chunk, and what arrives in [`LATE`] at the higher rate.
    pub allowed: u64,
    /// How much later, in the median, the second has as many bytes, in nanoseconds; negative if earlier.
    pub shift: i64,
    /// The time compared, since the first byte.
    pub over: Duration,
    /// The lengths of both, if both ended and they differ.
    pub lengths: Option<(u64, u64)>,
}

impl Comparison {
    /// Whether they agree.
    pub fn agree(&self) -> bool {
        self.lead <= self.allowed && self.lengths.is_none()
    }
}

/// Compares two timelines; `None` if one is empty.
pub fn compare(one: Side<'_>, other: Side<'_>) -> Option<Comparison> {
    let over = one.lasting()?.min(other.lasting()?);
    let sums = [Sums::from_first_byte(one.timeline), Sums::from_first_byte(other.timeline)];
    let (at, lead) = [(&sums[0], &sums[1], other), (&sums[1], &sums[0], one)]
        .into_iter()
        .flat_map(|(ahead, behind, side)| {
            // After the end of the run the bytes are unknown; after that of a response there are none.
            let known = move |at: Duration| matches!(side.end, End::Whole) || at + LATE <= over;
            let steps = ahead.steps().iter().take_while(move |(at, _)| *at <= over && known(*at));
            steps.map(|(at, bytes)| (*at, bytes.saturating_sub(behind.by(*at + LATE))))
        })
        .max_by_key(|(_, lead)| *lead)
        .unwrap_or_default();
    let totals = (one.timeline.total(), other.timeline.total());
    let whole = one.end == End::Whole && other.end == End::Whole;
    let chunk = one.chunk().max(other.chunk());
    let fastest = one.rate.unwrap_or(0.0).max(other.rate.unwrap_or(0.0));
    Some(Comparison {
        lead,
        at,
        chunk,
        allowed: chunk.saturating_add((fastest * LATE.as_secs_f64()) as u64),
        shift: shift(&sums, over),
        over,
        lengths: (whole && totals.0 != totals.1).then_some(totals),
    })
}

impl Side<'_> {
    fn lasting(&self) -> Option<Duration> {
        let (first, last) = (self.timeline.first()?, self.timeline.last()?);
        Some(match self.end {
            End::Whole => last - first,
            End::At(end) => end.max(last) - first,
        })
    }

    /// The usual chunk, the ninetieth percentile; without chunks what arrives in 200 ms, or all that arrived at once.
    fn chunk(&self) -> u64 {
        let at_once = || self.timeline.arrivals().iter().map(|arrival| arrival.bytes).max().unwrap_or(0);
        match (self.chunks, self.rate) {
            (Some(chunks), _) => chunks.size.high,
            (None, Some(rate)) => (rate / 5.0) as u64,
            (None, None) => at_once(),
        }
    }
}

fn shift(sums: &[Sums; 2], over: Duration) -> i64 {
    let both = sums[0].by(over).min(sums[1].by(over));
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let mut shifts: Vec<i64> = (1..=PLACES)
        .filter_map(|place| {
            let bytes = (u128::from(both) * u128::from(place) / u128::from(PLACES)) as u64;
            Some(nanos(sums[1].when(bytes)?) - nanos(sums[0].when(bytes)?))
        })
        .collect();
    shifts.sort_unstable();
    shifts.get(shifts.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lead, chunk, shift in milliseconds, whether they agree; the other way round it must be the same.
    fn measured(one: &Timeline, other: &Timeline, ends: [Option<u64>; 2]) -> (u64, u64, i64, bool) {
        let chunks = [Chunks::of(one), Chunks::of(other)];
        let end = |n: usize| ends[n].map_or(End::Whole, |end| End::At(Duration::from_millis(end)));
        let side = |n: usize| Side {
            timeline: [one, other][n],
            chunks: chunks[n].as_ref(),
            rate: Some(61_440.0),
            end: end(n),
        };
        let [there, back] = [(0, 1), (1, 0)].map(|(a, b)| compare(side(a), side(b)).unwrap());
        assert_eq!((there.lead, there.chunk, there.agree()), (back.lead, back.chunk, back.agree()));
        (there.lead, there.chunk, there.shift / 1_000_000, there.agree())
    }

    fn grid(count: u64, from: u64, every: u64, bytes: u64) -> Timeline {
        Timeline::of_millis((0..count).map(|n| (from + n * every, bytes)))
    }

    #[test]
    fn the_same_pace_agrees_whenever_it_began_and_however_late_its_wake_ups() {
        let run = [Some(30_100), Some(30_100)];
        let direct = grid(151, 0, 200, 12_288);
        assert_eq!(measured(&direct, &direct, run), (0, 12_288, 0, true));
        assert_eq!(measured(&direct, &grid(150, 200, 200, 12_288), run), (0, 12_288, 0, true));
        let late = Timeline::of_millis((0..151).map(|n| (n * 200 + n % 2 * 20, 12_288)));
        assert_eq!(measured(&direct, &late, run).0, 0);
        let later = Timeline::of_millis((0..151).map(|n| (n * 200 + u64::from(n > 0) * 40, 12_288)));
        assert_eq!(measured(&direct, &later, run), (12_288, 12_288, 40, true));
    }

    #[test]
    fn a_chunk_that_was_lost_or_a_rate_that_differs_does_not_agree() {
        let run = [Some(30_100), Some(30_100)];
        let direct = grid(151, 0, 200, 12_288);
        let behind = Timeline::of_millis((0..150).map(|n| (n * 200 + u64::from(n > 50) * 400, 12_288)));
        assert_eq!(measured(&direct, &behind, run), (24_576, 12_288, 400, false));
        let slower = grid(149, 0, 203, 12_288);
        assert!(!measured(&direct, &slower, run).3);
        let doubled = Timeline::of_millis((0..151).map(|n| (n * 200, if n == 0 { 61_440 } else { 12_288 })));
        assert_eq!(measured(&direct, &doubled, run).0, 49_152);
    }

    #[test]
    fn smooth_beside_chunked_agrees_within_the_chunk() {
        let smooth = Timeline::of_millis((0..5_000).map(|n| (n * 2, 123)));
        let (lead, chunk, _, agree) =
            measured(&grid(50, 0, 200, 12_288), &smooth, [Some(10_000), Some(10_000)]);
        assert!(agree && lead < chunk, "{lead} of {chunk}");
    }

    #[test]
    fn bodies_of_different_length_do_not_agree() {
        let (one, other) = (grid(5, 0, 200, 100), grid(4, 0, 200, 100));
        assert_eq!(measured(&one, &other, [None, None]), (0, 100, 0, false));
        assert_eq!(measured(&one, &other, [None, Some(700)]), (0, 100, 0, true), "one may yet come");
    }

    #[test]
    fn an_empty_timeline_is_not_compared() {
        let (one, none) = (grid(5, 0, 200, 100), Timeline::of_millis([]));
        let side = |timeline| Side { timeline, chunks: None, rate: None, end: End::Whole };
        assert_eq!(compare(side(&one), side(&none)), None);
        let at_once = Timeline::of_millis([(7, 500)]);
        let same = compare(side(&at_once), side(&at_once)).unwrap();
        assert_eq!((same.lead, same.chunk, same.over, same.agree()), (0, 500, Duration::ZERO, true));
    }
}
