//! Keeps the lateness of timers out of the pace.

use std::time::Duration;

use super::Instant;

/// Corrects the time at which a driver steps its chain for the lateness of the timer that woke it.
///
/// Timers fire late: by a slot of the wheel, by the executor's queue, by a busy socket. If the pace were computed from the
/// time of the wake-up, every interval would lose those milliseconds for good. So:
///
/// - A step at most [`TOLERANCE`](Self::TOLERANCE) after its due instant is corrected to that instant: the grid of the pace
///   stays where the first chunk put it. A later step has the true time: then the reader or the source stalled, and a stall
///   earns no more than one chunk.
/// - Until the next sleep the same lateness is subtracted from further steps: a large chunk is sent in many pieces, and time
///   must not run ahead between them.
/// - Steps within [`COALESCED`](Self::COALESCED) of a wake-up have its time: a backend's next bytes are read when a chunk has
///   left, and the byte or two that those microseconds earn would be sent alone and move the grid.
///
/// Corrected time is never ahead of the clock, nor more than the tolerance behind it. The bounds of the pace are exact in
/// corrected time; a window on the clock may hold what the rate gives in one tolerance more: a quarter of a chunk of 200 ms.
///
/// ```
/// use sluicegate_core::clock::{Instant, Lateness};
///
/// let mut lateness = Lateness::default();
/// lateness.expect(Instant::from_millis(200));
/// assert_eq!(lateness.correct(Instant::from_millis(207)), Instant::from_millis(200));
/// assert_eq!(lateness.correct(Instant::from_millis(209)), Instant::from_millis(200));
/// assert_eq!(lateness.correct(Instant::from_millis(212)), Instant::from_millis(205));
/// lateness.expect(Instant::from_millis(400));
/// assert_eq!(lateness.correct(Instant::from_millis(300)), Instant::from_millis(300));
/// ```
#[derive(Debug, Default)]
pub struct Lateness {
    due: Option<Instant>,
    /// How late the last wake-up was, if within the tolerance.
    late: Duration,
    /// Until then, on the clock, steps have the time of the last wake-up.
    coalesce_until: Instant,
    /// The last corrected time.
    last: Instant,
}

impl Lateness {
    /// The greatest lateness that is corrected: a quarter of the default interval, all of the shortest.
    pub const TOLERANCE: Duration = Duration::from_millis(50);

    /// How long after a wake-up steps have its time, within the tolerance.
    pub const COALESCED: Duration = Duration::from_millis(5);

    /// Sets when the next step is due: the instant of the chain's [`Sleep`](crate::filter::Step::Sleep), also if the driver
    /// steps earlier.
    pub fn expect(&mut self, due: Instant) {
        self.due = Some(due);
        self.late = Duration::ZERO;
        self.coalesce_until = Instant::ZERO;
    }

    /// Sets the next step due at the time of the last: the driver held it up, not the chain.
    pub fn expect_again(&mut self) {
        self.expect(self.last);
    }

