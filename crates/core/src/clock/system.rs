//! The system's clock: monotonic time, and timer wheels.
//!
//! The only file that reads the operating system's clock. One timer of the reactor for each sleep of each stream would cost
//! more than all of HTTP; here thousands of streams share slots of 10 ms, and one thread fires a slot at once. A thread that
//! polls tasks turns a wheel of its own ([`LocalWheel`]); the clock's thread turns one for all other threads.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::wheel::Wheel;
use super::{Clock, Instant, TimerKey};
use crate::sync::Mutex;

/// The most threads of a clock that have a wheel of their own.
const MAX_LOCAL: usize = 64;

/// The wheel of the clock's thread, in a timer's key.
const SHARED: usize = MAX_LOCAL;

impl TimerKey {
    /// Wheels that keys can tell apart.
    const WHEELS: u64 = SHARED as u64 + 1;

    /// The key of a timer of wheel `number`, among those of all wheels.
    fn of_wheel(self, number: usize) -> Self {
        Self { generation: self.generation * Self::WHEELS + number as u64, ..self }
    }

    /// Undoes [`of_wheel`](Self::of_wheel).
    fn split(self) -> (Self, usize) {
        let number = (self.generation % Self::WHEELS) as usize;
        (Self { generation: self.generation / Self::WHEELS, ..self }, number)
    }
}

