//! The rate that all subscribers of a route share.
//!
//! The generic cell rate algorithm (GCRA): a caller reserves the instant of its turn and sleeps until then, so no
//! sleeper wakes to find its turn taken.

use crate::clock::Instant;
use crate::events::settings::EventRate;
use crate::sync::Mutex;

/// Events per second of all subscribers, and how many may leave at once.
#[derive(Debug, Default)]
pub(super) struct SharedRate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Events per second; `None` is unlimited.
    rate: Option<EventRate>,
    burst: u64,
    /// The theoretical arrival time of the next event, in units of 1/rate nanoseconds: exact.
    arrival: u128,
}

impl SharedRate {
    /// Changes the rate. Turns already reserved stay.
    pub(super) fn set(&self, rate: Option<EventRate>, burst: u64) {
        let mut state = self.0.lock();
        if state.rate != rate {
            state.arrival = 0;
        }
        (state.rate, state.burst) = (rate, burst.max(1));
    }

    /// Reserves the turn of one event. Returns its instant, not before `now`.
    pub(super) fn reserve(&self, now: Instant) -> Instant {
        let mut state = self.0.lock();
        let Some(rate) = state.rate else { return now };
        let rate = u128::from(rate.per_second());
        let scaled = u128::from(now.as_nanos()) * rate;
        let arrival = state.arrival.max(scaled);
        state.arrival = arrival + NANOS;
        let ahead = NANOS * u128::from(state.burst - 1);
        let due = arrival.saturating_sub(ahead).max(scaled).div_ceil(rate);
        Instant::from_nanos(u64::try_from(due).unwrap_or(u64::MAX))
    }

    /// Returns a turn that was not used.
    pub(super) fn give_back(&self) {
        let mut state = self.0.lock();
        state.arrival = state.arrival.saturating_sub(NANOS);
    }
}

const NANOS: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_at_the_rate_without_drift() {
        let limiter = SharedRate::default();
        assert_eq!(limiter.reserve(Instant::ZERO), Instant::ZERO, "unlimited");
        limiter.set(EventRate::or_unlimited(3), 2);
        let turns: Vec<u64> = (0..5).map(|_| limiter.reserve(Instant::ZERO).as_nanos()).collect();
        assert_eq!(turns, [0, 0, 333_333_334, 666_666_667, 1_000_000_000]);
        limiter.give_back();
        assert_eq!(limiter.reserve(Instant::from_millis(100)).as_nanos(), 1_000_000_000);
        let later = Instant::from_millis(10_000);
        assert_eq!([limiter.reserve(later), limiter.reserve(later)], [later; 2], "idle time earns one burst");
        assert!(limiter.reserve(later) > later);
    }

    #[test]
    fn removing_the_rate_delays_nothing() {
        let limiter = SharedRate::default();
        limiter.set(EventRate::or_unlimited(1), 1);
        assert_eq!(
            [limiter.reserve(Instant::ZERO), limiter.reserve(Instant::ZERO)].map(Instant::as_nanos),
            [0, 1_000_000_000]
        );
        limiter.set(None, 1);
        assert_eq!(limiter.reserve(Instant::ZERO), Instant::ZERO);
        limiter.set(EventRate::or_unlimited(1), 1);
        assert_eq!(limiter.reserve(Instant::ZERO), Instant::ZERO, "turns under the old rate are forgotten");
    }
}
