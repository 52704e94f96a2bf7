//! The rate of a timeline.
//!
//! Pure. Bytes over time would count one chunk too many: of chunks at 0, 200 and 400 ms, two arrived in those 400 ms.
//! So the first chunk only starts the clock, whatever burst it has, and the last chunk of a complete response is left
//! out, since it may have a remainder. From four chunks on, the clock starts with the second: nginx begins with half
//! a chunk and half a pause.

use std::time::Duration;

use super::chunks::Chunks;
use super::timeline::Timeline;

/// The shortest time that gives a rate.
const SHORTEST: Duration = Duration::from_millis(5);

/// How a timeline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The response was complete.
    Whole,
    /// Observation ended at this instant; more might have arrived.
    At(Duration),
}

/// Computes bytes per second between the first chunk and the last; `None` if the time is too short.
///
/// Silence at the end counts if it is longer than one and a half usual pauses.
pub fn rate(timeline: &Timeline, chunks: Option<&Chunks>, end: End) -> Option<f64> {
    let (first, mut last, bytes, usual);
    match chunks {
        Some(chunks) => {
            let kept = match end {
                End::Whole => &chunks.all[..chunks.all.len() - 1],
                End::At(_) => &chunks.all[..],
            };
            let kept = if kept.len() > 3 { &kept[1..] } else { kept };
            first = kept.first()?.at;
            last = kept.last()?.at;
            bytes = kept[1..].iter().fold(0u64, |sum, chunk| sum.saturating_add(chunk.bytes));
            usual = chunks.interval.high;
        }
        None => {
            let arrivals = timeline.arrivals();
            first = timeline.first()?;
            last = timeline.last()?;
            bytes = timeline.total() - arrivals.first()?.bytes;
            usual = arrivals.windows(2).map(|pair| pair[1].at - pair[0].at).max()?;
        }
    }
    if let End::At(end) = end {
        last = last.max(end.saturating_sub(usual * 3 / 2));
    }
    let time = last.saturating_sub(first);
    (time >= SHORTEST).then(|| bytes as f64 * 1e9 / time.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(arrivals: impl IntoIterator<Item = (u64, u64)>, end: Option<u64>) -> Option<u64> {
        let timeline = Timeline::of_millis(arrivals);
        let end = end.map_or(End::Whole, |millis| End::At(Duration::from_millis(millis)));
        rate(&timeline, Chunks::of(&timeline).as_ref(), end).map(|rate| rate.round() as u64)
    }

    #[test]
    fn neither_the_first_chunk_nor_the_remainder_nor_the_cut_of_the_end_counts() {
        let grid = (0..151).map(|n| (n * 200, 12_288));
        for end in [30_000, 30_050, 30_199] {
            assert_eq!(measured(grid.clone(), Some(end)), Some(61_440), "{end}");
        }
        let burst = grid.clone().map(|(at, bytes)| (at, if at == 0 { 300_000 } else { bytes }));
        assert_eq!(measured(burst, Some(30_100)), Some(61_440));
        let whole = grid.clone().take(17).chain([(3400, 22_419)]);
        assert_eq!(measured(whole, None), Some(61_440));
        assert_eq!(measured([(0, 12_288), (200, 12_288), (400, 13_824)], None), Some(61_440));
        let nginx = (0..30).flat_map(|n| (0..5).map(move |piece| (n * 1000 + piece, 12_288)));
        assert_eq!(measured(nginx, Some(30_000)), Some(61_440));
        let half_at_first = (0..9).map(|n| if n == 0 { (0, 30_720) } else { (n * 1000 - 500, 61_440) });
        assert_eq!(measured(half_at_first, Some(8_000)), Some(61_440));
    }

    #[test]
    fn a_silence_at_the_end_counts() {
        let stopped = (0..51).map(|n| (n * 200, 12_288));
        assert_eq!(measured(stopped, Some(20_300)), Some(30_410));
        assert_eq!(measured((0..1000).map(|n| (n, 100)), Some(100_000)), Some(999));
    }

    #[test]
    fn the_rate_of_a_smooth_timeline_is_bytes_over_time() {
        assert_eq!(measured((0..1001).map(|n| (n, 100)), Some(1001)), Some(100_000));
        assert_eq!(measured((0..1001).map(|n| (n, 100)), None), Some(100_000));
    }

    #[test]
    fn a_short_timeline_has_no_rate() {
        assert_eq!(measured([], None), None);
        assert_eq!(measured([(0, 500)], None), None);
        assert_eq!(measured([(0, 500), (4, 500)], None), None);
        assert_eq!(measured([(0, 500)], Some(30_000)), None);
    }
}
