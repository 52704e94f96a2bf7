//! A rate that many subscribers share, each served in turn.
//!
//! The generic cell rate algorithm: who asks is given the instant of its turn, and sleeps until then. So
//! nobody wakes to find the turn gone to another.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Instant;
use crate::limit::Rate;

/// Events per second for all, and how many may leave at once.
#[derive(Debug, Default)]
pub(super) struct SharedRate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Events per second; `None` is no bound.
    rate: Option<Rate>,
    burst: u64,
    /// The theoretical arrival time of the next event, in units of 1/rate nanoseconds: exact.
    arrival: u128,
}

impl SharedRate {
    /// Goes over to another rate; turns that were given stay.
    pub(super) fn set(&self, rate: Option<Rate>, burst: u64) {
        let mut state = self.lock();
        if state.rate != rate {
            state.arrival = 0;
        }
        (state.rate, state.burst) = (rate, burst.max(1));
    }

    /// The instant of one more event's turn.
    pub(super) fn turn(&self, now: Instant) -> Instant {
        let mut state = self.lock();
        let Some(rate) = state.rate else { return now };
        let rate = u128::from(rate.bytes_per_second());
        let scaled = u128::from(now.as_nanos()) * rate;
        let arrival = state.arrival.max(scaled);
        state.arrival = arrival + NANOS;
        let ahead = NANOS * u128::from(state.burst - 1);
        let due = arrival.saturating_sub(ahead).max(scaled).div_ceil(rate);
        Instant::from_nanos(u64::try_from(due).unwrap_or(u64::MAX))
    }

    /// Takes a turn back that was not used.
    pub(super) fn give_back(&self) {
        let mut state = self.lock();
        state.arrival = state.arrival.saturating_sub(NANOS);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NANOS: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_at_once_and_then_one_by_one_without_drift() {
        let shared_rate = SharedRate::default();
        assert_eq!(shared_rate.turn(Instant::ZERO), Instant::ZERO, "no bound");
        shared_rate.set(Rate::or_unlimited(3), 2);
        let turns: Vec<u64> = (0..5).map(|_| shared_rate.turn(Instant::ZERO).as_nanos()).collect();
        assert_eq!(turns, [0, 0, 333_333_334, 666_666_667, 1_000_000_000]);
        shared_rate.give_back();
        assert_eq!(shared_rate.turn(Instant::from_millis(100)).as_nanos(), 1_000_000_000);
        let later = Instant::from_millis(10_000);
        assert_eq!(
            [shared_rate.turn(later), shared_rate.turn(later)],
            [later; 2],
            "quiet time earns one burst"
        );
        assert!(shared_rate.turn(later) > later);
    }

    #[test]
    fn a_rate_that_is_taken_off_holds_nobody() {
        let shared_rate = SharedRate::default();
        shared_rate.set(Rate::or_unlimited(1), 1);
        assert_eq!(
            [shared_rate.turn(Instant::ZERO), shared_rate.turn(Instant::ZERO)].map(Instant::as_nanos),
            [0, 1_000_000_000]
        );
        shared_rate.set(None, 1);
        assert_eq!(shared_rate.turn(Instant::ZERO), Instant::ZERO);
        shared_rate.set(Rate::or_unlimited(1), 1);
        assert_eq!(
            shared_rate.turn(Instant::ZERO),
            Instant::ZERO,
            "what was owed under the old rate is forgotten"
        );
    }
}
