//! A wake-up a little late counts as on time.

use std::time::Duration;

use super::Instant;

/// Turns the instants at which a driver was woken into those it tells its chain.
///
/// Timers fire late: by a slot of the wheel, by the executor's queue, by a socket that was busy. If
/// the pace were reckoned from then, every interval would lose those milliseconds, for good. So a
/// step that comes at most [`TOLERANCE`](Self::TOLERANCE) after the instant it was due is told that
/// instant: the grid of the pace stays where the first spend put it. Steps after it, up to the next one
/// that is due, are told their own instants less that delay: a chunk of many pieces would else earn the
/// delay while most of it is still unspent, and lose it over the brim. A step later than the tolerance
/// is told the true time, because then it was the reader or the source that stalled, and a stall earns
/// no more than the one chunk the allowance holds.
#[derive(Debug, Default)]
pub struct Punctual {
    due: Option<Instant>,
    /// How late, in nanoseconds, the last step came that was due.
    late: u64,
    told: Instant,
}

impl Punctual {
    /// How late still counts as on time: a quarter of an interval.
    pub const TOLERANCE: Duration = Duration::from_millis(50);

    /// Remembers when the next step is due.
    pub fn expect(&mut self, due: Instant) {
        self.due = Some(due);
    }

    /// The instant to tell the chain when the clock says `now`. Never steps back.
    pub fn tell(&mut self, now: Instant) -> Instant {
        if let Some(due) = self.due
            && now >= due
        {
            let late = now.nanos_since(due);
            self.late = if late <= Self::TOLERANCE.as_nanos() as u64 { late } else { 0 };
            self.due = None;
        }
        let told = Instant::from_nanos(now.as_nanos().saturating_sub(self.late));
        self.told = self.told.max(told);
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Instant = Instant::from_millis(200);

    fn told(now: Instant) -> Instant {
        let mut punctual = Punctual::default();
        punctual.expect(DUE);
        punctual.tell(now)
    }

    #[test]
    fn late_within_the_tolerance_is_on_time_and_a_nanosecond_more_is_late() {
        let edge = DUE + Punctual::TOLERANCE;
        assert_eq!(told(DUE), DUE);
        assert_eq!(told(edge), DUE);
        assert_eq!(told(edge + Duration::from_nanos(1)), edge + Duration::from_nanos(1));
    }

    #[test]
    fn early_is_early_and_the_due_instant_stays_expected() {
        let mut punctual = Punctual::default();
        punctual.expect(DUE);
        assert_eq!(punctual.tell(Instant::from_millis(199)), Instant::from_millis(199));
        assert_eq!(punctual.tell(Instant::from_millis(203)), DUE);
    }

    // Was told the true time from the second step on: a chunk of several pieces, woken late, lost rate.
    #[test]
    fn steps_behind_a_late_one_are_as_late_until_another_is_due() {
        let at = Instant::from_millis;
        let mut punctual = Punctual::default();
        punctual.expect(DUE);
        assert_eq!(punctual.tell(at(203)), DUE);
        assert_eq!((punctual.tell(at(203)), punctual.tell(at(210))), (DUE, at(207)));
        punctual.expect(at(400));
        assert_eq!(punctual.tell(at(300)), at(297));
        assert_eq!((punctual.tell(at(401)), punctual.tell(at(402))), (at(400), at(401)));
        punctual.expect(at(600));
        assert_eq!((punctual.tell(at(700)), punctual.tell(at(701))), (at(700), at(701)), "a stall");
    }

    #[test]
    fn a_clock_that_steps_back_is_not_followed() {
        let mut punctual = Punctual::default();
        assert_eq!(punctual.tell(DUE), DUE);
        assert_eq!(punctual.tell(Instant::ZERO), DUE);
    }
}
