//! A timeline in bins of equal length: as one line of a terminal, and for the plot's rates.
//!
//! Pure.

use std::time::Duration;

use super::timeline::Timeline;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Bytes in bins of equal length.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bins {
    /// The length of a bin.
    pub part: Duration,
    /// Start of the first bin: a little before the first byte, so that chunks at the interval of bins are not on
    /// their edges.
    pub from: Duration,
    /// Bytes that arrived in each.
    pub bytes: Vec<u64>,
}

/// Bins the time from the first byte to `until`, in about `most` bins of a round length, at most four more.
///
/// Bins are at least `grain` long: shorter than the interval of chunks they would show a comb instead of the pace.
/// The last bin may be partly filled if the response is complete (`whole`); otherwise partly filled ones are left
/// out.
pub fn parts(timeline: &Timeline, until: Duration, whole: bool, most: usize, grain: Duration) -> Bins {
    let most = u32::try_from(most.max(1)).unwrap_or(u32::MAX);
    let first = timeline.first().unwrap_or_default();
    let span = until.saturating_sub(first).max(Duration::from_millis(1));
    // The usual interval is a mean, and may exceed a round number slightly.
    let grain = grain.max(span / most).mul_f64(0.97);
    let part = round_up(grain);
    let from = first.saturating_sub(part / 20);
    let span = until.saturating_sub(from).as_nanos();
    let count =
        if whole { span / part.as_nanos() + 1 } else { (span + part.as_nanos() / 20) / part.as_nanos() };
    let mut bytes = vec![0u64; (count.max(1) as usize).min(most as usize + 4)];
    for arrival in timeline.arrivals() {
        let place = ((arrival.at.saturating_sub(from)).as_nanos() / part.as_nanos()) as usize;
        if let Some(sum) = bytes.get_mut(place) {
            *sum = sum.saturating_add(arrival.bytes);
        }
    }
    Bins { part, from, bytes }
}

impl Bins {
    /// Bytes of the fullest bin.
    pub fn most(&self) -> u64 {
        self.bytes.iter().copied().max().unwrap_or(0)
    }

    /// One character for each bin, higher for more bytes; a blank for none.
    pub fn bars(&self) -> String {
        let most = u128::from(self.most());
        let bar = |sum: &u64| match u128::from(*sum) {
            0 => ' ',
            sum => BARS[((sum * 8).div_ceil(most) - 1) as usize],
        };
        self.bytes.iter().map(bar).collect()
    }
}

/// Rounds up to 1, 2, 4, 5 or 10 times a power of ten, in milliseconds.
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

    fn drawn(timeline: &Timeline, until: u64, whole: bool, most: usize, grain: u64) -> (String, u128, u64) {
        let ms = Duration::from_millis;
        let parts = parts(timeline, ms(until), whole, most, ms(grain));
        (parts.bars(), parts.part.as_millis(), parts.most())
    }

    #[test]
    fn an_even_pace_is_a_flat_line() {
        let grid = Timeline::of_millis((0..50).map(|n| (3 + n * 200 + u64::from(n > 0) * 9, 12_288)));
        for (until, bars) in [(10_003, 10), (10_200, 10), (9_700, 9)] {
            assert_eq!(drawn(&grid, until, false, 10, 201), ("█".repeat(bars), 1000, 61_440), "{until}");
        }
        assert_eq!(drawn(&grid, 10_003, false, 80, 201), ("█".repeat(50), 200, 12_288));
        let ended = Timeline::of_millis([(0, 8), (200, 8), (400, 9)]);
        assert_eq!(drawn(&ended, 400, true, 80, 200), ("██▉".replace('▉', "█"), 200, 9));
    }

    #[test]
    fn bursts_and_stalls_are_seen() {
        let uneven = Timeline::of_millis([(0, 80), (100, 40), (200, 10), (400, 1), (480, 79)]);
        assert_eq!(drawn(&uneven, 500, false, 5, 1), ("█▄▁ █".to_owned(), 100, 80));
    }

    #[test]
    fn nothing_and_no_room_are_no_harm() {
        assert_eq!(drawn(&Timeline::of_millis([]), 0, false, 0, 1), (" ".to_owned(), 1, 0));
        assert_eq!(drawn(&Timeline::of_millis([(0, 5)]), 0, true, 40, 1), ("█".to_owned(), 1, 5));
        assert_eq!(drawn(&Timeline::of_millis([(0, u64::MAX)]), 30_000, false, 1, 1).1, 40_000);
    }
}
