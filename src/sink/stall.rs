//! Detects readers that take nothing, too little, or fill the buffer. Pure: passed the time.

use std::time::Duration;

use super::{OnFull, SinkSettings};
use crate::clock::Instant;
use crate::limit::INTERVAL;

/// How long a socket that takes everything again is not believed: one that has just sent its bytes on takes as many at
/// once, however slow its reader is. Less than the shortest interval, so that a paced reader who keeps up is not judged.
const CAUGHT_UP: Duration = Duration::from_millis(20);

/// Observes one reader while its socket refuses bytes.
#[derive(Debug, Default)]
pub(super) struct StallDetector {
    /// `None` if the socket has taken everything so far.
    pending: Option<Pending>,
    /// When the buffer became full with more to come.
    full_since: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    last_progress: Instant,
    window_began: Instant,
    /// Bytes taken since the window began.
    taken: u64,
    /// Since when the socket takes everything again.
    drained_at: Option<Instant>,
}

/// What to do about the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Wait, and ask again at this instant; `None`: nothing is due.
    Until(Option<Instant>),
    /// Give it up: the buffer stayed full.
    Overflowed,
    /// Give it up: it took nothing, or too little, for too long.
    Stalled,
}

impl StallDetector {
    /// The socket refused bytes, or still holds some back.
    pub(super) fn refused(&mut self, now: Instant) {
        let began = Pending { last_progress: now, window_began: now, taken: 0, drained_at: None };
        match &mut self.pending {
            Some(pending) if pending.drained_at.is_none_or(|at| now < at + CAUGHT_UP) => {
                pending.drained_at = None;
            }
            other => *other = Some(began),
        }
    }

    /// The socket took bytes after it had refused some.
    pub(super) fn took(&mut self, bytes: u64, now: Instant) {
        self.full_since = None;
        if let Some(pending) = &mut self.pending
            && bytes > 0
        {
            pending.last_progress = now;
            pending.taken += bytes;
        }
    }

    /// The socket took everything there was.
    pub(super) fn drained(&mut self, now: Instant) {
        self.full_since = None;
        if let Some(pending) = &mut self.pending {
            pending.drained_at.get_or_insert(now);
        }
    }

    /// The buffer is full, and there is more to give.
    pub(super) fn full(&mut self, now: Instant) {
        self.full_since.get_or_insert(now);
    }

    /// Applies the settings at `now`.
    pub(super) fn judge(&mut self, settings: &SinkSettings, now: Instant) -> Verdict {
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.drained_at.is_none()) else {
            return Verdict::Until(None);
        };
        let stalled_at = pending.last_progress + settings.stall_timeout;
        if now >= stalled_at {
            return Verdict::Stalled;
        }
        let mut until = stalled_at;
        if let Some(least) = settings.min_drain_rate {
            let window_ends = pending.window_began + settings.stall_timeout;
            if now >= window_ends {
                let nanos = now.nanos_since(pending.window_began);
                let owed = u128::from(least.bytes_per_second()) * u128::from(nanos);
                if u128::from(pending.taken) * 1_000_000_000 < owed {
                    return Verdict::Stalled;
                }
                (pending.window_began, pending.taken) = (now, 0);
            }
            until = until.min(pending.window_began + settings.stall_timeout);
        }
        if let (OnFull::Close, Some(full_since)) = (settings.on_full, self.full_since) {
            let overflows_at = full_since + INTERVAL;
            if now >= overflows_at {
                return Verdict::Overflowed;
            }
            until = until.min(overflows_at);
        }
        Verdict::Until(Some(until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Rate;
    use std::time::Duration;

    const MINUTE: Duration = Duration::from_secs(60);
    const NANO: Duration = Duration::from_nanos(1);

    fn before(instant: Instant) -> Instant {
        Instant::from_nanos(instant.as_nanos() - 1)
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_reader_without_anything_to_take_is_never_judged() {
        let mut stall = StallDetector::default();
        assert_eq!(stall.judge(&SinkSettings::default(), Instant::MAX), Verdict::Until(None));
        stall.refused(at(1));
        stall.drained(at(1));
        assert_eq!(stall.judge(&SinkSettings::default(), Instant::MAX), Verdict::Until(None));
    }

    #[test]
    fn a_reader_that_takes_nothing_stalls_at_the_timeout_and_not_a_nanosecond_before() {
        let settings = SinkSettings::default();
        let mut stall = StallDetector::default();
        stall.refused(at(1));
        stall.refused(at(30));
        assert_eq!(stall.judge(&settings, before(at(61))), Verdict::Until(Some(at(61))));
        assert_eq!(stall.judge(&settings, at(61)), Verdict::Stalled);
        stall.took(1, before(at(61)));
        assert_eq!(stall.judge(&settings, at(61)), Verdict::Until(Some(before(at(61)) + MINUTE)));
        stall.took(0, at(100));
        assert_eq!(stall.judge(&settings, before(at(61)) + MINUTE), Verdict::Stalled);
    }

    #[test]
    fn a_full_buffer_overflows_an_interval_later_if_the_policy_is_to_close() {
        for on_full in [OnFull::Wait, OnFull::Close] {
            let settings = SinkSettings { on_full, ..SinkSettings::default() };
            let mut stall = StallDetector::default();
            stall.refused(at(1));
            stall.full(at(2));
            stall.full(at(2) + NANO);
            let due = at(2) + INTERVAL;
            let (early, late) = match on_full {
                OnFull::Wait => (Verdict::Until(Some(at(61))), Verdict::Until(Some(at(61)))),
                OnFull::Close => (Verdict::Until(Some(due)), Verdict::Overflowed),
            };
            assert_eq!((stall.judge(&settings, before(due)), stall.judge(&settings, due)), (early, late));
            stall.took(1, due);
            assert_eq!(stall.judge(&settings, due), Verdict::Until(Some(due + MINUTE)), "it has room again");
        }
    }

    #[test]
    fn a_trickle_below_the_least_rate_is_a_stall_and_one_at_it_is_not() {
        for (taken, patience) in [(599, Verdict::Stalled), (600, Verdict::Until(Some(at(110))))] {
            let settings = SinkSettings { min_drain_rate: Rate::or_unlimited(10), ..SinkSettings::default() };
            let mut stall = StallDetector::default();
            stall.refused(at(0));
            stall.took(taken, at(50));
            assert_eq!(stall.judge(&settings, before(at(60))), Verdict::Until(Some(at(60))));
            assert_eq!(stall.judge(&settings, at(60)), patience, "{taken} bytes in a minute");
        }
    }

    // A socket before which 64 KiB wait takes them all at once when it has sent as much on: each time the count began anew.
    #[test]
    fn a_slow_reader_is_found_though_its_socket_takes_all_now_and_then() {
        let settings = SinkSettings { min_drain_rate: Rate::or_unlimited(1000), ..SinkSettings::default() };
        let rest = CAUGHT_UP - NANO;
        for (bytes, rest, expected) in [(999, rest, true), (1000, rest, false), (999, CAUGHT_UP, false)] {
            let mut stall = StallDetector::default();
            stall.refused(at(0));
            for second in 1..60 {
                stall.took(bytes, at(second));
                stall.drained(at(second));
                assert_eq!(stall.judge(&settings, at(second)), Verdict::Until(None), "nothing waits for it");
                stall.refused(at(second) + rest);
            }
            stall.took(bytes, at(60));
            let is_stalled = stall.judge(&settings, at(60)) == Verdict::Stalled;
            assert_eq!(is_stalled, expected, "{bytes} bytes a second, {rest:?} without a wait");
        }
    }
}