    /// Returns the time to pass to the chain when the clock reads `now`. Never steps back.
    pub fn correct(&mut self, now: Instant) -> Instant {
        if let Some(due) = self.due
            && now >= due
        {
            let late = now - due;
            let is_on_time = late <= Self::TOLERANCE;
            self.late = if is_on_time { late } else { Duration::ZERO };
            self.due = None;
            let end = now + Self::COALESCED;
            self.coalesce_until = if is_on_time { end.min(due + Self::TOLERANCE) } else { end };
        } else if now < self.coalesce_until {
            return self.last;
        }
        let corrected = Instant::from_nanos(now.nanos_since(Instant::ZERO + self.late));
        self.last = self.last.max(corrected);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Instant = Instant::from_millis(200);
    const NANO: Duration = Duration::from_nanos(1);

    fn corrected(now: Instant) -> Instant {
        let mut lateness = Lateness::default();
        lateness.expect(DUE);
        lateness.correct(now)
    }

    #[test]
    fn late_within_the_tolerance_is_on_time_and_a_nanosecond_more_is_late() {
        let edge = DUE + Lateness::TOLERANCE;
        assert_eq!(corrected(DUE), DUE);
        assert_eq!(corrected(edge), DUE);
        assert_eq!(corrected(edge + Duration::from_nanos(1)), edge + Duration::from_nanos(1));
    }

    #[test]
    fn the_rest_of_a_step_has_its_time_within_the_tolerance() {
        let edge = DUE + Lateness::TOLERANCE;
        for (now, expected) in [(DUE, DUE), (edge, DUE), (edge + NANO, edge + NANO)] {
            let mut lateness = Lateness::default();
            assert_eq!(lateness.correct(DUE), DUE);
            lateness.expect_again();
            assert_eq!(lateness.correct(now), expected, "{now:?}");
        }
    }

    #[test]
    fn an_early_step_has_the_true_time_and_the_due_instant_stays_expected() {
        let mut lateness = Lateness::default();
        lateness.expect(DUE);
        assert_eq!(lateness.correct(Instant::from_millis(199)), Instant::from_millis(199));
        assert_eq!(lateness.correct(Instant::from_millis(203)), DUE);
    }

    #[test]
    fn lateness_is_subtracted_until_the_next_sleep() {
        let mut lateness = Lateness::default();
        lateness.expect(DUE);
        assert_eq!(lateness.correct(Instant::from_millis(203)), DUE);
        assert_eq!(lateness.correct(Instant::from_millis(203)), DUE);
        assert_eq!(lateness.correct(Instant::from_millis(900)), Instant::from_millis(897));
        lateness.expect(Instant::from_millis(1000));
        assert_eq!(lateness.correct(Instant::from_millis(900)), Instant::from_millis(900));
    }

    #[test]
    fn beyond_the_tolerance_this_step_and_the_next_have_the_true_time() {
        let mut lateness = Lateness::default();
        lateness.expect(DUE);
        for (millis, expected) in [(251, 251), (252, 251), (256, 256), (257, 257), (5000, 5000)] {
            assert_eq!(lateness.correct(Instant::from_millis(millis)), Instant::from_millis(expected));
        }
    }

    #[test]
    fn steps_just_after_a_wake_up_have_its_time_within_the_tolerance() {
        let ns = Duration::from_nanos(1);
        for (woken, still_for) in [
            (DUE, Lateness::COALESCED),
            (DUE + Duration::from_millis(45), Lateness::COALESCED),
            (DUE + Duration::from_millis(47), Duration::from_millis(3)),
            (DUE + Lateness::TOLERANCE, Duration::ZERO),
        ] {
            let mut lateness = Lateness::default();
            lateness.expect(DUE);
            assert_eq!(lateness.correct(woken), DUE);
            let until = woken + still_for;
            if still_for > Duration::ZERO {
                assert_eq!(lateness.correct(Instant::from_nanos(until.as_nanos() - 1)), DUE, "{woken:?}");
            }
            assert_eq!(lateness.correct(until), DUE + still_for, "time has gone on");
            assert_eq!(lateness.correct(until + ns), DUE + still_for + ns);
        }
    }

    #[test]
    fn a_sleep_ends_coalescing() {
        let mut lateness = Lateness::default();
        lateness.expect(DUE);
        assert_eq!(lateness.correct(DUE), DUE);
        lateness.expect(DUE + Duration::from_millis(2));
        assert_eq!(lateness.correct(DUE + Duration::from_millis(1)), DUE + Duration::from_millis(1));
        assert_eq!(lateness.correct(DUE + Duration::from_millis(3)), DUE + Duration::from_millis(2));
    }

    #[test]
    fn a_clock_that_steps_back_is_not_followed() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.correct(DUE), DUE);
        assert_eq!(lateness.correct(Instant::ZERO), DUE);
        lateness.expect(Instant::from_millis(210));
        assert_eq!(lateness.correct(Instant::ZERO), DUE);
        assert_eq!(lateness.correct(Instant::from_millis(205)), Instant::from_millis(205));
    }
}
