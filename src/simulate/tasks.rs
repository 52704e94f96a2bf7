//! The tasks of connections, polled in the order in which they were woken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use slab::Slab;

use crate::http::server::ConnectionTask;
use crate::sync::Mutex;

/// The tasks that live.
#[derive(Default)]
pub(super) struct Tasks {
    live: Slab<Task>,
    woken: Arc<Woken>,
    /// Tells a task from an earlier one in its place.
    made: u64,
}

/// Tasks to be polled: places and numbers.
#[derive(Default)]
struct Woken(Mutex<VecDeque<(usize, u64)>>);

struct Task {
    future: ConnectionTask,
    name: Arc<Name>,
    waker: Waker,
}

struct Name {
    place: usize,
    number: u64,
    is_woken: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for Name {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::Relaxed) {
            self.woken.0.lock().push_back((self.place, self.number));
        }
    }
}

impl Tasks {
    /// Adds a task, which is polled next. Returns its number.
    pub(super) fn add(&mut self, future: ConnectionTask) -> u64 {
        self.made += 1;
        let entry = self.live.vacant_entry();
        let (place, number) = (entry.key(), self.made);
        let name = Arc::new(Name {
            place,
            number,
            is_woken: AtomicBool::new(false),
            woken: Arc::clone(&self.woken),
        });
        name.wake_by_ref();
        entry.insert(Task { future, waker: Waker::from(Arc::clone(&name)), name });
        number
    }

    /// Polls the next task that was woken; `None` if none was. Returns its number, and whether it is over.
    pub(super) fn poll_next(&mut self) -> Option<(u64, bool)> {
        loop {
            let (place, number) = self.woken.0.lock().pop_front()?;
            let Some(task) = self.live.get_mut(place).filter(|task| task.name.number == number) else {
                continue;
            };
            task.name.is_woken.store(false, Ordering::Relaxed);
            let waker = task.waker.clone();
            let is_over = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            if is_over {
                drop(self.live.remove(place));
            }
            return Some((number, is_over));
        }
    }

    /// Drops all tasks, as they stand, in the order of their places.
    pub(super) fn drop_all(&mut self) {
        let places: Vec<usize> = self.live.iter().map(|(place, _)| place).collect();
        places.into_iter().for_each(|place| drop(self.live.remove(place)));
    }
}
