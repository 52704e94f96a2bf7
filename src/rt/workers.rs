//! Worker threads: each with a run queue, a reactor and a timer wheel of its own.
//!
//! A task stays on the worker that it was spawned on, so that what a stream touches stays in one processor's cache, and a
//! wake-up from the same worker is a push to a queue of its thread: no lock, no system call. A wake-up from another thread
//! goes through the worker's inbox, and rings its bell only if the worker sleeps.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use async_task::Runnable;

use super::reactor::{Reactor, Scratch};
use crate::clock::LocalWheel;
use crate::sync::Mutex;

/// Tasks run between two looks at the inbox, the wheel and the sockets.
const MAX_RUNS: usize = 64;

/// The most workers: as many threads can have a timer wheel.
const MAX_WORKERS: usize = 64;

/// A thread that polls tasks.
pub(super) struct Worker {
    pub(super) reactor: Reactor,
    inbox: Mutex<Inbox>,
    /// Live tasks that were spread over the workers.
    load: AtomicUsize,
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
    /// Tasks that are to be polled.
    queue: RefCell<VecDeque<Runnable>>,
}

thread_local! {
    static HERE: Here = const { Here { worker: Cell::new(None), queue: RefCell::new(VecDeque::new()) } };
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
        let workers: Vec<Worker> = (0..count.clamp(1, MAX_WORKERS)).map(|_| Worker::new()).collect();
        workers.leak()
    });
    STARTED.get_or_init(|| workers.iter().for_each(Worker::start));
    workers
}

/// The worker whose thread this is.
pub(super) fn here() -> Option<&'static Worker> {
    HERE.try_with(|here| here.worker.get()).ok().flatten()
}

/// The worker to start something on from a thread that is none: one after the other.
pub(super) fn any() -> &'static Worker {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let workers = workers();
    &workers[NEXT.fetch_add(1, Ordering::Relaxed) % workers.len()]
}

/// The worker with the fewest live tasks that were spread; this thread's if no other has fewer.
pub(super) fn idlest() -> &'static Worker {
    let load = |worker: &Worker| worker.load.load(Ordering::Relaxed);
    let least = workers().iter().min_by_key(|worker| load(worker)).unwrap_or_else(|| any());
    here().filter(|here| load(here) <= load(least)).unwrap_or(least)
}

/// Counts a task that was spread, until it is dropped.
pub(super) struct Load(&'static Worker);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    fn new() -> Self {
        let reactor = Reactor::new().expect("the system has descriptors for a reactor");
        Self { reactor, inbox: Mutex::default(), load: AtomicUsize::new(0) }
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
        self.load.fetch_add(1, Ordering::Relaxed);
        Load(self)
    }

    /// Runs a future on this worker's thread, detached.
    pub(super) fn spawn(&'static self, future: impl Future<Output = ()> + Send + 'static) {
        let (runnable, task) = async_task::spawn(future, |runnable| self.schedule(runnable));
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
        let mut wheel = super::clock().local_wheel();
        let (mut left, mut scratch) = (Vec::new(), Scratch::default());
        loop {
            HERE.with(|here| self.turn(here, &mut left, &mut scratch, wheel.as_mut()));
        }
    }

    /// Runs what is to be run, at most so many, then wakes what is due and what has become ready. Sleeps if there was nothing.
    /// What wakes meanwhile, as a task does that yields, is run after that.
    fn turn(
        &self,
        here: &Here,
        left: &mut Vec<Runnable>,
        scratch: &mut Scratch,
        wheel: Option<&mut LocalWheel>,
    ) {
        let runs = here.queue.borrow().len().min(MAX_RUNS);
        for _ in 0..runs {
            let Some(runnable) = here.queue.borrow_mut().pop_front() else { break };
            // The task is gone; the panic was reported by the hook.
            let _ = catch_unwind(AssertUnwindSafe(|| runnable.run()));
        }
        let next = wheel.and_then(LocalWheel::fire);
        let mut inbox = self.inbox.lock();
        std::mem::swap(&mut inbox.runnables, left);
        inbox.is_asleep = left.is_empty() && here.queue.borrow().is_empty();
        let may_sleep = inbox.is_asleep;
        drop(inbox);
        here.queue.borrow_mut().extend(left.drain(..));
        self.reactor.wake_ready(scratch, next, may_sleep);
        if may_sleep {
            self.inbox.lock().is_asleep = false;
        }
    }
}

#[cfg(test)]
mod tests;
