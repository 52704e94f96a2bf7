//! The system's clock: monotonic time and a hashed timer wheel.
//!
//! The only file that reads the operating system's clock. One timer of the reactor for each sleep of each stream would cost
//! more than all of HTTP; here thousands of streams share slots of 10 ms, and one thread fires a slot at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, PoisonError};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use super::wake_task::WakeTask;
use super::{Clock, Instant, TimerKey};
use crate::sync::Mutex;

/// The resolution of timers. They are late by less than this plus the scheduler's latency, never early. A tenth of it would
/// cost CPU time at thousands of streams and gain nothing: [`Lateness`](super::Lateness) keeps the pace.
const SLOT: Duration = Duration::from_millis(10);

/// Slots in the ring: 5.12 s. A longer timer stays in its slot for several turns.
const SLOTS: usize = 512;

/// Monotonic system time with a timer wheel, which a thread turns.
pub(super) struct WheelClock {
    pub(super) wake_task: WakeTask,
    origin: std::time::Instant,
    wheel: Mutex<Wheel>,
    changed: Condvar,
    /// A copy of `Wheel::fired` to be read without the lock. Never behind it.
    fired: AtomicU64,
}

struct Wheel {
    timers: Slab<Timer>,
    ring: Vec<Vec<usize>>,
    /// One bit for each slot of the ring that holds a timer.
    occupied: [u64; SLOTS / 64],
    /// The last tick that has fired.
    fired: u64,
    /// The tick the turning thread sleeps until; `u64::MAX` while it waits for any timer at all.
    asleep_until: u64,
    generation: u64,
    stopped: bool,
}

struct Timer {
    tick: u64,
    /// Index in the list of its slot.
    position: usize,
    generation: u64,
    waker: Waker,
}

impl WheelClock {
    /// Creates a clock whose origin is now.
    pub(super) fn new() -> Self {
        Self {
            origin: std::time::Instant::now(),
            wheel: Mutex::new(Wheel {
                timers: Slab::new(),
                ring: vec![Vec::new(); SLOTS],
                occupied: [0; SLOTS / 64],
                fired: 0,
                asleep_until: u64::MAX,
                generation: 0,
                stopped: false,
            }),
            changed: Condvar::new(),
            wake_task: WakeTask::default(),
            fired: AtomicU64::new(0),
        }
    }

    /// Converts a monotonic system time; times before the origin are the origin.
    pub(super) fn instant_of(&self, time: std::time::Instant) -> Instant {
        Instant::ZERO + time.saturating_duration_since(self.origin)
    }

