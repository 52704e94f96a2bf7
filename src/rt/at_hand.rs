//! Which bytes of a file the page cache has, asked as seldom as will do. Pure: is passed how to ask.

use crate::brigade::FileSlice;

/// Bytes between two pages of a slice that are asked for: the kernel reads no less ahead.
pub(super) const MAX_GAP: u64 = 16 * 1024;

/// Slices that are asked for together, the present one and those to come. Streams of usual paces get five a second: a page
/// that was there a second ago is seldom gone.
const SLICES: u64 = 5;

/// The most bytes of them.
const MAX_AHEAD: u64 = 64 * 1024;

/// What was found in the page cache for one body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AtHand {
    /// The address of the file. Another file at the address does no harm.
    file: usize,
    /// The end of the last slice that was at hand.
    end: u64,
    /// Pages up to here were asked for, and found.
    until: u64,
}

impl AtHand {
    /// Returns whether a slice of the file at the address `file` is in the page cache; `is_cached` asks whether the page at
    /// an offset is.
    ///
    /// Asks for one byte every [`MAX_GAP`], and for the last. Where the last slice that was at hand ended, asks for some
    /// slices at once. Pages between may have been evicted, or may be so at any moment: then the disk is waited for once.
    pub(super) fn has(
        &mut self,
        file: usize,
        slice: &FileSlice,
        mut is_cached: impl FnMut(u64) -> bool,
    ) -> bool {
        let (begin, end) = (slice.offset(), slice.offset() + slice.len());
        let known = std::mem::take(self);
        let mut at = begin;
        let mut until = end;
        if known.file == file && known.end == begin {
            if end <= known.until {
                *self = Self { end, ..known };
                return true;
            }
            until = end.max(begin + (SLICES * slice.len()).min(MAX_AHEAD));
            at = (begin - 1) + MAX_GAP;
        }
        let mut found = begin;
        let missing = loop {
            let asked = at.min(until - 1);
            if !is_cached(asked) {
                break Some(asked);
            }
            found = asked + 1;
            if found == until {
                break None;
            }
            at += MAX_GAP;
        };
        if found < end && missing.is_some_and(|at| at >= end) && is_cached(end - 1) {
            // Only what is behind the slice is missing.
            found = end;
        }
        let has = found >= end;
        if has {
            *self = Self { file, end, until: found };
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Asks for slices of `len` bytes each, of a file of which `cached` bytes are cached; returns what was asked for each,
    /// and whether it is at hand.
    fn asked(at_hand: &mut AtHand, from: u64, len: u64, slices: usize, cached: u64) -> Vec<(Vec<u64>, bool)> {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let ask = |number: usize| {
            let slice = FileSlice::new(Arc::clone(&file), from + number as u64 * len, len);
            let mut asked = Vec::new();
            let has = at_hand.has(1, &slice, |at| {
                asked.push(at);
                at < cached
            });
            (asked, has)
        };
        (0..slices).map(ask).collect()
    }

    #[test]
    fn a_stream_asks_once_for_five_slices() {
        let asked = asked(&mut AtHand::default(), 1_000, 3_000, 12, u64::MAX);
        let times: Vec<usize> = asked.iter().map(|(asked, _)| asked.len()).collect();
        assert_eq!(times, [2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
        assert_eq!((&asked[0].0, &asked[1].0), (&vec![1_000, 3_999], &vec![18_999]));
        assert!(asked.iter().all(|(_, has)| *has));
    }

    #[test]
    fn before_the_end_of_what_is_cached_each_slice_is_asked_for_and_none_beyond_is_at_hand() {
        let asked = asked(&mut AtHand::default(), 0, 3_000, 5, 12_000);
        let expected = [
            (vec![0, 2_999], true),
            (vec![17_999, 5_999], true),
            (vec![20_999, 8_999], true),
            (vec![23_999, 11_999], true),
            (vec![26_999, 14_999], false),
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn no_more_than_64_kib_are_asked_for_at_once_and_larger_slices_every_16_kib() {
        let asked = |len| -> Vec<Vec<u64>> {
            let asked = asked(&mut AtHand::default(), 0, len, 3, u64::MAX);
            asked.into_iter().map(|(asked, _)| asked).collect()
        };
        let (small, large) = (30 * 1024, MAX_AHEAD + 1);
        let gaps = |from: u64| (0..5).map(move |n| from + n * MAX_GAP);
        let ahead: Vec<u64> = gaps(small - 1).skip(1).collect();
        assert_eq!(asked(small), [vec![0, MAX_GAP, small - 1], ahead, vec![]]);
        let first: Vec<u64> = gaps(0).take(4).chain([large - 1]).collect();
        let next: Vec<u64> = gaps(large - 1).skip(1).chain([2 * large - 1]).collect();
        assert_eq!(asked(large)[..2], [first, next]);
    }

    // One page far ahead stood for all before it: a hole between made the thread wait for the disk.
    #[test]
    fn pages_behind_a_hole_are_not_at_hand() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let mut at_hand = AtHand::default();
        let hole = 3 * MAX_GAP..4 * MAX_GAP;
        let has: Vec<bool> = (0..6)
            .map(|n| FileSlice::new(Arc::clone(&file), n * MAX_GAP, MAX_GAP))
            .map(|slice| at_hand.has(1, &slice, |at| !hole.contains(&at)))
            .collect();
        assert_eq!(has, [true, true, true, false, true, true]);
    }

    #[test]
    fn elsewhere_or_in_another_file_nothing_is_known() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let slice = |offset| FileSlice::new(Arc::clone(&file), offset, 100);
        for (number, next) in [(1, 99), (1, 101), (2, 100)] {
            let mut at_hand = AtHand::default();
            assert!(at_hand.has(1, &slice(0), |_| true));
            let mut times = 0;
            assert!(!at_hand.has(number, &slice(next), |at| {
                times += 1;
                at == next
            }));
            assert_eq!(times, 2, "{number}, {next}");
        }
    }
}