thread_local! {
    /// The clock whose wheel this thread turns, by its address, and the wheel's number.
    static LOCAL: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Monotonic system time with timer wheels and a timer thread, which ends with the clock. A program needs one.
///
/// ```
/// # use std::time::Duration;
/// use sluicegate_core::clock::{Clock, Sleep, SystemClock};
///
/// let (clock, wait) = (SystemClock::shared(), Duration::from_millis(1));
/// let due = clock.now() + wait;
/// futures_lite::future::block_on(Sleep::until(clock.clone(), due));
/// assert!(clock.now() >= due);
/// ```
pub struct SystemClock(Arc<Inner>);

struct Inner {
    origin: std::time::Instant,
    /// The wheel of the clock's thread.
    wheel: Mutex<Wheel>,
    changed: Condvar,
    /// Wheels of other threads. Their locks are contended only by who cancels a timer on another thread.
    local: Box<[OnceLock<Mutex<Wheel>>; MAX_LOCAL]>,
    /// Which of them no thread turns.
    free: Mutex<Vec<usize>>,
    /// The begin of the latest tick that any wheel has fired, in nanoseconds, to be read without a lock.
    fired: AtomicU64,
}

impl SystemClock {
    /// Creates a clock whose origin is now, and starts its thread, which sleeps while no timer is set.
    ///
    /// # Panics
    /// If the operating system refuses to start a thread: without it no timer would fire.
    #[allow(clippy::new_without_default, reason = "it starts a thread")]
    pub fn new() -> Self {
        let inner = Arc::new(Inner {
            origin: std::time::Instant::now(),
            wheel: Mutex::default(),
            changed: Condvar::new(),
            local: Box::new([const { OnceLock::new() }; MAX_LOCAL]),
            free: Mutex::new((0..MAX_LOCAL).rev().collect()),
            fired: AtomicU64::new(0),
        });
        let turned = Arc::clone(&inner);
        let started = std::thread::Builder::new().name("clock".into()).spawn(move || turned.turn());
        started.expect("the system can start one thread");
        Self(inner)
    }

    /// Converts a monotonic system time to this clock; times before its origin are the origin.
    pub fn instant_of(&self, time: std::time::Instant) -> Instant {
        self.0.instant_of(time)
    }

    /// Gives this thread a wheel of its own: timers that it sets from now on fire when it calls [`LocalWheel::fire`], and take
    /// no lock that another thread takes as well. `None` if this thread has one, or 64 threads have.
    pub fn local_wheel(&self) -> Option<LocalWheel> {
        if LOCAL.get().is_some() {
            return None;
        }
        let number = self.0.free.lock().pop()?;
        self.0.local(number);
        LOCAL.set(Some((self.0.address(), number)));
        Some(LocalWheel { clock: Arc::clone(&self.0), number, due: Vec::new(), thread: PhantomData })
    }

    /// Returns the number of timers that are set.
    pub fn sleepers(&self) -> usize {
        let local = self.0.local.iter().filter_map(OnceLock::get);
        local.map(|wheel| wheel.lock().len()).sum::<usize>() + self.0.wheel.lock().len()
    }
}

/// The timers that one thread sets, fired by that thread.
///
/// If it is dropped, the clock's thread fires those that are left; they can no longer be cancelled.
pub struct LocalWheel {
    clock: Arc<Inner>,
    number: usize,
    /// Empty between two calls; kept for its memory.
    due: Vec<Waker>,
    /// Stays on its thread.
    thread: PhantomData<*const ()>,
}

impl LocalWheel {
    /// Wakes what is due. Returns how long from now until the next timer may be due; `None` if none is set.
    pub fn fire(&mut self) -> Option<Duration> {
        self.fire_at(self.clock.now())
    }

    /// Does what [`fire`](Self::fire) does, at `now`, which the caller has just read from the clock.
    pub fn fire_at(&mut self, now: Instant) -> Option<Duration> {
        let mut wheel = self.clock.local(self.number).lock();
        let tick = wheel.tick_at(now);
        if tick > wheel.fired() {
            self.clock.note_fired(wheel.start_of(tick));
            wheel.take_due(tick, &mut self.due);
        }
        if !self.due.is_empty() {
            drop(wheel);
            self.due.drain(..).for_each(Waker::wake);
            // What was woken may have set timers.
            wheel = self.clock.local(self.number).lock();
        }
        wheel.next_tick().map(|tick| wheel.start_of(tick) - now)
    }
}

impl Drop for LocalWheel {
    fn drop(&mut self) {
        LOCAL.set(None);
        let left = self.clock.local(self.number).lock().drain();
        for (due, waker) in left {
            self.clock.set(due, waker);
        }
        self.clock.free.lock().push(self.number);
    }
}

impl Inner {
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn local(&self, number: usize) -> &Mutex<Wheel> {
        self.local[number].get_or_init(|| Mutex::new(Wheel::of_thread(number)))
    }

    /// To be called before the timers of a tick are removed: a task that reads the old value is still woken.
    fn note_fired(&self, tick: Instant) {
        self.fired.fetch_max(tick.as_nanos(), Ordering::SeqCst);
    }

    /// Sets a timer of the clock's thread, and wakes the thread if it sleeps for longer.
    fn set(&self, deadline: Instant, waker: Waker) -> TimerKey {
        let mut wheel = self.wheel.lock();
        let (key, tick) = wheel.set(deadline, waker);
        let wake_thread = tick < wheel.asleep_until;
        if wake_thread {
            wheel.asleep_until = tick;
        }
        drop(wheel);
        if wake_thread {
            self.changed.notify_one();
        }
        key.of_wheel(SHARED)
    }

    fn instant_of(&self, time: std::time::Instant) -> Instant {
        Instant::ZERO + time.saturating_duration_since(self.origin)
    }

    fn now(&self) -> Instant {
        self.instant_of(std::time::Instant::now())
    }

    /// Turns the wheel until the clock is dropped: sleeps until the next occupied slot, and wakes what is due. Blocks.
    fn turn(&self) {
        let mut due = Vec::new();
        let mut wheel = self.wheel.lock();
        while !wheel.stopped {
            let tick = wheel.tick_at(self.now());
            self.note_fired(wheel.start_of(tick));
            wheel.take_due(tick, &mut due);
            if !due.is_empty() {
                // Not asleep: the ring is examined again below, so no thread needs to notify.
                wheel.asleep_until = 0;
                drop(wheel);
                due.drain(..).for_each(Waker::wake);
                wheel = self.wheel.lock();
                continue;
            }
            let next = wheel.next_tick();
            wheel.asleep_until = next.unwrap_or(u64::MAX);
            wheel = match next {
                None => self.changed.wait(wheel).unwrap_or_else(PoisonError::into_inner),
                Some(tick) => {
                    let wait = wheel.start_of(tick) - self.now();
                    self.changed.wait_timeout(wheel, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Drop for SystemClock {
    /// Ends the thread. No sleep is left: each holds an `Arc` of its clock.
    fn drop(&mut self) {
        self.0.wheel.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn calendar(&self) -> std::time::SystemTime {
        std::time::SystemTime::now()
    }

    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey {
        match LOCAL.get() {
            Some((clock, number)) if clock == self.0.address() => {
                // Its thread is awake: it is this one.
                self.0.local(number).lock().set(deadline, waker).0.of_wheel(number)
            }
            _ => self.0.set(deadline, waker),
        }
    }

    fn cancel(&self, key: TimerKey) {
        let (key, number) = key.split();
        let wheel = if number == SHARED { &self.0.wheel } else { self.0.local(number) };
        let removed = wheel.lock().cancel(key);
        // Outside the lock: dropping a waker may drop a task, which may cancel a timer.
        drop(removed);
    }

    fn may_have_fired(&self, deadline: Instant) -> bool {
        // A timer set for a tick that had fired is one tick later; then this is true early, which does no harm.
        deadline.as_nanos() <= self.0.fired.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::wake_count::WakeCount;

    // Real time: the thread that turns the wheel is what is tested. No upper bound on lateness is
    // asserted, only that it fires and is never early.
    #[test]
    fn a_clock_wakes_sleepers_by_itself_never_early_and_its_thread_ends_with_it() {
        let clock = Arc::new(SystemClock::new());
        let count = Arc::new(WakeCount::default());
        for millis in [35u64, 15, 25] {
            let deadline = clock.now() + Duration::from_millis(millis);
            let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
            futures_lite::future::block_on(super::super::Sleep::until(shared, deadline));
            assert!(clock.now() >= deadline);
        }
        clock.wake_at(Instant::ZERO, Arc::clone(&count).into());
        while count.get() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(clock.sleepers(), 0);
        let turned = Arc::downgrade(&clock.0);
        drop(clock);
        while turned.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
    fn count() -> Arc<WakeCount> {
        Arc::default()
    }

    #[test]
    fn a_thread_with_a_wheel_fires_its_own_timers_and_no_other_does() {
        let clock = SystemClock::new();
        let mut wheel = clock.local_wheel().unwrap();
        assert!(clock.local_wheel().is_none(), "one is enough");
        let (ours, theirs) = (count(), count());
        let deadline = clock.now() + Duration::from_millis(20);
        clock.wake_at(deadline, Arc::clone(&ours).into());
        std::thread::scope(|scope| {
            scope.spawn(|| clock.wake_at(deadline, Arc::clone(&theirs).into()));
        });
        while theirs.get() == 0 {
            std::thread::yield_now();
        }
        assert_eq!((ours.get(), clock.sleepers()), (0, 1), "the clock's thread leaves ours alone");
        assert_eq!(wheel.fire(), None);
        assert_eq!((ours.get(), clock.sleepers()), (1, 0));
        assert!(clock.may_have_fired(deadline));
        let far = clock.now() + Duration::from_secs(3);
        clock.wake_at(far, Arc::clone(&ours).into());
        let patience = wheel.fire().unwrap();
        assert!(clock.now() + patience >= far && patience <= Duration::from_millis(3010), "{patience:?}");
    }

    #[test]
    fn a_timer_is_cancelled_from_any_thread() {
        let clock = SystemClock::new();
        let _wheel = clock.local_wheel().unwrap();
        let waker = count();
        let far = clock.now() + Duration::from_secs(1000);
        let local = clock.wake_at(far, Arc::clone(&waker).into());
        let shared = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                clock.cancel(local);
                assert_eq!(clock.sleepers(), 0);
                clock.wake_at(far, Arc::clone(&waker).into())
            });
            other.join().unwrap()
        });
        assert_ne!(local, shared);
        clock.cancel(local);
        assert_eq!(clock.sleepers(), 1, "a key is of one wheel only");
        clock.cancel(shared);
        assert_eq!((clock.sleepers(), Arc::strong_count(&waker)), (0, 1));
    }

    #[test]
    fn what_a_dropped_wheel_holds_is_fired_by_the_clock() {
        let clock = SystemClock::new();
        let wheel = clock.local_wheel().unwrap();
        let waker = count();
        let deadline = clock.now() + Duration::from_millis(20);
        clock.wake_at(deadline, Arc::clone(&waker).into());
        drop(wheel);
        while waker.get() == 0 {
            std::thread::yield_now();
        }
        assert!(clock.now() >= deadline);
        assert!(clock.local_wheel().is_some(), "the thread may have another");
    }

    #[test]
    fn there_are_at_most_64_wheels_and_the_clock_serves_further_threads() {
        let (clock, ready) = (SystemClock::new(), std::sync::Barrier::new(MAX_LOCAL + 1));
        let waker = count();
        std::thread::scope(|scope| {
            for _ in 0..MAX_LOCAL {
                scope.spawn(|| {
                    let wheel = clock.local_wheel();
                    ready.wait();
                    ready.wait();
                    assert!(wheel.is_some());
                });
            }
            ready.wait();
            assert!(clock.local_wheel().is_none());
            ready.wait();
        });
        clock.wake_at(Instant::ZERO, Arc::clone(&waker).into());
        while waker.get() == 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_wheel_of_another_clock_is_not_used() {
        let (turned, other) = (SystemClock::new(), SystemClock::new());
        let _wheel = turned.local_wheel().unwrap();
        let waker = count();
        other.wake_at(Instant::ZERO, Arc::clone(&waker).into());
        while waker.get() == 0 {
            std::thread::yield_now();
        }
        assert_eq!((turned.sleepers(), other.sleepers()), (0, 0));
    }
}
