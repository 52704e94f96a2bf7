//! Worker threads: each with a run queue, a reactor and a timer wheel of its own.
//!
//! A task stays on its worker, so that what a stream touches stays in one processor's cache, and a wake-up from the same
//! worker is a push to a queue of its thread: no lock, no system call. A wake-up from another thread goes through the
//! worker's inbox, and rings its bell only if the worker sleeps.
//!
//! Tasks of connections are gathered on few workers while these have time left: a thread that wakes twice as often for half
//! as much to do has nothing in its caches each time. A worker that is busy gives such tasks to one that is not.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use async_task::Builder;

use super::busyness::{Busyness, Meter, WINDOW};
use super::reactor::{Reactor, Scratch};
use crate::clock::{Clock, Instant, LocalWheel};
use crate::sync::Mutex;

/// Tasks run between two looks at the inbox, the wheel and the sockets.
const MAX_RUNS: usize = 64;

/// The most workers: as many threads can have a timer wheel.
const MAX_WORKERS: usize = 64;

/// A worker that is busy for less of its time, in thousandths, gets connections before those behind it.
const CALM: u32 = 500;

/// Workers that are together busy for less of the time of one, in thousandths, become one.
const QUIET: u32 = 400;

/// A worker that is busy for more of its time, in thousandths, gives tasks to one that is calm.
const HECTIC: u32 = 750;

/// A task that is to be polled.
type Runnable = async_task::Runnable<Home>;

/// The worker of a task, by its number; it changes only if the task `moves`.
pub(super) struct Home {
    worker: AtomicUsize,
    moves: bool,
}

/// A thread that polls tasks.
pub(super) struct Worker {
    pub(super) reactor: Reactor,
    inbox: Mutex<Inbox>,
    /// Live tasks of its own that were spread over the workers.
    load: AtomicUsize,
    busyness: Busyness,
    number: usize,
}

/// What other threads leave for a worker.
#[derive(Default)]
struct Inbox {
    runnables: Vec<Runnable>,
    /// The worker sleeps or is about to: who leaves something rings the bell, once.
    is_asleep: bool,
}

/// What belongs to a worker's thread alone.
struct Here {
    /// The worker, on its thread.
    worker: Cell<Option<&'static Worker>>,
    /// Times that it looked at its sockets.
    turns: Cell<u64>,
    /// Tasks that are to be polled.
    queue: RefCell<VecDeque<Runnable>>,
}

thread_local! {
    static HERE: Here = const { Here { worker: Cell::new(None), turns: Cell::new(0), queue: RefCell::new(VecDeque::new()) } };
}

/// The workers of the process, started by the first call: one for each processor, or `ASYNC_STD_THREAD_COUNT`.
///
/// # Panics
/// If the operating system refuses a thread, or descriptors to wait on.
pub(super) fn workers() -> &'static [Worker] {
    static WORKERS: OnceLock<&'static [Worker]> = OnceLock::new();
    static STARTED: OnceLock<()> = OnceLock::new();
    let workers = *WORKERS.get_or_init(|| {
        let told = std::env::var("ASYNC_STD_THREAD_COUNT").ok().and_then(|count| count.parse().ok());
        let count = told.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
        let workers: Vec<Worker> = (0..count.clamp(1, MAX_WORKERS)).map(Worker::new).collect();
        workers.leak()
    });
    STARTED.get_or_init(|| workers.iter().for_each(Worker::start));
    workers
}

/// The worker whose thread this is.
pub(super) fn here() -> Option<&'static Worker> {
    HERE.try_with(|here| here.worker.get()).ok().flatten()
}

/// Which worker a thread is; to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId(usize);

/// The worker whose thread this is; `None` if it is no worker's.
pub fn worker() -> Option<WorkerId> {
    here().map(|worker| WorkerId(std::ptr::from_ref(worker).addr()))
}

/// A worker's turn: from one look at its sockets to the next. What a socket had when it was looked at came before all that
/// happens in the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(NonZeroU64);

impl Turn {
    /// Bits of a turn's number among those of its worker, enough for centuries; those above are the worker's.
    const BITS: u32 = 48;

    /// Whether both are turns of one worker.
    pub fn is_of_worker_of(self, other: Self) -> bool {
        self.0.get() >> Self::BITS == other.0.get() >> Self::BITS
    }
}

