//! The best and the worst second of a timeline, and its longest gap.
//!
//! Pure. Any second counts, wherever it begins. Where there are chunks, a second has whole ones, and a chunk within a
//! tenth of the interval of an edge counts as on it: outside for the best second, inside for the worst. Otherwise a
//! microsecond could make six chunks of five.

use std::time::Duration;

use super::chunks::Chunks;
use super::pace::End;
use super::timeline::Timeline;

/// The length of a window.
pub const WINDOW: Duration = Duration::from_secs(1);

/// Bytes in the best and in the worst second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seconds {
    /// The most bytes of any second.
    pub best: u64,
    /// The fewest bytes of any second between the first byte and the end.
    pub worst: u64,
}

/// A time without bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// When the last byte before it arrived.
    pub at: Duration,
    /// Its length.
    pub lasting: Duration,
}

/// Finds the best and the worst second; `None` if there is less than one from the first byte to the end.
pub fn seconds(timeline: &Timeline, chunks: Option<&Chunks>, end: End) -> Option<Seconds> {
    let first = timeline.first()?;
    let last = match end {
        End::Whole => timeline.last()?,
        End::At(end) => end.max(timeline.last()?),
    };
    if last < first + WINDOW {
        return None;
    }
    let slack = chunks.map_or(Duration::ZERO, |chunks| (chunks.interval.median / 10).min(WINDOW / 10));
    let mut sum = 0;
    let mut sums: Vec<(Duration, u64)> = Vec::with_capacity(timeline.arrivals().len() + 1);
    match chunks {
        Some(chunks) => sums.extend(chunks.all.iter().map(|chunk| (chunk.at, chunk.bytes))),
        None => sums.extend(timeline.arrivals().iter().map(|arrival| (arrival.at, arrival.bytes))),
    }
    let events = sums.clone();
    for (_, bytes) in &mut sums {
        sum = bytes.saturating_add(sum);
        *bytes = sum;
    }
    // Bytes before an instant, and up to it.
    let before = |at: Duration| count(&sums, sums.partition_point(|(then, _)| *then < at));
    let by = |at: Duration| count(&sums, sums.partition_point(|(then, _)| *then <= at));

    // The count changes only where an edge of the second meets an arrival: it is largest if the second begins with
    // one, and smallest if it begins just after one; and there is the last second.
    let whole = || events.iter().map(|(at, _)| *at).take_while(|at| *at + WINDOW <= last);
    let best = whole().map(|at| before(at + WINDOW - slack) - before(at));
    let worst = whole().map(|at| by(at + WINDOW + slack) - by(at));
    let start = last - WINDOW;
    let best = best.chain([by(last) - by(start + slack)]).max()?;
    let worst = worst.chain([by(last) - before(start.saturating_sub(slack))]).min()?;
    Some(Seconds { best: best.max(worst), worst })
}

fn count(sums: &[(Duration, u64)], events: usize) -> u64 {
    events.checked_sub(1).map_or(0, |last| sums[last].1)
}

/// Finds the longest time without a byte between the first byte and the end; `None` without bytes.
pub fn longest_gap(timeline: &Timeline, end: End) -> Option<Gap> {
    let between = timeline.arrivals().windows(2).map(|pair| (pair[0].at, pair[1].at));
    let behind = match end {
        End::Whole => None,
        End::At(end) => timeline.last().map(|last| (last, end.max(last))),
    };
    let gaps = between.chain(behind).map(|(at, next)| Gap { at, lasting: next - at });
    // Of equal ones, the first.
    let longest = gaps.reduce(|longest, gap| if gap.lasting > longest.lasting { gap } else { longest });
    longest.or_else(|| timeline.first().map(|at| Gap { at, lasting: Duration::ZERO }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arrivals: impl IntoIterator<Item = (u64, u64)>) -> Timeline {
        let mut timeline = Timeline::new(100_000);
        for (micros, bytes) in arrivals {
            timeline.record(Duration::from_micros(micros), bytes);
        }
        timeline
    }

    fn measured(timeline: &Timeline, end: Option<u64>) -> Option<(u64, u64)> {
        let end = end.map_or(End::Whole, |millis| End::At(Duration::from_millis(millis)));
        seconds(timeline, Chunks::of(timeline).as_ref(), end).map(|seconds| (seconds.worst, seconds.best))
    }

    #[test]
    fn a_perfect_grid_has_the_same_bytes_in_each_second() {
        let exact = of((0..51).map(|n| (n * 200_000, 10)));
        assert_eq!(measured(&exact, Some(10_000)), Some((50, 50)));
        let uneven = of((0..51).map(|n| (n * 200_000 + n % 3 * 4_000, 10)));
        assert_eq!(measured(&uneven, Some(10_150)), Some((50, 50)));
        let nginx = of((0..10).map(|n| (n * 1_002_000, 100)));
        assert_eq!(measured(&nginx, Some(9_500)), Some((100, 100)));
        let two_seconds = of((0..10).map(|n| (n * 2_000_000, 100)));
        assert_eq!(measured(&two_seconds, Some(19_000)), Some((0, 100)));
    }

    #[test]
    fn smooth_timelines_are_counted_to_the_instant() {
        let smooth = of((0..3000).map(|n| (n * 1000, 1)));
        assert_eq!(measured(&smooth, Some(2999)), Some((1000, 1000)));
        let faster = of((0..2000).map(|n| (n * 1000, if n < 1000 { 1 } else { 2 })));
        assert_eq!(measured(&faster, None), Some((1001, 2000)));
    }

    #[test]
    fn a_burst_and_a_stall_are_found() {
        let burst = of((0..26).map(|n| (n * 200_000, if n == 0 { 100 } else { 10 })));
        assert_eq!(measured(&burst, Some(5_100)), Some((50, 140)));
        let stalled = of((0..26).map(|n| (n * 200_000 + if n < 13 { 0 } else { 3_000_000 }, 10)));
        assert_eq!(measured(&stalled, Some(8_000)), Some((0, 50)));
        let silent = of((0..11).map(|n| (n * 200_000, 10)));
        assert_eq!(measured(&silent, Some(9_000)), Some((0, 50)), "the end counts too");
    }

    #[test]
    fn less_than_a_second_is_none() {
        assert_eq!(measured(&of([]), Some(5_000)), None);
        assert_eq!(measured(&of([(0, 1), (999_999, 1)]), None), None);
        assert_eq!(measured(&of([(0, 1), (1_000_000, 2)]), None), Some((2, 2)));
    }

    #[test]
    fn the_longest_gap_may_be_the_one_at_the_end() {
        let timeline = of([(1_000, 1), (4_000, 1), (7_000, 1)]);
        let gap = |end| longest_gap(&timeline, end).map(|gap| (gap.at.as_millis(), gap.lasting.as_millis()));
        assert_eq!(gap(End::Whole), Some((1, 3)));
        assert_eq!(gap(End::At(Duration::from_millis(10))), Some((1, 3)));
        assert_eq!(gap(End::At(Duration::from_millis(11))), Some((7, 4)));
        assert_eq!(longest_gap(&of([]), End::Whole), None);
        assert_eq!(longest_gap(&of([(1_000, 1)]), End::Whole).unwrap().lasting, Duration::ZERO);
    }
}
