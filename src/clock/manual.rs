//! A clock that stands still until it is told to move.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::{Clock, Instant, TimerKey};

/// A clock for tests and simulations: time passes only by [`advance`](Self::advance) and its like.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use futures_lite::future;
/// use sluicegate::clock::{Clock, ManualClock, Sleep};
///
/// let clock = Arc::new(ManualClock::new());
/// let mut sleep = Sleep::lasting(clock.clone(), Duration::from_millis(200));
/// assert!(future::block_on(future::poll_once(&mut sleep)).is_none());
///
/// clock.advance_to_next();
/// assert_eq!(clock.now().as_nanos(), 200_000_000);
/// assert!(future::block_on(future::poll_once(&mut sleep)).is_some());
/// assert_eq!(clock.sleepers(), 0);
/// ```
#[derive(Default)]
pub struct ManualClock {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    now: Instant,
    /// By deadline, then by order of asking.
    sleepers: BTreeMap<(Instant, u64), Waker>,
    deadlines: BTreeMap<u64, Instant>,
    asked: u64,
}

impl ManualClock {
    /// A clock at [`Instant::ZERO`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on by `duration`, firing what comes due on the way.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now() + duration);
    }

    /// Moves on to the earliest deadline and fires it. `None`, and no move, if nobody sleeps.
    pub fn advance_to_next(&self) -> Option<Instant> {
        let next = self.next_deadline()?;
        self.set(next.max(self.now()));
        Some(next)
    }

    /// Sets the time, also backwards, and fires what is due.
    pub fn set(&self, now: Instant) {
        let mut due = Vec::new();
        {
            let mut state = self.lock();
            state.now = now;
            while let Some(entry) = state.sleepers.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                let (key, waker) = entry.remove_entry();
                state.deadlines.remove(&key.1);
                due.push(waker);
            }
        }
        // Outside the lock: a waker may poll its task at once, and that asks the clock.
        due.into_iter().for_each(Waker::wake);
    }

    /// The earliest instant somebody sleeps for.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.lock().sleepers.keys().next().map(|(deadline, _)| *deadline)
    }

    /// How many wake-ups are outstanding. A test that ends with one has leaked it.
    pub fn sleepers(&self) -> usize {
        self.lock().sleepers.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.lock().now
    }

    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey {
        let mut state = self.lock();
        state.asked += 1;
        let generation = state.asked;
        if deadline <= state.now {
            drop(state);
            waker.wake();
        } else {
            state.sleepers.insert((deadline, generation), waker);
            state.deadlines.insert(generation, deadline);
        }
        TimerKey { slot: 0, generation }
    }

    fn cancel(&self, key: TimerKey) {
        let mut state = self.lock();
        if let Some(deadline) = state.deadlines.remove(&key.generation) {
            state.sleepers.remove(&(deadline, key.generation));
        }
    }
}