/// The present turn of the worker whose thread this is; `None` if it is no worker's.
pub fn turn() -> Option<Turn> {
    let (worker, number) =
        HERE.try_with(|here| here.worker.get().map(|worker| (worker, here.turns.get()))).ok()??;
    NonZeroU64::new(((worker.number as u64 + 1) << Turn::BITS) | (number % (1 << Turn::BITS))).map(Turn)
}

/// Begins the next turn: the sockets were looked at.
pub(super) fn begin_turn() {
    let _ = HERE.try_with(|here| here.turns.set(here.turns.get() + 1));
}

/// The worker to start something on from a thread that is none: one after the other.
pub(super) fn any() -> &'static Worker {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let workers = workers();
    &workers[NEXT.fetch_add(1, Ordering::Relaxed) % workers.len()]
}

/// The worker for a new connection: the first that is calm, or the one with the fewest.
pub(super) fn for_connection() -> &'static Worker {
    let now = super::clock().now();
    workers().iter().find(|worker| worker.busyness.at(now) < CALM).unwrap_or_else(idlest)
}

/// The worker with the fewest live tasks that were spread; this thread's if no other has fewer.
pub(super) fn idlest() -> &'static Worker {
    let load = |worker: &Worker| worker.load.load(Ordering::Relaxed);
    let least = workers().iter().min_by_key(|worker| load(worker)).unwrap_or_else(|| any());
    here().filter(|here| load(here) <= load(least)).unwrap_or(least)
}

