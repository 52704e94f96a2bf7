//! A hashed timer wheel. Pure: is passed ticks, calls no waker.

use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use super::{Instant, TimerKey};

/// The resolution of timers. They are late by less than this plus the scheduler's latency, never early. A tenth of it would
/// cost CPU time at thousands of streams and gain nothing: [`Lateness`](super::Lateness) keeps the pace.
const SLOT: Duration = Duration::from_millis(10);

/// Slots in the ring: 5.12 s. A longer timer stays in its slot for several turns.
const SLOTS: usize = 512;

/// Timers by the tick at which they fire.
pub(super) struct Wheel {
    timers: Slab<Timer>,
    ring: Vec<Vec<usize>>,
    /// One bit for each slot of the ring that holds a timer.
    occupied: [u64; SLOTS / 64],
    /// The last tick that has fired.
    fired: u64,
    /// The tick the turning thread sleeps until; `u64::MAX` while it waits for any timer at all.
    pub(super) asleep_until: u64,
    generation: u64,
    pub(super) stopped: bool,
    /// How long after the instants of other wheels its ticks begin, in nanoseconds; less than a slot.
    phase: u64,
}

struct Timer {
    tick: u64,
    /// Index in the list of its slot.
    position: usize,
    generation: u64,
    waker: Waker,
}

/// The first tick at or after `deadline`.
pub(super) fn tick_after(deadline: Instant) -> u64 {
    deadline.as_nanos().div_ceil(SLOT.as_nanos() as u64)
}

/// The last tick at or before `now`.
pub(super) fn tick_before(now: Instant) -> u64 {
    now.as_nanos() / SLOT.as_nanos() as u64
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            timers: Slab::new(),
            ring: vec![Vec::new(); SLOTS],
            occupied: [0; SLOTS / 64],
            fired: 0,
            asleep_until: u64::MAX,
            generation: 0,
            stopped: false,
            phase: 0,
        }
    }
}

impl Wheel {
    /// Creates the wheel of thread `number`. Wheels of different threads tick at different instants, spread evenly over a
    /// slot, so that threads that have work at each tick do not work at once on what they share.
    pub(super) fn of_thread(number: usize) -> Self {
        // The bits in reverse: 0, 1/2, 1/4, 3/4, 1/8, … of a slot.
        let phase = u64::from((number as u8).reverse_bits()) * SLOT.as_nanos() as u64 / 256;
        Self { phase, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.timers.len()
    }

    /// The instant at which a tick begins.
    pub(super) fn start_of(&self, tick: u64) -> Instant {
        Instant::from_nanos(tick.saturating_mul(SLOT.as_nanos() as u64).saturating_add(self.phase))
    }

    /// The last tick that has begun at `now`.
    pub(super) fn tick_at(&self, now: Instant) -> u64 {
        tick_before(Instant::from_nanos(now.as_nanos().saturating_sub(self.phase)))
    }

    /// Sets a timer. Returns its key, and the tick at which it fires: the first that has not fired, at `deadline` or
    /// later.
    pub(super) fn set(&mut self, deadline: Instant, waker: Waker) -> (TimerKey, u64) {
        let deadline = Instant::from_nanos(deadline.as_nanos().saturating_sub(self.phase));
        let tick = tick_after(deadline).max(self.fired + 1);
        (self.insert(tick, waker), tick)
    }

    fn insert(&mut self, tick: u64, waker: Waker) -> TimerKey {
        let slot = slot_of(tick);
        self.generation += 1;
        let generation = self.generation;
        let key = self.timers.insert(Timer { tick, position: self.ring[slot].len(), generation, waker });
        self.ring[slot].push(key);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        TimerKey { slot: key, generation }
    }

    pub(super) fn cancel(&mut self, key: TimerKey) -> Option<Waker> {
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
        self.note_removed(slot);
        timer.waker
    }

    /// Notes that timers of a slot were removed.
    fn note_removed(&mut self, slot: usize) {
        let list = &mut self.ring[slot];
        if list.is_empty() {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            // Release the memory of thousands that were here once.
            list.shrink_to(64);
        }
    }

    /// Removes the timers of all ticks up to `now`.
    pub(super) fn take_due(&mut self, now: u64, due: &mut Vec<Waker>) {
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
            // In their order: each timer is looked at once, and no other because of it.
            let (mut position, timers) = (0, &mut self.timers);
            self.ring[slot].retain(|&key| {
                let is_due = timers[key].tick <= now;
                if is_due {
                    due.push(timers.remove(key).waker);
                } else {
                    timers[key].position = position;
                    position += 1;
                }
                !is_due
            });
            self.note_removed(slot);
        }
        self.fired = now;
    }

