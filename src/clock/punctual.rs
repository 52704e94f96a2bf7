//! A wake-up a little late counts as on time.

use std::time::Duration;

use super::Instant;

/// Turns the instants at which a driver was woken into those it tells its chain.
///
/// Timers fire late: by a slot of the wheel, by the executor's queue, by a socket that was busy. If
/// the pace were reckoned from then, every interval would lose those milliseconds, for good. So a
/// step that comes at most [`TOLERANCE`](Self::TOLERANCE) after the instant it was due is told that
/// instant: the grid of the pace stays where the first spend put it. A step later than that is told
/// the true time, because then it was the reader or the source that stalled, and a stall earns no
/// more than the one chunk the allowance holds.
#[derive(Debug, Default)]
pub struct Punctual {
    due: Option<Instant>,
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
        let mut told = now;
        if let Some(due) = self.due
            && now >= due
        {
            if now.nanos_since(due) <= Self::TOLERANCE.as_nanos() as u64 {
                told = due;
            }
            self.due = None;
        }
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
        assert_eq!(punctual.tell(Instant::from_millis(203)), Instant::from_millis(203), "told once only");
    }

    #[test]
    fn a_clock_that_steps_back_is_not_followed() {
        let mut punctual = Punctual::default();
        assert_eq!(punctual.tell(DUE), DUE);
        assert_eq!(punctual.tell(Instant::ZERO), DUE);
    }
}