    /// Turns the wheel until [`stop`](Self::stop): sleeps until the next occupied slot, and wakes what is due. Blocks.
    pub(super) fn turn(&self) {
        let mut due = Vec::new();
        let mut wheel = self.wheel.lock();
        while !wheel.stopped {
            let now = self.now();
            let tick = tick_before(now);
            // Before timers are removed: a task that reads the old value is still woken.
            self.fired.store(tick, Ordering::SeqCst);
            wheel.take_due(tick, &mut due);
            if !due.is_empty() {
                // Not asleep: the ring is examined again below, so no thread needs to notify.
                wheel.asleep_until = 0;
                drop(wheel);
                self.wake_task.wake(&mut due);
                wheel = self.wheel.lock();
                continue;
            }
            wheel.asleep_until = wheel.next_tick().unwrap_or(u64::MAX);
            wheel = if wheel.asleep_until == u64::MAX {
                self.changed.wait(wheel).unwrap_or_else(PoisonError::into_inner)
            } else {
                let due_at = Instant::from_nanos(wheel.asleep_until.saturating_mul(SLOT.as_nanos() as u64));
                let wait = due_at - self.now();
                self.changed.wait_timeout(wheel, wait).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    /// Ends [`turn`](Self::turn). Timers still set do not fire any more.
    pub(super) fn stop(&self) {
        self.wheel.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Returns the number of timers that are set.
    pub(super) fn sleepers(&self) -> usize {
        self.wheel.lock().timers.len()
    }
}

impl Clock for WheelClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn calendar(&self) -> std::time::SystemTime {
        std::time::SystemTime::now()
    }

    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey {
        let mut wheel = self.wheel.lock();
        let tick = tick_after(deadline).max(wheel.fired + 1);
        let key = wheel.insert(tick, waker);
        let wake_thread = tick < wheel.asleep_until;
        if wake_thread {
            wheel.asleep_until = tick;
        }
        drop(wheel);
        if wake_thread {
            self.changed.notify_one();
        }
        key
    }

    fn cancel(&self, key: TimerKey) {
        let removed = self.wheel.lock().cancel(key);
        // Outside the lock: dropping a waker may drop a task, which may cancel a timer.
        drop(removed);
    }

    fn may_have_fired(&self, deadline: Instant) -> bool {
        // A timer set for a tick that had fired is one tick later; then this is true early, which does no harm.
        tick_after(deadline) <= self.fired.load(Ordering::SeqCst)
    }
}

/// The first tick at or after `deadline`.
fn tick_after(deadline: Instant) -> u64 {
    deadline.as_nanos().div_ceil(SLOT.as_nanos() as u64)
}

/// The last tick at or before `now`.
fn tick_before(now: Instant) -> u64 {
    now.as_nanos() / SLOT.as_nanos() as u64
}

impl Wheel {
    fn insert(&mut self, tick: u64, waker: Waker) -> TimerKey {
        let slot = slot_of(tick);
        self.generation += 1;
        let generation = self.generation;
        let key = self.timers.insert(Timer { tick, position: self.ring[slot].len(), generation, waker });
        self.ring[slot].push(key);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        TimerKey { slot: key, generation }
    }

    fn cancel(&mut self, key: TimerKey) -> Option<Waker> {
        if self.timers.get(key.slot)?.generation != key.generation {
            return None;
        }
        Some(self.remove(key.slot))
    }

    fn remove(&mut self, key: usize) -> Waker {
        let timer = self.timers.remove(key);
        let slot = slot_of(timer.tick);
        let list = &mut self.ring[slot];
        list.swap_remove(timer.position);
        if let Some(&moved) = list.get(timer.position) {
            self.timers[moved].position = timer.position;
        }
        if list.is_empty() {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            // Release the memory of thousands that were here once.
            list.shrink_to(64);
        }
        timer.waker
    }

    /// Removes the timers of all ticks up to `now`.
    fn take_due(&mut self, now: u64, due: &mut Vec<Waker>) {
        if now <= self.fired {
            return;
        }
        // After a pause longer than a turn every slot is examined once.
        let first = (self.fired + 1).max(now.saturating_sub(SLOTS as u64 - 1));
        for tick in first..=now {
            let slot = slot_of(tick);
            if self.occupied[slot / 64] & (1 << (slot % 64)) == 0 {
                continue;
            }
            let mut position = 0;
            while let Some(&key) = self.ring[slot].get(position) {
                if self.timers[key].tick <= now {
                    due.push(self.remove(key));
                } else {
                    position += 1;
                }
            }
        }
        self.fired = now;
    }

    /// Returns the next tick whose slot is occupied; for a timer more than a turn away, the next tick of its slot.
    fn next_tick(&self) -> Option<u64> {
        let start = self.fired + 1;
        (start..start + SLOTS as u64).find(|tick| {
            let slot = slot_of(*tick);
            self.occupied[slot / 64] & (1 << (slot % 64)) != 0
        })
    }
}

fn slot_of(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wheel() -> WheelClock {
        WheelClock::new()
    }

    /// Fires everything due at `tick` and says how many.
    fn fire(clock: &WheelClock, tick: u64) -> usize {
        let mut due = Vec::new();
        clock.wheel.lock().take_due(tick, &mut due);
        due.len()
    }

    fn noop() -> Waker {
        Waker::noop().clone()
    }

    #[test]
    fn a_timer_fires_on_the_first_tick_not_before_its_deadline() {
        let slot = SLOT.as_nanos() as u64;
        for (deadline, tick) in [(0, 1), (1, 1), (slot, 1), (slot + 1, 2), (2 * slot, 2)] {
            let clock = wheel();
            clock.wake_at(Instant::from_nanos(deadline), noop());
            assert_eq!(fire(&clock, tick - 1), 0, "deadline {deadline}");
            assert_eq!(fire(&clock, tick), 1, "deadline {deadline}");
        }
    }

    #[test]
    fn a_sleep_longer_than_a_turn_waits_for_its_turn() {
        let clock = wheel();
        let far = 3 * SLOTS as u64 + 7;
        clock.wheel.lock().insert(far, noop());
        assert_eq!(fire(&clock, far - 1), 0);
        assert_eq!(clock.wheel.lock().next_tick(), Some(far));
        assert_eq!(fire(&clock, far), 1);
        assert_eq!(clock.wheel.lock().next_tick(), None);
    }

    #[test]
    fn a_long_pause_of_the_thread_loses_no_timer() {
        let clock = wheel();
        for tick in 1..2000 {
            clock.wheel.lock().insert(tick, noop());
        }
        assert_eq!(fire(&clock, 5000), 1999);
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn cancelling_one_leaves_its_neighbours_and_a_stale_key_does_nothing() {
        let clock = wheel();
        let at = Instant::from_millis(50);
        let keys: Vec<_> = (0..4).map(|_| clock.wake_at(at, noop())).collect();
        clock.cancel(keys[1]);
        clock.cancel(keys[1]);
        let reused = clock.wake_at(Instant::from_millis(90), noop());
        assert_eq!(reused.slot, keys[1].slot);
        clock.cancel(keys[1]);
        assert_eq!(clock.sleepers(), 4);
        assert_eq!(fire(&clock, 5), 3);
        assert_eq!(fire(&clock, 9), 1);
    }

    #[test]
    fn a_timer_can_be_set_for_the_last_instant() {
        let clock = wheel();
        let key = clock.wake_at(Instant::MAX, noop());
        assert_eq!(fire(&clock, tick_before(Instant::MAX)), 0, "it lies between two ticks");
        clock.cancel(key);
        assert_eq!(clock.sleepers(), 0);
    }

    proptest! {
        // Against the simplest thing that could work: a list of ticks.
        #[test]
        fn it_fires_what_a_sorted_list_would(ops in prop::collection::vec((0u8..4, 0u64..1500), 1..200)) {
            let clock = wheel();
            let mut list: Vec<(u64, TimerKey)> = Vec::new();
            let mut now = 0;
            for (op, n) in ops {
                match op {
                    0 if !list.is_empty() => clock.cancel(list.swap_remove(n as usize % list.len()).1),
                    1 => {
                        now += n;
                        let due = list.iter().filter(|(tick, _)| *tick <= now).count();
                        list.retain(|(tick, _)| *tick > now);
                        prop_assert_eq!(fire(&clock, now), due);
                    }
                    _ => {
                        let deadline = Instant::from_nanos((now + n) * SLOT.as_nanos() as u64);
                        list.push(((now + n).max(now + 1), clock.wake_at(deadline, noop())));
                    }
                }
                prop_assert_eq!(clock.sleepers(), list.len());
                // Never later than the earliest, and only a turn can make it earlier.
                let (next, earliest) = (clock.wheel.lock().next_tick(), list.iter().map(|(tick, _)| *tick).min());
                prop_assert_eq!(next.is_some(), earliest.is_some());
                prop_assert!(next <= earliest && next.is_none_or(|next| next > now));
            }
        }
    }
}
