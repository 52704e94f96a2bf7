//! A clock that only tests and simulations move.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use super::{Clock, Instant, TimerKey};
use crate::sync::Mutex;

/// A clock that stands still until it is moved, for tests and simulations.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use futures_lite::future;
/// use sluicegate_core::clock::{Clock, ManualClock, Sleep};
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
    /// In nanoseconds. Written with `state` locked, read without: a simulation reads the time more often than it sets timers.
    now: AtomicU64,
    /// The latest time it ever had, in nanoseconds. All timers up to there have fired.
    latest: AtomicU64,
}

#[derive(Default)]
struct State {
    /// By deadline, then in the order in which they were set: wakers, and the slots of their keys.
    sleepers: BTreeMap<(Instant, u64), (Waker, usize)>,
    /// The key in `sleepers` of the timer in each slot.
    slots: Slab<(Instant, u64)>,
    set: u64,
}

impl ManualClock {
    /// Creates a clock at [`Instant::ZERO`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on by `duration` and then fires the timers that are due, in order. Woken tasks find the clock moved already, as
    /// if woken late; [`advance_to_next`](Self::advance_to_next) wakes on time.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now() + duration);
    }

    /// Moves on to the earliest deadline and fires its timers. Returns the deadline, or `None` without a move if no timer is set.
    pub fn advance_to_next(&self) -> Option<Instant> {
        let next = self.next_deadline()?;
        self.set(next.max(self.now()));
        Some(next)
    }

    /// Sets the time, also backwards, and fires the timers that are due.
    pub fn set(&self, now: Instant) {
        let mut due = Vec::new();
        {
            let mut state = self.state.lock();
            self.latest.fetch_max(now.as_nanos(), Ordering::SeqCst);
            self.now.store(now.as_nanos(), Ordering::SeqCst);
            while let Some(entry) = state.sleepers.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                let (waker, slot) = entry.remove();
                state.slots.remove(slot);
                due.push(waker);
            }
        }
        // Outside the lock: a waker may poll its task at once, which calls the clock.
        due.into_iter().for_each(Waker::wake);
    }

    /// Returns the earliest deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.state.lock().sleepers.keys().next().map(|(deadline, _)| *deadline)
    }

    /// Returns the number of timers that are set. A test that ends with one has leaked it.
    pub fn sleepers(&self) -> usize {
        self.state.lock().sleepers.len()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::SeqCst))
    }

    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey {
        let mut state = self.state.lock();
        state.set += 1;
        let generation = state.set;
        if deadline <= self.now() {
            drop(state);
            waker.wake();
            // No timer has this key: no slot is that of its generation.
            return TimerKey { slot: 0, generation };
        }
        let slot = state.slots.insert((deadline, generation));
        state.sleepers.insert((deadline, generation), (waker, slot));
        TimerKey { slot, generation }
    }

    fn cancel(&self, key: TimerKey) {
        let mut state = self.state.lock();
        let Some(&timer) = state.slots.get(key.slot).filter(|(_, generation)| *generation == key.generation)
        else {
            return;
        };
        state.slots.remove(key.slot);
        let sleeper = state.sleepers.remove(&timer);
        drop(state);
        // Outside the lock: this may drop the task.
        drop(sleeper);
    }

    fn may_have_fired(&self, deadline: Instant) -> bool {
        deadline.as_nanos() <= self.latest.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock")
            .field("now", &self.now())
            .field("sleepers", &self.sleepers())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    /// Records wake-ups with the time of the clock in a shared list.
    struct Note {
        name: u32,
        clock: Arc<ManualClock>,
        notes: Arc<Mutex<Vec<(u32, u64)>>>,
    }

    impl Wake for Note {
        fn wake(self: Arc<Self>) {
            // Asks the clock and sets another wake-up, as a task that is polled at once would.
            let now = self.clock.now();
            self.notes.lock().push((self.name, now.as_nanos()));
            self.clock.cancel(TimerKey { slot: 0, generation: u64::MAX });
        }
    }

    #[derive(Default)]
    struct Scene {
        clock: Arc<ManualClock>,
        notes: Arc<Mutex<Vec<(u32, u64)>>>,
    }

    impl Scene {
        fn wake_at(&self, nanos: u64, name: u32) -> TimerKey {
            let note = Note { name, clock: Arc::clone(&self.clock), notes: Arc::clone(&self.notes) };
            self.clock.wake_at(Instant::from_nanos(nanos), Arc::new(note).into())
        }

        /// Who was woken since the last call, and when.
        fn woken(&self) -> Vec<(u32, u64)> {
            std::mem::take(&mut *self.notes.lock())
        }
    }

    #[test]
    fn wakes_in_order_of_deadline_then_of_setting() {
        let scene = Scene::default();
        for (nanos, name) in [(5, 1), (3, 2), (5, 3), (4, 4), (6, 5)] {
            scene.wake_at(nanos, name);
        }
        scene.clock.set(Instant::from_nanos(5));
        assert_eq!(scene.woken(), [(2, 5), (4, 5), (1, 5), (3, 5)]);
        assert_eq!((scene.clock.sleepers(), scene.clock.next_deadline()), (1, Some(Instant::from_nanos(6))));
    }

    #[test]
    fn a_deadline_that_has_passed_wakes_at_once() {
        let scene = Scene::default();
        scene.clock.set(Instant::from_nanos(7));
        let key = scene.wake_at(7, 1);
        assert_eq!(scene.woken(), [(1, 7)]);
        scene.clock.cancel(key);
        assert_eq!(scene.clock.sleepers(), 0);
    }

    #[test]
    fn a_cancelled_timer_does_not_fire_and_cancelling_a_fired_one_is_no_error() {
        let scene = Scene::default();
        let (first, second) = (scene.wake_at(5, 1), scene.wake_at(5, 2));
        scene.clock.cancel(first);
        scene.clock.cancel(first);
        assert_eq!(scene.clock.advance_to_next(), Some(Instant::from_nanos(5)));
        assert_eq!(scene.woken(), [(2, 5)]);
        scene.clock.cancel(second);
        assert_eq!(scene.clock.advance_to_next(), None);
    }

    #[test]
    fn the_key_of_a_timer_that_is_over_cancels_no_later_one() {
        let scene = Scene::default();
        let (fired, cancelled) = (scene.wake_at(5, 1), scene.wake_at(6, 2));
        scene.clock.set(Instant::from_nanos(5));
        scene.clock.cancel(cancelled);
        let past = scene.wake_at(1, 3);
        // They take the places of the first two.
        let later = [scene.wake_at(7, 4), scene.wake_at(7, 5)];
        assert!(later.map(|key| key.slot).iter().all(|slot| [fired.slot, cancelled.slot].contains(slot)));
        [fired, cancelled, past].into_iter().for_each(|key| scene.clock.cancel(key));
        scene.clock.set(Instant::from_nanos(7));
        assert_eq!(scene.woken(), [(1, 5), (3, 5), (4, 7), (5, 7)]);
        assert_eq!((scene.clock.sleepers(), scene.clock.next_deadline()), (0, None));
    }

    #[test]
    fn timers_may_have_fired_up_to_the_latest_time_there_was() {
        let clock = ManualClock::new();
        clock.set(Instant::from_nanos(10));
        clock.set(Instant::from_nanos(2));
        let fired = |nanos| clock.may_have_fired(Instant::from_nanos(nanos));
        assert_eq!([2, 10, 11].map(fired), [true, true, false]);
    }

    #[test]
    fn a_clock_set_back_keeps_its_timers() {
        let scene = Scene::default();
        scene.clock.set(Instant::from_nanos(10));
        scene.wake_at(15, 1);
        scene.clock.set(Instant::from_nanos(2));
        assert_eq!((scene.clock.now().as_nanos(), scene.clock.sleepers()), (2, 1));
        scene.clock.advance(Duration::from_nanos(12));
        assert_eq!(scene.woken(), []);
        scene.clock.advance(Duration::from_nanos(1));
        assert_eq!(scene.woken(), [(1, 15)]);
    }
}
