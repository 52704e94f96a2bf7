//! How much passed in the last second, from a few notes and without a timer.

use std::collections::VecDeque;

use crate::clock::Instant;

const SECOND: u64 = 1_000_000_000;

/// What passed within so many nanoseconds is one note.
const WIDTH: u64 = SECOND / 10;

/// So many notes, the one being written included, cover a second wherever they lie.
const MOST: usize = 11;

/// Notes of what passed lately. Grows with what passes, up to [`MOST`]; looked through when asked.
#[derive(Debug, Default)]
pub(super) struct LastSecond {
    notes: VecDeque<Note>,
}

#[derive(Debug)]
struct Note {
    first: Instant,
    last: Instant,
    bytes: u64,
}

impl LastSecond {
    /// Notes that `bytes` passed.
    pub(super) fn note(&mut self, bytes: u64, now: Instant) {
        match self.notes.back_mut() {
            Some(note) if now.nanos_since(note.first) < WIDTH => {
                note.last = note.last.max(now);
                note.bytes = note.bytes.saturating_add(bytes);
            }
            _ => {
                if self.notes.len() == MOST {
                    self.notes.pop_front();
                }
                self.notes.push_back(Note { first: now, last: now, bytes });
            }
        }
    }

    /// Bytes that passed in the second up to `now`: those of a second ago are out, those of now are in. Of
    /// a note that reaches out of it the part counts that is inside, as if it had passed evenly.
    pub(super) fn in_last_second(&self, now: Instant) -> u64 {
        self.notes.iter().fold(0, |sum, note| sum.saturating_add(note.since_a_second(now)))
    }
}

impl Note {
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
        recent.note(1_000, at(50));
        assert_eq!(recent.in_last_second(at(50)), 1_000);
        assert_eq!(recent.in_last_second(Instant::from_nanos(1_049_999_999)), 1_000);
        assert_eq!(recent.in_last_second(at(1_050)), 0);
        assert_eq!(recent.in_last_second(Instant::MAX), 0);
    }

    #[test]
    fn a_chunk_each_interval_is_told_as_its_rate_at_any_time() {
        let mut recent = LastSecond::default();
        for chunk in 0..50 {
            recent.note(20_480, at(chunk * 200));
            if chunk < 4 {
                continue;
            }
            for millis in 0..200 {
                assert_eq!(recent.in_last_second(at(chunk * 200 + millis)), 102_400, "{chunk} + {millis} ms");
            }
        }
    }

    #[test]
    fn a_steady_trickle_is_told_as_its_rate_and_fades_evenly() {
        let mut recent = LastSecond::default();
        for millis in 1..=3_000 {
            recent.note(7, at(millis));
            if millis >= 1_100 {
                let told = recent.in_last_second(at(millis));
                assert!(told.abs_diff(7_000) <= 14, "{told} at {millis} ms");
            }
        }
        for millis in 0..=1_000 {
            let (told, left) = (recent.in_last_second(at(3_000 + millis)), 7 * (1_000 - millis));
            assert!(told.abs_diff(left) <= 14, "{told} instead of {left}, {millis} ms later");
        }
    }

    #[test]
    fn it_keeps_few_notes_and_covers_a_second_whatever_the_distances() {
        for distance in [1, 49, 50, 99, 100, 101, 199, 999, 1_000, 5_000] {
            let mut recent = LastSecond::default();
            for n in 0..2_000 {
                recent.note(1, at(n * distance));
            }
            let now = 1_999 * distance;
            let exact = (0..2_000).filter(|n| now - n * distance < 1_000).count() as u64;
            let told = recent.in_last_second(at(now));
            assert!(told.abs_diff(exact) <= exact / 100 + 1, "{told} instead of {exact} at {distance} ms");
            assert!(recent.notes.len() <= MOST);
        }
    }

    #[test]
    fn a_clock_that_steps_back_and_more_bytes_than_there_are_do_no_harm() {
        let mut recent = LastSecond::default();
        recent.note(u64::MAX, at(5_000));
        recent.note(1, at(1_000));
        recent.note(1, at(7_000));
        assert_eq!(recent.in_last_second(at(0)), u64::MAX);
        assert_eq!(recent.in_last_second(at(7_500)), 1);
    }
}