/// Counts a task that was spread, until it is dropped: by the worker that it has come to.
pub(super) struct Load(&'static Worker);

impl Drop for Load {
    fn drop(&mut self) {
        here().unwrap_or(self.0).change_load(-1);
    }
}

impl Worker {
    fn new(number: usize) -> Self {
        let reactor = Reactor::new().expect("the system has descriptors for a reactor");
        let busyness = Busyness::default();
        Self { reactor, inbox: Mutex::default(), load: AtomicUsize::new(0), busyness, number }
    }

    #[allow(clippy::disallowed_methods, reason = "what others are told to use")]
    fn start(&'static self) {
        let run = || {
            // A waker of somebody else's panicked. Nobody runs the tasks that are left here and still come: better no
            // server than a part of one.
            let _ = catch_unwind(|| self.run());
            std::process::abort();
        };
        let started = std::thread::Builder::new().name("worker".to_owned()).spawn(run);
        started.expect("the system can start a thread");
    }

    /// Counts one more task that was spread to it.
    pub(super) fn count(&'static self) -> Load {
        self.change_load(1);
        Load(self)
    }

    fn change_load(&self, by: isize) {
        let changed = |load: usize| Some(load.saturating_add_signed(by));
        let _ = self.load.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }

    /// Runs a future on this worker's thread, detached.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.start_task(future, false);
    }

    /// Runs a future on this worker's thread, detached, until the worker gives it to another.
    pub(super) fn spawn_moving(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.start_task(future, true);
    }

    fn start_task(&self, future: impl Future<Output = ()> + Send + 'static, moves: bool) {
        let home = Home { worker: AtomicUsize::new(self.number), moves };
        let schedule = |runnable: Runnable| {
            workers()[runnable.metadata().worker.load(Ordering::Relaxed)].schedule(runnable);
        };
        let (runnable, task) = Builder::new().metadata(home).spawn(|_| future, schedule);
        task.detach();
        runnable.schedule();
    }

    fn schedule(&'static self, runnable: Runnable) {
        let mut runnable = Some(runnable);
        let _ = HERE.try_with(|here| {
            if here.worker.get().is_some_and(|here| std::ptr::eq(here, self)) {
                here.queue.borrow_mut().extend(runnable.take());
            }
        });
        if let Some(runnable) = runnable {
            self.leave(runnable);
        }
    }

    /// Leaves a task in the inbox.
    fn leave(&self, runnable: Runnable) {
        let mut inbox = self.inbox.lock();
        inbox.runnables.push(runnable);
        let ring = std::mem::take(&mut inbox.is_asleep);
        drop(inbox);
        if ring {
            self.reactor.ring();
        }
    }

    /// Runs tasks as they are woken; never returns.
    fn run(&'static self) {
        HERE.with(|here| here.worker.set(Some(self)));
        let clock = super::clock();
        let mut local = Local {
            wheel: clock.local_wheel(),
            meter: Meter::since(clock.now()),
            surplus: None,
            left: Vec::new(),
            scratch: Scratch::default(),
        };
        loop {
            HERE.with(|here| self.turn(here, &mut local, &*clock));
        }
    }

    /// Runs what is to be run, at most so many, then wakes what is due and what has become ready. Sleeps if there was nothing.
    /// What wakes meanwhile, as a task does that yields, is run after that.
    fn turn(&'static self, here: &Here, local: &mut Local, clock: &impl Clock) {
        let runs = here.queue.borrow().len().min(MAX_RUNS);
        for _ in 0..runs {
            let Some(runnable) = here.queue.borrow_mut().pop_front() else { break };
            let Some(runnable) = self.keep(runnable, &mut local.surplus) else { continue };
            // The task is gone; the panic was reported by the hook.
            let _ = catch_unwind(AssertUnwindSafe(|| runnable.run()));
        }
        let now = clock.now();
        if local.meter.note(now, &self.busyness) {
            local.surplus = self.surplus(now);
        }
        let next = local.wheel.as_mut().and_then(|wheel| wheel.fire_at(now));
        let mut inbox = self.inbox.lock();
        std::mem::swap(&mut inbox.runnables, &mut local.left);
        inbox.is_asleep = local.left.is_empty() && here.queue.borrow().is_empty();
        let may_sleep = inbox.is_asleep;
        drop(inbox);
        here.queue.borrow_mut().extend(local.left.drain(..));
        if !may_sleep {
            return self.reactor.wake_ready(&mut local.scratch, next, false);
        }
        local.meter.falls_asleep(now, &self.busyness);
        self.reactor.wake_ready(&mut local.scratch, next, true);
        let woke = clock.now();
        local.meter.wakes(woke, &self.busyness);
        // It may have slept long: what was measured before says nothing now.
        local.surplus.take_if(|surplus| woke >= surplus.until);
        self.inbox.lock().is_asleep = false;
    }

    /// Returns a task that is to be run here; gives others to their workers.
    fn keep(&self, runnable: Runnable, surplus: &mut Option<Surplus>) -> Option<Runnable> {
        let home = runnable.metadata().worker.load(Ordering::Relaxed);
        if home != self.number {
            // It was given away while another thread woke it.
            workers()[home].leave(runnable);
            return None;
        }
        match surplus {
            None => Some(runnable),
            Some(surplus) => surplus.take(runnable),
        }
    }

    /// What this worker is to give to another: if it is hectic, so many that it and the calmest are as busy; all, if it has
    /// so little to do that the first worker has time for it.
    fn surplus(&'static self, now: Instant) -> Option<Surplus> {
        let load = |worker: &Worker| worker.load.load(Ordering::Relaxed);
        let busy = self.busyness.at(now);
        let first = &workers()[0];
        let (to, left) = if self.number > 0 && busy + first.busyness.at(now) < QUIET {
            (first, load(self))
        } else if busy > HECTIC {
            let others = workers().iter().filter(|other| other.number != self.number);
            let to = others.min_by_key(|other| other.busyness.at(now))?;
            let calm = to.busyness.at(now);
            // By work, not by count: connections that are idle on the other are none.
            let share = load(self) * (busy.saturating_sub(calm) as usize) / (2 * busy as usize);
            (to, if calm < CALM { share } else { 0 })
        } else {
            return None;
        };
        // What two give to one at a time, neither sees in what that is busy with.
        (left > 0 && to.busyness.takes_at(now)).then_some(Surplus {
            from: self,
            to,
            left,
            until: now + WINDOW,
        })
    }
}

/// What only the thread of a worker uses.
struct Local {
    wheel: Option<LocalWheel>,
    meter: Meter,
    /// What is to be given away until the next measurement.
    surplus: Option<Surplus>,
    /// Empty between two turns, as are those below.
    left: Vec<Runnable>,
    scratch: Scratch,
}

/// Tasks to be given to another worker.
struct Surplus {
    from: &'static Worker,
    to: &'static Worker,
    left: usize,
    until: Instant,
}

impl Surplus {
    /// Gives a task away, unless it is to be run here.
    fn take(&mut self, runnable: Runnable) -> Option<Runnable> {
        if self.left == 0 || !runnable.metadata().moves {
            return Some(runnable);
        }
        self.left -= 1;
        runnable.metadata().worker.store(self.to.number, Ordering::Relaxed);
        self.from.change_load(-1);
        self.to.change_load(1);
        self.to.leave(runnable);
        None
    }
}

#[cfg(test)]
mod tests;