    /// Removes all timers, with the instants at which they are due.
    pub(super) fn drain(&mut self) -> Vec<(Instant, Waker)> {
        let keys: Vec<usize> = self.timers.iter().map(|(key, _)| key).collect();
        keys.into_iter().map(|key| (self.start_of(self.timers[key].tick), self.remove(key))).collect()
    }

    /// The last tick that has fired.
    pub(super) fn fired(&self) -> u64 {
        self.fired
    }

    /// Returns the next tick whose slot is occupied; for a timer more than a turn away, the next tick of its slot.
    pub(super) fn next_tick(&self) -> Option<u64> {
        const WORDS: usize = SLOTS / 64;
        if self.timers.is_empty() {
            return None;
        }
        let start = self.fired + 1;
        let (word, bit) = (slot_of(start) / 64, slot_of(start) % 64);
        // The first word is examined twice: from `bit` on, and at last as a whole.
        (0..=WORDS).find_map(|n| {
            let bits = self.occupied[(word + n) % WORDS] & if n == 0 { u64::MAX << bit } else { u64::MAX };
            (bits != 0).then(|| start - bit as u64 + 64 * n as u64 + u64::from(bits.trailing_zeros()))
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

    /// Fires everything due at `tick` and says how many.
    fn fire(wheel: &mut Wheel, tick: u64) -> usize {
        let mut due = Vec::new();
        wheel.take_due(tick, &mut due);
        due.len()
    }

    fn noop() -> Waker {
        Waker::noop().clone()
    }

    #[test]
    fn a_timer_fires_on_the_first_tick_not_before_its_deadline() {
        let slot = SLOT.as_nanos() as u64;
        for (deadline, tick) in [(0, 1), (1, 1), (slot, 1), (slot + 1, 2), (2 * slot, 2)] {
            let mut wheel = Wheel::default();
            wheel.set(Instant::from_nanos(deadline), noop());
            assert_eq!(fire(&mut wheel, tick - 1), 0, "deadline {deadline}");
            assert_eq!(fire(&mut wheel, tick), 1, "deadline {deadline}");
        }
    }

    #[test]
    fn wheels_of_threads_tick_at_instants_of_their_own_and_never_early() {
        let mut ticks = std::collections::BTreeSet::new();
        for number in 0..64 {
            let mut wheel = Wheel::of_thread(number);
            assert!(ticks.insert(wheel.start_of(0)) && wheel.start_of(0) < Instant::ZERO + SLOT);
            for nanos in [0, 1, 9_999_999, 10_000_000, 10_000_001, 123_456_789] {
                let deadline = Instant::from_nanos(nanos);
                let (_, tick) = wheel.set(deadline, noop());
                assert!(
                    deadline <= wheel.start_of(tick)
                        && wheel.start_of(tick - 1) < deadline.max(wheel.start_of(1))
                );
                assert_eq!(wheel.tick_at(wheel.start_of(tick)), tick);
                assert_eq!(wheel.tick_at(Instant::from_nanos(wheel.start_of(tick).as_nanos() - 1)), tick - 1);
            }
        }
        assert_eq!(Wheel::of_thread(1).start_of(0), Instant::from_millis(5));
    }

    #[test]
    fn a_sleep_longer_than_a_turn_waits_for_its_turn() {
        let mut wheel = Wheel::default();
        let far = 3 * SLOTS as u64 + 7;
        wheel.insert(far, noop());
        assert_eq!(fire(&mut wheel, far - 1), 0);
        assert_eq!(wheel.next_tick(), Some(far));
        assert_eq!(fire(&mut wheel, far), 1);
        assert_eq!(wheel.next_tick(), None);
    }

    #[test]
    fn each_of_ten_thousand_streams_wakes_within_a_slot_of_its_instant_and_no_tick_wakes_more_than_its_share()
    {
        const STREAMS: u64 = 10_000;
        const INTERVAL: u64 = 200_000_000;
        let slot = SLOT.as_nanos() as u64;
        // Where each stream began within the interval, and so is due in each.
        let due = |n: u64, interval: u64| interval * INTERVAL + n * (INTERVAL / STREAMS) + 1;
        let mut wheel = Wheel::default();
        for interval in 1..4 {
            for n in 0..STREAMS {
                wheel.set(Instant::from_nanos(due(n, interval)), noop());
            }
            let mut woken = 0;
            for tick in interval * INTERVAL / slot..=(interval + 1) * INTERVAL / slot {
                let fired = fire(&mut wheel, tick) as u64;
                assert!(fired <= STREAMS * slot / INTERVAL, "{fired} at once");
                woken += fired;
                let (now, all) = (tick * slot, 0..STREAMS);
                // As many as are due, and of these all that are due for a slot or longer.
                assert!(woken <= all.clone().filter(|n| due(*n, interval) <= now).count() as u64);
                assert!(woken >= all.filter(|n| due(*n, interval) + slot <= now).count() as u64);
            }
            assert_eq!((woken, wheel.len()), (STREAMS, 0));
        }
    }

    #[test]
    fn a_long_pause_of_the_thread_loses_no_timer() {
        let mut wheel = Wheel::default();
        for tick in 1..2000 {
            wheel.insert(tick, noop());
        }
        assert_eq!(fire(&mut wheel, 5000), 1999);
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn cancelling_one_leaves_its_neighbours_and_a_stale_key_does_nothing() {
        let mut wheel = Wheel::default();
        let at = Instant::from_millis(50);
        let keys: Vec<_> = (0..4).map(|_| wheel.set(at, noop()).0).collect();
        wheel.cancel(keys[1]);
        wheel.cancel(keys[1]);
        let reused = wheel.set(Instant::from_millis(90), noop()).0;
        assert_eq!(reused.slot, keys[1].slot);
        wheel.cancel(keys[1]);
        assert_eq!(wheel.len(), 4);
        assert_eq!(fire(&mut wheel, 5), 3);
        assert_eq!(fire(&mut wheel, 9), 1);
    }

    #[test]
    fn a_timer_can_be_set_for_the_last_instant() {
        let mut wheel = Wheel::default();
        let key = wheel.set(Instant::MAX, noop()).0;
        assert_eq!(fire(&mut wheel, tick_before(Instant::MAX)), 0, "it lies between two ticks");
        wheel.cancel(key);
        assert_eq!(wheel.len(), 0);
    }

    proptest! {
        // Against the simplest thing that could work: a list of ticks.
        #[test]
        fn it_fires_what_a_sorted_list_would(ops in prop::collection::vec((0u8..4, 0u64..1500), 1..200)) {
            let mut wheel = Wheel::default();
            let mut list: Vec<(u64, TimerKey)> = Vec::new();
            let mut now = 0;
            for (op, n) in ops {
                match op {
                    0 if !list.is_empty() => drop(wheel.cancel(list.swap_remove(n as usize % list.len()).1)),
                    1 => {
                        now += n;
                        let due = list.iter().filter(|(tick, _)| *tick <= now).count();
                        list.retain(|(tick, _)| *tick > now);
                        prop_assert_eq!(fire(&mut wheel, now), due);
                    }
                    _ => {
                        let deadline = Instant::from_nanos((now + n) * SLOT.as_nanos() as u64);
                        list.push(((now + n).max(now + 1), wheel.set(deadline, noop()).0));
                    }
                }
                prop_assert_eq!(wheel.len(), list.len());
                // Never later than the earliest, and only a turn can make it earlier.
                let (next, earliest) = (wheel.next_tick(), list.iter().map(|(tick, _)| *tick).min());
                prop_assert_eq!(next.is_some(), earliest.is_some());
                prop_assert!(next <= earliest && next.is_none_or(|next| next > now));
            }
        }
    }
}
