//! A timeline as one line of a terminal.
//!
//! Pure.

use std::time::Duration;

use super::timeline::Timeline;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Bars for equal parts of a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sparkline {
    /// A character for each part; a blank where nothing came.
    pub bars: String,
    /// How long a part is.
    pub part: Duration,
    /// Bytes in the fullest part.
    pub most: u64,
}

/// The time from `from` to `until` in parts of a round length, `width` of them at most.
///
/// Parts are no shorter than `grain`: where there are chunks, parts shorter than their interval would show a
/// comb and not the pace.
pub fn sparkline(
    timeline: &Timeline,
    from: Duration,
    until: Duration,
    width: usize,
    grain: Duration,
) -> Sparkline {
    let width = u32::try_from(width.max(1)).unwrap_or(u32::MAX);
    let span = until.saturating_sub(from).max(Duration::from_millis(1));
    let part = round_up(grain.max((span + Duration::from_nanos(u64::from(width) - 1)) / width));
    // A grid that began with the first byte has its chunks on the edges of parts: half a millisecond before, and
    // they would fall in by chance.
    let from = from.saturating_sub(part / 20);
    let count = span.as_nanos().div_ceil(part.as_nanos()).max(1) as usize;
    let mut sums = vec![0u64; count];
    for arrival in timeline.arrivals().iter().filter(|arrival| arrival.at >= from) {
        let place = ((arrival.at - from).as_nanos() / part.as_nanos()) as usize;
        sums[place.min(count - 1)] += arrival.bytes;
    }
    let most = sums.iter().copied().max().unwrap_or(0);
    let bar = |sum: &u64| match *sum {
        0 => ' ',
        sum => BARS[((u128::from(sum) * 8).div_ceil(u128::from(most)) - 1) as usize],
    };
    Sparkline { bars: sums.iter().map(bar).collect(), part, most }
}

/// The next of 1, 2, 4, 5 and 10 times a power of ten, in milliseconds.
fn round_up(time: Duration) -> Duration {
    let millis = time.as_micros().div_ceil(1000).max(1);
    let mut power = 1;
    loop {
        for step in [1, 2, 4, 5] {
            if step * power >= millis {
                return Duration::from_millis(u64::try_from(step * power).unwrap_or(u64::MAX));
            }
        }
        power *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arrivals: impl IntoIterator<Item = (u64, u64)>) -> Timeline {
        let mut timeline = Timeline::new(10_000);
        for (millis, bytes) in arrivals {
            timeline.record(Duration::from_millis(millis), bytes);
        }
        timeline
    }

    fn drawn(timeline: &Timeline, until: u64, width: usize, grain: u64) -> (String, u128, u64) {
        let ms = Duration::from_millis;
        let first = timeline.first().unwrap_or_default();
        let line = sparkline(timeline, first, ms(until), width, ms(grain));
        (line.bars, line.part.as_millis(), line.most)
    }

    #[test]
    fn an_even_pace_is_a_flat_line() {
        let grid = of((0..50).map(|n| (3 + n * 200, 12_288)));
        assert_eq!(drawn(&grid, 10_003, 10, 200), ("██████████".to_owned(), 1000, 61_440));
        assert_eq!(drawn(&grid, 10_003, 80, 200), ("█".repeat(50), 200, 12_288));
    }

    #[test]
    fn bursts_and_stalls_are_seen() {
        let uneven = of([(0, 80), (100, 40), (200, 10), (400, 1), (499, 79)]);
        assert_eq!(drawn(&uneven, 500, 5, 1), ("█▄▁ █".to_owned(), 100, 80));
    }

    #[test]
    fn nothing_and_no_room_are_no_harm() {
        assert_eq!(drawn(&of([]), 0, 0, 1), (" ".to_owned(), 1, 0));
        assert_eq!(drawn(&of([(0, 5)]), 0, 40, 1), ("█".to_owned(), 1, 5));
        assert_eq!(drawn(&of([(0, u64::MAX)]), 30_000, 1, 1).1, 40_000);
    }
}
